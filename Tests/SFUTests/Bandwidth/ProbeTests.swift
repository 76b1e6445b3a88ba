import Core
import Testing

@testable import SFU

private func at(_ milliseconds: Double) -> Instant { Instant(nanoseconds: Int64(milliseconds * 1e6)) }

@Suite struct ProbeControllerTests {
  @Test func takesTheEstimateThreefoldAtTheStartAndGoesOnWhileThePathFollows() throws {
    var probes = ProbeController()
    let firstFound = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(0))
    let first = try #require(firstFound)
    #expect(first.bitrate == 900_000)
    let found1 = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(10))
    #expect(found1 == nil)
    probes.receive(result: 850_000, estimate: 850_000, now: at(80))
    let secondFound = probes.next(estimate: 850_000, wanted: 5_000_000, isCalm: true, now: at(85))
    let second = try #require(secondFound)
    #expect(second.bitrate == 1_700_000)
    #expect(second.id != first.id)
    // The path gave no more than this: no further step at once.
    probes.receive(result: 1_000_000, estimate: 1_000_000, now: at(160))
    let found2 = probes.next(estimate: 1_000_000, wanted: 5_000_000, isCalm: true, now: at(200))
    #expect(found2 == nil)
  }

  @Test func asksForNoMoreThanIsOfUse() throws {
    var probes = ProbeController()
    let clusterFound = probes.next(estimate: 300_000, wanted: 400_000, isCalm: true, now: at(0))
    let cluster = try #require(clusterFound)
    #expect(cluster.bitrate == 450_000)
    var content = ProbeController()
    let found3 = content.next(estimate: 300_000, wanted: 300_000, isCalm: true, now: at(0))
    #expect(found3 == nil)
    let found4 = content.next(estimate: 300_000, wanted: nil, isCalm: true, now: at(0))
    #expect(found4 == nil)
  }

  @Test func waitsForACalmPath() {
    var probes = ProbeController()
    let found5 = probes.next(estimate: 300_000, wanted: 1_000_000, isCalm: false, now: at(0))
    #expect(found5 == nil)
    let found6 = probes.next(estimate: 300_000, wanted: 1_000_000, isCalm: true, now: at(10))
    #expect(found6 != nil)
  }

  @Test func probesPeriodicallyAndLessOftenInVain() throws {
    var probes = ProbeController()
    var times: [Double] = []
    for i in 0..<1200 {
      let now = at(Double(i) * 50)
      if let cluster = probes.next(estimate: 500_000, wanted: 2_000_000, isCalm: true, now: now) {
        times.append(Double(i) * 50)
        probes.receive(result: cluster.bitrate / 2, estimate: 500_000, now: now + .milliseconds(100))
      }
    }
    #expect(times.count >= 11 && times.count <= 18)
    let gaps = zip(times.dropFirst(), times).map(-)
    #expect(gaps.first! < 5000)
    #expect(gaps.last! >= 5000)
    #expect(gaps.max()! <= 5100)
  }

  @Test func triesTheOldRateSoonAfterAFall() throws {
    var probes = ProbeController()
    _ = probes.next(estimate: 2_000_000, wanted: 3_000_000, isCalm: true, now: at(0))
    probes.receive(result: 500_000, estimate: 2_000_000, now: at(100))
    probes.fell(from: 2_000_000, to: 400_000, now: at(200))
    var found: (ProbeCluster, Double)?
    for i in 0..<60 where found == nil {
      let time = 200 + Double(i) * 50
      if let cluster = probes.next(estimate: 400_000, wanted: 3_000_000, isCalm: true, now: at(time)) {
        found = (cluster, time)
      }
    }
    let (cluster, time) = try #require(found)
    #expect(cluster.bitrate == 1_700_000)
    #expect(time > 2200 && time < 2400)
  }

  @Test func aProbeThatCouldNotBeSentIsTriedAgainSoon() throws {
    var probes = ProbeController()
    let first = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(0))
    #expect(first != nil)
    probes.cancel(now: at(0))
    let early = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(100))
    #expect(early == nil)
    let later = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(200))
    #expect(later?.bitrate == 900_000)
  }

  @Test func startsAnewWithTheFirstReport() {
    var probes = ProbeController()
    _ = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(0))
    let waiting = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(100))
    probes.restart()
    let again = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(105))
    #expect(waiting == nil)
    #expect(again?.bitrate == 900_000)
  }

  @Test func probesOftenWhileSomebodyIsPaused() {
    var probes = ProbeController()
    var count = 0
    for i in 0..<400 {
      let now = at(Double(i) * 50)
      if let cluster = probes.next(estimate: 500_000, wanted: 2_000_000, isUrgent: true, isCalm: true, now: now) {
        count += 1
        probes.receive(result: cluster.bitrate / 2, estimate: 500_000, now: now + .milliseconds(100))
      }
    }
    #expect(count >= 18 && count <= 21)
  }

  @Test func aResultThatNeverComesEndsTheWait() {
    var probes = ProbeController()
    let found7 = probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(0))
    #expect(found7 != nil)
    var again = false
    for i in 1..<300
    where probes.next(estimate: 300_000, wanted: 5_000_000, isCalm: true, now: at(Double(i) * 50)) != nil {
      again = true
    }
    #expect(again)
  }
}

@Suite struct ProbeEstimatorTests {
  /// Bursts every 5 ms at `kbps`, through a link of `link` kbps.
  private func probe(kbps: Double, link: Double, lost: Int = 0, cluster: UInt8 = 1) -> Int? {
    var estimator = ProbeEstimator()
    let burst = kbps / 8 * 5
    estimator.begin(cluster: 1, bytes: Int(burst * 6), packets: 5)
    var busy = 0.0
    var result: Int?
    var number = 0
    for step in 0..<6 {
      var left = burst
      while left > 1 {
        let bytes = min(left, 1000)
        left -= bytes
        busy = max(busy, Double(step) * 5) + bytes * 8 / link
        number += 1
        if number <= lost { continue }
        let packet = AcknowledgedPacket(
          sentAt: at(Double(step) * 5), arrival: at(500 + busy), bytes: Int(bytes), untracked: 0, cluster: cluster)
        if let rate = estimator.add(packet) { result = rate }
      }
    }
    return result
  }

  @Test func findsTheRateOfSendingOnAFreePath() throws {
    let rate = try #require(probe(kbps: 2000, link: 20_000))
    #expect(abs(rate - 2_000_000) < 150_000)
  }

  @Test func findsTheLinksRateWhenTheProbeFillsIt() throws {
    let rate = try #require(probe(kbps: 4000, link: 1500))
    #expect(abs(rate - 1_425_000) < 150_000)
  }

  @Test func saysNothingWhenMuchIsLost() {
    #expect(probe(kbps: 4000, link: 4000, lost: 6) == nil)
  }

  @Test func passesOverOtherPackets() {
    #expect(probe(kbps: 4000, link: 4000, cluster: 2) == nil)
  }

  @Test func distrustsRatesThatNoPathHas() {
    var estimator = ProbeEstimator()
    estimator.begin(cluster: 1, bytes: 5000, packets: 5)
    var result: Int?
    // All arrive in 1 ms what was sent in 20: a receiver that gathers.
    for i in 0..<5 {
      result = estimator.add(
        AcknowledgedPacket(
          sentAt: at(Double(i) * 5), arrival: at(100 + Double(i) * 0.25), bytes: 1000, untracked: 0, cluster: 1))
    }
    #expect(result == nil)
  }
}
