import Core
import RTP
import TestSupport
import Testing

@testable import SFU

/// A publisher and a subscriber that send what they like.
@Suite struct HostileTests {
  @Test(arguments: MediaCodec.allCases, 0..<6) func noPacketAndNoReportBreaksAConsumer(codec: MediaCodec, seed: UInt64)
  {
    var random = SeededRandom(seed: seed)
    var identifiers: [HeaderExtension: UInt8] = [:]
    for (index, kind) in HeaderExtension.allCases.enumerated() { identifiers[kind] = UInt8(index + 1) }
    var theirs = identifiers
    if seed % 2 == 0 { theirs[.playoutDelay] = 200 }
    let plain = codec == .red ? [CodecParameters(.opus, 111)] : []
    let feed = Feed(
      codec.kind, publisher: [CodecParameters(codec, 96, rtx: 97)] + plain,
      subscriber: seed % 3 == 0 && codec == .red ? plain : [CodecParameters(codec, 100, rtx: 101)] + plain,
      from: identifiers, to: theirs, mid: seed % 2 == 0 ? "m" : "sixteen-letters!")
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_500, alignment: 8)
    defer { room.deallocate() }
    var sequence: UInt16 = 0
    for _ in 0..<4_000 {
      feed.time += Int.random(in: 0...40, using: &random)
      sequence = Int.random(in: 0..<50, using: &random) == 0 ? .random(in: 0 ... .max, using: &random) : sequence &+ 1
      var payload = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0 ... .max, using: &random)
      }
      // Half of them begin as something that is understood.
      if Bool.random(using: &random), payload.count > 6, codec == .vp8 {
        payload[0] = 0x90
        payload[1] = 0xF0
        payload[6] = payload[6] & 1
      }
      var extensions: [(id: UInt8, data: [UInt8])] = []
      for id in UInt8(1)...10 where Bool.random(using: &random) {
        let count = Int.random(in: 1...(id == 10 ? 60 : 16), using: &random)
        extensions.append((id, (0..<count).map { _ in .random(in: 0 ... .max, using: &random) }))
      }
      let sent = feed.send(
        sequence, timestamp: .random(in: 0 ... .max, using: &random) >> UInt32.random(in: 0...31, using: &random),
        type: 96,
        payload: payload, marker: Bool.random(using: &random), ssrc: UInt32.random(in: 50...51, using: &random),
        extensions: extensions)
      for packet in sent { #expect((try? RTPHeader(parsing: packet)) != nil) }
      switch Int.random(in: 0..<12, using: &random) {
      case 0:
        let asked = Parsed(sent.last)?.header.sequence ?? .random(in: 0 ... .max, using: &random)
        for answer in feed.nack(asked, asked &- 1, asked &- 60, asked &+ 1) {
          #expect((try? RTPHeader(parsing: answer)) != nil)
        }
      case 1:
        feed.consumer.setTarget(
          .layer(spatial: Int.random(in: 0...2, using: &random), temporal: Int.random(in: 0...3, using: &random)),
          now: feed.now)
      case 2: feed.consumer.update(ConsumerPreferences(isPaused: Bool.random(using: &random)), now: feed.now)
      case 3: _ = feed.consumer.writePadding(Int.random(in: -5...2_000, using: &random), into: room, now: feed.now)
      case 4:
        feed.consumer.receive(
          ReportBlock(
            source: SSRC(0xAAAA), fractionLost: 255, cumulativeLost: .min, extendedHighestSequence: .max, jitter: .max,
            lastSenderReport: .random(in: 0 ... .max, using: &random), delaySinceLastSenderReport: .max), now: feed.now)
      case 5: feed.consumer.advance(to: feed.now)
      case 6: feed.consumer.receivePictureLoss(now: feed.now)
      default: break
      }
      _ = feed.take()
    }
    #expect(feed.consumer.memory < 12 * 1024)
  }

  /// What cannot be read has no key frames: it is shown after a while all the same.
  @Test func showsPicturesThatCannotBeRead() {
    let feed = Feed(.video, publisher: [CodecParameters(.av1, 96)], subscriber: [CodecParameters(.av1, 96)])
    var first: Int?
    for index in 0..<150 {
      feed.time = index * 33
      // An aggregation header, and nothing that says where a sequence starts.
      let sent = feed.send(
        UInt16(index), timestamp: UInt32(index) * 3_000, type: 96, payload: [0x10, 0xEE, UInt8(index)], marker: true)
      if !sent.isEmpty, first == nil { first = feed.time }
    }
    #expect((2_000...2_200).contains(first ?? 0), "\(first ?? -1)")
  }
}
