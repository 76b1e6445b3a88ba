package import Core

/// One Via value (RFC 3261 §20.42).
package struct Via: Hashable, Sendable, CustomStringConvertible {
  /// As written: `UDP`, `WSS`, or a transport that we do not know.
  package var transportToken: String
  /// Sent-by host; an IPv6 address keeps its brackets.
  package var host: String
  package var port: UInt16?
  package var parameters: Parameters

  package init(
    transport: TransportProtocol, host: String, port: UInt16?, branch: String, parameters: Parameters = Parameters()
  ) {
    transportToken = transport.rawValue
    self.host = host
    self.port = port
    self.parameters = parameters
    self.branch = branch
  }

  init(transportToken: String, host: String, port: UInt16?, parameters: Parameters) {
    self.transportToken = transportToken
    self.host = host
    self.port = port
    self.parameters = parameters
  }

  package init(parsing text: String) throws(SIPParseError) {
    let bytes = text.utf8Span.span
    var i = 0
    self = try Grammar.via(bytes, &i, bytes.count)
    try Grammar.expectEnd(bytes, i, bytes.count)
  }

  package var transport: TransportProtocol? { TransportProtocol(token: transportToken) }

  package var branch: String? {
    get { parameters["branch"] }
    set { parameters["branch"] = newValue }
  }

  /// Whether the branch is unique in space and time (RFC 3261 §8.1.1.7). Without it RFC 2543 matching applies.
  package var hasMagicCookie: Bool {
    branch.map { $0.utf8.starts(with: Via.magicCookie.utf8) && $0.utf8.count > 7 } ?? false
  }

  /// "z9hG4bK".
  package static let magicCookie = "z9hG4bK"

  /// The address the message came from, as the receiver noted it (RFC 3261 §18.2.1).
  package var received: IPAddress? {
    get {
      guard let text = parameters["received"] else { return nil }
      return text.hasPrefix("[") ? IPAddress(text.dropFirst().dropLast()) : IPAddress(text)
    }
    set { parameters.setRaw("received", newValue?.description) }
  }

  /// Whether the sender asks for symmetric response routing (RFC 3581 §3).
  package var wantsRport: Bool { parameters.contains("rport") }

  /// The port the message came from, as the receiver noted it (RFC 3581 §4).
  package var rport: UInt16? {
    get { parameters["rport"].flatMap { UInt16($0) } }
    set { parameters.setRaw("rport", newValue.map { String($0) }) }
  }

  /// Sent-by in one spelling, for comparisons: lower case, port always there.
  package var sentBy: String { "\(host.asciiLowercased):\(port ?? transport?.defaultPort ?? 5060)" }

  package var description: String {
    var out = "SIP/2.0/"
    out.append(transportToken)
    out.append(" ")
    out.append(host)
    if let port {
      out.append(":")
      out.append(String(port))
    }
    parameters.write(to: &out)
    return out
  }
}

/// Where the parts of a Via value lie.
struct ViaRanges {
  var transportStart = 0
  var transportEnd = 0
  var hostStart = 0
  var hostEnd = 0
  var port: UInt16?
}

extension Grammar {
  /// Checks sent-protocol and sent-by at `i` (RFC 3261 §25.1 via-parm); `i` ends where parameters may begin.
  static func scanVia(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) -> ViaRanges {
    var ranges = ViaRanges()
    skipWhitespace(b, &i, end)
    let start = i
    func malformed(_ i: Int) -> SIPParseError {
      SIPParseError(.headerValue, at: i, "Via = SIP / 2.0 / transport LWS sent-by (RFC 3261 §25.1 via-parm)")
    }
    guard skipToken(b, &i, end), equals(b, start, i, "sip") else { throw malformed(start) }
    for part in 0..<2 {
      skipWhitespace(b, &i, end)
      guard i < end, b[i] == UInt8(ascii: "/") else { throw malformed(i) }
      i &+= 1
      skipWhitespace(b, &i, end)
      let tokenStart = i
      guard skipToken(b, &i, end) else { throw malformed(i) }
      if part == 0 {
        guard equals(b, tokenStart, i, "2.0") else { throw malformed(tokenStart) }
      } else {
        ranges.transportStart = tokenStart
        ranges.transportEnd = i
      }
    }
    guard i < end, isWhitespace(b[i]) else { throw malformed(i) }
    skipWhitespace(b, &i, end)
    ranges.hostStart = i
    try skipHost(b, &i, end)
    ranges.hostEnd = i
    var j = i
    skipWhitespace(b, &j, end)
    if j < end, b[j] == UInt8(ascii: ":") {
      i = j
      // COLON allows white space behind it.
      var digits = i + 1
      skipWhitespace(b, &digits, end)
      i = digits - 1
      ranges.port = try port(b, &i, end)
    }
    return ranges
  }

  static func skipVia(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) {
    _ = try scanVia(b, &i, end)
    try skipParameters(b, &i, end)
  }

  static func via(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) -> Via {
    let ranges = try scanVia(b, &i, end)
    return Via(
      transportToken: string(b, ranges.transportStart, ranges.transportEnd),
      host: string(b, ranges.hostStart, ranges.hostEnd), port: ranges.port, parameters: try parameters(b, &i, end))
  }
}
