import Core

/// Why bytes are not RTCP.
package enum RTCPParseError: Error, Hashable, Sendable {
  case tooShort
  case wrongVersion
  /// A length field that reaches past the end, or padding that is longer than its packet.
  case truncated
  /// A packet too short for what its own counts announce.
  case malformed(type: UInt8)
}

/// Parses compound RTCP (RFC 3550 §6.1), reduced-size packets (RFC 5506) included. Unknown types are passed over.
///
/// Nothing is returned from a compound with a structural fault: half of a forged report is no better than none.
package enum RTCPCompound {
  package static func parse(_ bytes: [UInt8]) throws(RTCPParseError) -> [RTCPPacket] {
    try parse(bytes.span.bytes)
  }

  package static func parse(_ bytes: UnsafeRawBufferPointer) throws(RTCPParseError) -> [RTCPPacket] {
    try parse(bytes.bytes)
  }

  package static func parse(_ bytes: RawSpan) throws(RTCPParseError) -> [RTCPPacket] {
    guard bytes.byteCount >= 4 else { throw .tooShort }
    var packets: [RTCPPacket] = []
    var offset = 0
    while offset < bytes.byteCount {
      guard bytes.byteCount - offset >= 4 else { throw .truncated }
      let first = bytes.u8(offset)
      guard first >> 6 == 2 else { throw .wrongVersion }
      let end = offset + 4 + 4 * Int(bytes.u16(offset + 2))
      guard end <= bytes.byteCount else { throw .truncated }
      var bodyEnd = end
      if first & 0x20 != 0 {
        // RFC 3550 §6.4.1: only the last packet of a compound is padded; some peers pad others, which is harmless.
        guard end > offset + 4 else { throw .truncated }
        let padding = Int(bytes.u8(end - 1))
        guard padding > 0, padding <= end - offset - 4 else { throw .truncated }
        bodyEnd -= padding
      }
      packets.append(
        try parse(type: bytes.u8(offset + 1), count: first & 0x1F, bytes, (offset + 4)..<bodyEnd))
      offset = end
    }
    return packets
  }

  private static func parse(
    type: UInt8, count: UInt8, _ bytes: RawSpan, _ body: Range<Int>
  ) throws(RTCPParseError) -> RTCPPacket {
    let start = body.lowerBound
    func need(_ length: Int) throws(RTCPParseError) {
      guard body.count >= length else { throw .malformed(type: type) }
    }
    switch type {
    case 200:
      try need(24 + 24 * Int(count))
      return .senderReport(
        SenderReport(
          sender: SSRC(bytes.u32(start)), ntp: NTPTime(rawValue: bytes.u64(start + 4)),
          rtpTimestamp: bytes.u32(start + 12), packetCount: bytes.u32(start + 16), octetCount: bytes.u32(start + 20),
          blocks: blocks(bytes, start + 24, count)))
    case 201:
      try need(4 + 24 * Int(count))
      return .receiverReport(sender: SSRC(bytes.u32(start)), blocks: blocks(bytes, start + 4, count))
    case 202: return .sourceDescription(try chunks(bytes, body, count))
    case 203:
      try need(4 * Int(count))
      var reason: String?
      let after = start + 4 * Int(count)
      if after < body.upperBound {
        let length = Int(bytes.u8(after))
        guard after + 1 + length <= body.upperBound else { throw .malformed(type: type) }
        reason = String(decoding: bytes.array((after + 1)..<(after + 1 + length)), as: UTF8.self)
      }
      return .goodbye(sources: words(bytes, start..<after), reason: reason)
    case 204:
      try need(8)
      return .application(
        subtype: count, sender: SSRC(bytes.u32(start)),
        name: String(decoding: bytes.array((start + 4)..<(start + 8)), as: UTF8.self),
        data: bytes.array((start + 8)..<body.upperBound))
    case 205, 206:
      try need(8)
      return try feedback(type: type, format: count, bytes, body)
    case 207:
      try need(4)
      return .extendedReport(sender: SSRC(bytes.u32(start)))
    default: return .other(type: type, format: count)
    }
  }

  private static func words(_ bytes: RawSpan, _ range: Range<Int>) -> [SSRC] {
    stride(from: range.lowerBound, to: range.upperBound - 3, by: 4).map { SSRC(bytes.u32($0)) }
  }

  private static func blocks(_ bytes: RawSpan, _ start: Int, _ count: UInt8) -> [ReportBlock] {
    (0..<Int(count)).map { index in
      let o = start + 24 * index
      return ReportBlock(
        source: SSRC(bytes.u32(o)), fractionLost: bytes.u8(o + 4),
        // Sign-extended from 24 bits.
        cumulativeLost: Int32(bitPattern: bytes.u24(o + 5) << 8) >> 8, extendedHighestSequence: bytes.u32(o + 8),
        jitter: bytes.u32(o + 12), lastSenderReport: bytes.u32(o + 16), delaySinceLastSenderReport: bytes.u32(o + 20))
    }
  }

  private static func chunks(
    _ bytes: RawSpan, _ body: Range<Int>, _ count: UInt8
  ) throws(RTCPParseError) -> [SourceDescription] {
    var result: [SourceDescription] = []
    var offset = body.lowerBound
    for _ in 0..<count {
      guard offset + 4 <= body.upperBound else { throw .malformed(type: 202) }
      var chunk = SourceDescription(source: SSRC(bytes.u32(offset)), items: [])
      let start = offset
      offset += 4
      while true {
        guard offset < body.upperBound else { throw .malformed(type: 202) }
        let type = bytes.u8(offset)
        offset += 1
        if type == 0 { break }
        guard offset < body.upperBound else { throw .malformed(type: 202) }
        let end = offset + 1 + Int(bytes.u8(offset))
        guard end <= body.upperBound else { throw .malformed(type: 202) }
        chunk.items.append(
          .init(type: type, text: String(decoding: bytes.array((offset + 1)..<end), as: UTF8.self)))
        offset = end
      }
      // Each chunk is padded to whole words from its own start.
      offset += (4 - (offset - start) % 4) % 4
      result.append(chunk)
    }
    return result
  }

  /// RFC 4585 §6.1: both kinds carry sender and media source before their control information.
  private static func feedback(
    type: UInt8, format: UInt8, _ bytes: RawSpan, _ body: Range<Int>
  ) throws(RTCPParseError) -> RTCPPacket {
    let sender = SSRC(bytes.u32(body.lowerBound))
    let media = SSRC(bytes.u32(body.lowerBound + 4))
    let start = body.lowerBound + 8
    switch (type, format) {
    case (205, 1):
      var lost: [UInt16] = []
      for offset in stride(from: start, to: body.upperBound - 3, by: 4) {
        let pid = bytes.u16(offset)
        let mask = bytes.u16(offset + 2)
        lost.append(pid)
        for bit in 0..<UInt16(16) where mask >> bit & 1 == 1 { lost.append(pid &+ bit &+ 1) }
      }
      return .nack(sender: sender, media: media, lost: lost)
    case (205, 15):
      return .transportFeedback(
        try TransportFeedback(sender: sender, media: media, parsing: bytes, start..<body.upperBound))
    case (206, 1): return .pictureLossIndication(sender: sender, media: media)
    case (206, 4):
      let requests = stride(from: start, to: body.upperBound - 7, by: 8).map {
        FullIntraRequest(media: SSRC(bytes.u32($0)), sequence: bytes.u8($0 + 4))
      }
      return .fullIntraRequest(sender: sender, requests: requests)
    case (206, 15) where body.upperBound - start >= 8 && bytes.u32(start) == 0x5245_4D42:  // "REMB"
      let count = Int(bytes.u8(start + 4))
      let exponent = UInt64(bytes.u8(start + 5) >> 2)
      let mantissa = UInt64(bytes.u24(start + 5) & 0x3FFFF)
      let sources = (start + 8)..<(start + 8 + 4 * count)
      guard sources.upperBound <= body.upperBound else { throw .malformed(type: 206) }
      let bitrate = mantissa == 0 || exponent <= UInt64(mantissa.leadingZeroBitCount) ? mantissa << exponent : .max
      return .receiverEstimatedMaximumBitrate(sender: sender, bitrate: bitrate, sources: words(bytes, sources))
    default: return .other(type: type, format: format)
    }
  }
}
