/// The name of a header field: case-insensitive, compact forms already expanded (RFC 3261 §7.3.3).
///
/// Known names are one byte; others keep their spelling.
package struct HeaderName: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
  /// Position in `table`; 0 for a name that is not in it.
  let id: UInt8
  let other: String

  private init(id: UInt8) {
    self.id = id
    other = ""
  }

  package init(_ name: String) {
    self = HeaderName(parsing: name.utf8Span.span, 0, name.utf8.count)
  }

  package init(stringLiteral value: String) { self.init(value) }

  init(parsing b: Span<UInt8>, _ start: Int, _ end: Int) {
    let id = Self.lookUp(b, start, end)
    self.id = id
    other = id == 0 ? Grammar.string(b, start, end) : ""
  }

  package static func == (a: HeaderName, b: HeaderName) -> Bool {
    a.id == b.id && (a.id != 0 || a.other.equalsIgnoringCase(b.other))
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(id)
    if id == 0 { hasher.combine(other.asciiLowercased) }
  }

  package var description: String { id == 0 ? other : Self.table[Int(id)] }

  // Order matters: `id`s are positions. The first 32 include every header that may stand only once.
  private static let table: [String] = [
    "", "Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Contact", "Route", "Record-Route",
    "Content-Type", "Expires", "Supported", "Require", "Allow", "Authorization", "Proxy-Authorization",
    "WWW-Authenticate", "Proxy-Authenticate", "Session-Expires", "Min-SE", "Reason", "User-Agent", "Path", "Refer-To",
    "Replaces", "Subject", "Timestamp", "Date", "Server", "Min-Expires", "Unsupported", "Proxy-Require", "Accept",
    "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow-Events", "Call-Info", "Content-Disposition",
    "Content-Encoding", "Content-Language", "Error-Info", "Event", "In-Reply-To", "MIME-Version", "Organization",
    "P-Asserted-Identity", "P-Preferred-Identity", "Privacy", "Priority", "RAck", "RSeq", "Referred-By", "Retry-After",
    "Service-Route", "Subscription-State", "Warning", "Diversion", "History-Info", "Authentication-Info", "Flow-Timer",
    "Remote-Party-ID", "Request-Disposition", "Accept-Contact", "Reject-Contact", "Reply-To", "SIP-ETag",
    "SIP-If-Match", "Join", "Identity", "Target-Dialog", "Info-Package", "Recv-Info", "Security-Client",
    "Security-Server", "Security-Verify", "Answer-Mode", "Refer-Sub",
  ]

  private static func known(_ name: String) -> HeaderName {
    HeaderName(id: UInt8(table.firstIndex(of: name)!))  // every caller names an entry of `table`
  }

  package static let via = HeaderName(id: 1)
  package static let from = HeaderName(id: 2)
  package static let to = HeaderName(id: 3)
  package static let callID = HeaderName(id: 4)
  package static let cSeq = HeaderName(id: 5)
  package static let maxForwards = HeaderName(id: 6)
  package static let contentLength = HeaderName(id: 7)
  package static let contact = HeaderName(id: 8)
  package static let route = HeaderName(id: 9)
  package static let recordRoute = HeaderName(id: 10)
  package static let contentType = HeaderName(id: 11)
  package static let expires = HeaderName(id: 12)
  package static let supported = HeaderName(id: 13)
  package static let require = HeaderName(id: 14)
  package static let allow = HeaderName(id: 15)
  package static let authorization = HeaderName(id: 16)
  package static let proxyAuthorization = HeaderName(id: 17)
  package static let wwwAuthenticate = HeaderName(id: 18)
  package static let proxyAuthenticate = HeaderName(id: 19)
  package static let sessionExpires = HeaderName(id: 20)
  package static let minSE = HeaderName(id: 21)
  package static let reason = HeaderName(id: 22)
  package static let userAgent = HeaderName(id: 23)
  package static let path = HeaderName(id: 24)
  package static let referTo = HeaderName(id: 25)
  package static let replaces = HeaderName(id: 26)
  package static let subject = HeaderName(id: 27)
  package static let timestamp = HeaderName(id: 28)
  package static let date = HeaderName(id: 29)
  package static let server = HeaderName(id: 30)
  package static let minExpires = HeaderName(id: 31)
  package static let unsupported = HeaderName(id: 32)
  package static let proxyRequire = HeaderName(id: 33)
  package static let accept = HeaderName(id: 34)
  package static let contentDisposition = known("Content-Disposition")
  package static let contentEncoding = known("Content-Encoding")
  package static let event = known("Event")
  package static let pAssertedIdentity = known("P-Asserted-Identity")
  package static let pPreferredIdentity = known("P-Preferred-Identity")
  package static let privacy = known("Privacy")
  package static let rAck = known("RAck")
  package static let rSeq = known("RSeq")
  package static let referredBy = known("Referred-By")
  package static let retryAfter = known("Retry-After")
  package static let serviceRoute = known("Service-Route")
  package static let subscriptionState = known("Subscription-State")
  package static let warning = known("Warning")
  package static let diversion = known("Diversion")
  package static let authenticationInfo = known("Authentication-Info")
  package static let flowTimer = known("Flow-Timer")
  package static let alertInfo = known("Alert-Info")
  package static let referSub = known("Refer-Sub")

  /// Whether several values of this header may share a line, separated by commas (RFC 3261 §7.3.1).
  var isList: Bool { Self.listIDs.contains(id) }

  private static let listIDs: Set<UInt8> = Set(
    [
      "Via", "Contact", "Route", "Record-Route", "Supported", "Require", "Allow", "Reason", "Path", "Unsupported",
      "Proxy-Require", "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow-Events", "Call-Info",
      "Content-Encoding", "Content-Language", "Error-Info", "In-Reply-To", "P-Asserted-Identity",
      "P-Preferred-Identity", "Service-Route", "Warning", "Diversion", "History-Info", "Remote-Party-ID",
      "Accept-Contact", "Reject-Contact", "Request-Disposition", "Recv-Info", "Security-Client", "Security-Server",
      "Security-Verify",
    ].map { known($0).id })

  /// One-letter forms (RFC 3261 §20, RFC 3515, 3841, 3892, 4028, 6665, 8224 and the IANA registry).
  private static func expandCompact(_ c: UInt8) -> UInt8 {
    switch c {
    case UInt8(ascii: "v"): 1
    case UInt8(ascii: "f"): 2
    case UInt8(ascii: "t"): 3
    case UInt8(ascii: "i"): 4
    case UInt8(ascii: "l"): 7
    case UInt8(ascii: "m"): 8
    case UInt8(ascii: "c"): 11
    case UInt8(ascii: "k"): 13
    case UInt8(ascii: "x"): 20
    case UInt8(ascii: "r"): 25
    case UInt8(ascii: "s"): 27
    case UInt8(ascii: "e"): compact.contentEncoding
    case UInt8(ascii: "o"): compact.event
    case UInt8(ascii: "u"): compact.allowEvents
    case UInt8(ascii: "b"): compact.referredBy
    case UInt8(ascii: "a"): compact.acceptContact
    case UInt8(ascii: "j"): compact.rejectContact
    case UInt8(ascii: "d"): compact.requestDisposition
    case UInt8(ascii: "y"): compact.identity
    default: 0
    }
  }

  private static let compact = (
    contentEncoding: known("Content-Encoding").id, event: known("Event").id, allowEvents: known("Allow-Events").id,
    referredBy: known("Referred-By").id, acceptContact: known("Accept-Contact").id,
    rejectContact: known("Reject-Contact").id, requestDisposition: known("Request-Disposition").id,
    identity: known("Identity").id
  )

  /// Open-addressed index over `table`: lower-case names end to end, and slots that hold an id.
  private struct Index {
    var bytes: [UInt8] = []
    var starts: [Int] = []
    var slots = [UInt8](repeating: 0, count: 256)

    init() {
      for (id, name) in HeaderName.table.enumerated() {
        starts.append(bytes.count)
        bytes.append(contentsOf: name.utf8.map(Grammar.lower))
        guard id > 0 else { continue }
        let first = bytes[starts[id]]
        let last = bytes[bytes.count - 1]
        var slot = HeaderName.slot(first, last, name.utf8.count)
        while slots[slot] != 0 { slot = (slot + 1) & 255 }
        slots[slot] = UInt8(id)
      }
      starts.append(bytes.count)
    }
  }
  private static let index = Index()

  private static func slot(_ first: UInt8, _ last: UInt8, _ count: Int) -> Int {
    (Int(first) &* 7 &+ Int(last) &* 37 &+ count &* 11) & 255
  }

  private static func lookUp(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> UInt8 {
    let count = end - start
    if count == 1 { return expandCompact(Grammar.lower(b[start])) }
    guard count > 1 else { return 0 }
    let index = Self.index
    var at = slot(Grammar.lower(b[start]), Grammar.lower(b[end - 1]), count)
    while true {
      let id = Int(index.slots[at])
      if id == 0 { return 0 }
      let from = index.starts[id]
      if index.starts[id + 1] - from == count {
        var i = 0
        while i < count, Grammar.lower(b[start + i]) == index.bytes[from + i] { i += 1 }
        if i == count { return UInt8(id) }
      }
      at = (at + 1) & 255
    }
  }
}
