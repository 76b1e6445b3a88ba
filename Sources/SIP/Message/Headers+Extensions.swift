/// Session-Expires (RFC 4028 §4).
package struct SessionExpires: Hashable, Sendable, CustomStringConvertible {
  package enum Refresher: String, Hashable, Sendable { case uac, uas }
  /// Seconds.
  package var seconds: UInt32
  package var refresher: Refresher?

  package init(seconds: UInt32, refresher: Refresher? = nil) {
    self.seconds = seconds
    self.refresher = refresher
  }

  package var description: String { refresher.map { "\(seconds);refresher=\($0.rawValue)" } ?? String(seconds) }
}

/// Reason (RFC 3326).
package struct Reason: Hashable, Sendable, CustomStringConvertible {
  /// `SIP`, `Q.850`…
  package var `protocol`: String
  package var cause: Int?
  package var text: String?

  package init(protocol: String, cause: Int?, text: String? = nil) {
    self.protocol = `protocol`
    self.cause = cause
    self.text = text
  }

  package init?(parsing value: String) {
    let bytes = value.utf8Span.span
    var i = 0
    Grammar.skipWhitespace(bytes, &i, bytes.count)
    let start = i
    guard Grammar.skipToken(bytes, &i, bytes.count) else { return nil }
    `protocol` = Grammar.string(bytes, start, i)
    guard let parameters = try? Grammar.parameters(bytes, &i, bytes.count) else { return nil }
    cause = parameters["cause"].flatMap { Int($0) }
    text = parameters["text"]
  }

  /// What the losers of a parallel call are told (RFC 3326 §2).
  package static let completedElsewhere = Reason(protocol: "SIP", cause: 200, text: "Call completed elsewhere")

  package var description: String {
    var out = `protocol`
    if let cause { out += ";cause=\(cause)" }
    if let text { out += ";text=\(text.quoted)" }
    return out
  }
}

/// Replaces (RFC 3891), from the recipient's view of the dialog.
package struct Replaces: Hashable, Sendable, CustomStringConvertible {
  package var callID: String
  package var toTag: String
  package var fromTag: String
  package var earlyOnly: Bool

  package init(callID: String, toTag: String, fromTag: String, earlyOnly: Bool = false) {
    self.callID = callID
    self.toTag = toTag
    self.fromTag = fromTag
    self.earlyOnly = earlyOnly
  }

  /// From a header value, or from the unescaped `Replaces` component of a Refer-To URI.
  package init?(parsing value: String) {
    let bytes = value.utf8Span.span
    var i = 0
    while i < bytes.count, bytes[i] != UInt8(ascii: ";") { i += 1 }
    let range = Grammar.trimmed(bytes, 0, i)
    guard !range.isEmpty, let parameters = try? Grammar.parameters(bytes, &i, bytes.count),
      let toTag = parameters["to-tag"], let fromTag = parameters["from-tag"]
    else { return nil }
    callID = Grammar.string(bytes, range.lowerBound, range.upperBound)
    self.toTag = toTag
    self.fromTag = fromTag
    earlyOnly = parameters.contains("early-only")
  }

  package var description: String {
    "\(callID);to-tag=\(toTag);from-tag=\(fromTag)" + (earlyOnly ? ";early-only" : "")
  }
}

extension Headers {
  package var sessionExpires: SessionExpires? {
    get {
      guard let text = self[.sessionExpires], let seconds = number(.sessionExpires) else { return nil }
      let bytes = text.utf8Span.span
      var i = 0
      while i < bytes.count, bytes[i] != UInt8(ascii: ";") { i += 1 }
      let parameters = (try? Grammar.parameters(bytes, &i, bytes.count)) ?? Parameters()
      return SessionExpires(
        seconds: UInt32(clamping: seconds),
        refresher: parameters["refresher"].flatMap { SessionExpires.Refresher(rawValue: $0.asciiLowercased) })
    }
    set { self[.sessionExpires] = newValue?.description }
  }

  package var reasons: [Reason] { all(.reason).compactMap { Reason(parsing: $0) } }
  package var replaces: Replaces? { self[.replaces].flatMap { Replaces(parsing: $0) } }
}
