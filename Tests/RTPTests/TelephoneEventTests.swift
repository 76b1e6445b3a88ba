import Core
import RTP
import TestSupport
import Testing

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: Int64(milliseconds) * 1_000_000) }

@Suite struct TelephoneEventTests {
  @Test func payloadReadsWhatItWrites() throws {
    let payload = TelephoneEventPayload(event: 11, isEnd: true, volume: 10, duration: 0x1234)
    #expect(payload.bytes == [11, 0x8A, 0x12, 0x34])
    #expect(TelephoneEventPayload(parsing: payload.bytes.span.bytes) == payload)
    #expect(TelephoneEventPayload(parsing: ([1, 2, 3] as [UInt8]).span.bytes) == nil)
    // The reserved bit is ignored (RFC 4733 §2.3.3).
    #expect(TelephoneEventPayload(parsing: ([1, 0x4A, 0, 1] as [UInt8]).span.bytes)?.volume == 10)
    var buffer = [UInt8](repeating: 0, count: 4)
    #expect(buffer.withUnsafeMutableBytes { payload.write(into: $0) } == 4)
    #expect(buffer == payload.bytes)
  }

  @Test func namesTheSixteenKeys() {
    for (index, key) in "0123456789*#ABCD".enumerated() {
      #expect(DTMFDigit.character(of: UInt8(index)) == key)
      #expect(DTMFDigit.event(of: key) == UInt8(index))
    }
    #expect(DTMFDigit.event(of: "d") == 15)
    #expect(DTMFDigit.event(of: "x") == nil && DTMFDigit.event(of: "ä") == nil && DTMFDigit.event(of: "５") == nil)
    #expect(DTMFDigit.character(of: 16) == nil)
  }

  private func packet(_ event: UInt8, _ duration: UInt16, end: Bool = false) -> TelephoneEventPayload {
    TelephoneEventPayload(event: event, isEnd: end, volume: 10, duration: duration)
  }

  @Test func tellsOneEventOnceThroughUpdatesAndRepeatedEnds() {
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    let began = receiver.receive(packet(5, 160), timestamp: 1_000, now: at(0))
    #expect(began.began?.digit == "5" && began.ended == nil)
    for i in 2...7 {
      #expect(receiver.receive(packet(5, UInt16(160 * i)), timestamp: 1_000, now: at(20 * i)) == .init())
    }
    let ended = receiver.receive(packet(5, 1_280, end: true), timestamp: 1_000, now: at(160))
    #expect(ended.ended?.duration == .milliseconds(160) && ended.began == nil)
    for _ in 0..<2 { #expect(receiver.receive(packet(5, 1_280, end: true), timestamp: 1_000, now: at(180)) == .init()) }
    // Reordered behind its end.
    #expect(receiver.receive(packet(5, 800), timestamp: 1_000, now: at(190)) == .init())
    #expect(receiver.nextDeadline == nil)
  }

  @Test func theSameKeyTwiceIsTwoEvents() {
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    _ = receiver.receive(packet(1, 160), timestamp: 1_000, now: at(0))
    _ = receiver.receive(packet(1, 800, end: true), timestamp: 1_000, now: at(100))
    #expect(receiver.receive(packet(1, 160), timestamp: 2_600, now: at(200)).began?.digit == "1")
  }

  @Test func anEndAloneIsAWholeEvent() {
    var receiver = TelephoneEventReceiver(clockRate: 48_000)
    let outcome = receiver.receive(packet(10, 4_800, end: true), timestamp: 9, now: at(0))
    #expect(outcome.began?.digit == "*" && outcome.ended?.duration == .milliseconds(100))
    #expect(receiver.receive(packet(10, 4_800, end: true), timestamp: 9, now: at(20)) == .init())
  }

  @Test func aLostEndIsToldByTheNextEventOrByTime() {
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    _ = receiver.receive(packet(1, 400), timestamp: 1_000, now: at(0))
    let next = receiver.receive(packet(2, 160), timestamp: 3_000, now: at(150))
    #expect(next.ended?.digit == "1" && next.ended?.duration == .milliseconds(50) && next.began?.digit == "2")
    #expect(receiver.nextDeadline == at(350))
    #expect(receiver.advance(to: at(349)) == nil)
    #expect(receiver.advance(to: at(350))?.digit == "2")
    #expect(receiver.advance(to: at(900)) == nil)
    // And its late packets do not bring it back.
    #expect(receiver.receive(packet(2, 480, end: true), timestamp: 3_000, now: at(950)) == .init())
  }

  @Test func aLongEventGoesOnUnderNewTimestamps() {
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    var begun = 0
    var ended: TelephoneEventReceiver.Event?
    var timestamp: UInt32 = 0
    var duration = 0
    for i in 0..<1_000 {
      duration += 160
      if duration > 0xFFFF {
        timestamp &+= UInt32(duration - 160)
        duration = 160
      }
      let outcome = receiver.receive(packet(3, UInt16(duration), end: i == 999), timestamp: timestamp, now: at(20 * i))
      begun += outcome.began == nil ? 0 : 1
      ended = outcome.ended ?? ended
    }
    #expect(begun == 1)
    #expect(ended?.duration == .seconds(20))
  }

  @Test func anotherKeyUnderARunningTimestampIsIgnored() {
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    _ = receiver.receive(packet(1, 160), timestamp: 50, now: at(0))
    #expect(receiver.receive(packet(7, 160), timestamp: 50, now: at(20)) == .init())
  }

  /// Ticks a sender until it is done, giving each packet with its time.
  private func run(
    _ sender: inout TelephoneEventSender, _ output: inout OutputSequence, from start: Int = 0
  ) -> [(packet: TelephoneEventSender.Packet, ms: Int)] {
    var packets: [(TelephoneEventSender.Packet, Int)] = []
    var ms = start
    while sender.isSending, ms < start + 60_000 {
      if let packet = sender.tick(&output, now: at(ms)) { packets.append((packet, ms)) }
      ms += 20
    }
    return packets
  }

  @Test func sendsUpdatesAndThreeEnds() {
    var output = OutputSequence(ssrc: SSRC(1), firstSequence: 10, firstTimestamp: 1_000, clockRate: 8_000)
    _ = output.next(duration: 160, now: at(0))
    var sender = TelephoneEventSender(clockRate: 8_000)
    #expect(!sender.isSending)
    #expect(sender.tick(&output, now: at(0)) == nil)
    sender.enqueue(event: 9, duration: .milliseconds(100))
    let packets = run(&sender, &output, from: 20).map(\.packet)
    #expect(packets.map(\.payload.duration) == [160, 320, 480, 640, 800, 800, 800])
    #expect(packets.map(\.payload.isEnd) == [false, false, false, false, true, true, true])
    #expect(packets.map(\.stamp.marker) == [true, false, false, false, false, false, false])
    #expect(packets.allSatisfy { $0.stamp.timestamp == 1_160 })
    #expect(packets.map(\.stamp.sequence) == Array(11...17))
    // 7 ticks of packets and 4 of gap later the audio goes on where it would have been.
    let audio = output.next(duration: 160, now: at(20 + 11 * 20))
    #expect(audio.sequence == 18 && audio.timestamp == 1_160 + 11 * 160 && audio.marker)

    var buffer = [UInt8](repeating: 0, count: 16)
    let length = buffer.withUnsafeMutableBytes { packets[0].write(payloadType: PayloadType(101), into: $0) }
    #expect(length == 16)
    #expect(buffer == [0x80, 0xE5, 0, 11, 0, 0, 0x04, 0x88, 0, 0, 0, 1, 9, 10, 0, 160])
    var short = [UInt8](repeating: 0, count: 15)
    #expect(short.withUnsafeMutableBytes { packets[0].write(payloadType: PayloadType(101), into: $0) } == 0)
  }

  @Test func countsAnEventAtItsOwnClockBesideOpus() {
    var output = OutputSequence(ssrc: SSRC(1), firstSequence: 0, firstTimestamp: 0, clockRate: 48_000)
    var sender = TelephoneEventSender(clockRate: 8_000)
    sender.enqueue(event: 1, duration: .milliseconds(60))
    sender.enqueue(event: 2, duration: .milliseconds(60))
    let packets = run(&sender, &output).map(\.packet)
    #expect(packets.prefix(3).map(\.payload.duration) == [160, 320, 480])
    // Second key: 5 ticks of the first, 4 of gap.
    #expect(packets[5].stamp.timestamp &- packets[0].stamp.timestamp == 9 * 960)
  }

  @Test func boundsQueueAndDuration() {
    var output = OutputSequence(ssrc: SSRC(1), firstSequence: 0, firstTimestamp: 0, clockRate: 8_000)
    var sender = TelephoneEventSender(clockRate: 8_000)
    var taken = 0
    for i in 0..<100 where sender.enqueue(event: UInt8(i % 16), duration: .zero) { taken += 1 }
    #expect(taken == TelephoneEventSender.maximumQueue)
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    var heard = 0
    for (packet, ms) in run(&sender, &output) {
      let outcome = receiver.receive(packet.payload, timestamp: packet.stamp.timestamp, now: at(ms))
      if let ended = outcome.ended {
        heard += 1
        #expect(ended.duration == .milliseconds(40))
      }
    }
    #expect(heard == 64)
  }

  @Test func splitsAnEventThatIsTooLongForItsField() {
    // 6 s at 48,000 Hz are 288,000 units.
    var output = OutputSequence(ssrc: SSRC(1), firstSequence: 0, firstTimestamp: 77, clockRate: 48_000)
    var sender = TelephoneEventSender(clockRate: 48_000)
    sender.enqueue(event: 4, duration: .seconds(60))
    var receiver = TelephoneEventReceiver(clockRate: 48_000)
    var outcomes: [TelephoneEventReceiver.Outcome] = []
    for (packet, ms) in run(&sender, &output) {
      let outcome = receiver.receive(packet.payload, timestamp: packet.stamp.timestamp, now: at(ms))
      if outcome != .init() { outcomes.append(outcome) }
    }
    #expect(outcomes.count == 2)
    #expect(outcomes.first?.began?.digit == "4" && outcomes.last?.ended?.duration == .seconds(6))
  }

  @Test(arguments: 0..<10 as Range<UInt64>) func everyKeyArrivesOnceThroughALossyLink(seed: UInt64) {
    var output = OutputSequence(ssrc: SSRC(1), firstSequence: 65_500, firstTimestamp: .max - 5_000, clockRate: 8_000)
    var sender = TelephoneEventSender(clockRate: 8_000)
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    var link = VirtualLink<TelephoneEventSender.Packet>(
      seed: seed, delay: .milliseconds(30), jitter: .milliseconds(50), loss: 0.15, duplication: 0.1)
    let dialled = Array("5550199#*1122ABCD00")
    for key in dialled { sender.enqueue(event: DTMFDigit.event(of: key) ?? 0, duration: .milliseconds(120)) }
    var heard: [Character] = []
    var ended = 0
    for tick in 0..<1_000 {
      let now = at(tick * 20)
      if let packet = sender.tick(&output, now: now) { link.send(packet, now: now) }
      for packet in link.receive(now: now) {
        let outcome = receiver.receive(packet.payload, timestamp: packet.stamp.timestamp, now: now)
        if let digit = outcome.began?.digit { heard.append(digit) }
        if outcome.ended != nil { ended += 1 }
      }
      if receiver.advance(to: now) != nil { ended += 1 }
    }
    #expect(heard == dialled)
    #expect(ended == dialled.count)
  }

  @Test func junkNeverTraps() {
    var random = SeededRandom(seed: 6)
    var receiver = TelephoneEventReceiver(clockRate: 8_000)
    for i in 0..<20_000 {
      let payload = TelephoneEventPayload(
        event: .random(in: 0...255, using: &random), isEnd: .random(using: &random),
        volume: .random(in: 0...255, using: &random),
        duration: .random(in: 0 ... .max, using: &random))
      _ = receiver.receive(payload, timestamp: .random(in: 0...50, using: &random) &* 0xFFFF, now: at(i))
      if i % 100 == 0 { _ = receiver.advance(to: Instant(nanoseconds: .random(in: 0 ... .max, using: &random))) }
    }
  }
}
