import Core

extension TransportFeedback {
  /// Parses what follows the media source:
  ///
  ///     |      base sequence number     |      packet status count      |
  ///     |                 reference time                | fb pkt. count |
  ///     |          packet chunk         |         packet chunk          |
  ///     |         packet chunk          |  recv delta   |  recv delta   |
  init(sender: SSRC, media: SSRC, parsing bytes: RawSpan, _ range: Range<Int>) throws(RTCPParseError) {
    guard range.count >= 8 else { throw .malformed(type: 205) }
    let start = range.lowerBound
    let count = Int(bytes.u16(start + 2))
    // Two-bit symbols: 0 lost, 1 one-byte delta, 2 two-byte delta, 3 reserved.
    var symbols: [UInt8] = []
    symbols.reserveCapacity(count)
    var offset = start + 8
    while symbols.count < count {
      guard offset + 2 <= range.upperBound else { throw .malformed(type: 205) }
      let chunk = bytes.u16(offset)
      offset += 2
      let room = count - symbols.count
      if chunk & 0x8000 == 0 {
        let symbol = UInt8(truncatingIfNeeded: chunk >> 13 & 3)
        for _ in 0..<min(Int(chunk & 0x1FFF), room) { symbols.append(symbol) }
        // A run of nothing would never end.
        guard chunk & 0x1FFF != 0 else { throw .malformed(type: 205) }
      } else if chunk & 0x4000 == 0 {
        for i in 0..<min(14, room) { symbols.append(UInt8(truncatingIfNeeded: chunk >> UInt16(13 - i) & 1)) }
      } else {
        for i in 0..<min(7, room) { symbols.append(UInt8(truncatingIfNeeded: chunk >> UInt16(12 - 2 * i) & 3)) }
      }
    }
    var arrivals: [Int16?] = []
    arrivals.reserveCapacity(count)
    for symbol in symbols {
      switch symbol {
      case 1:
        guard offset + 1 <= range.upperBound else { throw .malformed(type: 205) }
        arrivals.append(Int16(bytes.u8(offset)))
        offset += 1
      case 2:
        guard offset + 2 <= range.upperBound else { throw .malformed(type: 205) }
        arrivals.append(Int16(bitPattern: bytes.u16(offset)))
        offset += 2
      default: arrivals.append(nil)
      }
    }
    self.init(
      sender: sender, media: media, baseSequence: bytes.u16(start),
      referenceTime: Int32(bitPattern: bytes.u24(start + 4) << 8) >> 8, feedbackCount: bytes.u8(start + 7),
      arrivals: arrivals)
  }
}
