import Core
import Testing

@testable import SFU

private func at(_ milliseconds: Double) -> Instant { Instant(nanoseconds: Int64(milliseconds * 1e6)) }

@Suite struct PacketGroupsTests {
  /// Feeds packets (sent, arrived, in milliseconds) and returns the deltas that they complete, nil for none.
  private func run(_ packets: [(Double, Double)]) -> [GroupDelta?] {
    var groups = PacketGroups()
    return packets.map { groups.add(sentAt: at($0.0), arrival: at($0.1)) }
  }

  @Test func gathersABurstAndComparesWholeGroups() {
    let deltas = run([(0, 100), (3, 104), (20, 121), (40, 150), (60, 190)])
    #expect(deltas[0] == nil && deltas[1] == nil && deltas[2] == nil)
    // Last packets of the first two groups: sent at 3 and 20, here at 104 and 121.
    #expect(deltas[3]?.sent == 17 && deltas[3]?.arrived == 17 && deltas[3]?.variation == 0)
    #expect(deltas[4]?.sent == 20 && deltas[4]?.arrived == 29 && deltas[4]?.variation == 9)
  }

  @Test func takesWhatARouterHeldBackForOneGroup() {
    // 10 ms apart on the way out, 1 ms on arrival: they waited together (§5.2).
    let deltas = run([(0, 100), (10, 101), (20, 102), (50, 140), (80, 170)])
    #expect(deltas[1] == nil && deltas[2] == nil && deltas[3] == nil)
    #expect(deltas[4]?.sent == 30)
  }

  @Test func passesOverPacketsFromThePast() {
    let deltas = run([(0, 100), (20, 120), (10, 130), (40, 140)])
    #expect(deltas[2] == nil)
    #expect(deltas[3]?.arrived == 20)
  }

  @Test func startsAnewWhenTheReceiversClockJumps() {
    let jump = 9_000_000.0
    let deltas = run([
      (0, 100), (20, 120), (40, jump), (60, jump + 20), (80, jump + 40), (100, jump + 60), (120, jump + 80),
    ])
    #expect(deltas[3] == nil)
    #expect(deltas[6]?.variation == 0)
  }
}

@Suite struct TrendlineTests {
  private func slope(gain: (Int) -> Double, count: Int = 60) -> Double {
    var line = TrendlineEstimator()
    var time = 0.0
    for i in 0..<count {
      let arrived = 20 + gain(i)
      time += arrived
      line.add(GroupDelta(sent: 20, arrived: arrived, arrival: at(time)))
    }
    return line.slope
  }

  @Test func isFlatOnAnEmptyPath() {
    #expect(abs(slope { _ in 0 }) < 1e-9)
  }

  @Test func saysNothingBeforeItsWindowIsFull() {
    #expect(slope(gain: { _ in 5 }, count: 19) == 0)
  }

  @Test func findsTheShareByWhichWeAreTooFast() {
    // Each 20 ms of packets takes 25 ms: 1 − capacity ÷ rate is 0.2.
    #expect(abs(slope { _ in 5 } - 0.2) < 0.02)
    #expect(slope { _ in -2 } < -0.05)
  }

  @Test func doesNotTakeJitterForATrend() {
    var random = SeededRandom(seed: 9)
    var late = 0.0
    let found = slope(
      gain: { _ in
        let next = Double.random(in: 0...8, using: &random)
        defer { late = next }
        return next - late
      }, count: 400)
    #expect(abs(found) < 0.03)
  }
}

@Suite struct OveruseDetectorTests {
  private func run(_ slopes: [Double], step: Double = 20) -> (OveruseDetector, [BandwidthUsage]) {
    var detector = OveruseDetector()
    var usages: [BandwidthUsage] = []
    for (i, slope) in slopes.enumerated() {
      detector.update(slope: slope, groups: i + 2, sent: step, now: at(Double(i) * step))
      usages.append(detector.usage)
    }
    return (detector, usages)
  }

  @Test func oneGroupOverTheThresholdIsNotOveruse() {
    #expect(run([Double](repeating: 0, count: 60) + [0.2, 0, 0]).1.allSatisfy { $0 != .overuse })
  }

  @Test func aSteadySlopeIsOveruse() {
    let usages = run([Double](repeating: 0, count: 60) + [0.1, 0.12, 0.14]).1
    #expect(usages.contains(.overuse))
  }

  @Test func aSlopeThatFallsIsNotAnswered() {
    let usages = run([Double](repeating: 0, count: 60) + [0.3, 0.28, 0.26, 0.24, 0.22]).1
    #expect(!usages.dropFirst(61).contains(.overuse))
  }

  @Test func aDrainingQueueIsUnderuse() {
    #expect(run([Double](repeating: 0, count: 60) + [-0.2]).1.last == .underuse)
  }

  @Test func theThresholdRisesWithTheNoiseAndFallsSlowlyBack() {
    let noisy = (0..<200).map { $0 % 2 == 0 ? 0.09 : -0.09 }
    let (detector, _) = run(noisy)
    #expect(detector.threshold > 15)
    let (calm, _) = run(noisy + [Double](repeating: 0, count: 500))
    #expect(calm.threshold < 7)
    #expect(calm.threshold >= 6)
  }

  @Test func anOutlierDoesNotMoveTheThreshold() {
    let flat = [Double](repeating: 0.04, count: 100)
    let before = run(flat).0.threshold
    let after = run(flat + [2.0]).0.threshold
    #expect(abs(after - before) < 0.5)
  }
}

@Suite struct AcknowledgedBitrateTests {
  private func feed(_ rate: inout AcknowledgedBitrate, kbps: Int, from: Double, to: Double, every step: Double = 10) {
    var time = from
    while time < to {
      rate.add(bytes: Int(Double(kbps) * step / 8), arrival: at(time))
      time += step
    }
  }

  @Test func saysNothingTooEarly() {
    var rate = AcknowledgedBitrate()
    feed(&rate, kbps: 800, from: 0, to: 90)
    #expect(rate.bitrate == nil)
  }

  @Test func measuresASteadyFlow() throws {
    var rate = AcknowledgedBitrate()
    feed(&rate, kbps: 800, from: 5000, to: 6000)
    let bitrate = try #require(rate.bitrate)
    #expect(abs(bitrate - 800_000) < 60_000)
  }

  @Test func theShortWindowSeesAStepFirst() throws {
    var rate = AcknowledgedBitrate()
    feed(&rate, kbps: 2000, from: 0, to: 1000)
    feed(&rate, kbps: 300, from: 1000, to: 1230)
    #expect(try #require(rate.recent) < 400_000)
    #expect(try #require(rate.bitrate) > 800_000)
    feed(&rate, kbps: 300, from: 1230, to: 1600)
    #expect(try #require(rate.bitrate) < 360_000)
  }

  @Test func startsAnewAfterALongSilence() {
    var rate = AcknowledgedBitrate()
    feed(&rate, kbps: 800, from: 0, to: 1000)
    rate.add(bytes: 100, arrival: at(60_000))
    #expect(rate.bitrate == nil)
  }
}

@Suite struct StandingQueueTests {
  private func run(_ roundTrips: [Int]) -> [Bool] {
    var queue = StandingQueue()
    return roundTrips.enumerated().map { index, value in
      queue.add(.milliseconds(value), now: at(Double(index) * 50))
      return queue.isDraining
    }
  }

  @Test func drainsFromAStandingQueueUntilItIsGone() {
    let found = run([50, 60, 300, 300, 300, 300, 200, 120, 100, 60])
    #expect(found == [false, false, false, false, true, true, true, true, false, false])
  }

  @Test func aSingleLateReportIsNoQueue() {
    #expect(!run([50, 400, 60, 50, 300, 300, 60]).contains(true))
  }

  @Test func aLongerRouteIsAcceptedInTime() {
    let found = run([Int](repeating: 50, count: 20) + [Int](repeating: 300, count: 600))
    #expect(found.contains(true))
    #expect(found.last == false)
  }
}
