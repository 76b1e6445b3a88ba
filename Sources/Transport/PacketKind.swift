/// What a datagram on a media socket is, by its first bytes (RFC 7983 §7 and RFC 5761 §4).
enum PacketKind: Equatable {
  case stun
  case dtls
  case turnChannel
  case rtp
  case rtcp
  case unknown

  /// Never reads more than `datagram` holds; RTP and RTCP have at least their fixed headers.
  @inline(__always)
  init(_ datagram: UnsafeRawBufferPointer) {
    guard let first = datagram.first else {
      self = .unknown
      return
    }
    switch first {
    case 0...3: self = .stun
    case 20...63: self = .dtls
    case 64...79: self = .turnChannel
    case 128...191:
      guard datagram.count >= 8 else {
        self = .unknown
        return
      }
      // 192…223 are RTCP's packet types; RTP payload types 64…95 with the marker bit would collide and are not used.
      if 192...223 ~= datagram[1] {
        self = .rtcp
      } else {
        self = datagram.count >= RTPFields.fixedHeaderLength ? .rtp : .unknown
      }
    default: self = .unknown
    }
  }
}

/// The fields of an RTP header that transports need.
enum RTPFields {
  static let fixedHeaderLength = 12

  /// Reads two bytes in network order. `offset + 1` must lie inside.
  @inline(__always)
  static func uint16(_ packet: UnsafeRawBufferPointer, at offset: Int) -> UInt16 {
    UInt16(bigEndian: packet.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inline(__always)
  static func uint32(_ packet: UnsafeRawBufferPointer, at offset: Int) -> UInt32 {
    UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// Bytes of the fixed header, CSRCs and header extension; nil where the packet is too short to hold them or is not
  /// version 2 (RFC 3550 §5.1).
  ///
  ///      0                   1                   2                   3
  ///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
  ///     |V=2|P|X|  CC   |M|     PT      |       sequence number         |
  @inline(__always)
  static func headerLength(_ packet: UnsafeRawBufferPointer) -> Int? {
    guard packet.count >= fixedHeaderLength, packet[0] >> 6 == 2 else { return nil }
    var length = fixedHeaderLength + 4 * Int(packet[0] & 0x0F)
    guard length <= packet.count else { return nil }
    if packet[0] & 0x10 != 0 {
      guard length + 4 <= packet.count else { return nil }
      length += 4 + 4 * Int(uint16(packet, at: length + 2))
      guard length <= packet.count else { return nil }
    }
    return length
  }
}
