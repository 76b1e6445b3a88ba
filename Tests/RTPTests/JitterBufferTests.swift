import Core
import RTP
import Testing

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: Int64(milliseconds) * 1_000_000) }

/// A jitter buffer under a consumer that asks every 20 ms for what it needs, and scales time when told to.
private final class Listener {
  var buffer: JitterBuffer
  var clockRate: Int
  let packetMilliseconds: Int
  /// The next tick, 3 ms off the packets' grid.
  var clock = 3
  /// Whether the consumer heeds `adjustment`.
  var scales = true
  /// Decoded audio not played yet, in milliseconds.
  private var left = 0.0
  var played: [UInt16] = []
  var playedAt: [Int] = []
  var missing = 0
  var gaps = 0
  var waiting = 0
  var corrected = 0
  var accelerated = 0
  var expanded = 0

  init(
    clockRate: Int = 8_000, packetMilliseconds: Int = 20, configuration: JitterBuffer.Configuration = .init()
  ) {
    self.clockRate = clockRate
    self.packetMilliseconds = packetMilliseconds
    buffer = JitterBuffer(
      clockRate: clockRate, packetDuration: UInt32(clockRate / 1_000 * packetMilliseconds), configuration: configuration
    )
  }

  @discardableResult
  func hear(_ sequence: Int, timestamp: UInt32, ms: Int) -> JitterBuffer.Verdict {
    let number = UInt16(truncatingIfNeeded: sequence)
    return [UInt8(number >> 8), UInt8(number & 0xFF)].withUnsafeBytes {
      buffer.insert(sequence: number, timestamp: timestamp, payload: $0, now: at(ms))
    }
  }

  func tick(ms: Int) {
    while left < 20 {
      let length = Double(packetMilliseconds)
      switch buffer.pop(now: at(ms)) {
      case .packet(let slot):
        let bytes = buffer.payload(of: slot)
        if bytes.count == 2, UInt16(bytes[0]) << 8 | UInt16(bytes[1]) != slot.sequence { Issue.record("wrong payload") }
        played.append(slot.sequence)
        playedAt.append(ms)
        left += Double(slot.duration) / Double(clockRate) * 1_000
        guard scales else { continue }
        switch buffer.adjustment {
        case .none: break
        case .accelerate:
          left -= 8
          accelerated += 1
          buffer.timeScaled(by: .milliseconds(-8))
        case .expand:
          left += 8
          expanded += 1
          buffer.timeScaled(by: .milliseconds(8))
        }
      case .missing(let next):
        if next != nil { corrected += 1 }
        missing += 1
        left += length
      case .gap:
        gaps += 1
        left += length
      case .waiting:
        waiting += 1
        left += length
      }
    }
    left -= 20
  }
}

/// A packet on its way.
private struct Flight {
  var arrival: Int
  var sequence: Int
  var timestamp: UInt32
}

/// Packets every 20 ms from `sequence` and `timestamp` on; `delay` is each one's time on the way, nil loses it.
private func flights(
  _ count: Int, sequence: Int = 0, timestamp: UInt32 = 0, start: Int = 0, packet: Int = 20, clockRate: Int = 8_000,
  delay: (Int) -> Int?
) -> [Flight] {
  (0..<count).compactMap { i in
    delay(i).map {
      Flight(
        arrival: start + i * packet + $0, sequence: sequence + i,
        timestamp: timestamp &+ UInt32(i * packet * clockRate / 1_000))
    }
  }
}

extension Listener {
  /// Lets the packets arrive and ticks every 20 ms until `tail` ms after the last. Goes on where it ended before.
  func run(_ flights: [Flight], tail: Int = 400) {
    let sorted = flights.sorted { ($0.arrival, $0.sequence) < ($1.arrival, $1.sequence) }
    var next = 0
    let end = (sorted.last?.arrival ?? clock) + tail
    while clock < end || next < sorted.count {
      while next < sorted.count, sorted[next].arrival <= clock {
        hear(sorted[next].sequence, timestamp: sorted[next].timestamp, ms: sorted[next].arrival)
        next += 1
      }
      tick(ms: clock)
      clock += 20
    }
  }

  var isInOrder: Bool {
    zip(played, played.dropFirst()).allSatisfy { Int16(bitPattern: $1 &- $0) > 0 }
  }
}

@Suite struct JitterBufferTests {
  @Test func playsAPerfectStreamWithLittleDelay() {
    let listener = Listener()
    listener.run(flights(500) { _ in 30 })
    #expect(listener.played == Array(0..<500))
    #expect(listener.accelerated == 0 && listener.expanded == 0)
    // Sent at 0, there at 30; played within the target and a tick.
    #expect(listener.playedAt[0] - 30 <= 60)
    #expect(listener.playedAt[499] - (499 * 20 + 30) <= 60)
    #expect(listener.buffer.targetDelay <= .milliseconds(40))
    #expect(listener.buffer.statistics.lost == 0 && listener.buffer.statistics.late == 0)
  }

  @Test func theTargetOfAQuietNetworkFallsToTheMinimum() {
    let listener = Listener()
    listener.run(flights(1_000) { _ in 30 })
    #expect(listener.buffer.targetDelay == .milliseconds(20))
  }

  @Test func crossesBothWraps() {
    let listener = Listener()
    listener.run(flights(400, sequence: 65_400, timestamp: .max - 30_000) { _ in 10 })
    #expect(listener.played == (0..<400).map { UInt16(truncatingIfNeeded: 65_400 + $0) })
    #expect(listener.missing <= 3 && listener.gaps == 0)
  }

  @Test func restoresOrderAndDropsDuplicates() {
    let listener = Listener()
    // Every third packet overtakes its predecessor; every fifth comes twice.
    var packets = flights(300) { $0 % 3 == 1 ? 45 : 20 }
    packets += flights(300) { $0 % 5 == 0 ? 48 : nil }
    listener.run(packets)
    #expect(listener.played == Array(0..<300))
    #expect(listener.buffer.statistics.duplicates + listener.buffer.statistics.late == 60)
    #expect(listener.buffer.statistics.duplicates == 60)
  }

  @Test func reportsEachLossAndOffersTheNextPacketForCorrection() {
    let listener = Listener()
    listener.run(flights(500) { $0 % 10 == 7 ? nil : 20 })
    #expect(listener.played.count == 450)
    #expect(listener.isInOrder)
    #expect(listener.buffer.statistics.lost == 50)
    // The tail of the run finds the buffer empty.
    #expect(listener.missing >= 50 && listener.missing <= 53)
    #expect(listener.corrected >= 45)
  }

  @Test func concealsABurstOfLossForItsTimeOnly() {
    let listener = Listener()
    listener.run(flights(300) { (100..<104).contains($0) ? nil : 20 })
    let before = listener.played.firstIndex(of: 99).map { listener.playedAt[$0] } ?? 0
    let after = listener.played.firstIndex(of: 104).map { listener.playedAt[$0] } ?? 0
    #expect((80...140).contains(after - before))
    #expect(listener.buffer.statistics.lost == 4)
  }

  @Test(arguments: [20, 60, 120, 200]) func learnsTheJitterAndConcealsLittle(range: Int) {
    var random = SeededRandom(seed: UInt64(range))
    let delays = (0..<4_000).map { _ in 30 + Int.random(in: 0...range, using: &random) }
    let listener = Listener()
    let packets = flights(4_000) { delays[$0] }
    listener.run(Array(packets[..<1_000]), tail: 0)
    let warmUp = (listener.missing, listener.buffer.statistics.late)
    listener.run(Array(packets[1_000...]))
    let target = listener.buffer.targetDelay
    #expect(target >= .milliseconds(max(20, range * 8 / 10)) && target <= .milliseconds(range + 65))
    #expect(listener.missing - warmUp.0 < 3_000 * 3 / 100)
    #expect(listener.buffer.statistics.late - warmUp.1 < 3_000 * 2 / 100)
    #expect(listener.isInOrder)
  }

  @Test func growsAtOnceOnLatePacketsAndShrinksSlowly() {
    let listener = Listener()
    // Half a second in which packets take 120 ms longer.
    let packets = flights(3_000) { (510..<535).contains($0) ? 140 : 20 }
    listener.run(Array(packets[..<500]), tail: 0)
    let calm = listener.buffer.targetDelay
    listener.run(Array(packets[500..<600]), tail: 0)
    let grown = listener.buffer.targetDelay
    #expect(calm <= .milliseconds(40))
    #expect(grown >= .milliseconds(90))
    listener.run(Array(packets[600..<800]), tail: 0)
    #expect(listener.buffer.targetDelay > grown - .milliseconds(60))
    listener.run(Array(packets[800...]))
    #expect(listener.buffer.targetDelay <= .milliseconds(30))
    // And the consumer was told to hurry until the delay had gone too.
    #expect(listener.accelerated > 5)
    #expect(listener.buffer.currentDelay < .milliseconds(75))
    #expect(listener.buffer.statistics.discarded == 0)
  }

  @Test(arguments: [-300, -50, 50, 300]) func absorbsClockDrift(partsPerMillion: Int) {
    let listener = Listener()
    // 10 minutes; a fast far end sends 20 ms of audio in less than 20 ms.
    let packets = (0..<30_000).map { i in
      Flight(
        arrival: 20 + Int(Double(i * 20) / (1 + Double(partsPerMillion) / 1e6)), sequence: i, timestamp: UInt32(i * 160)
      )
    }
    listener.run(packets)
    #expect(listener.played.count == 30_000)
    #expect(listener.buffer.statistics.late == 0 && listener.buffer.statistics.discarded == 0)
    #expect(listener.missing < 40)
    // 300 ppm of 10 minutes are 180 ms.
    #expect(listener.buffer.currentDelay < .milliseconds(75))
    if partsPerMillion == 300 { #expect(listener.accelerated >= 12 && listener.accelerated <= 60) }
    if partsPerMillion == -300 { #expect(listener.expanded + listener.missing > 5) }
  }

  @Test func silenceIsNoLoss() {
    let listener = Listener()
    // Talk of 1 s and silence of 3 s, with numbers going on and timestamps showing the time (RFC 3551 §4.1).
    var packets: [Flight] = []
    for i in 0..<500 {
      let time = i / 50 * 4_000 + i % 50 * 20
      packets.append(Flight(arrival: 30 + time, sequence: i, timestamp: UInt32(time * 8)))
    }
    listener.run(packets)
    #expect(listener.played == Array(0..<500))
    #expect(listener.buffer.statistics.lost == 0 && listener.buffer.statistics.late == 0)
    // Each pause begins with at most three concealed packets.
    #expect(listener.missing <= 3 * 10)
    #expect(listener.waiting > 9 * 140)
    // Each talkspurt starts within the target and a tick.
    for spurt in 0..<10 {
      let first = listener.playedAt[spurt * 50]
      #expect(first - (30 + spurt * 4_000) <= 80)
    }
  }

  @Test func aPauseInsideTheBufferIsAGap() {
    var configuration = JitterBuffer.Configuration()
    configuration.minimumDelay = .milliseconds(100)
    configuration.initialDelay = .milliseconds(100)
    let listener = Listener(configuration: configuration)
    var packets: [Flight] = []
    for i in 0..<100 {
      let time = i * 20 + i / 10 * 60
      packets.append(Flight(arrival: 10 + time, sequence: i, timestamp: UInt32(time * 8)))
    }
    listener.run(packets)
    #expect(listener.played == Array(0..<100))
    #expect((18...36).contains(listener.gaps))
    #expect(listener.buffer.statistics.lost == 0)
  }

  @Test func aJumpOfTheClockPlaysOn() {
    for jump in [3_000_000_000, 50_000, .max - 60_000] as [UInt32] {
      let listener = Listener()
      var packets = flights(100) { _ in 20 }
      packets += flights(100, sequence: 100, timestamp: 16_000 &+ jump, start: 2_000) { _ in 20 }
      listener.run(packets)
      #expect(listener.played == Array(0..<200))
      let step = listener.playedAt[100] - listener.playedAt[99]
      #expect(step <= 40)
      #expect(listener.gaps == 0 && listener.buffer.statistics.resets == 0 && listener.missing <= 3)
      #expect(listener.playedAt[199] - (199 * 20 + 20) <= 80)
    }
  }

  @Test(arguments: [150, 500, 900]) func aPauseThatTheClockDoesNotShowCostsNoDelay(pause: Int) {
    let listener = Listener()
    // The far end stops for a while and goes on with the next timestamp, as prompts and transfers do.
    let packets = flights(600) { $0 < 200 ? 20 : 20 + pause }
    listener.run(Array(packets[..<400]), tail: 0)
    #expect(listener.buffer.targetDelay <= .milliseconds(60))
    listener.run(Array(packets[400...]), tail: 0)
    #expect(listener.played.count >= 598)
    #expect(listener.playedAt[listener.playedAt.count - 1] - (599 * 20 + 20 + pause) <= 80)
    #expect(listener.missing <= 12)
  }

  @Test func eventsInTheStreamAreNoLoss() {
    let listener = Listener()
    var ms = 0
    for i in 0..<300 {
      if (100..<110).contains(i) {
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        let verdict = listener.buffer.insert(
          sequence: UInt16(i), timestamp: 16_000, payload: empty, carriesAudio: false, now: at(ms))
        #expect(verdict == .stored)
      } else {
        listener.hear(i, timestamp: UInt32(i * 160), ms: ms)
      }
      listener.tick(ms: ms + 3)
      ms += 20
    }
    for _ in 0..<10 {
      listener.tick(ms: ms + 3)
      ms += 20
    }
    #expect(listener.played == (0..<100).map { UInt16($0) } + (110..<300).map { UInt16($0) })
    #expect(listener.buffer.statistics.lost == 0 && listener.buffer.statistics.late == 0)
    #expect(listener.buffer.bufferedPackets == 0)
  }

  @Test func anotherNumberingIsTakenUpAtItsSecondPacket() {
    let listener = Listener()
    listener.run(flights(100) { _ in 20 })
    #expect(listener.hear(40_000, timestamp: 7_777_777, ms: 2_500) == .late)
    #expect(listener.hear(40_001, timestamp: 7_777_937, ms: 2_520) == .reset)
    #expect(listener.hear(40_002, timestamp: 7_778_097, ms: 2_540) == .stored)
    #expect(listener.buffer.statistics.resets == 1)
    listener.run(flights(50, sequence: 40_003, timestamp: 7_778_257, start: 2_540) { _ in 20 })
    #expect(listener.played.suffix(52) == (40_001...40_052).map { UInt16($0) }[...])
  }

  @Test func oneStrayPacketChangesNothing() {
    let listener = Listener()
    let packets = flights(200) { _ in 20 } + [Flight(arrival: 1_995, sequence: 30_000, timestamp: 99)]
    listener.run(packets)
    #expect(listener.played == Array(0..<200))
    #expect(listener.buffer.statistics.resets == 0)
  }

  @Test func resetForgetsPacketsAndTakesAnySource() {
    let listener = Listener()
    for i in 0..<5 { listener.hear(i, timestamp: UInt32(i * 160), ms: i * 20) }
    listener.buffer.reset()
    #expect(listener.buffer.bufferedPackets == 0)
    #expect(listener.buffer.pop(now: at(100)) == .waiting)
    listener.run(flights(50, sequence: 50_000, timestamp: 1, start: 200) { _ in 0 })
    #expect(listener.played == (50_000..<50_050).map { UInt16($0) })
  }

  @Test(arguments: [300, 700, 1_500, 5_000]) func aStallIsCaughtUpWith(stall: Int) {
    let listener = Listener()
    // Everything sent during the stall arrives at its end.
    listener.run(flights(1_500) { i in (500..<(500 + stall / 20)).contains(i) ? 20 + stall - (i - 500) * 20 : 20 })
    #expect(listener.isInOrder)
    #expect(listener.played.last == 1_499)
    // Five seconds after its end the delay is back under a quarter of a second, ten seconds after it is small.
    func delay(_ packet: Int) -> Int {
      listener.played.firstIndex(of: UInt16(packet)).map { listener.playedAt[$0] - packet * 20 - 20 } ?? .max
    }
    #expect(delay(500 + stall / 20 + 250) < 450)
    #expect(delay(1_499) < 450)
    #expect(listener.played.count > 1_500 - stall / 20 - 10)
  }

  @Test func dropsTheOldestWhenTheSlotsAreFull() {
    let listener = Listener()
    for i in 0..<100 { #expect(listener.hear(i, timestamp: UInt32(i * 160), ms: 0) == .stored) }
    #expect(listener.buffer.bufferedPackets == JitterBuffer.slotCount)
    #expect(listener.buffer.statistics.discarded == 36)
    for i in 0..<120 { listener.tick(ms: 100 + i * 20) }
    #expect(listener.isInOrder && listener.played.last == 99)
    #expect(listener.buffer.bufferedPackets == 0)
  }

  @Test func startsOverBehindALongHoleWithoutConcealingIt() {
    let listener = Listener()
    // The far end counts on through a hold of 20 s.
    var packets = flights(50) { _ in 20 }
    packets += flights(50, sequence: 1_050, timestamp: 1_050 * 160, start: 21_000) { _ in 20 }
    listener.run(packets)
    #expect(listener.played.count == 100)
    #expect(listener.missing <= 6)
    #expect(listener.playedAt[50] - 21_020 <= 80)
  }

  @Test func refusesWhatIsLongerThanASlotAndTakesTheEmpty() {
    var buffer = JitterBuffer(clockRate: 8_000, packetDuration: 160)
    let big = [UInt8](repeating: 1, count: JitterBuffer.slotSize + 1)
    #expect(
      big.withUnsafeBytes { buffer.insert(sequence: 1, timestamp: 0, payload: $0, now: .zero) } == .oversized)
    #expect(
      big.dropLast().withUnsafeBytes { buffer.insert(sequence: 1, timestamp: 0, payload: $0, now: .zero) } == .stored)
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    #expect(buffer.insert(sequence: 2, timestamp: 160, payload: empty, now: .zero) == .stored)
    guard case .packet(let first) = buffer.pop(now: at(100)), case .packet(let second) = buffer.pop(now: at(100)) else {
      Issue.record("no packets")
      return
    }
    #expect(first.count == JitterBuffer.slotSize && buffer.payload(of: first).allSatisfy { $0 == 1 })
    #expect(second.count == 0 && buffer.payload(of: second).isEmpty)
  }

  @Test func keepsWhatBelongsToAPacket() {
    var buffer = JitterBuffer(clockRate: 48_000, packetDuration: 960)
    let verdict = [UInt8]([9, 8, 7]).withUnsafeBytes {
      buffer.insert(
        sequence: 5, timestamp: 77, payload: $0, payloadType: PayloadType(111), marker: true, duration: 2_880,
        now: .zero)
    }
    #expect(verdict == .stored)
    #expect(buffer.pop(now: at(10)) == .waiting)
    guard case .packet(let slot) = buffer.pop(now: at(41)) else {
      Issue.record("no packet")
      return
    }
    #expect(slot.sequence == 5 && slot.timestamp == 77 && slot.payloadType == PayloadType(111) && slot.marker)
    #expect(slot.duration == 2_880 && Array(buffer.payload(of: slot)) == [9, 8, 7])
  }

  @Test(arguments: [10, 30, 40, 60]) func learnsTheLengthOfPackets(packet: Int) {
    let listener = Listener()
    listener.run(flights(300, packet: packet) { _ in 20 })
    #expect(listener.played.count == 300)
    // From the fourth packet on their length is known, so none plays into the next.
    #expect(listener.missing <= 6 && listener.gaps <= 3)
    #expect(listener.buffer.statistics.lost == 0)
  }

  @Test func anotherCodecsClockGoesOn() {
    let listener = Listener()
    for i in 0..<20 { listener.hear(i, timestamp: UInt32(i * 160), ms: i * 20) }
    for i in 0..<20 { listener.tick(ms: 41 + i * 20) }
    listener.buffer.setClockRate(48_000, packetDuration: 960)
    listener.clockRate = 48_000
    var missing = listener.missing
    for i in 20..<60 {
      listener.hear(i, timestamp: 4_000_000 + UInt32(i * 960), ms: i * 20 + 41)
      if i == 30 { missing = listener.missing }
      listener.tick(ms: i * 20 + 45)
    }
    #expect(listener.played.count >= 57)
    #expect(listener.missing == missing)
    #expect(listener.isInOrder)
  }

  @Test(arguments: 0..<6 as Range<UInt64>) func everythingAtOnceStaysInOrderAndBounded(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let listener = Listener()
    var packets: [Flight] = []
    var sequence = Int.random(in: 0...65_535, using: &random)
    var timestamp = UInt32.random(in: 0 ... .max, using: &random)
    var delay = 50
    for i in 0..<6_000 {
      sequence += 1
      timestamp &+= 160
      switch Int.random(in: 0..<1_000, using: &random) {
      case 0: timestamp &+= .random(in: 0 ... .max, using: &random)
      case 1: delay = Int.random(in: 10...300, using: &random)
      default: break
      }
      guard Int.random(in: 0..<100, using: &random) > 4 else { continue }
      let copies = Int.random(in: 0..<50, using: &random) == 0 ? 2 : 1
      for _ in 0..<copies {
        let arrival = i * 20 + delay + Int.random(in: 0...40, using: &random)
        packets.append(Flight(arrival: arrival, sequence: sequence, timestamp: timestamp))
      }
    }
    listener.run(packets)
    #expect(listener.isInOrder)
    #expect(listener.played.count > 5_000)
    #expect(listener.buffer.bufferedPackets <= 1)
    #expect(Set(listener.played).count == listener.played.count)
  }

  @Test func junkNeverTraps() {
    var random = SeededRandom(seed: 9)
    let listener = Listener()
    var ms = 0
    for _ in 0..<30_000 {
      ms += Int.random(in: 0...30, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0:
        listener.hear(
          .random(in: 0...65_535, using: &random), timestamp: .random(in: 0 ... .max, using: &random), ms: ms)
      case 1:
        listener.hear(.random(in: 0...200, using: &random), timestamp: .random(in: 0...32_000, using: &random), ms: ms)
      case 2:
        if Int.random(in: 0..<100, using: &random) == 0 { listener.buffer.reset() }
      case 3: listener.buffer.timeScaled(by: .milliseconds(Int.random(in: -50...50, using: &random)))
      default: listener.tick(ms: ms)
      }
    }
    #expect(listener.buffer.bufferedPackets <= JitterBuffer.slotCount)
  }
}
