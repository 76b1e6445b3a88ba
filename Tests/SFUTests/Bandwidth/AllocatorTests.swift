import Core
import Testing

@testable import SFU

private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

@Suite struct BandwidthAllocatorTests {
  /// Simulcast of 150, 500 and 1,700 kbps with three temporal layers.
  private func camera(
    _ id: UInt64, priority: Int = 0, screen: Bool = false, speaking: Bool = false, spatial: Int = 2
  ) -> BandwidthDemand {
    var demand = BandwidthDemand(id: ConsumerID(rawValue: id), kind: .video)
    demand.priority = priority
    demand.isScreenShare = screen
    demand.isSpeaking = speaking
    demand.maximumSpatialLayer = spatial
    for (s, rate) in [150_000, 500_000, 1_700_000].enumerated() {
      demand.bitrates[s, 0] = rate * 4 / 10
      demand.bitrates[s, 1] = rate * 6 / 10
      demand.bitrates[s, 2] = rate
    }
    return demand
  }

  /// One layer that cannot be thinned.
  private func plain(_ id: UInt64, bitrate: Int) -> BandwidthDemand {
    var demand = BandwidthDemand(id: ConsumerID(rawValue: id), kind: .video)
    demand.bitrates[0, 0] = bitrate
    return demand
  }

  private func audio(_ id: UInt64) -> BandwidthDemand { BandwidthDemand(id: ConsumerID(rawValue: id), kind: .audio) }

  private func allocate(_ target: Int?, _ demands: [BandwidthDemand], audio: Int = 0) -> Allocation {
    var allocator = BandwidthAllocator()
    return allocator.allocate(target: target, audio: audio, demands: demands, now: at(0))
  }

  @Test func givesWhatWasAskedForWhereNothingLimits() {
    var small = camera(2, spatial: 1)
    small.maximumTemporalLayer = 1
    let allocation = allocate(nil, [camera(1), small])
    #expect(allocation.shares.map(\.target) == [.layer(spatial: 2, temporal: 3), .layer(spatial: 1, temporal: 1)])
  }

  @Test func spendsNoMoreThanThereIs() {
    for target in stride(from: 100_000, through: 6_000_000, by: 50_000) {
      let allocation = allocate(target, [audio(9), camera(1), camera(2), camera(3)], audio: 40_000)
      // What is new may be 8 % over in its smallest picture.
      #expect(allocation.used <= target + 15_000, "\(target)")
    }
  }

  @Test func givesEverybodyASmallPictureBeforeAnybodyGetsALargeOne() {
    let allocation = allocate(700_000, [camera(1), camera(2), camera(3), camera(4), camera(5)])
    #expect(allocation.shares.allSatisfy { $0.target != .paused })
    let spatial = allocation.shares.map { share -> Int in
      if case .layer(let spatial, _) = share.target { return spatial }
      return -1
    }
    #expect(spatial == [0, 0, 0, 0, 0])
  }

  @Test func pausesTheLastRatherThanStarvingAudio() {
    let demands = [audio(9), camera(1), camera(2), camera(3)]
    let allocation = allocate(200_000, demands, audio: 40_000)
    // 200 − 41 for audio are 159: two smallest pictures of 60 each, not three.
    #expect(allocation.shares.map { $0.target == .paused } == [false, false, true])
    #expect(allocation.used <= 200_000)
    let less = allocate(70_000, demands, audio: 40_000)
    #expect(less.shares.allSatisfy { $0.target == .paused })
  }

  @Test func pausesAPictureThatCannotBeThinned() {
    #expect(allocate(800_000, [plain(1, bitrate: 2_500_000)]).shares[0].target == .paused)
    #expect(allocate(3_000_000, [plain(1, bitrate: 2_500_000)]).shares[0].target == .layer(spatial: 0, temporal: 3))
  }

  @Test func servesByPriorityThenScreenThenSpeaker() {
    let demands = [camera(1), camera(2, speaking: true), camera(3, screen: true), camera(4, priority: 1)]
    func best(_ target: Int) -> [Int] {
      allocate(target, demands).shares.map {
        if case .layer(let spatial, _) = $0.target { return spatial }
        return -1
      }
    }
    #expect(best(2_150_000) == [0, 0, 1, 2])
    #expect(best(3_800_000) == [0, 0, 2, 2])
    #expect(best(5_440_000) == [0, 2, 2, 2])
    #expect(best(9_000_000) == [2, 2, 2, 2])
  }

  @Test func sharesAmongEqualsStepByStep() {
    let allocation = allocate(1_400_000, [camera(1), camera(2)])
    #expect(allocation.shares[0].target == allocation.shares[1].target)
    #expect(allocation.shares[0].bitrate == 500_000)
  }

  @Test func neverExceedsWhatTheSubscriberAskedFor() {
    var demand = camera(1, spatial: 1)
    demand.maximumTemporalLayer = 1
    #expect(allocate(10_000_000, [demand]).shares[0].target == .layer(spatial: 1, temporal: 1))
  }

  @Test func prefersABetterPictureThatCostsLess() {
    var demand = BandwidthDemand(id: ConsumerID(rawValue: 1), kind: .video)
    demand.bitrates[0, 0] = 400_000
    demand.bitrates[1, 0] = 200_000
    #expect(allocate(300_000, [demand]).shares[0].target == .layer(spatial: 1, temporal: 3))
  }

  @Test func tellsWhatWouldSatisfyEverybody() {
    let short = allocate(500_000, [camera(1), camera(2, spatial: 0)])
    #expect(short.wanted > 1_850_000 && short.wanted < 2_500_000)
    #expect(allocate(5_000_000, [camera(1), camera(2, spatial: 0)]).wanted == 1_850_000)
    var unseen = BandwidthDemand(id: ConsumerID(rawValue: 1), kind: .video)
    unseen.maximumSpatialLayer = 1
    #expect(allocate(300_000, [unseen]).wanted == 500_000)
    #expect(allocate(300_000, [audio(1)], audio: 30_000).wanted <= 50_000)
  }

  @Test func idleConsumersTakeNoPart() {
    var idle = camera(1)
    idle.isIdle = true
    let allocation = allocate(700_000, [idle, camera(2)])
    #expect(allocation.shares.map(\.id.rawValue) == [2])
    #expect(allocation.shares[0].bitrate == 500_000)
  }

  // MARK: Over time

  @Test func holdsWhatItHasThroughSmallSwings() {
    var allocator = BandwidthAllocator()
    let demands = [camera(1)]
    _ = allocator.allocate(target: 700_000, audio: 0, demands: demands, now: at(0))
    var changes = 0
    var last: LayerTarget?
    for i in 1..<200 {
      // The estimate swings by 8 % around what the layer costs.
      let target = i % 2 == 0 ? 540_000 : 465_000
      let allocation = allocator.allocate(target: target, audio: 0, demands: demands, now: at(i * 100))
      if let last, last != allocation.shares[0].target { changes += 1 }
      last = allocation.shares[0].target
    }
    #expect(changes == 0)
    #expect(last == .layer(spatial: 1, temporal: 3))
  }

  @Test func burstsOfAnEncoderMoveNothing() {
    var allocator = BandwidthAllocator()
    var changes = 0
    var last: LayerTarget?
    for i in 0..<200 {
      var demand = camera(1)
      // A few frames a second: the measure of a tenth of a second swings by half.
      for s in 0..<3 {
        for t in 0..<3 { demand.bitrates[s, t] = demand.bitrates[s, t] * (i % 3 == 0 ? 16 : 7) / 10 }
      }
      let allocation = allocator.allocate(target: 650_000, audio: 0, demands: [demand], now: at(i * 300))
      if i > 10, let last, last != allocation.shares[0].target { changes += 1 }
      last = allocation.shares[0].target
    }
    #expect(changes == 0)
    #expect(last == .layer(spatial: 1, temporal: 3))
  }

  @Test func goesDownAtOnceAndUpOnlyAfterAWhile() {
    var allocator = BandwidthAllocator()
    let demands = [camera(1)]
    _ = allocator.allocate(target: 3_000_000, audio: 0, demands: demands, now: at(0))
    let low = allocator.allocate(target: 250_000, audio: 0, demands: demands, now: at(10_000))
    #expect(low.shares[0].target == .layer(spatial: 0, temporal: 3))
    let early = allocator.allocate(target: 3_000_000, audio: 0, demands: demands, now: at(11_000))
    #expect(early.shares[0].target == .layer(spatial: 0, temporal: 3))
    let later = allocator.allocate(target: 3_000_000, audio: 0, demands: demands, now: at(12_100))
    #expect(later.shares[0].target == .layer(spatial: 2, temporal: 3))
  }

  @Test func waitsLongerAfterAStepThatDidNotLast() {
    var allocator = BandwidthAllocator()
    let demands = [plain(1, bitrate: 500_000)]
    var pauses = 0
    var wasPaused = false
    for i in 0..<600 {
      // The path carries it only while we do not send: every resumption fails after a second.
      let paused = wasPaused
      let target = paused ? 900_000 : 200_000
      let allocation = allocator.allocate(target: target, audio: 0, demands: demands, now: at(i * 100))
      wasPaused = allocation.shares[0].target == .paused
      if wasPaused, !paused { pauses += 1 }
    }
    // A minute: about every 16 s at the end, not every 2.
    #expect(pauses >= 3 && pauses <= 8)
  }

  @Test func everyTargetIsReachedAgainAfterARecovery() {
    var allocator = BandwidthAllocator()
    let demands = [audio(8), camera(1), camera(2), plain(3, bitrate: 600_000)]
    let before = allocator.allocate(target: 6_000_000, audio: 30_000, demands: demands, now: at(0))
    for i in 1..<50 { _ = allocator.allocate(target: 60_000, audio: 30_000, demands: demands, now: at(i * 300)) }
    var after = before
    for i in 50..<150 {
      after = allocator.allocate(target: 6_000_000, audio: 30_000, demands: demands, now: at(i * 300))
    }
    #expect(after.shares == before.shares)
  }

  @Test func forgetsWhoLeft() {
    var allocator = BandwidthAllocator()
    _ = allocator.allocate(target: 3_000_000, audio: 0, demands: [camera(1)], now: at(0))
    _ = allocator.allocate(target: 300_000, audio: 0, demands: [camera(1)], now: at(100))
    allocator.forget(ConsumerID(rawValue: 1))
    let again = allocator.allocate(target: 3_000_000, audio: 0, demands: [camera(1)], now: at(200))
    #expect(again.shares[0].target == .layer(spatial: 2, temporal: 3))
  }

  @Test func neverTrapsOnAbsurdFigures() {
    var random = SeededRandom(seed: 8)
    var allocator = BandwidthAllocator()
    for i in 0..<2000 {
      var demands: [BandwidthDemand] = []
      for id in 0..<Int.random(in: 0...6, using: &random) {
        var demand = BandwidthDemand(
          id: ConsumerID(rawValue: UInt64(id)), kind: Bool.random(using: &random) ? .video : .audio)
        demand.priority = Int.random(in: -5...Int(Int32.max), using: &random)
        demand.maximumSpatialLayer = Int.random(in: -3...9, using: &random)
        demand.maximumTemporalLayer = Int.random(in: -3...9, using: &random)
        for s in 0..<3 {
          for t in 0..<4 { demand.bitrates[s, t] = Int.random(in: -10...Int(UInt32.max) * 2, using: &random) }
        }
        demands.append(demand)
      }
      let target = Int.random(in: -100...Int(UInt32.max), using: &random)
      _ = allocator.allocate(
        target: Bool.random(using: &random) ? target : nil, audio: 1000, demands: demands, now: at(i * 37))
    }
  }
}
