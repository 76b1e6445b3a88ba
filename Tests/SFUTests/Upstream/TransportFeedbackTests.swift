import Core
import RTP
import Testing

@testable import SFU

@Suite struct TransportFeedbackTests {
  private func at(_ microseconds: Int) -> Instant { Instant(nanoseconds: Int64(microseconds) * 1_000) }

  private func make(_ generator: inout TransportFeedbackGenerator, _ now: Instant) throws -> TransportFeedback {
    let feedback = generator.make(sender: SSRC(1), now: now)
    return try #require(feedback)
  }

  /// What a sender reads off the wire: number → arrival in 250 µs.
  private func read(_ feedback: TransportFeedback) throws -> [UInt16: Int] {
    let written = RTCPPacket.compound([.transportFeedback(feedback)])
    guard case .transportFeedback(let parsed)? = try RTCPCompound.parse(written).first else { return [:] }
    #expect(parsed == feedback)
    var time = Int(parsed.referenceTime) * 256
    var arrivals: [UInt16: Int] = [:]
    for (index, delta) in parsed.arrivals.enumerated() {
      guard let delta else { continue }
      time += Int(delta)
      arrivals[parsed.baseSequence &+ UInt16(index)] = time
    }
    return arrivals
  }

  @Test func tellsWhenEachPacketCameAndWhichDidNot() throws {
    var generator = TransportFeedbackGenerator()
    let times = [(65_534, 1_000_000), (65_535, 1_000_900), (2, 1_020_000), (1, 1_021_000)]
    for (number, time) in times { generator.receive(UInt16(number), media: SSRC(5), now: at(time)) }
    #expect(generator.isDue(now: at(1_021_000)))
    let feedback = try make(&generator, at(1_021_000))
    #expect(feedback.baseSequence == 65_534 && feedback.media == SSRC(5) && feedback.feedbackCount == 0)
    let expected = Dictionary(uniqueKeysWithValues: times.map { (UInt16($0.0), $0.1 / 250) })
    let told = try read(feedback)
    #expect(told == expected)
    #expect(feedback.arrivals.count == 5 && feedback.arrivals[2] == nil)
    #expect(generator.make(sender: SSRC(1), now: at(1_021_000)) == nil)
  }

  @Test func waitsForTheIntervalAndCountsItsPackets() throws {
    var generator = TransportFeedbackGenerator()
    generator.receive(1, media: SSRC(5), now: at(0))
    _ = generator.make(sender: SSRC(1), now: at(0))
    #expect(!generator.isDue(now: at(100_000)), "nothing new")
    generator.receive(2, media: SSRC(5), now: at(10_000))
    #expect(!generator.isDue(now: at(49_999)))
    #expect(generator.isDue(now: at(50_000)))
    let second = try make(&generator, at(50_000))
    #expect(second.feedbackCount == 1)
  }

  @Test func saysAPacketThatCameAfterAllAgain() throws {
    var generator = TransportFeedbackGenerator()
    for number in [1, 2, 4] { generator.receive(UInt16(number), media: SSRC(5), now: at(number * 1_000)) }
    let first = try read(make(&generator, at(5_000)))
    #expect(first.keys.sorted() == [1, 2, 4])
    generator.receive(3, media: SSRC(5), now: at(60_000))
    generator.receive(5, media: SSRC(5), now: at(61_000))
    let again = try read(make(&generator, at(61_000)))
    #expect(again == [3: 240, 4: 16, 5: 244])
  }

  @Test func doesNotRepeatCopies() {
    var generator = TransportFeedbackGenerator()
    generator.receive(1, media: SSRC(5), now: at(0))
    _ = generator.make(sender: SSRC(1), now: at(0))
    generator.receive(1, media: SSRC(5), now: at(60_000))
    let isDue = generator.isDue(now: at(120_000))
    #expect(!isDue)
  }

  @Test func splitsAtPausesThatNoDeltaHolds() throws {
    var generator = TransportFeedbackGenerator()
    generator.receive(1, media: SSRC(5), now: at(0))
    generator.receive(2, media: SSRC(5), now: at(9_000_000))
    let first = try read(make(&generator, at(9_000_000)))
    let second = try read(make(&generator, at(9_000_000)))
    #expect(first == [1: 0])
    #expect(second == [2: 36_000])
    #expect(generator.make(sender: SSRC(1), now: at(9_000_000)) == nil)
  }

  @Test func survivesJumpsAndFloodsOfNumbers() throws {
    var generator = TransportFeedbackGenerator()
    var random = SeededRandom(seed: 3)
    var now = 0
    for _ in 0..<3_000 {
      now += Int.random(in: 0...40_000, using: &random)
      generator.receive(UInt16.random(in: 0 ... .max, using: &random), media: SSRC(5), now: at(now))
      guard generator.isDue(now: at(now)) else { continue }
      var packets = 0
      while let feedback = generator.make(sender: SSRC(1), now: at(now)) {
        packets += 1
        #expect(!feedback.arrivals.isEmpty && feedback.arrivals.count <= 400 && feedback.arrivals[0] != nil)
        _ = try read(feedback)
        if packets > 8 { break }
      }
      #expect(packets <= 8)
    }
  }

  @Test func everyPacketOfARunIsReportedOnce() throws {
    var generator = TransportFeedbackGenerator()
    var told: [UInt16: Int] = [:]
    for step in 0..<5_000 {
      let now = at(step * 1_000)
      if step % 7 != 3 { generator.receive(UInt16(truncatingIfNeeded: step), media: SSRC(5), now: now) }
      guard generator.isDue(now: now) else { continue }
      while let feedback = generator.make(sender: SSRC(1), now: now) {
        for number in try read(feedback).keys { told[number, default: 0] += 1 }
      }
    }
    #expect(told.values.allSatisfy { $0 == 1 })
    #expect(told.keys.allSatisfy { $0 % 7 != 3 })
    #expect(told.count > 4_200)
  }
}
