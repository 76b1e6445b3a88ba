import Core
import RTP
import Testing

@testable import SFU

@Suite struct LayerTests {
  @Test func switchesUpOnlyAtAKeyFrameAndKeepsTheOldLayerUntilThen() {
    let stage = Stage(.vp8, layers: 3, seed: 21, preferences: ConsumerPreferences(maximumSpatialLayer: 0))
    stage.run(1_000)
    #expect(stage.consumer.layers?.spatial == 0)
    // The publisher does not answer at once.
    stage.producer.onKeyFrameWanted = nil
    stage.consumer.update(ConsumerPreferences(maximumSpatialLayer: 2), now: stage.now)
    let before = stage.subscriber.frames.count
    stage.run(1_000)
    #expect(stage.consumer.layers?.spatial == 0 && stage.subscriber.frames.count > before + 20)
    stage.encoders[2].wantsKeyFrame = true
    stage.run(100)
    #expect(stage.consumer.layers?.spatial == 2)
    let taken = stage.subscriber.frames.compactMap { stage.film.frames[$0.id] }
    #expect(taken.last?.spatial == 2)
    #expect(taken.first { $0.spatial == 2 }?.isKey == true)
    stage.checkReferences()
  }

  @Test func asksForTheKeyFrameOfTheLayerThatIsWanted() {
    let stage = Stage(.vp8, layers: 3, seed: 22, preferences: ConsumerPreferences(maximumSpatialLayer: 1))
    stage.run(2_000)
    #expect(stage.consumer.layers?.spatial == 1)
    let asked = stage.keyFrameRequests.count
    stage.run(3_000)
    #expect(stage.keyFrameRequests.count == asked, "nothing is pending")
    stage.consumer.update(ConsumerPreferences(maximumSpatialLayer: 2), now: stage.now)
    #expect(stage.keyFrameRequests.count == asked + 1 && stage.keyFrameRequests.last == 2)
  }

  @Test func fallsBackWhenALayerDiesAndReturns() {
    let stage = Stage(.vp8, layers: 3, seed: 23)
    stage.run(2_000)
    #expect(stage.consumer.layers?.spatial == 2)
    stage.silent = [2]
    stage.run(2_000)
    #expect(stage.consumer.layers?.spatial == 1)
    stage.silent = [0, 1, 2]
    stage.run(3_000)
    #expect(stage.consumer.layers?.spatial == 1, "a frozen screen is no dead layer")
    stage.silent = []
    stage.run(2_000)
    #expect(stage.consumer.layers?.spatial == 2)
    stage.settle()
    #expect(stage.subscriber.gaps().isEmpty)
    stage.checkReferences()
    stage.checkTimestamps()
  }

  @Test func showsTheLowestLayerThatThereIsWhereNoneIsLowEnough() {
    let stage = Stage(.vp8, layers: 3, seed: 24, preferences: ConsumerPreferences(maximumSpatialLayer: 0))
    stage.silent = [0, 1]
    stage.run(2_000)
    #expect(stage.consumer.layers?.spatial == 2)
  }

  @Test func dropsTemporalLayersAndTakesThemBack() {
    let stage = Stage(.vp8, seed: 25, preferences: ConsumerPreferences(maximumTemporalLayer: 0))
    stage.run(2_000)
    #expect(Set(stage.subscriber.frames.compactMap { stage.film.frames[$0.id]?.temporal }) == [0])
    let asked = stage.keyFrameRequests.count
    stage.consumer.update(ConsumerPreferences(maximumTemporalLayer: 2), now: stage.now)
    stage.run(2_000)
    #expect(stage.consumer.layers?.temporal == 2)
    #expect(stage.keyFrameRequests.count == asked, "layer sync was enough")
    stage.checkReferences()
  }

  @Test(arguments: [MediaCodec.vp9, .av1]) func dropsAndTakesBackSpatialLayers(codec: MediaCodec) {
    let stage = Stage(codec, seed: 26, preferences: ConsumerPreferences(maximumSpatialLayer: 1))
    stage.run(2_000)
    #expect(stage.consumer.layers?.spatial == 1 && stage.consumer.layers?.temporal == 2)
    #expect(Set(stage.subscriber.frames.compactMap { stage.film.frames[$0.id]?.spatial }) == [0, 1])
    let asked = stage.keyFrameRequests.count
    stage.consumer.update(ConsumerPreferences(maximumSpatialLayer: 0), now: stage.now)
    stage.run(500)
    #expect(stage.consumer.layers?.spatial == 0)
    #expect(stage.keyFrameRequests.count == asked, "down needs no key frame")
    stage.consumer.update(ConsumerPreferences(maximumSpatialLayer: 2), now: stage.now)
    stage.run(1_000)
    #expect(stage.consumer.layers?.spatial == 2)
    #expect(stage.keyFrameRequests.count > asked)
    stage.checkReferences()
  }

  @Test func pausesForBandwidthAndSaysSo() {
    let stage = Stage(.vp8, layers: 3, seed: 27)
    var states: [Bool] = []
    stage.consumer.onChange = { states.append($0.isPausedForBandwidth) }
    stage.run(1_000)
    stage.consumer.setTarget(.paused, now: stage.now)
    let sent = stage.consumer.counters.packets
    stage.run(1_000)
    #expect(stage.consumer.counters.packets == sent && stage.consumer.layers == nil)
    stage.consumer.setTarget(.layer(spatial: 1, temporal: 1), now: stage.now)
    stage.run(1_000)
    #expect(states.contains(true) && states.last == false)
    #expect(stage.consumer.layers?.spatial == 1 && stage.consumer.layers?.temporal == 1)
    stage.settle()
    #expect(stage.subscriber.gaps().isEmpty)
    stage.checkReferences()
  }

  @Test func startsAgainAtAKeyFrameAfterThePacerGaveUp() {
    let stage = Stage(.vp8, seed: 28)
    stage.run(1_000)
    let asked = stage.keyFrameRequests.count
    stage.consumer.pacerDropped(now: stage.now)
    #expect(stage.keyFrameRequests.count == asked + 1)
    let last = stage.subscriber.frames.last?.id ?? 0
    stage.run(500)
    let next = stage.subscriber.frames.first { $0.id > last }
    #expect(next.flatMap { stage.film.frames[$0.id]?.isKey } == true)
  }

  @Test func resumesAMutedTrackAtAKeyFrame() {
    let stage = Stage(.vp8, seed: 29)
    stage.run(1_000)
    stage.producer.setMuted(true)
    let last = stage.subscriber.frames.last?.id ?? 0
    stage.run(1_000)
    stage.producer.setMuted(false)
    stage.run(1_000)
    let next = stage.subscriber.frames.first { $0.id > last + 1 }
    #expect(next.flatMap { stage.film.frames[$0.id]?.isKey } == true)
    stage.settle()
    #expect(stage.subscriber.gaps().isEmpty)
    stage.checkTimestamps()
  }

  @Test func dynacastHearsWhatSubscribersWantNotWhatTheirPathsCarry() {
    let stage = Stage(.vp8, layers: 3, seed: 30)
    stage.consumer.setTarget(.layer(spatial: 0, temporal: 0), now: stage.now)
    #expect(stage.consumer.wantedSpatialLayer == 2)
    stage.consumer.update(ConsumerPreferences(maximumSpatialLayer: 1), now: stage.now)
    #expect(stage.consumer.wantedSpatialLayer == 1)
    stage.consumer.update(ConsumerPreferences(isPaused: true), now: stage.now)
    #expect(stage.consumer.wantedSpatialLayer == nil)
  }

  @Test func tellsTheAllocatorWhatLayersTake() {
    let simulcast = Stage(.vp8, layers: 3, seed: 31)
    simulcast.run(3_000)
    let demand = simulcast.consumer.demand
    for spatial in 0...2 {
      #expect(demand.bitrates[spatial, 0] > 0 && demand.bitrates[spatial, 2] > demand.bitrates[spatial, 0])
    }
    let svc = Stage(.av1, seed: 32)
    svc.run(3_000)
    let rates = svc.consumer.demand.bitrates
    #expect(rates[0, 2] > 0 && rates[1, 2] > rates[0, 2] && rates[2, 2] > rates[1, 2])
    svc.consumer.update(ConsumerPreferences(isPaused: true), now: svc.now)
    #expect(svc.consumer.demand.isIdle)
  }

  @Test func anotherTrackMayTakeThePlace() {
    let stage = Stage(.vp8, seed: 33)
    stage.run(1_000)
    let other = Stage(.vp8, layers: 3, seed: 34)
    other.run(500)
    let highest = stage.subscriber.inOrder.last?.header
    #expect(stage.consumer.replaceProducer(other.producer, now: other.now))
    #expect(stage.producer.sinks.isEmpty)
    let sent = other.capture.packets.count + stage.capture.packets.count
    other.run(1_000)
    stage.subscriber.take(&stage.capture.packets, now: 0)
    let next = stage.subscriber.inOrder.first {
      Int16(bitPattern: $0.header.sequence &- (highest?.sequence ?? 0)) == 1
    }
    #expect(sent == 0 && next?.vp8?.isKeyFrame == true)
    #expect(stage.subscriber.gaps().isEmpty)
    #expect(stage.consumer.replaceProducer(Stage(.av1, seed: 1).producer, now: other.now) == false)
    stage.consumer.close(now: other.now)
  }
}

@Suite struct ReportTests {
  private let clock = NTPClock(origin: Instant(nanoseconds: 0), wall: WallTime(milliseconds: 1_700_000_000_000))

  /// Every report puts every frame of its time where it was captured: lips stay in sync whatever layer is shown.
  @Test(arguments: 0..<4) func keepTheTimeLineThroughLayerSwitches(seed: UInt64) {
    let stage = Stage(.vp8, layers: 3, seed: 40 + seed)
    stage.run(2_500)
    var distances: [Double] = []
    var switches = 0
    var last = -1
    for round in 0..<40 {
      stage.consumer.setTarget(.layer(spatial: round * 7 % 3, temporal: 2), now: stage.now)
      stage.run(500)
      guard let report = stage.consumer.senderReport(now: stage.now, clock: clock) else {
        Issue.record("packets went out")
        continue
      }
      #expect(report.ntp == clock.ntp(at: stage.now))
      guard let frame = stage.subscriber.frames.last, let model = stage.film.frames[frame.id] else { continue }
      let units = Int32(bitPattern: report.rtpTimestamp &- frame.packets[0].header.timestamp)
      // Milliseconds between capture and now by the report, against the truth.
      distances.append(Double(units) / 90 - Double(stage.time - model.captured))
      if model.spatial != last { switches += 1 }
      last = model.spatial
    }
    let spread = (distances.max() ?? 99) - (distances.min() ?? 0)
    #expect(spread < 1.5, "\(distances)")
    #expect(switches > 10)
  }

  @Test func comeOnlyWhileSomethingIsSent() {
    let stage = Stage(.vp8, seed: 50)
    #expect(stage.consumer.senderReport(now: stage.now, clock: clock) == nil)
    stage.run(500)
    let report = stage.consumer.senderReport(now: stage.now, clock: clock)
    #expect(report?.packetCount == UInt32(stage.consumer.counters.packets) && report?.octetCount ?? 0 > 0)
    #expect(stage.consumer.senderReport(now: stage.now, clock: clock) == nil)
  }

  @Test func measureTheRoundTrip() throws {
    let stage = Stage(.vp8, seed: 51)
    stage.run(500)
    let report = try #require(stage.consumer.senderReport(now: stage.now, clock: clock))
    var block = ReportBlock(
      source: Stage.mediaSSRC, fractionLost: 12, cumulativeLost: 3, extendedHighestSequence: 0, jitter: 900,
      lastSenderReport: report.ntp.middle, delaySinceLastSenderReport: 65_536 / 10)
    stage.run(150)
    let measured = try #require(stage.consumer.receive(block, now: stage.now))
    #expect(abs(measured.inMilliseconds - 50) < 1)
    let statistics = stage.consumer.statistics
    #expect(statistics.fractionLost == 12 && statistics.packetsLost == 3 && abs(statistics.jitter - 10) < 0.01)
    block.lastSenderReport = 77
    #expect(stage.consumer.receive(block, now: stage.now) == nil)
    block.source = SSRC(5)
    #expect(stage.consumer.receive(block, now: stage.now) == nil)
  }

  @Test func aConsumerTakesLessThanTwelveKilobytes() {
    let stage = Stage(.vp8, layers: 3, seed: 52)
    stage.run(5_000)
    #expect(stage.consumer.memory < 12 * 1024, "\(stage.consumer.memory)")
  }
}
