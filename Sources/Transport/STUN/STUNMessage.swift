/// A STUN message as offsets into the datagram that holds it (RFC 8489 §5). Nothing is copied.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     |0 0|     STUN Message Type     |         Message Length        |
///     |                         Magic Cookie                          |
///     |                     Transaction ID (96 bits)                  |
package struct STUNMessage: Equatable {
  package enum Class: UInt16, Sendable {
    case request = 0x000
    case indication = 0x010
    case success = 0x100
    case error = 0x110
  }

  /// Attribute types (RFC 8489 §18.3, RFC 8445 §20.2).
  package enum Attribute {
    package static let mappedAddress: UInt16 = 0x0001
    package static let username: UInt16 = 0x0006
    package static let messageIntegrity: UInt16 = 0x0008
    package static let errorCode: UInt16 = 0x0009
    package static let unknownAttributes: UInt16 = 0x000A
    package static let realm: UInt16 = 0x0014
    package static let nonce: UInt16 = 0x0015
    package static let messageIntegritySHA256: UInt16 = 0x001C
    package static let passwordAlgorithm: UInt16 = 0x001D
    package static let userhash: UInt16 = 0x001E
    package static let xorMappedAddress: UInt16 = 0x0020
    package static let priority: UInt16 = 0x0024
    package static let useCandidate: UInt16 = 0x0025
    package static let fingerprint: UInt16 = 0x8028
    package static let iceControlled: UInt16 = 0x8029
    package static let iceControlling: UInt16 = 0x802A
  }

  static let headerLength = 20
  static let magicCookie: UInt32 = 0x2112_A442
  package static let bindingMethod: UInt16 = 0x001
  /// No check of any client comes near; beyond this a packet on a media port is no honest one.
  static let maximumLength = 1500
  /// Attributes beyond this many end the parse.
  static let maximumAttributes = 32
  /// What one 420 response names.
  static let maximumUnknown = 8

  package private(set) var messageClass: Class
  package private(set) var method: UInt16
  /// Where the value of USERNAME lies.
  package private(set) var username: Range<Int>?
  /// Offset of MESSAGE-INTEGRITY's attribute header.
  package private(set) var integrity: Int?
  /// Offset of FINGERPRINT's attribute header.
  package private(set) var fingerprint: Int?
  package private(set) var priority: UInt32?
  package private(set) var useCandidate = false
  /// The tie-breaker of ICE-CONTROLLING.
  package private(set) var controlling: UInt64?
  /// The tie-breaker of ICE-CONTROLLED.
  package private(set) var controlled: UInt64?
  /// Where the value of XOR-MAPPED-ADDRESS lies.
  package private(set) var xorMappedAddress: Range<Int>?
  /// Of an error response: 300…699.
  package private(set) var errorCode: Int?
  /// Types below 0x8000 that are not known, in order, without repetition, at most `maximumUnknown`.
  package private(set) var unknown: [UInt16] = []

  /// Parses a whole datagram. Of an attribute that stands twice the first counts, and behind MESSAGE-INTEGRITY only
  /// FINGERPRINT (RFC 8489 §14 and §14.5).
  package init(parsing bytes: RawSpan) throws(STUNParseError) {
    guard bytes.byteCount >= STUNMessage.headerLength else { throw STUNParseError(.truncated, at: bytes.byteCount) }
    guard bytes.byteCount <= STUNMessage.maximumLength else { throw STUNParseError(.tooLong, at: bytes.byteCount) }
    let type = bytes.uint16(at: 0)
    guard type & 0xC000 == 0 else { throw STUNParseError(.notSTUN, at: 0) }
    guard bytes.uint32(at: 4) == STUNMessage.magicCookie else { throw STUNParseError(.notSTUN, at: 4) }
    let length = Int(bytes.uint16(at: 2))
    guard length % 4 == 0, STUNMessage.headerLength + length == bytes.byteCount else {
      throw STUNParseError(.wrongLength, at: 2)
    }
    // M11…M7 C1 M6…M4 C0 M3…M0, RFC 8489 figure 3; the two class bits decide, so there are four classes.
    messageClass = Class(rawValue: type & 0x0110) ?? .request
    method = type & 0x000F | (type & 0x00E0) >> 1 | (type & 0x3E00) >> 2

    var position = STUNMessage.headerLength
    var count = 0
    while position < bytes.byteCount {
      guard position + 4 <= bytes.byteCount else { throw STUNParseError(.attributeOverrun, at: position) }
      count += 1
      guard count <= STUNMessage.maximumAttributes else { throw STUNParseError(.tooManyAttributes, at: position) }
      let kind = bytes.uint16(at: position)
      let size = Int(bytes.uint16(at: position + 2))
      let value = position + 4
      guard value + size <= bytes.byteCount else { throw STUNParseError(.attributeOverrun, at: position) }
      guard fingerprint == nil else { throw STUNParseError(.behindFingerprint, at: position) }
      try take(kind, value..<(value + size), attribute: position, bytes)
      // Padding is not counted in the length of the attribute.
      position = value + (size + 3) & ~3
    }
  }

  private mutating func take(
    _ kind: UInt16, _ value: Range<Int>, attribute: Int, _ bytes: RawSpan
  ) throws(STUNParseError) {
    if integrity != nil, kind != Attribute.fingerprint { return }
    func expect(_ length: Int) throws(STUNParseError) {
      guard value.count == length else { throw STUNParseError(.wrongAttributeLength, at: attribute) }
    }
    switch kind {
    case Attribute.username:
      // RFC 8489 §14.3: fewer than 509 bytes.
      guard value.count < 509 else { throw STUNParseError(.wrongAttributeLength, at: attribute) }
      if username == nil { username = value }
    case Attribute.messageIntegrity:
      try expect(20)
      integrity = attribute
    case Attribute.fingerprint:
      try expect(4)
      fingerprint = attribute
    case Attribute.priority:
      try expect(4)
      if priority == nil { priority = bytes.uint32(at: value.lowerBound) }
    case Attribute.useCandidate:
      try expect(0)
      useCandidate = true
    case Attribute.iceControlling:
      try expect(8)
      if controlling == nil { controlling = bytes.uint64(at: value.lowerBound) }
    case Attribute.iceControlled:
      try expect(8)
      if controlled == nil { controlled = bytes.uint64(at: value.lowerBound) }
    case Attribute.xorMappedAddress:
      guard value.count == 8 || value.count == 20 else { throw STUNParseError(.wrongAttributeLength, at: attribute) }
      if xorMappedAddress == nil { xorMappedAddress = value }
    case Attribute.errorCode:
      guard value.count >= 4 else { throw STUNParseError(.wrongAttributeLength, at: attribute) }
      let hundreds = Int(bytes.uint8(at: value.lowerBound + 2) & 0x07)
      if errorCode == nil { errorCode = hundreds * 100 + Int(bytes.uint8(at: value.lowerBound + 3)) }
    case Attribute.mappedAddress, Attribute.unknownAttributes, Attribute.realm, Attribute.nonce,
      Attribute.messageIntegritySHA256, Attribute.passwordAlgorithm, Attribute.userhash, 0x8000...:
      break
    default:
      if unknown.count < STUNMessage.maximumUnknown, !unknown.contains(kind) { unknown.append(kind) }
    }
  }
}

/// Why a datagram is no STUN message.
package struct STUNParseError: Error, Equatable {
  package enum Kind: Equatable, Sendable {
    /// Shorter than a header.
    case truncated
    case tooLong
    /// The first two bits or the magic cookie.
    case notSTUN
    /// The length field does not match the datagram or is no multiple of four.
    case wrongLength
    case attributeOverrun
    case tooManyAttributes
    case wrongAttributeLength
    /// FINGERPRINT must be the last attribute (RFC 8489 §14.7).
    case behindFingerprint
  }

  package let kind: Kind
  /// Where in the datagram.
  package let offset: Int

  init(_ kind: Kind, at offset: Int) {
    self.kind = kind
    self.offset = offset
  }
}

extension RawSpan {
  // Bounds are checked by the span; network order.
  @inline(__always)
  func uint8(at offset: Int) -> UInt8 { unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self) }

  @inline(__always)
  func uint16(at offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inline(__always)
  func uint32(at offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  @inline(__always)
  func uint64(at offset: Int) -> UInt64 {
    UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}
