import Core
import RTP
import Testing

@testable import SFU

private let opus = [CodecParameters(.opus, 111)]

@Suite struct ConsumerHeaderTests {
  @Test func renamesHeaderExtensions() throws {
    let feed = Feed(
      .audio, publisher: opus, subscriber: [CodecParameters(.opus, 96)],
      from: [.audioLevel: 1, .absoluteCaptureTime: 2, .mid: 4, .videoOrientation: 5, .playoutDelay: 6],
      to: [
        .audioLevel: 9, .absoluteCaptureTime: 3, .mid: 7, .videoOrientation: 8, .playoutDelay: 10,
        .absoluteSendTime: 11,
        .transportWideCC: 12,
      ])
    feed.time = 1_500
    let capture: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
    let sent = feed.send(
      1, extensions: [(1, [0x85]), (2, capture), (4, [0x30]), (5, [3]), (6, [1, 2, 3]), (13, [9, 9])])
    let packet = try #require(Parsed(sent.first))
    #expect(packet.elements[9] == [0x85] && packet.elements[3] == capture && packet.elements[8] == [3])
    #expect(packet.elements[10] == [1, 2, 3])
    #expect(packet.elements[7] == Array("3".utf8))
    #expect(packet.elements[12]?.count == 2)
    // 1.5 s in 6.18 fixed point.
    #expect(packet.elements[11] == [0x06, 0x00, 0x00])
    #expect(packet.elements.count == 7)
    #expect(packet.header.payloadType.rawValue == 96 && packet.header.ssrc == SSRC(0xAAAA))
    #expect(packet.payload == [1, 2, 3] && packet.header.marker)
  }

  @Test func namesTheMediaSectionUntilTheSubscriberReports() throws {
    let feed = Feed(.audio, publisher: opus, subscriber: opus, to: [.mid: 4])
    #expect(Parsed(feed.send(1).first)?.elements[4] != nil)
    feed.consumer.receive(
      ReportBlock(
        source: SSRC(0xAAAA), fractionLost: 0, cumulativeLost: 0, extendedHighestSequence: 0, jitter: 0,
        lastSenderReport: 0, delaySinceLastSenderReport: 0), now: feed.now)
    let packet = try #require(Parsed(feed.send(2).first))
    #expect(packet.elements.isEmpty && packet.header.extensionProfile == nil)
  }

  @Test func writesTheTwoByteFormWhereItMust() throws {
    let feed = Feed(.audio, publisher: opus, subscriber: opus, from: [.audioLevel: 1], to: [.audioLevel: 20])
    let packet = try #require(Parsed(feed.send(1, extensions: [(1, [0x11])]).first))
    #expect(packet.header.extensionProfile == 0x1000 && packet.elements[20] == [0x11])
    // A descriptor with a structure is longer than 16 bytes.
    let stage = Stage(.av1, seed: 3)
    stage.run(200)
    let first = try #require(stage.subscriber.inOrder.first)
    #expect(first.header.extensionProfile == 0x1000)
    #expect(stage.subscriber.inOrder.contains { $0.header.extensionProfile == RTPHeader.oneByteProfile })
  }

  @Test func dropsTheDependencyDescriptorOfVP8() throws {
    let feed = Feed(
      .video, publisher: [CodecParameters(.vp8, 96)], subscriber: [CodecParameters(.vp8, 96)],
      from: [.dependencyDescriptor: 12], to: [.dependencyDescriptor: 12])
    let packet = try #require(
      Parsed(feed.send(1, type: 96, payload: [0x10, 0, 1, 2], marker: true, extensions: [(12, [0xC0, 0, 1])]).first))
    #expect(packet.elements.isEmpty)
  }
}

@Suite struct ConsumerAudioTests {
  private func red(_ type: UInt8) -> [UInt8] {
    // One redundant block of two bytes, 960 older, then the primary.
    [0x80 | type, 0x0F, 0x00, 2, type, 0xA1, 0xA2, 0xB1, 0xB2, 0xB3]
  }

  @Test func stripsRedundancyForThoseWithoutIt() throws {
    let feed = Feed(
      .audio, publisher: [CodecParameters(.red, 63), CodecParameters(.opus, 111)],
      subscriber: [CodecParameters(.opus, 96)])
    let packet = try #require(Parsed(feed.send(1, type: 63, payload: red(111)).first))
    #expect(packet.payload == [0xB1, 0xB2, 0xB3] && packet.header.payloadType.rawValue == 96)
  }

  @Test func takesLostAudioFromTheRedundancyOfTheNextPacket() throws {
    let feed = Feed(
      .audio, publisher: [CodecParameters(.red, 63), CodecParameters(.opus, 111)],
      subscriber: [CodecParameters(.opus, 96, rtx: 97)])
    let first = try #require(Parsed(feed.send(1, timestamp: 960, type: 63, payload: red(111)).first))
    // 2 and 3 are lost; 4 carries 3 too.
    let sent = feed.send(4, timestamp: 3 * 960 + 960, type: 63, payload: red(111))
    let recovered = try #require(Parsed(sent.first))
    let next = try #require(Parsed(sent.last))
    #expect(sent.count == 2)
    #expect(recovered.payload == [0xA1, 0xA2] && next.payload == [0xB1, 0xB2, 0xB3])
    #expect(recovered.header.sequence == first.header.sequence &+ 2)
    #expect(recovered.header.timestamp == first.header.timestamp &+ 1_920)
    #expect(next.header.sequence == first.header.sequence &+ 3)
    #expect(next.header.timestamp == first.header.timestamp &+ 2_880)
    // It comes after all: nobody needs it any more. The other does.
    #expect(feed.send(3, timestamp: 2_880, type: 63, payload: red(111)).isEmpty)
    let late = try #require(Parsed(feed.send(2, timestamp: 1_920, type: 63, payload: red(111)).first))
    #expect(late.header.sequence == first.header.sequence &+ 1 && late.payload == [0xB1, 0xB2, 0xB3])
    // Asked for again, it is the same.
    let again = try #require(Parsed(feed.nack(recovered.header.sequence).first))
    #expect(Array(again.payload.dropFirst(2)) == [0xA1, 0xA2] && again.header.timestamp == recovered.header.timestamp)
    #expect(feed.consumer.counters.recovered == 1)
  }

  @Test func passesRedundancyOnUnderTheSubscribersNames() throws {
    let feed = Feed(
      .audio, publisher: [CodecParameters(.red, 63), CodecParameters(.opus, 111)],
      subscriber: [CodecParameters(.opus, 96), CodecParameters(.red, 97)])
    let packet = try #require(Parsed(feed.send(1, type: 63, payload: red(111)).first))
    #expect(packet.payload == red(96) && packet.header.payloadType.rawValue == 97)
    // Encrypted end to end: nothing that reads as blocks, nothing touched.
    let secret: [UInt8] = [0xEF, 0xFF, 0xFF, 0xFF, 0x6F]
    #expect(Parsed(feed.send(2, type: 63, payload: secret).first)?.payload == secret)
  }

  @Test func goesOnThroughAnotherSSRCAndThroughSilence() throws {
    let feed = Feed(.audio, publisher: opus, subscriber: opus)
    let first = try #require(Parsed(feed.send(10, timestamp: 1_000).first))
    feed.time = 20
    let second = try #require(Parsed(feed.send(11, timestamp: 1_960).first))
    #expect(second.header.sequence == first.header.sequence &+ 1 && !second.header.marker)
    // The publisher starts anew.
    feed.time = 40
    let third = try #require(Parsed(feed.send(9_000, timestamp: 77, ssrc: 51).first))
    #expect(third.header.sequence == first.header.sequence &+ 2 && third.header.marker)
    #expect(third.header.timestamp == first.header.timestamp &+ 1_920)
    // What is left of the stream before does not come between.
    #expect(feed.send(12, timestamp: 2_920).isEmpty)
    // Nobody is to hear it for a while.
    for index in 1...2_000 {
      feed.consumer.skip(9_000 + 65_536 + Int64(index), from: feed.producer.streams[1], now: feed.now)
    }
    feed.time = 40_060
    let fourth = try #require(Parsed(feed.send(9_000 + 2_001, timestamp: 77 + 2_001 * 960, ssrc: 51).first))
    #expect(fourth.header.sequence == third.header.sequence &+ 1)
    #expect(fourth.header.timestamp == third.header.timestamp &+ 2_001 * 960)
  }

  @Test func pausesAndResumesWithoutAGap() throws {
    let feed = Feed(.audio, publisher: opus, subscriber: opus)
    let first = try #require(Parsed(feed.send(10, timestamp: 0).first))
    var preferences = ConsumerPreferences()
    preferences.isPaused = true
    feed.consumer.update(preferences, now: feed.now)
    for index in 1..<50 { #expect(feed.send(UInt16(10 + index), timestamp: UInt32(960 * index)).isEmpty) }
    preferences.isPaused = false
    feed.time = 1_000
    feed.consumer.update(preferences, now: feed.now)
    let next = try #require(Parsed(feed.send(60, timestamp: 48_000).first))
    #expect(next.header.sequence == first.header.sequence &+ 1)
    #expect(next.header.timestamp == first.header.timestamp &+ 48_000)
  }
}

@Suite struct ConsumerRetransmissionTests {
  private func video(hasRetransmissionStream: Bool = true) -> Feed {
    Feed(
      .video, publisher: [CodecParameters(.vp8, 96, rtx: 97)], subscriber: [CodecParameters(.vp8, 100, rtx: 101)],
      hasRetransmissionStream: hasRetransmissionStream)
  }

  private func key(_ id: UInt8) -> [UInt8] { [0x90, 0x80, 0x80, id, 0x00, 9, 9, 9] }
  private func delta(_ id: UInt8) -> [UInt8] { [0x90, 0x80, 0x80, id, 0x01, 8, 8, 8] }

  @Test func answersOnTheRetransmissionStream() throws {
    let feed = video()
    let first = try #require(Parsed(feed.send(1, type: 96, payload: key(1), marker: true).first))
    let second = try #require(Parsed(feed.send(2, timestamp: 3_000, type: 96, payload: delta(2), marker: true).first))
    let answers = feed.nack(second.header.sequence, first.header.sequence)
    let again = try #require(Parsed(answers.first))
    #expect(answers.count == 2)
    #expect(again.header.ssrc == SSRC(0xBBBB) && again.header.payloadType.rawValue == 101)
    #expect(
      Array(again.payload.prefix(2)) == [UInt8(second.header.sequence >> 8), UInt8(second.header.sequence & 0xFF)])
    #expect(Array(again.payload.dropFirst(2)) == second.payload)
    #expect(again.header.timestamp == second.header.timestamp && again.header.marker)
    #expect(Parsed(answers.last)?.header.sequence == again.header.sequence &+ 1)
    #expect(feed.consumer.counters.retransmittedPackets == 2)
  }

  @Test func doesNotAnswerAgainWithinARoundTripOrForEver() {
    let feed = video()
    let sequence = Parsed(feed.send(1, type: 96, payload: key(1), marker: true).first)?.header.sequence ?? 0
    #expect(feed.nack(sequence).count == 1)
    feed.time = 40
    #expect(feed.nack(sequence).isEmpty)
    feed.time = 60
    #expect(feed.nack(sequence).count == 1)
    for round in 0..<20 {
      feed.time += 100
      #expect(feed.nack(sequence).count == (round < 6 ? 1 : 0))
    }
    #expect(feed.nack(sequence &+ 1, sequence &- 1, sequence &+ 5_000).isEmpty)
    #expect(feed.consumer.counters.nacked == 26)
  }

  @Test func repeatsThePacketItselfWithoutARetransmissionStream() throws {
    let feed = video(hasRetransmissionStream: false)
    let sent = feed.send(1, type: 96, payload: key(1), marker: true)
    let sequence = try #require(Parsed(sent.first)).header.sequence
    #expect(feed.nack(sequence) == sent)
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_500, alignment: 8)
    defer { room.deallocate() }
    #expect(feed.consumer.writePadding(200, into: room, now: feed.now) == nil)
  }

  @Test func rebuildsWhatThePacerHeldBack() throws {
    let stage = Stage(.vp8, layers: 3, seed: 11)
    stage.run(2_000) { stage in
      if stage.time == 990 { stage.consumer.setTarget(.layer(spatial: 0, temporal: 1), now: stage.now) }
    }
    var compared = 0
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_500, alignment: 8)
    defer { room.deallocate() }
    for packet in stage.subscriber.inOrder.suffix(50) {
      let built = try #require(
        stage.consumer.write(packet.header.sequence, isRetransmission: false, into: room, now: stage.now))
      #expect(Array(room[..<built.length]) == packet.bytes)
      compared += 1
    }
    #expect(compared == 50)
  }

  @Test func closesHolesOfTheSourceBefore() throws {
    let feed = video()
    let first = try #require(Parsed(feed.send(1, type: 96, payload: key(1), marker: true).first))
    // 2 is missing; another stream takes over.
    _ = feed.send(3, timestamp: 3_000, type: 96, payload: delta(3), marker: true)
    let hole = first.header.sequence &+ 1
    #expect(feed.nack(hole).isEmpty)
    _ = feed.send(700, timestamp: 9, type: 96, payload: key(50), marker: true, ssrc: 51)
    let answer = try #require(Parsed(feed.nack(hole).first))
    #expect(answer.header.sequence == hole && answer.payload.isEmpty && answer.header.padding == 4)
    #expect(answer.header.ssrc == SSRC(0xAAAA))
    // It comes too late.
    #expect(feed.send(2, timestamp: 3_000, type: 96, payload: delta(2), marker: true).isEmpty)
  }

  @Test func padsOnTheRetransmissionStream() throws {
    let feed = video()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1_500, alignment: 8)
    defer { room.deallocate() }
    // Before the first packet too: a picture may be too large to start without a probe.
    let early = try #require(feed.consumer.writePadding(1_200, into: room, now: feed.now))
    let first = try #require(Parsed(Array(room[..<early.length])))
    #expect(first.header.ssrc == SSRC(0xBBBB) && first.payload.isEmpty && first.header.padding > 200)
    feed.send(1, type: 96, payload: key(1) + [UInt8](repeating: 7, count: 600), marker: true)
    for bytes in [20, 100, 250, 400, 700, 1_200] {
      let built = try #require(feed.consumer.writePadding(bytes, into: room, now: feed.now))
      let packet = try #require(Parsed(Array(room[..<built.length])))
      #expect(packet.header.ssrc == SSRC(0xBBBB) && packet.header.payloadType.rawValue == 101)
      #expect(packet.payload.isEmpty ? packet.header.padding <= 255 : packet.payload.count > 600)
      #expect(packet.payload.isEmpty == (bytes < 700))
      #expect(built.length <= bytes + 100)
    }
  }

  @Test func growsShortPictureIDsAndKeepsWhatFollows() throws {
    let feed = video()
    let packet = try #require(
      Parsed(feed.send(1, type: 96, payload: [0x90, 0xF0, 0x05, 0x11, 0x23, 0x00, 0xDE, 0xAD], marker: true).first))
    #expect(packet.payload.count == 9 && packet.payload[2] & 0x80 != 0)
    #expect(Array(packet.payload[4...]) == [0x11, 0x23, 0x00, 0xDE, 0xAD])
  }

  @Test func survivesHostileNumbers() {
    let feed = video()
    for sequence: UInt16 in [0, 1, 65_535, 32_768] {
      _ = feed.nack(sequence)
      feed.send(sequence, timestamp: UInt32(sequence) &* 0x1234_5678, type: 96, payload: key(1), marker: true)
      _ = feed.nack(sequence, sequence &+ 1, sequence &- 1)
    }
    feed.consumer.receive(
      ReportBlock(
        source: SSRC(0xAAAA), fractionLost: 255, cumulativeLost: .min, extendedHighestSequence: .max, jitter: .max,
        lastSenderReport: .max, delaySinceLastSenderReport: .max), now: feed.now)
    #expect(feed.consumer.statistics.roundTrip == nil)
  }
}
