import Core
import RTP
import TestSupport
import Testing

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: Int64(milliseconds) * 1_000_000) }

private func output(_ sequence: UInt16 = 100, _ timestamp: UInt32 = 5_000) -> OutputSequence {
  OutputSequence(ssrc: SSRC(0xABC), firstSequence: sequence, firstTimestamp: timestamp, clockRate: 8_000)
}

@Suite struct OutputSequenceTests {
  @Test func numbersPacketsMadeHere() {
    var out = output()
    let first = out.next(duration: 160, now: at(0))
    #expect(first == .init(ssrc: SSRC(0xABC), sequence: 100, timestamp: 5_000, marker: true))
    for i in 1..<500 {
      // Ticks come a little early or late; the numbers do not show it.
      let stamp = out.next(duration: 160, now: at(20 * i + i % 7))
      #expect(stamp.sequence == UInt16(100 + i) && stamp.timestamp == UInt32(5_000 + 160 * i) && !stamp.marker)
    }
    #expect(out.count == 500)
  }

  @Test func framesLeftOutAdvanceTheClockOnly() {
    var out = output()
    _ = out.next(duration: 160, now: at(0))
    for _ in 0..<10 { out.skip(duration: 160) }
    let stamp = out.next(duration: 160, now: at(220))
    #expect(stamp.sequence == 101 && stamp.timestamp == 5_000 + 11 * 160 && stamp.marker)
  }

  @Test func aHoldWithoutTicksAdvancesTheClockByTheTimeThatPassed() {
    var out = output()
    _ = out.next(duration: 160, now: at(0))
    let stamp = out.next(duration: 160, now: at(600_000))
    #expect(stamp.sequence == 101 && stamp.timestamp == 5_000 + 4_800_000 && stamp.marker)
    #expect(!out.next(duration: 160, now: at(600_020)).marker)
  }

  @Test func aCodecChangeGoesOnAtTheNewRate() {
    var out = output()
    _ = out.next(duration: 160, now: at(0))
    out.setClockRate(48_000)
    let stamp = out.next(duration: 960, now: at(20))
    #expect(stamp.sequence == 101 && stamp.marker && stamp.timestamp == 5_160)
    #expect(out.next(duration: 960, now: at(40)).timestamp == 6_120)
  }

  @Test func relaysASourceWithItsGapsAndOrder() {
    var out = output()
    func relay(_ sequence: UInt16, _ timestamp: UInt32, _ ms: Int, marker: Bool = false) -> OutputSequence.Stamp? {
      out.relayed(source: SSRC(1), sequence: sequence, timestamp: timestamp, marker: marker, now: at(ms))
    }
    #expect(relay(65_534, 900, 0) == .init(ssrc: SSRC(0xABC), sequence: 100, timestamp: 5_000, marker: true))
    #expect(relay(65_535, 1_060, 20) == .init(ssrc: SSRC(0xABC), sequence: 101, timestamp: 5_160, marker: false))
    // Lost: 0. Reordered: 2 before 1.
    #expect(relay(2, 1_540, 80)?.sequence == 104)
    #expect(relay(1, 1_380, 81) == .init(ssrc: SSRC(0xABC), sequence: 103, timestamp: 5_480, marker: false))
    // Twice.
    #expect(relay(1, 1_380, 82) == nil)
    #expect(relay(2, 1_540, 83) == nil)
    // Before the first.
    #expect(relay(65_533, 740, 84) == nil)
    #expect(relay(0, 1_220, 85)?.sequence == 102)
    #expect(relay(3, 1_700, 100, marker: true)?.marker == true)
    #expect(out.highestSequence == 105)
  }

  @Test func joinsAnotherSourceOnWithoutGap() {
    var out = output()
    _ = out.relayed(source: SSRC(1), sequence: 10, timestamp: 1_000, marker: false, now: at(0))
    _ = out.relayed(source: SSRC(1), sequence: 11, timestamp: 1_160, marker: false, now: at(20))
    let joined = out.relayed(source: SSRC(2), sequence: 40_000, timestamp: 3_000_000_000, marker: false, now: at(60))
    #expect(joined == .init(ssrc: SSRC(0xABC), sequence: 102, timestamp: 5_160 + 320, marker: true))
    // A straggler of the first source begins nothing that repeats a number.
    let made = out.next(duration: 160, now: at(80))
    #expect(made.sequence == 103 && made.marker && made.timestamp == 5_480 + 160)
    let back = out.relayed(source: SSRC(2), sequence: 40_001, timestamp: 3_000_000_160, marker: false, now: at(100))
    #expect(back?.sequence == 104 && back?.marker == true)
  }

  @Test func closesTheGapOfASourceThatCountedOnThroughAHold() {
    var out = output()
    _ = out.relayed(source: SSRC(1), sequence: 10, timestamp: 0, marker: false, now: at(0))
    // 11 minutes of hold: 33,000 packets that did not come through.
    let after = out.relayed(
      source: SSRC(1), sequence: 10 &+ 33_000, timestamp: 33_000 * 160, marker: false, now: at(660_000))
    #expect(after?.sequence == nil)
    let next = out.relayed(
      source: SSRC(1), sequence: 10 &+ 33_001, timestamp: 33_001 * 160, marker: false, now: at(660_020))
    #expect(next == .init(ssrc: SSRC(0xABC), sequence: 101, timestamp: 5_000 + 660_020 * 8, marker: true))
    // A shorter one is closed at once.
    let short = out.relayed(
      source: SSRC(1), sequence: 10 &+ 34_001, timestamp: 34_001 * 160, marker: false, now: at(680_020))
    #expect(short?.sequence == 102 && short?.timestamp == UInt32(5_000 + 680_020 * 8))
  }

  @Test func joinsASourceThatRestartsItsNumbers() {
    var out = output()
    for i in 0..<300 {
      _ = out.relayed(
        source: SSRC(1), sequence: UInt16(30_000 + i), timestamp: UInt32(i * 160), marker: false, now: at(20 * i))
    }
    #expect(out.relayed(source: SSRC(1), sequence: 5, timestamp: 9_999, marker: false, now: at(6_000)) == nil)
    let next = out.relayed(source: SSRC(1), sequence: 6, timestamp: 10_159, marker: false, now: at(6_020))
    #expect(next?.sequence == 400 && next?.marker == true)
    #expect(next?.timestamp == UInt32(5_000 + 299 * 160 + 40 * 8))
  }

  @Test func joinsASourceThatSetsItsClockAnew() {
    var out = output()
    _ = out.relayed(source: SSRC(1), sequence: 1, timestamp: 1_000, marker: false, now: at(0))
    let jumped = out.relayed(source: SSRC(1), sequence: 2, timestamp: 2_000_000_000, marker: false, now: at(20))
    #expect(jumped == .init(ssrc: SSRC(0xABC), sequence: 101, timestamp: 5_160, marker: true))
    let next = out.relayed(source: SSRC(1), sequence: 3, timestamp: 2_000_000_160, marker: false, now: at(40))
    #expect(next == .init(ssrc: SSRC(0xABC), sequence: 102, timestamp: 5_320, marker: false))
  }

  @Test func silenceInASourceIsNoJump() {
    var out = output()
    _ = out.relayed(source: SSRC(1), sequence: 1, timestamp: 0, marker: false, now: at(0))
    let after = out.relayed(source: SSRC(1), sequence: 2, timestamp: 480_000, marker: true, now: at(60_000))
    #expect(after == .init(ssrc: SSRC(0xABC), sequence: 101, timestamp: 485_000, marker: true))
  }

  @Test func breakingASourceStartsANewRun() {
    var out = output()
    _ = out.relayed(source: SSRC(1), sequence: 1, timestamp: 0, marker: false, now: at(0))
    out.breakSource()
    let stamp = out.relayed(source: SSRC(1), sequence: 9, timestamp: 77, marker: false, now: at(200))
    #expect(stamp == .init(ssrc: SSRC(0xABC), sequence: 101, timestamp: 5_000 + 1_600, marker: true))
  }

  @Test func eventPacketsShareATimestampAndTheClockRunsOn() {
    var out = output()
    _ = out.next(duration: 160, now: at(0))
    let start = out.currentTimestamp(at(20))
    for i in 0..<8 {
      let stamp = out.next(at: start, marker: i == 0, now: at(20 + 20 * i))
      out.skip(duration: 160)
      #expect(stamp.timestamp == 5_160 && stamp.sequence == UInt16(101 + i) && stamp.marker == (i == 0))
    }
    let audio = out.next(duration: 160, now: at(180))
    #expect(audio.timestamp == 5_000 + 9 * 160 && audio.sequence == 109 && audio.marker)
  }

  /// What an SRTP receiver does with a sequence number (RFC 3711 §3.3.1, Appendix A): its index, and silence for what
  /// falls out of the window or was seen.
  struct Receiver {
    var rollOver: UInt32 = 0
    var highest: UInt16?
    var seen: Set<UInt64> = []
    var newest: UInt64 = 0

    /// The index that the receiver guesses; nil if it drops the packet.
    mutating func accept(_ sequence: UInt16) -> UInt64? {
      guard let highest else {
        self.highest = sequence
        newest = UInt64(sequence)
        seen.insert(newest)
        return newest
      }
      var guess = rollOver
      if highest < 0x8000 {
        if Int(sequence) - Int(highest) > 0x8000 { guess &-= 1 }
      } else if Int(highest) - 0x8000 > Int(sequence) {
        guess &+= 1
      }
      let index = UInt64(guess) << 16 | UInt64(sequence)
      if index + 64 <= newest || !seen.insert(index).inserted { return nil }
      if index > newest {
        newest = index
        rollOver = guess
        self.highest = sequence
      }
      return index
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func twentyTwoMinutesWithHoldAndLossAcrossTheWrap(seed: UInt64) {
    var out = output(60_000, 4_294_000_000)
    var random = SeededRandom(seed: seed)
    var link = VirtualLink<OutputSequence.Stamp>(
      seed: seed, delay: .milliseconds(40), jitter: .milliseconds(30), loss: 0.05, duplication: 0.01)
    var receiver = Receiver()
    var lastExtended: UInt64 = 0
    var accepted = 0
    var duplicated = 0
    var wraps = 0
    var previous: OutputSequence.Stamp?
    var source: UInt32 = 1
    var sequence = UInt16.random(in: 0 ... .max, using: &random)
    var timestamp = UInt32.random(in: 0 ... .max, using: &random)
    // 22 minutes of 20 ms ticks, a further 22 so that a whole cycle passes whatever is held.
    for tick in 0..<(2 * 66_000) {
      let now = at(tick * 20)
      let phase = tick % 20_000
      var stamp: OutputSequence.Stamp?
      switch phase {
      case 0..<6_000: stamp = out.next(duration: 160, now: now)
      case 6_000..<7_500: break  // held without a packet
      case 7_500..<8_000:
        if tick % 3 == 0 { stamp = out.next(duration: 160, now: now) } else { out.skip(duration: 160) }
      default:
        // Relayed; the source changes now and then, counts on through pauses, and loses packets itself.
        if phase % 4_000 == 0 {
          source += 1
          sequence = .random(in: 0 ... .max, using: &random)
          timestamp = .random(in: 0 ... .max, using: &random)
        }
        sequence &+= 1
        timestamp &+= 160
        if phase % 3_000 < 200 || Int.random(in: 0..<50, using: &random) == 0 { break }
        stamp = out.relayed(source: SSRC(source), sequence: sequence, timestamp: timestamp, marker: false, now: now)
      }
      if let stamp {
        if let previous {
          let step = stamp.sequence &- previous.sequence
          if !(1...100).contains(step) { Issue.record("step of \(step) at tick \(tick)") }
          if stamp.sequence < previous.sequence { wraps += 1 }
          let clock = Int32(bitPattern: stamp.timestamp &- previous.timestamp)
          if !(1..<8 * 31_000).contains(clock) { Issue.record("clock moved by \(clock) at tick \(tick)") }
        }
        previous = stamp
        link.send(stamp, now: now)
      }
      for stamp in link.receive(now: now) {
        if let index = receiver.accept(stamp.sequence) {
          accepted += 1
          // The receiver's index is the true one: within the link's delay of the newest.
          if index + 200 <= lastExtended { Issue.record("index \(index) far behind \(lastExtended)") }
          lastExtended = max(lastExtended, index)
        } else {
          duplicated += 1
        }
      }
    }
    #expect(wraps >= 1)
    #expect(lastExtended >> 16 == UInt64(wraps))
    // One in a hundred was sent twice by the link; nothing else may be dropped.
    #expect(Double(accepted) > Double(out.count) * 0.94)
    #expect(Double(duplicated) < Double(out.count) * 0.02)
  }

  @Test func aNumberIsGivenOutOnceWhateverComes() {
    var random = SeededRandom(seed: 5)
    var out = output()
    var seen: Set<Int64> = []
    var unwrapper = SequenceUnwrapper()
    var now = 0
    var relaySequence: UInt16 = 0
    for _ in 0..<40_000 {
      now += Int.random(in: 0...40, using: &random)
      let stamp: OutputSequence.Stamp?
      switch Int.random(in: 0..<20, using: &random) {
      case 0: stamp = out.next(duration: .random(in: 0...10_000, using: &random), now: at(now))
      case 1: stamp = out.next(at: .random(in: 0 ... .max, using: &random), marker: true, now: at(now))
      case 2:
        out.skip(duration: .random(in: 0 ... .max, using: &random))
        continue
      case 3:
        stamp = out.relayed(
          source: SSRC(.random(in: 0...2, using: &random)), sequence: .random(in: 0 ... .max, using: &random),
          timestamp: .random(in: 0 ... .max, using: &random), marker: false, now: at(now))
      case 4:
        out.setClockRate([8_000, 48_000].randomElement(using: &random) ?? 8_000)
        continue
      default:
        relaySequence &+= UInt16.random(in: 0...3, using: &random)
        let jitter = UInt16.random(in: 0...5, using: &random)
        stamp = out.relayed(
          source: SSRC(1), sequence: relaySequence &- jitter, timestamp: UInt32(relaySequence) * 160, marker: false,
          now: at(now))
      }
      guard let stamp else { continue }
      if !seen.insert(unwrapper.unwrap(stamp.sequence)).inserted { Issue.record("\(stamp.sequence) twice") }
    }
    #expect(seen.count == out.count)
    #expect(seen.count > 20_000)
  }
}

@Suite struct ClockRateTests {
  @Test(arguments: [0, -1, 3, 999, 4_000_000_000, .max, .min]) func clocksOutsideReasonAreNotTaken(rate: Int) {
    var out = output()
    out.setClockRate(rate)
    #expect(out.clockRate == 8_000)
    _ = out.relayed(source: SSRC(1), sequence: 1, timestamp: 0, marker: false, now: at(0))
    #expect(out.relayed(source: SSRC(1), sequence: 2, timestamp: 160, marker: false, now: at(20))?.sequence == 101)
    var statistics = ReceiveStatistics(clockRate: rate)
    statistics.receive(source: SSRC(1), sequence: 1, timestamp: 0, payloadOctets: 1, now: at(0))
    statistics.receive(source: SSRC(1), sequence: 2, timestamp: .max, payloadOctets: 1, now: at(20))
    #expect((1_000...384_000).contains(statistics.clockRate))
  }
}
