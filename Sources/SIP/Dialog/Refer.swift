/// Why a REFER is refused at once; what fails later is told by NOTIFY.
package struct ReferError: Error, Hashable, Sendable {
  package let status: Int
  package let reason: String

  package init(status: Int, reason: String) {
    self.status = status
    self.reason = reason
  }
}

/// A REFER as its recipient reads it (RFC 3515).
package struct Refer: Sendable {
  /// Who is to be called, without the header components of Refer-To.
  package let target: SIPURI
  /// The dialog that the new call takes the place of: an attended transfer (RFC 3891 §1, RFC 5589 §7).
  package let replaces: Replaces?
  /// False with `Refer-Sub: false` (RFC 4488): nobody wants to hear how it went.
  package let wantsSubscription: Bool
  /// The CSeq number, which names the subscription (RFC 3515 §2.4.6).
  package let sequence: UInt32

  /// - Throws: 400 for a missing, double or malformed Refer-To, 416 for a scheme that cannot be called, 501 for a method
  ///   other than INVITE.
  package init(_ request: SIPRequest) throws(ReferError) {
    let values = request.headers.fields.filter { $0.name == .referTo }
    guard values.count == 1, var uri = request.headers.referTo?.uri else {
      throw ReferError(status: 400, reason: "REFER needs one Refer-To (RFC 3515 §2.1)")
    }
    guard uri.isSIP || uri.scheme == "tel" else {
      throw ReferError(status: 416, reason: "\(uri.scheme) cannot be called")
    }
    if let method = uri.parameters["method"], !method.equalsIgnoringCase("INVITE") {
      throw ReferError(status: 501, reason: "a referred \(method) is not served")
    }
    var found: Replaces?
    for header in uri.headers where header.name.equalsIgnoringCase("Replaces") {
      guard found == nil, let value = header.raw, let replaces = Replaces(parsing: PercentEncoding.decode(value))
      else { throw ReferError(status: 400, reason: "the Replaces of Refer-To does not parse (RFC 3891 §6.1)") }
      found = replaces
    }
    guard let sequence = request.headers.cSeq?.number else { throw ReferError(status: 400, reason: "no CSeq") }
    uri.headers = []
    uri.parameters.remove("method")
    target = uri
    replaces = found
    wantsSubscription = request.headers[.referSub].map { !$0.asciiLowercased.hasPrefix("false") } ?? true
    self.sequence = sequence
  }
}

/// The implicit subscription of a REFER, on the notifier's side (RFC 3515 §2.4.4).
///
/// One NOTIFY at a time (RFC 6665 §4.2.2); of what happens meanwhile only the latest is told. A value: `report` and
/// `answered` say what to send now.
package struct ReferSubscription: Sendable {
  /// One NOTIFY's content.
  package struct Notice: Hashable, Sendable {
    package let status: Int
    package let reason: String
    /// The `id` of the Event header; nil for the first REFER of a dialog.
    package let id: UInt32?

    package var isFinal: Bool { status >= 200 }

    package var event: String { id.map { "refer;id=\($0)" } ?? "refer" }
    /// `terminated` with the final one (RFC 3515 §2.4.7).
    package var state: String { isFinal ? "terminated;reason=noresource" : "active;expires=180" }
    /// The body, of type `message/sipfrag` (RFC 3420).
    package var fragment: [UInt8] { Array("SIP/2.0 \(status) \(reason.filter { !$0.isNewline })\r\n".utf8) }

    /// Puts event, state and body into a NOTIFY of the dialog.
    package func apply(to request: inout SIPRequest) {
      request.headers.set(.event, event)
      request.headers.set(.subscriptionState, state)
      request.setBody(fragment, contentType: "message/sipfrag;version=2.0")
    }
  }

  package let id: UInt32?
  private var isWaiting = false
  private var next: Notice?
  private var last = 0
  package private(set) var isOver = false

  package init(id: UInt32?) { self.id = id }

  /// Tells a status of the referred call; the same one twice, or anything after the final one, is not told.
  package mutating func report(_ status: Int, reason: String? = nil) -> Notice? {
    guard !isOver, status != last else { return nil }
    last = status
    let notice = Notice(status: status, reason: reason ?? StatusPhrase.standard(status), id: id)
    isOver = notice.isFinal
    if isWaiting {
      next = notice
      return nil
    }
    isWaiting = true
    return notice
  }

  /// A NOTIFY was answered, or will not be. A subscriber that refused one gets no other (RFC 6665 §4.2.2).
  package mutating func answered(_ status: Int) -> Notice? {
    isWaiting = false
    guard (200..<300).contains(status) else {
      isOver = true
      next = nil
      return nil
    }
    guard let notice = next else { return nil }
    next = nil
    isWaiting = true
    return notice
  }
}

/// What a `message/sipfrag` body says (RFC 3420): its status, where it begins with a status line.
package enum SIPFragment {
  package static func status(of body: [UInt8]) -> Int? {
    let line = body.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
    let fields = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 2)
    guard fields.count >= 2, fields[0].uppercased() == "SIP/2.0", fields[1].utf8.count == 3,
      let status = Int(fields[1]), (100..<700).contains(status)
    else { return nil }
    return status
  }
}
