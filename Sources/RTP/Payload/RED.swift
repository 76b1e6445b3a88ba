package import Core

/// Redundant audio (RFC 2198 §3).
///
///      0                   1                    2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |F|   block PT  |  timestamp offset         |   block length    |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |0|   block PT  |  of the primary, last
package enum RED {
  /// One encoding in the payload.
  package struct Block: Hashable, Sendable {
    package var payloadType: PayloadType
    /// How much older than the packet's timestamp; 0 for the primary.
    package var timestampOffset: UInt32
    /// Within the payload.
    package var data: Range<Int>
    package var isPrimary: Bool
  }

  /// Calls `body` with every block, the primary last.
  ///
  /// - Returns: False for a payload whose blocks reach past its end; `body` may have been called before that.
  @discardableResult
  package static func forEachBlock(in payload: RawSpan, _ body: (Block) -> Void) -> Bool {
    let count = payload.byteCount
    // Where the headers end and how much the redundant blocks hold.
    var header = 0
    while true {
      guard header < count else { return false }
      if payload.u8(header) & 0x80 == 0 { break }
      guard header + 4 <= count else { return false }
      header += 4
    }
    var data = header + 1
    var offset = 0
    while offset < header {
      let length = Int(payload.u16(offset + 2) & 0x03FF)
      guard data + length <= count else { return false }
      body(
        Block(
          payloadType: PayloadType(payload.u8(offset)), timestampOffset: UInt32(payload.u16(offset + 1) >> 2),
          data: data..<(data + length), isPrimary: false))
      data += length
      offset += 4
    }
    body(
      Block(payloadType: PayloadType(payload.u8(header)), timestampOffset: 0, data: data..<count, isPrimary: true))
    return true
  }

  /// The primary block; nil for a malformed payload.
  package static func primary(in payload: RawSpan) -> Block? {
    var found: Block?
    return forEachBlock(in: payload) { if $0.isPrimary { found = $0 } } ? found : nil
  }

  package static func primary(in payload: UnsafeRawBufferPointer) -> Block? { primary(in: payload.bytes) }
}
