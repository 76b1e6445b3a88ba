import Core
import Testing

@testable import SFU

private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

@Suite struct RateControllerTests {
  private func make(_ initial: Int = 300_000) -> RateController {
    RateController(initial: initial, minimum: 40_000, maximum: 10_000_000)
  }

  private func run(
    _ rate: inout RateController, from: Int, to: Int, acknowledged: Int?, isLimited: Bool = false
  ) {
    for time in stride(from: from, to: to, by: 50) {
      rate.update(
        usage: .normal, acknowledged: acknowledged, recent: acknowledged, slope: 0, isLimited: isLimited,
        now: at(time))
    }
  }

  @Test func growsByEightPercentASecond() {
    var rate = make(1_000_000)
    run(&rate, from: 0, to: 1050, acknowledged: 5_000_000)
    #expect(abs(rate.bitrate - 1_080_000) < 8_000)
  }

  @Test func neverOutrunsWhatArrivesByMoreThanHalf() {
    var rate = make(300_000)
    run(&rate, from: 0, to: 60_000, acknowledged: 300_000)
    #expect(rate.bitrate <= 460_000)
    #expect(rate.bitrate > 440_000)
  }

  @Test func fallsToTheShareOfWhatArrives() {
    var rate = make(2_000_000)
    rate.update(
      usage: .overuse, acknowledged: 1_500_000, recent: 1_000_000, slope: 0.4, isLimited: false, now: at(0))
    #expect(abs(rate.bitrate - 850_000) < 1)
  }

  @Test func aGapBetweenPicturesIsNotTakenForTheLink() {
    var rate = make(700_000)
    rate.update(usage: .overuse, acknowledged: 440_000, recent: 60_000, slope: 0.06, isLimited: false, now: at(0))
    #expect(abs(rate.bitrate - 374_000) < 1)
    rate.update(usage: .overuse, acknowledged: 440_000, recent: 60_000, slope: 0.6, isLimited: false, now: at(1000))
    #expect(abs(rate.bitrate - 187_000) < 1)
  }

  @Test func aFlowThatHasJustBegunIsNotTakenForTheLink() {
    var rate = make(230_000)
    rate.update(usage: .overuse, acknowledged: 120_000, recent: 240_000, slope: 0.06, isLimited: false, now: at(0))
    #expect(abs(rate.bitrate - 204_000) < 1)
  }

  @Test func fallsOnceARoundTrip() {
    var rate = make(1_000_000)
    rate.roundTrip = .milliseconds(150)
    rate.update(usage: .overuse, acknowledged: 900_000, recent: nil, slope: 0.4, isLimited: false, now: at(0))
    let first = rate.bitrate
    rate.update(usage: .overuse, acknowledged: 700_000, recent: nil, slope: 0.4, isLimited: false, now: at(100))
    #expect(rate.bitrate == first)
    rate.update(usage: .overuse, acknowledged: 700_000, recent: nil, slope: 0.4, isLimited: false, now: at(160))
    #expect(rate.bitrate < first)
  }

  @Test func growsSlowlyNearTheRateAtWhichItLastCongested() {
    var near = make(1_000_000)
    near.update(usage: .overuse, acknowledged: 1_000_000, recent: nil, slope: 0.4, isLimited: false, now: at(0))
    let start = near.bitrate
    run(&near, from: 300, to: 2300, acknowledged: 900_000)
    #expect(near.bitrate > start && near.bitrate < start * 1.08)
  }

  @Test func growsFastAgainWhenMoreArrivesThanTheLinkCarriedOnce() {
    var rate = make(1_000_000)
    rate.update(usage: .overuse, acknowledged: 500_000, recent: nil, slope: 0.4, isLimited: false, now: at(0))
    run(&rate, from: 300, to: 3300, acknowledged: 2_000_000)
    #expect(rate.capacity.estimate == nil)
    #expect(rate.bitrate > 425_000 * 1.2)
  }

  @Test func holdsWhileTheQueueDrains() {
    var rate = make(1_000_000)
    rate.update(usage: .underuse, acknowledged: 900_000, recent: nil, slope: -0.3, isLimited: false, now: at(0))
    rate.update(usage: .underuse, acknowledged: 900_000, recent: nil, slope: -0.3, isLimited: false, now: at(500))
    #expect(rate.bitrate == 1_000_000)
  }

  @Test func aPassingQueueDoesNotBringALimitedFlowDownToWhatItSends() {
    var rate = make(2_000_000)
    rate.update(usage: .overuse, acknowledged: 200_000, recent: 200_000, slope: 0.05, isLimited: true, now: at(0))
    #expect(rate.bitrate == 1_700_000)
    // One that grows fast brings it down by larger steps, and to what arrives once the flow is near the estimate.
    rate.update(usage: .overuse, acknowledged: 200_000, recent: 200_000, slope: 0.5, isLimited: true, now: at(1000))
    #expect(abs(rate.bitrate - 1_190_000) < 1)
    rate.update(usage: .overuse, acknowledged: 200_000, recent: 200_000, slope: 0.5, isLimited: false, now: at(2000))
    #expect(abs(rate.bitrate - 170_000) < 1)
  }

  @Test func staysWithinItsBounds() {
    var rate = make(50_000)
    for i in 0..<20 {
      rate.update(
        usage: .overuse, acknowledged: 1000, recent: nil, slope: 0.5, isLimited: false, now: at(i * 1000))
    }
    #expect(rate.bitrate == 40_000)
    rate.raise(to: 50_000_000, now: at(30_000))
    #expect(rate.bitrate == 10_000_000)
  }
}

@Suite struct LossControllerTests {
  /// Runs half seconds of 60 packets with the loss spread evenly.
  private func run(_ controller: inout LossController, windows: Int, loss: Double, bitrate: Double, from: Int = 0) {
    var owed = 0.0
    for part in 0..<(windows * 5) {
      owed += 12 * loss
      let lost = Int(owed)
      owed -= Double(lost)
      controller.add(
        expected: 12, lost: lost, bitrate: controller.cap ?? bitrate,
        delivered: (controller.cap ?? bitrate) * (1 - loss), roundTrip: .milliseconds(50), now: at(from + part * 100))
    }
  }

  @Test func littleLossLimitsNothing() {
    var controller = LossController()
    run(&controller, windows: 20, loss: 0.05, bitrate: 1_000_000)
    #expect(controller.cap == nil)
    #expect(abs(controller.fraction - 0.05) < 0.015)
  }

  @Test func heavyLossLowersByHalfOfIt() throws {
    var controller = LossController()
    // Two parts before a verdict: 30 packets and 400 ms.
    for part in 0..<6 {
      controller.add(
        expected: 20, lost: 4, bitrate: 1_000_000, delivered: 500_000, roundTrip: .milliseconds(50),
        now: at(part * 100))
    }
    let cap = try #require(controller.cap)
    #expect(abs(cap - 900_000) < 1)
  }

  @Test func neverLowersFarBelowWhatArrives() throws {
    var controller = LossController()
    for part in 0..<6 {
      controller.add(
        expected: 20, lost: 12, bitrate: 1_000_000, delivered: 950_000, roundTrip: .milliseconds(50),
        now: at(part * 100))
    }
    let cap = try #require(controller.cap)
    #expect(abs(cap - 855_000) < 1)
  }

  @Test func lossThatStaysWhenWeSendLessIsThePathsOwn() throws {
    var controller = LossController()
    run(&controller, windows: 120, loss: 0.2, bitrate: 1_000_000)
    #expect(abs(controller.inherent - 0.2) < 0.02)
    // No collapse: it stood still after the first few windows, then rose again until nothing limits.
    #expect(controller.cap.map { $0 > 500_000 } ?? true)
  }

  @Test func newLossOnTopOfTheInherentCounts() throws {
    var controller = LossController()
    run(&controller, windows: 20, loss: 0.08, bitrate: 1_000_000)
    #expect(controller.cap == nil)
    run(&controller, windows: 3, loss: 0.4, bitrate: 1_000_000, from: 10_000)
    #expect(try #require(controller.cap) < 900_000)
  }

  @Test func risesAgainWithoutLossUntilItLimitsNothing() {
    var controller = LossController()
    run(&controller, windows: 3, loss: 0.4, bitrate: 1_000_000)
    let low = controller.cap ?? 0
    #expect(low > 0)
    var cap = low
    for i in 0..<200 {
      controller.add(
        expected: 40, lost: 0, bitrate: 1_000_000, delivered: 900_000, roundTrip: .milliseconds(50),
        now: at(2000 + i * 500))
      if let next = controller.cap {
        #expect(next >= cap)
        cap = next
      }
    }
    #expect(controller.cap == nil)
  }
}

@Suite struct ApplicationLimitTests {
  @Test func entersBelowTwoThirdsAndLeavesAboveFourFifths() {
    var limit = ApplicationLimit()
    func second(_ bitrate: Int, from start: Int) {
      for i in 0..<20 {
        limit.sent(bytes: bitrate / 8 / 20)
        limit.update(target: 1_000_000, now: at(start + i * 50 + 50))
      }
    }
    second(900_000, from: 0)
    #expect(limit.since == nil)
    second(500_000, from: 1000)
    #expect(limit.since != nil)
    second(720_000, from: 2000)
    #expect(limit.since != nil)
    second(900_000, from: 3000)
    second(900_000, from: 4000)
    #expect(limit.since == nil)
  }
}
