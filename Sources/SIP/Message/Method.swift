/// A request method (RFC 3261 §7.1). Case matters.
package struct Method: RawRepresentable, Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
  package let rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
  package init(stringLiteral value: String) { rawValue = value }
  package var description: String { rawValue }

  package static let invite = Method(rawValue: "INVITE")
  package static let ack = Method(rawValue: "ACK")
  package static let bye = Method(rawValue: "BYE")
  package static let cancel = Method(rawValue: "CANCEL")
  package static let register = Method(rawValue: "REGISTER")
  package static let options = Method(rawValue: "OPTIONS")
  package static let info = Method(rawValue: "INFO")
  package static let update = Method(rawValue: "UPDATE")
  package static let prack = Method(rawValue: "PRACK")
  package static let refer = Method(rawValue: "REFER")
  package static let notify = Method(rawValue: "NOTIFY")
  package static let subscribe = Method(rawValue: "SUBSCRIBE")
  package static let message = Method(rawValue: "MESSAGE")
  package static let publish = Method(rawValue: "PUBLISH")
}

/// The CSeq header (RFC 3261 §20.16).
package struct CSeq: Hashable, Sendable, CustomStringConvertible {
  /// Below 2³¹.
  package var number: UInt32
  package var method: Method
  package init(number: UInt32, method: Method) {
    self.number = number
    self.method = method
  }
  package var description: String { "\(number) \(method.rawValue)" }
}
