import Core
import RTP
import Testing

private let block = ReportBlock(
  source: SSRC(0xAABB_CCDD), fractionLost: 17, cumulativeLost: -5, extendedHighestSequence: 0x0001_FFFE, jitter: 44,
  lastSenderReport: 0x1234_5678, delaySinceLastSenderReport: 65_536)

private let samples: [RTCPPacket] = [
  .senderReport(
    SenderReport(
      sender: SSRC(1), ntp: NTPTime(rawValue: 0xE5A1_0000_8000_0000), rtpTimestamp: 160, packetCount: 7,
      octetCount: 1_120,
      blocks: [block])),
  .senderReport(
    SenderReport(
      sender: SSRC(.max), ntp: NTPTime(rawValue: .max), rtpTimestamp: .max, packetCount: .max, octetCount: .max,
      blocks: [])),
  .receiverReport(sender: SSRC(2), blocks: [block, block]),
  .receiverReport(sender: SSRC(2), blocks: []),
  .sourceDescription([SourceDescription(source: SSRC(3), cname: "a@b")]),
  .sourceDescription([
    SourceDescription(source: SSRC(3), cname: ""),
    SourceDescription(source: SSRC(4), items: [.init(type: 1, text: "abcd"), .init(type: 6, text: "Parley")]),
    SourceDescription(source: SSRC(5), items: []),
  ]),
  .goodbye(sources: [SSRC(6), SSRC(7)], reason: nil),
  .goodbye(sources: [SSRC(6)], reason: "camera malfunction"),
  .goodbye(sources: [], reason: nil),
  .application(subtype: 3, sender: SSRC(8), name: "Prly", data: [1, 2, 3, 4]),
  .nack(sender: SSRC(9), media: SSRC(10), lost: [65_530, 65_534, 2, 40]),
  .pictureLossIndication(sender: SSRC(1), media: SSRC(2)),
  .fullIntraRequest(sender: SSRC(1), requests: [FullIntraRequest(media: SSRC(2), sequence: 250)]),
  .receiverEstimatedMaximumBitrate(sender: SSRC(1), bitrate: 300_000, sources: [SSRC(2), SSRC(3)]),
  .receiverEstimatedMaximumBitrate(sender: SSRC(1), bitrate: 0, sources: []),
  .receiverEstimatedMaximumBitrate(sender: SSRC(1), bitrate: 0x3FFFF << 40, sources: [SSRC(2)]),
  .transportFeedback(
    TransportFeedback(
      sender: SSRC(1), media: SSRC(2), baseSequence: 65_533, referenceTime: -7, feedbackCount: 255,
      arrivals: [4, nil, 0, 255, 256, -1, nil, nil, 12, -32_768])),
]

@Suite struct RTCPTests {
  @Test(arguments: samples.indices) func readsWhatItWrites(index: Int) throws {
    let bytes = RTCPPacket.compound([samples[index]])
    #expect(bytes.count % 4 == 0)
    #expect(try RTCPCompound.parse(bytes) == [samples[index]])
  }

  @Test func readsAWholeCompound() throws {
    let bytes = RTCPPacket.compound(samples)
    #expect(try RTCPCompound.parse(bytes) == samples)
    bytes.withUnsafeBytes { raw in
      #expect((try? RTCPCompound.parse(raw))?.count == samples.count)
    }
  }

  @Test func readsTheBytesOfASenderReport() throws {
    // SR of one block and SDES CNAME, laid out by hand after RFC 3550 §6.4.1 and §6.5.
    let bytes: [UInt8] = [
      0x81, 200, 0, 12, 0, 0, 0, 1, 0xE5, 0xA1, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 160, 0, 0, 0, 7, 0, 0, 4, 0x60,
      0xAA, 0xBB, 0xCC, 0xDD, 17, 0xFF, 0xFF, 0xFB, 0, 1, 0xFF, 0xFE, 0, 0, 0, 44, 0x12, 0x34, 0x56, 0x78, 0, 1, 0, 0,
      0x81, 202, 0, 3, 0, 0, 0, 3, 1, 3, 0x61, 0x40, 0x62, 0, 0, 0,
    ]
    let packets = try RTCPCompound.parse(bytes)
    #expect(packets == [samples[0], samples[4]])
    #expect(RTCPPacket.compound(packets) == bytes)
  }

  @Test func passesOverExtendedReportsAndUnknownTypes() throws {
    let bytes: [UInt8] = [
      0x80, 207, 0, 3, 0, 0, 0, 5, 4, 0, 0, 1, 1, 2, 3, 4, 0x85, 209, 0, 0, 0x83, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2,
    ]
    #expect(
      try RTCPCompound.parse(bytes) == [
        .extendedReport(sender: SSRC(5)), .other(type: 209, format: 5), .other(type: 205, format: 3),
      ])
  }

  @Test func stripsPadding() throws {
    let bytes: [UInt8] = [0xA0, 201, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 8]
    #expect(try RTCPCompound.parse(bytes) == [.receiverReport(sender: SSRC(2), blocks: [])])
  }

  @Test func readsRunLengthsAndOneBitVectors() throws {
    // Draft §3.1.3, §3.1.4: run of 4 small deltas, then a one-bit vector 1010….
    let bytes: [UInt8] = [
      0x8F, 205, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 8, 0, 0, 1, 3, 0x20, 0x04, 0xA8, 0, 1, 2, 3, 4, 5, 6, 0, 0,
    ]
    guard case .transportFeedback(let feedback)? = try RTCPCompound.parse(bytes).first else {
      Issue.record("no feedback")
      return
    }
    #expect(feedback.arrivals == [1, 2, 3, 4, 5, nil, 6, nil])
  }

  @Test(arguments: [
    ([], RTCPParseError.tooShort), ([0x80, 200, 0], .tooShort),
    ([0x40, 201, 0, 1, 0, 0, 0, 1], .wrongVersion),
    ([0x80, 201, 0, 2, 0, 0, 0, 1], .truncated),
    ([0x80, 201, 0, 1, 0, 0, 0, 1, 0x80], .truncated),
    ([0x81, 201, 0, 1, 0, 0, 0, 1], .malformed(type: 201)),
    ([0x80, 200, 0, 1, 0, 0, 0, 1], .malformed(type: 200)),
    ([0xA0, 201, 0, 0], .truncated), ([0xA0, 201, 0, 1, 0, 0, 0, 0], .truncated),
    ([0xA0, 201, 0, 1, 0, 0, 0, 5], .truncated),
    ([0x81, 202, 0, 1, 0, 0, 0, 1], .malformed(type: 202)),
    ([0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, 65, 65], .malformed(type: 202)),
    ([0x82, 203, 0, 1, 0, 0, 0, 1], .malformed(type: 203)),
    ([0x81, 203, 0, 2, 0, 0, 0, 1, 9, 65, 65, 65], .malformed(type: 203)),
    ([0x80, 204, 0, 1, 0, 0, 0, 1], .malformed(type: 204)),
    ([0x81, 205, 0, 1, 0, 0, 0, 1], .malformed(type: 205)),
    ([0x8F, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1], .malformed(type: 205)),
    // A status chunk that runs over nothing.
    ([0x8F, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0], .malformed(type: 205)),
    ([0x8F, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0x52, 0x45, 0x4D, 0x42, 9, 0, 0, 1], .malformed(type: 206)),
  ])
  func refusesWhatDoesNotAddUp(bytes: [UInt8], error: RTCPParseError) {
    #expect(throws: error) { try RTCPCompound.parse(bytes) }
  }

  @Test func cutsWhatDoesNotFit() throws {
    let long = RTCPPacket.receiverReport(sender: SSRC(1), blocks: [ReportBlock](repeating: block, count: 40))
    guard case .receiverReport(_, let blocks)? = try RTCPCompound.parse(RTCPPacket.compound([long])).first else {
      Issue.record("no report")
      return
    }
    #expect(blocks.count == 31)
    let name = RTCPPacket.sourceDescription([
      SourceDescription(source: SSRC(1), cname: String(repeating: "x", count: 300))
    ])
    guard case .sourceDescription(let chunks)? = try RTCPCompound.parse(RTCPPacket.compound([name])).first else {
      Issue.record("no description")
      return
    }
    #expect(chunks[0].cname?.count == 255)
    #expect(RTCPPacket.compound([.other(type: 1, format: 1), .extendedReport(sender: SSRC(1))]).isEmpty)
  }

  @Test func losesTheRemainderOfAREMBOnly() throws {
    var bytes = RTCPPacket.compound([.receiverEstimatedMaximumBitrate(sender: SSRC(1), bitrate: 1_234_567, sources: [])]
    )
    guard case .receiverEstimatedMaximumBitrate(_, let bitrate, _)? = try RTCPCompound.parse(bytes).first else {
      Issue.record("no REMB")
      return
    }
    #expect(1_234_567 - bitrate < 8)
    // An exponent beyond 64 bits saturates.
    bytes[17] = 0xFF
    guard case .receiverEstimatedMaximumBitrate(_, let huge, _)? = try RTCPCompound.parse(bytes).first else {
      Issue.record("no REMB")
      return
    }
    #expect(huge == .max)
  }

  @Test func junkNeverTraps() {
    var random = SeededRandom(seed: 2)
    let whole = RTCPPacket.compound(samples)
    var parsed = 0
    for round in 0..<10_000 {
      var bytes: [UInt8]
      if round % 2 == 0 {
        bytes = whole
        for _ in 0..<Int.random(in: 1...6, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        if round % 6 == 0 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
      } else {
        let words = Int.random(in: 0...12, using: &random)
        bytes = [
          0x80 | UInt8.random(in: 0...0x3F, using: &random), UInt8.random(in: 200...207, using: &random), 0,
          UInt8(words),
        ]
        bytes += (0..<words * 4).map { _ in UInt8.random(in: 0...255, using: &random) }
      }
      guard let packets = try? RTCPCompound.parse(bytes) else { continue }
      parsed += 1
      let again = RTCPPacket.compound(packets)
      #expect((try? RTCPCompound.parse(again)) != nil || again.isEmpty)
    }
    #expect(parsed > 500)
  }

  @Test func ntpTimeCountsFrom1900() {
    // RFC 868's example: 2,208,988,800 s is 1970-01-01.
    #expect(NTPTime(WallTime(milliseconds: 0)).rawValue == UInt64(2_208_988_800) << 32)
    #expect(NTPTime(WallTime(milliseconds: 500)).rawValue == UInt64(2_208_988_800) << 32 | 0x8000_0000)
    #expect(NTPTime(WallTime(milliseconds: 1_999)).rawValue >> 32 == 2_208_988_801)
    #expect(NTPTime(rawValue: 0x1111_2222_3333_4444).middle == 0x2222_3333)
  }
}
