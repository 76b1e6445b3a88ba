package import Core

/// Why bytes are not an RTP packet.
package enum RTPParseError: Error, Hashable, Sendable {
  /// Fewer than 12 bytes.
  case tooShort
  /// Version is not 2.
  case wrongVersion
  /// CSRC list, header extension or padding reach past the end.
  case truncated
}

/// The header of an RTP packet (RFC 3550 §5.1) and where its parts lie. Holds no bytes.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |V=2|P|X|  CC   |M|     PT      |       sequence number         |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                           timestamp                           |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |                             SSRC                              |
///     +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
///     |             contributing source (CSRC) identifiers            |
package struct RTPHeader: Hashable, Sendable {
  /// Bytes of a header without CSRCs and extension.
  package static let fixedLength = 12

  package var marker: Bool
  package var payloadType: PayloadType
  package var sequence: UInt16
  package var timestamp: UInt32
  package var ssrc: SSRC
  /// The CSRC list, four bytes each.
  package var csrcs: Range<Int>
  /// The 16 bits "defined by profile": 0xBEDE for one-byte elements, 0x100x for two-byte ones (RFC 8285); nil without
  /// an extension.
  package var extensionProfile: UInt16?
  /// The extension's data, behind its own four-byte header. Empty without an extension.
  package var extensionData: Range<Int>
  /// The payload without padding. May be empty.
  package var payload: Range<Int>
  /// Bytes of padding at the end.
  package var padding: Int

  /// A header to be written: no CSRCs, no extension.
  package init(
    payloadType: PayloadType, sequence: UInt16, timestamp: UInt32, ssrc: SSRC, marker: Bool = false
  ) {
    self.marker = marker
    self.payloadType = payloadType
    self.sequence = sequence
    self.timestamp = timestamp
    self.ssrc = ssrc
    csrcs = 12..<12
    extensionData = 12..<12
    payload = 12..<12
    padding = 0
  }

  /// Parses a whole packet.
  package init(parsing packet: RawSpan) throws(RTPParseError) {
    let count = packet.byteCount
    guard count >= Self.fixedLength else { throw .tooShort }
    let first = packet.u8(0)
    guard first >> 6 == 2 else { throw .wrongVersion }
    let second = packet.u8(1)
    self.init(
      payloadType: PayloadType(second), sequence: packet.u16(2), timestamp: packet.u32(4), ssrc: SSRC(packet.u32(8)),
      marker: second & 0x80 != 0)

    var offset = Self.fixedLength + 4 * Int(first & 0x0F)
    guard offset <= count else { throw .truncated }
    csrcs = Self.fixedLength..<offset
    extensionData = offset..<offset
    if first & 0x10 != 0 {
      guard offset + 4 <= count else { throw .truncated }
      let end = offset + 4 + 4 * Int(packet.u16(offset + 2))
      guard end <= count else { throw .truncated }
      extensionProfile = packet.u16(offset)
      extensionData = (offset + 4)..<end
      offset = end
    }
    var end = count
    if first & 0x20 != 0 {
      // RFC 3550 §5.1: the last byte counts itself.
      guard offset < count else { throw .truncated }
      padding = Int(packet.u8(count - 1))
      guard padding > 0, offset + padding <= count else { throw .truncated }
      end -= padding
    }
    payload = offset..<end
  }

  /// Parses a whole packet.
  package init(parsing packet: UnsafeRawBufferPointer) throws(RTPParseError) {
    try self.init(parsing: packet.bytes)
  }

  /// Parses a whole packet.
  package init(parsing packet: [UInt8]) throws(RTPParseError) {
    try self.init(parsing: packet.span.bytes)
  }

  /// Writes the 12 fixed bytes: no CSRCs, no extension, no padding.
  ///
  /// - Returns: 12, or 0 when `buffer` is shorter.
  @discardableResult
  package func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard buffer.count >= Self.fixedLength else { return 0 }
    buffer[0] = 0x80
    buffer[1] = payloadType.rawValue | (marker ? 0x80 : 0)
    buffer.put(u16: sequence, at: 2)
    buffer.put(u32: timestamp, at: 4)
    buffer.put(u32: ssrc.rawValue, at: 8)
    return Self.fixedLength
  }

  /// Writes header and payload.
  ///
  /// - Returns: The packet's length, or 0 when `buffer` is too short for it.
  @discardableResult
  package func write(payload bytes: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard buffer.count >= Self.fixedLength + bytes.count else { return 0 }
    write(into: buffer)
    if !bytes.isEmpty {
      UnsafeMutableRawBufferPointer(rebasing: buffer[Self.fixedLength...]).copyMemory(from: bytes)
    }
    return Self.fixedLength + bytes.count
  }

  /// The packet as an array. For tests and rare packets.
  package func serialized(payload bytes: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: Self.fixedLength + bytes.count)
    out.withUnsafeMutableBytes { buffer in
      bytes.withUnsafeBytes { _ = write(payload: $0, into: buffer) }
    }
    return out
  }

  /// Whether a packet on a multiplexed port is RTCP: packet types 192…223 (RFC 5761 §4).
  package static func isRTCP(_ packet: UnsafeRawBufferPointer) -> Bool {
    packet.count >= 2 && packet[0] >> 6 == 2 && (192...223).contains(packet[1])
  }
}
