import Core

extension RTCPPacket {
  /// Appends the packet. What does not fit its fields is cut: 31 report blocks, chunks or sources, 255 bytes of text.
  /// `other` and `extendedReport` have nothing to write.
  package func append(to out: inout [UInt8]) {
    switch self {
    case .senderReport(let report):
      let blocks = report.blocks.prefix(31)
      Self.packet(200, UInt8(blocks.count), &out) { out in
        out.append(u32: report.sender.rawValue)
        out.append(u64: report.ntp.rawValue)
        out.append(u32: report.rtpTimestamp)
        out.append(u32: report.packetCount)
        out.append(u32: report.octetCount)
        for block in blocks { block.append(to: &out) }
      }
    case .receiverReport(let sender, let all):
      let blocks = all.prefix(31)
      Self.packet(201, UInt8(blocks.count), &out) { out in
        out.append(u32: sender.rawValue)
        for block in blocks { block.append(to: &out) }
      }
    case .sourceDescription(let all):
      let chunks = all.prefix(31)
      Self.packet(202, UInt8(chunks.count), &out) { out in
        for chunk in chunks {
          out.append(u32: chunk.source.rawValue)
          let start = out.count
          for item in chunk.items where item.type != 0 {
            out.append(item.type)
            Self.append(text: item.text, to: &out)
          }
          out.append(0)
          while (out.count - start) % 4 != 0 { out.append(0) }
        }
      }
    case .goodbye(let all, let reason):
      let sources = all.prefix(31)
      Self.packet(203, UInt8(sources.count), &out) { out in
        for source in sources { out.append(u32: source.rawValue) }
        if let reason { Self.append(text: reason, to: &out) }
      }
    case .application(let subtype, let sender, let name, let data):
      Self.packet(204, subtype & 0x1F, &out) { out in
        out.append(u32: sender.rawValue)
        let letters = Array(name.utf8.prefix(4))
        out += letters + [UInt8](repeating: 0x20, count: 4 - letters.count)
        out += data
      }
    case .nack(let sender, let media, let lost):
      Self.packet(205, 1, &out) { out in
        out.append(u32: sender.rawValue)
        out.append(u32: media.rawValue)
        Self.append(lost: lost, to: &out)
      }
    case .pictureLossIndication(let sender, let media):
      Self.packet(206, 1, &out) { out in
        out.append(u32: sender.rawValue)
        out.append(u32: media.rawValue)
      }
    case .fullIntraRequest(let sender, let requests):
      Self.packet(206, 4, &out) { out in
        out.append(u32: sender.rawValue)
        out.append(u32: 0)
        for request in requests {
          out.append(u32: request.media.rawValue)
          out.append(u32: UInt32(request.sequence) << 24)
        }
      }
    case .receiverEstimatedMaximumBitrate(let sender, let bitrate, let all):
      let sources = all.prefix(255)
      Self.packet(206, 15, &out) { out in
        out.append(u32: sender.rawValue)
        out.append(u32: 0)
        out += [UInt8]("REMB".utf8)
        // 18 bits of mantissa, 6 of exponent.
        let exponent = max(0, 64 - bitrate.leadingZeroBitCount - 18)
        out.append(UInt8(sources.count))
        out.append(u24: UInt32(exponent) << 18 | UInt32(truncatingIfNeeded: bitrate >> UInt64(exponent)))
        for source in sources { out.append(u32: source.rawValue) }
      }
    case .transportFeedback(let feedback): feedback.append(to: &out)
    case .extendedReport, .other: break
    }
  }

  /// A compound of these packets.
  package static func compound(_ packets: [RTCPPacket]) -> [UInt8] {
    var out: [UInt8] = []
    for packet in packets { packet.append(to: &out) }
    return out
  }

  /// Header, body padded to whole words, length.
  static func packet(_ type: UInt8, _ count: UInt8, _ out: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
    let start = out.count
    out += [0x80 | count, type, 0, 0]
    body(&out)
    while (out.count - start) % 4 != 0 { out.append(0) }
    let words = UInt16(truncatingIfNeeded: (out.count - start) / 4 - 1)
    out[start + 2] = UInt8(words >> 8)
    out[start + 3] = UInt8(words & 0xFF)
  }

  private static func append(text: String, to out: inout [UInt8]) {
    let bytes = text.utf8.prefix(255)
    out.append(UInt8(bytes.count))
    out += bytes
  }

  /// Packs losses that lie within 16 of each other into one entry.
  private static func append(lost: [UInt16], to out: inout [UInt8]) {
    var index = 0
    while index < lost.count {
      let pid = lost[index]
      var mask: UInt16 = 0
      index += 1
      while index < lost.count {
        let distance = lost[index] &- pid
        guard (1...16).contains(distance) else { break }
        mask |= 1 << (distance - 1)
        index += 1
      }
      out.append(u16: pid)
      out.append(u16: mask)
    }
  }
}

extension ReportBlock {
  func append(to out: inout [UInt8]) {
    out.append(u32: source.rawValue)
    out.append(fractionLost)
    out.append(u24: UInt32(bitPattern: min(max(cumulativeLost, -0x80_0000), 0x7F_FFFF)) & 0xFF_FFFF)
    out.append(u32: extendedHighestSequence)
    out.append(u32: jitter)
    out.append(u32: lastSenderReport)
    out.append(u32: delaySinceLastSenderReport)
  }
}

extension TransportFeedback {
  /// Written with two-bit status vectors: simple, at most a third longer than run lengths for our packet rates.
  func append(to out: inout [UInt8]) {
    let arrivals = self.arrivals.prefix(0xFFFF)
    RTCPPacket.packet(205, 15, &out) { out in
      out.append(u32: sender.rawValue)
      out.append(u32: media.rawValue)
      out.append(u16: baseSequence)
      out.append(u16: UInt16(arrivals.count))
      out.append(u24: UInt32(bitPattern: referenceTime) & 0xFF_FFFF)
      out.append(feedbackCount)
      func symbol(_ arrival: Int16?) -> UInt16 { arrival.map { (0...255).contains($0) ? 1 : 2 } ?? 0 }
      for start in stride(from: 0, to: arrivals.count, by: 7) {
        var chunk: UInt16 = 0xC000
        for i in 0..<7 where start + i < arrivals.count {
          chunk |= symbol(arrivals[start + i]) << UInt16(12 - 2 * i)
        }
        out.append(u16: chunk)
      }
      for case .some(let delta) in arrivals {
        if (0...255).contains(delta) { out.append(UInt8(delta)) } else { out.append(u16: UInt16(bitPattern: delta)) }
      }
    }
  }
}
