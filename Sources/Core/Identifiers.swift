/// Synchronisation source of an RTP stream (RFC 3550 §3).
package struct SSRC: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  package var rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }
  package init(_ rawValue: UInt32) { self.rawValue = rawValue }
  package var description: String { String(rawValue, radix: 16) }
}

/// RTP payload type, 0…127 (RFC 3550 §5.1).
package struct PayloadType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  package var rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue & 0x7F }
  package init(_ rawValue: UInt8) { self.init(rawValue: rawValue) }
  package var description: String { String(rawValue) }
}

/// The owner of everything that is stored. One default tenant exists.
package struct TenantID: RawRepresentable, Hashable, Sendable, Codable {
  package var rawValue: String
  package init(rawValue: String) { self.rawValue = rawValue }
  package static let `default` = TenantID(rawValue: "default")
}
