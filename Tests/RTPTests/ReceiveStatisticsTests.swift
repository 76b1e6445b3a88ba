import Core
import RTP
import TestSupport
import Testing

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: Int64(milliseconds) * 1_000_000) }

@Suite struct ReceiveStatisticsTests {
  /// Feeds `count` packets of 20 ms PCMU, leaving out those that `isLost`.
  private func feed(
    _ statistics: inout ReceiveStatistics, from first: Int, count: Int, source: SSRC = SSRC(1),
    isLost: (Int) -> Bool = { _ in false }
  ) {
    for i in first..<(first + count) where !isLost(i) {
      statistics.receive(
        source: source, sequence: UInt16(truncatingIfNeeded: i), timestamp: UInt32(truncatingIfNeeded: i * 160),
        payloadOctets: 160, now: at(i * 20))
    }
  }

  private func report(_ statistics: inout ReceiveStatistics, _ lsr: UInt32 = 0, _ delay: UInt32 = 0) -> ReportBlock? {
    statistics.makeReportBlock(lastSenderReport: lsr, delay: delay)
  }

  @Test func countsAPerfectStreamAcrossTheWrap() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    feed(&statistics, from: 65_000, count: 70_000)
    #expect(statistics.packetsReceived == 70_000 && statistics.octetsReceived == 11_200_000)
    #expect(statistics.packetsLost == 0 && statistics.jitter == 0)
    #expect(statistics.extendedHighestSequence == 65_000 + 69_999)
    let block = report(&statistics, 0, 0)
    #expect(block?.extendedHighestSequence == 134_999 && block?.fractionLost == 0 && block?.cumulativeLost == 0)
  }

  @Test func countsLossByIntervalAndInAll() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    let none = report(&statistics)
    #expect(none == nil)
    feed(&statistics, from: 0, count: 101) { $0 % 4 == 1 }
    var block = report(&statistics, 9, 8)
    #expect(block?.cumulativeLost == 25)
    #expect(block?.fractionLost == UInt8(25 * 256 / 101))
    #expect(block?.lastSenderReport == 9 && block?.delaySinceLastSenderReport == 8)
    feed(&statistics, from: 101, count: 100)
    block = report(&statistics, 0, 0)
    #expect(block?.fractionLost == 0 && block?.cumulativeLost == 25)
    #expect(statistics.packetsLost == 25)
  }

  @Test func totalLossOfAnIntervalIs255Of256() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    feed(&statistics, from: 0, count: 1)
    _ = statistics.makeReportBlock(lastSenderReport: 0, delay: 0)
    feed(&statistics, from: 2_000, count: 1)
    let block = report(&statistics)
    #expect(block?.fractionLost == 255)
  }

  @Test func duplicatesMakeTheLossNegative() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    feed(&statistics, from: 0, count: 10)
    feed(&statistics, from: 5, count: 5)
    #expect(statistics.packetsLost == -5)
    let block = report(&statistics, 0, 0)
    #expect(block?.cumulativeLost == -5 && block?.fractionLost == 0)
  }

  @Test func reorderingIsNoLoss() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    for i in [65_534, 65_535, 65_537, 65_536, 65_539, 65_538] { feed(&statistics, from: i, count: 1) }
    #expect(statistics.packetsLost == 0 && statistics.packetsReceived == 6)
    #expect(statistics.extendedHighestSequence == 65_539)
  }

  @Test func oneFarPacketIsIgnoredTwoRestart() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    feed(&statistics, from: 0, count: 50) { $0 == 7 }
    func far(_ s: inout ReceiveStatistics, _ sequence: UInt16) -> ReceiveStatistics.Verdict {
      s.receive(source: SSRC(1), sequence: sequence, timestamp: 0, payloadOctets: 160, now: at(1_000))
    }
    var verdict = far(&statistics, 20_000)
    #expect(verdict == .suspicious)
    #expect(statistics.packetsReceived == 49)
    verdict = far(&statistics, 50)
    #expect(verdict == .accepted)
    verdict = far(&statistics, 40_000)
    #expect(verdict == .suspicious)
    verdict = far(&statistics, 40_001)
    #expect(verdict == .restarted)
    #expect(statistics.extendedHighestSequence == 40_001)
    #expect(statistics.packetsLost == 1)
    verdict = far(&statistics, 40_003)
    #expect(verdict == .accepted)
    #expect(statistics.packetsLost == 2)
  }

  @Test func anotherSourceKeepsTheTotals() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    feed(&statistics, from: 0, count: 100) { $0 == 50 }
    feed(&statistics, from: 30_000, count: 100, source: SSRC(2)) { $0 == 30_050 }
    #expect(statistics.source == SSRC(2))
    #expect(statistics.packetsReceived == 198 && statistics.packetsLost == 2)
    #expect(statistics.packetsExpected == 100)
  }

  @Test func jitterFollowsRFC3550A8() {
    // Alternating 0 and 10 ms of extra delay: |D| is 80 units each time, so J tends to 80.
    var statistics = ReceiveStatistics(clockRate: 8_000)
    for i in 0..<400 {
      statistics.receive(
        source: SSRC(1), sequence: UInt16(i), timestamp: UInt32(i * 160), payloadOctets: 160,
        now: at(i * 20 + (i % 2) * 10))
    }
    #expect((78...80).contains(statistics.jitter))
    #expect(abs(statistics.jitterMilliseconds - 10) < 0.3)
    statistics.setClockRate(48_000)
    #expect((470...480).contains(statistics.jitter))
    #expect(abs(statistics.jitterMilliseconds - 10) < 0.3)
  }

  @Test func silenceClockJumpsAndEventsAreNoJitter() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    feed(&statistics, from: 0, count: 100)
    // DTX: 10 s of nothing, timestamps gone on.
    statistics.receive(
      source: SSRC(1), sequence: 100, timestamp: 100 * 160 + 80_000, payloadOctets: 160, now: at(12_000))
    #expect(statistics.jitter == 0)
    // The far end's clock was set.
    statistics.receive(source: SSRC(1), sequence: 101, timestamp: 4_000_000_000, payloadOctets: 160, now: at(12_020))
    #expect(statistics.jitter == 0)
    // Events repeat their timestamp.
    for i in 0..<20 {
      statistics.receive(
        source: SSRC(1), sequence: UInt16(102 + i), timestamp: 4_000_000_160, payloadOctets: 4,
        now: at(12_040 + 20 * i),
        measuresJitter: false)
    }
    #expect(statistics.jitter == 0)
    #expect(statistics.lastArrival == at(12_420))
  }

  @Test func timestampsWrapWithoutJitter() {
    var statistics = ReceiveStatistics(clockRate: 8_000)
    for i in 0..<100 {
      statistics.receive(
        source: SSRC(1), sequence: UInt16(i), timestamp: UInt32.max - 8_000 &+ UInt32(i * 160), payloadOctets: 160,
        now: at(i * 20))
    }
    #expect(statistics.jitter == 0)
  }

  @Test func randomNumbersNeverTrap() {
    var random = SeededRandom(seed: 3)
    var statistics = ReceiveStatistics(clockRate: 8_000)
    for _ in 0..<50_000 {
      statistics.receive(
        source: SSRC(UInt32.random(in: 0...2, using: &random)), sequence: .random(in: 0 ... .max, using: &random),
        timestamp: .random(in: 0 ... .max, using: &random), payloadOctets: 160,
        now: Instant(nanoseconds: .random(in: 0...(.max), using: &random)))
      if Int.random(in: 0..<50, using: &random) == 0 { _ = statistics.makeReportBlock(lastSenderReport: 0, delay: 0) }
    }
    #expect(statistics.packetsReceived > 0)
  }
}

@Suite struct RTCPReporterTests {
  private func reporter(_ ssrc: UInt32, seed: UInt64 = 1) -> RTCPReporter {
    RTCPReporter(ssrc: SSRC(ssrc), cname: "n\(ssrc)@parley", clockRate: 8_000, seed: seed, now: .zero)
  }

  @Test func reportsAsReceiverUntilItSends() throws {
    var a = reporter(1)
    let packets = try RTCPCompound.parse(a.makeReport(now: at(3_000), wall: WallTime(milliseconds: 0)))
    #expect(
      packets == [
        .receiverReport(sender: SSRC(1), blocks: []),
        .sourceDescription([SourceDescription(source: SSRC(1), cname: "n1@parley")]),
      ])
    a.sent(timestamp: 1_000, payloadOctets: 160, now: at(3_000))
    guard
      case .senderReport(let report)? = try RTCPCompound.parse(
        a.makeReport(now: at(3_500), wall: WallTime(milliseconds: 1_500))
      ).first
    else {
      Issue.record("no SR")
      return
    }
    #expect(report.packetCount == 1 && report.octetCount == 160)
    // The media clock ran on for 500 ms.
    #expect(report.rtpTimestamp == 1_000 + 4_000)
    #expect(report.ntp == NTPTime(WallTime(milliseconds: 1_500)))
    // Silent since then: RR again.
    let next = try RTCPCompound.parse(a.makeReport(now: at(9_000), wall: WallTime(milliseconds: 7_000)))
    #expect(next.first == .receiverReport(sender: SSRC(1), blocks: []))
  }

  @Test func reportsAreSpacedByHalfToOneAndAHalfIntervals() {
    var distances: Set<Int64> = []
    for seed in 0..<50 as Range<UInt64> {
      var a = reporter(1, seed: seed)
      let first = a.nextDeadline.nanoseconds / 1_000_000
      #expect((1_250...3_750).contains(first))
      _ = a.makeReport(now: at(10_000), wall: WallTime(milliseconds: 0))
      let distance = (a.nextDeadline - at(10_000)).nanoseconds / 1_000_000
      #expect((2_500...7_500).contains(distance))
      distances.insert(distance)
    }
    #expect(distances.count > 30)
  }

  @Test func measuresTheRoundTrip() throws {
    var a = reporter(1)
    var b = reporter(2)
    a.sent(timestamp: 0, payloadOctets: 160, now: at(0))
    b.received(RTPHeader(payloadType: PayloadType(0), sequence: 1, timestamp: 0, ssrc: SSRC(1)), now: at(40))
    #expect(a.roundTrip == nil)
    let sr = a.makeReport(now: at(1_000), wall: WallTime(milliseconds: 5_000))
    _ = b.receive(try RTCPCompound.parse(sr), now: at(1_040))
    let rr = b.makeReport(now: at(3_040), wall: WallTime(milliseconds: 99_000))
    let outcome = a.receive(try RTCPCompound.parse(rr), now: at(3_075))
    #expect(outcome.roundTripUpdated)
    let roundTrip = try #require(a.roundTrip).inMilliseconds
    #expect(abs(roundTrip - 75) < 0.1)
    #expect(a.remoteReport?.source == SSRC(1))
    #expect(a.lastReportArrival == at(3_075))
    #expect(abs(try #require(a.counters.roundTrip) - 75) < 0.1)
  }

  @Test func measuresNothingFromMadeUpReports() {
    var a = reporter(1)
    a.sent(timestamp: 0, payloadOctets: 160, now: at(0))
    _ = a.makeReport(now: at(1_000), wall: WallTime(milliseconds: 5_000))
    func report(_ lsr: UInt32, _ dlsr: UInt32, _ source: UInt32 = 1) -> RTCPPacket {
      .receiverReport(
        sender: SSRC(2),
        blocks: [
          ReportBlock(
            source: SSRC(source), fractionLost: 0, cumulativeLost: 0, extendedHighestSequence: 0, jitter: 0,
            lastSenderReport: lsr, delaySinceLastSenderReport: dlsr)
        ])
    }
    let middle = NTPTime(WallTime(milliseconds: 5_000)).middle
    for packet in [report(0, 0), report(77, 0), report(middle, .max), report(middle, 0, 9)] {
      #expect(!a.receive([packet], now: at(1_100)).roundTripUpdated)
    }
    #expect(a.roundTrip == nil)
    #expect(a.receive([report(middle, 0)], now: at(1_100)).roundTripUpdated)
    #expect(a.roundTrip == .milliseconds(100))
  }

  @Test func saysGoodbyeAndHearsIt() throws {
    var a = reporter(1)
    var b = reporter(2)
    let bytes = a.makeGoodbye(now: at(10), wall: WallTime(milliseconds: 10), reason: "done")
    #expect(try RTCPCompound.parse(bytes).last == .goodbye(sources: [SSRC(1)], reason: "done"))
    b.received(RTPHeader(payloadType: PayloadType(0), sequence: 1, timestamp: 0, ssrc: SSRC(1)), now: at(5))
    #expect(b.receive(try RTCPCompound.parse(bytes), now: at(20)).goodbye)
    #expect(!b.receive([.goodbye(sources: [SSRC(55)], reason: nil)], now: at(21)).goodbye)
    let pli = RTCPPacket.pictureLossIndication(sender: SSRC(1), media: SSRC(2))
    #expect(b.receive([pli], now: at(22)).feedback == [pli])
  }

  @Test func countsForTheRecord() {
    var a = reporter(1)
    for i in 0..<100 where i != 42 {
      var header = RTPHeader(
        payloadType: PayloadType(0), sequence: UInt16(i), timestamp: UInt32(i * 160), ssrc: SSRC(9))
      header.payload = 12..<172
      a.received(header, now: at(i * 20))
      a.sent(timestamp: UInt32(i * 160), payloadOctets: 33, now: at(i * 20))
    }
    let counters = a.counters
    #expect(counters.packetsReceived == 99 && counters.octetsReceived == 99 * 160 && counters.packetsLost == 1)
    #expect(counters.packetsSent == 99 && counters.octetsSent == 99 * 33)
    #expect(counters.jitter == 0 && counters.roundTrip == nil)
  }

  @Test func bothEndsAgreeOverALossyLink() throws {
    var a = reporter(1)
    var b = reporter(2)
    var link = VirtualLink<RTPHeader>(seed: 11, delay: .milliseconds(30), jitter: .milliseconds(15), loss: 0.1)
    for i in 0..<3_000 {
      let header = RTPHeader(
        payloadType: PayloadType(0), sequence: UInt16(truncatingIfNeeded: 64_000 + i), timestamp: UInt32(i * 160),
        ssrc: SSRC(1))
      a.sent(timestamp: header.timestamp, payloadOctets: 160, now: at(i * 20))
      link.send(header, now: at(i * 20))
      for header in link.receive(now: at(i * 20)) { b.received(header, now: at(i * 20)) }
    }
    _ = a.receive(
      try RTCPCompound.parse(b.makeReport(now: at(60_000), wall: WallTime(milliseconds: 0))), now: at(60_040))
    let lost = try #require(a.remoteReport?.cumulativeLost)
    #expect((240...360).contains(lost))
    #expect(Int(lost) == b.statistics.packetsLost)
    // Arrivals are seen on the 20 ms grid, so the jitter is that of the grid.
    #expect(b.statistics.jitterMilliseconds > 1 && b.statistics.jitterMilliseconds < 25)
  }
}
