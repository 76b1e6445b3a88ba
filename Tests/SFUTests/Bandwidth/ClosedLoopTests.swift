import Core
import Testing

@testable import SFU

/// One subscriber behind an emulated link, media, estimator, pacer and allocator together, under a virtual clock.
@Suite struct ClosedLoopTests {
  private static let camera = [150_000, 500_000, 1_700_000]

  private func room(_ link: BottleneckLink, cameras: Int = 1, mode: BandwidthMode = .transportCC) -> SimulatedRoom {
    let room = SimulatedRoom(link: link, mode: mode)
    room.add(.audio, layers: [40_000])
    for _ in 0..<cameras { room.add(.video, layers: Self.camera) }
    return room
  }

  @Test(arguments: [(300, 100), (800, 400), (3000, 1400)])
  func findsTheLayerThatTheLinkCarries(rate: Int, video: Int) throws {
    let room = room(BottleneckLink(rate: rate * 1000))
    room.run(for: .seconds(30))
    let time = try #require(room.reaches(video * 1000, from: .zero), "\(room.log)")
    #expect(time <= .seconds(4))
    #expect(room.video(from: .seconds(10), to: .seconds(30)) >= video * 1000)
    #expect(room.longestQueue < .milliseconds(200))
    // Once settled the queue stays short.
    let settled = room.samples.filter { $0.at > .zero + .seconds(5) }.map(\.queueDelay).max() ?? .zero
    #expect(settled < .milliseconds(rate < 500 ? 150 : 100))
    #expect(room.link.queueDrops == 0)
    #expect(room.target(from: .seconds(10), to: .seconds(30)) < rate * 1150)
    #expect(room.audioReceived >= room.audioSent - 5)
  }

  @Test(arguments: [300, 800, 3000])
  func doesNotCollapseUnderRandomLossOf5Percent(rate: Int) {
    let clean = room(BottleneckLink(rate: rate * 1000))
    clean.run(for: .seconds(40))
    let lossy = room(BottleneckLink(rate: rate * 1000, loss: 0.05))
    lossy.run(for: .seconds(40))
    let expected = clean.video(from: .seconds(15), to: .seconds(40))
    let found = lossy.video(from: .seconds(15), to: .seconds(40))
    #expect(found >= expected * 8 / 10, "\(found) of \(expected)")
  }

  @Test(arguments: [300, 800, 3000])
  func keepsAPictureUnderRandomLossOf10Percent(rate: Int) {
    let room = room(BottleneckLink(rate: rate * 1000, loss: 0.1))
    room.run(for: .seconds(40))
    #expect(room.video(from: .seconds(15), to: .seconds(40)) >= min(rate * 1000 / 3, 1_000_000))
  }

  @Test(arguments: [(800, 15), (800, 30), (3000, 30)])
  func jitterIsNotTakenForCongestion(rate: Int, jitter: Int64) {
    let room = room(BottleneckLink(rate: rate * 1000, jitter: .milliseconds(jitter)))
    room.run(for: .seconds(40))
    #expect(room.video(from: .seconds(10), to: .seconds(40)) >= rate * 1000 * 4 / 10)
    #expect(room.longestQueue < .milliseconds(200))
  }

  /// Milliseconds of the way, between reports, and of the queue; share of reports that are lost; lateness of ticks.
  @Test(arguments: [
    (20, 250, 500, 0.0, 5), (100, 250, 500, 0.0, 5), (20, 50, 500, 0.3, 5), (20, 50, 60, 0.0, 5),
    (20, 50, 500, 0.0, 40),
    (150, 100, 1000, 0.1, 20),
  ])
  func findsTheLayerWhateverThePathIsLike(way: Int64, reports: Int64, queue: Int64, loss: Double, late: Int64) {
    let room = room(
      BottleneckLink(rate: 3_000_000, queueLimit: .milliseconds(queue), propagation: .milliseconds(way)))
    room.feedbackInterval = reports
    room.feedbackLoss = loss
    room.tickInterval = 5...late
    room.run(for: .seconds(30))
    #expect(room.video(from: .seconds(12), to: .seconds(30)) > 1_400_000)
    #expect(room.longestQueue < .milliseconds(200))
  }

  /// A busy receiver takes packets late and many at once.
  @Test(arguments: [(3000, 60, 1_000_000), (800, 60, 350_000), (3000, 120, 400_000)])
  func keepsAPictureThoughTheReceiverIsHeldUp(rate: Int, stall: Int64, video: Int) {
    let room = room(BottleneckLink(rate: rate * 1000))
    room.link.stall = .milliseconds(stall)
    room.tickInterval = 5...20
    room.run(for: .seconds(60))
    #expect(room.video(from: .seconds(20), to: .seconds(60)) >= video)
    // A stall in the middle of a probe can hide that the link was full; over-use tells soon after.
    #expect(room.longestQueue < .milliseconds(500))
    let settled = room.samples.filter { $0.queueDelay > .milliseconds(150) }.count
    #expect(settled <= 30)
    #expect(room.consumers[1].targets.allSatisfy { $0.target != .paused })
  }

  @Test func followsAStepDownAndUp() throws {
    let room = room(BottleneckLink(rate: 3_000_000))
    room.run(for: .seconds(15))
    #expect(room.video(from: .seconds(8), to: .seconds(15)) > 1_400_000)
    room.link.rate = 300_000
    room.run(for: .seconds(20))
    // The queue that the old rate filled is gone and stays gone after 4 s.
    let settled = room.samples.filter { $0.at > .zero + .seconds(19) }.map(\.queueDelay).max() ?? .zero
    #expect(settled < .milliseconds(150))
    #expect(room.video(from: .seconds(20), to: .seconds(35)) > 100_000)
    room.link.rate = 3_000_000
    room.run(for: .seconds(20))
    let time = try #require(room.reaches(1_300_000, from: .seconds(35)), "\(room.log)")
    #expect(time <= .seconds(12))
  }

  @Test func theSenderNeverHoldsOrDropsAudio() {
    let room = room(BottleneckLink(rate: 150_000, queueLimit: .seconds(10)), cameras: 4)
    room.run(for: .seconds(10))
    room.link.rate = 100_000
    room.run(for: .seconds(10))
    room.link.rate = 1_000_000
    room.run(for: .seconds(10))
    // 50 a second of one talker; each was on the link in the step in which it was made.
    #expect(room.audioSent >= 1499)
    #expect(room.audioReceived >= room.audioSent - 5)
  }

  @Test func pausesVideoOnALinkThatCarriesAudioAloneAndResumes() throws {
    let room = room(BottleneckLink(rate: 1_000_000))
    room.run(for: .seconds(10))
    room.link.rate = 80_000
    room.run(for: .seconds(20))
    #expect(room.consumers[1].targets.last?.target == .paused)
    #expect(room.video(from: .seconds(20), to: .seconds(30)) < 20_000)
    let late = room.samples.filter { $0.at > .zero + .seconds(20) }.map(\.queueDelay).max() ?? .zero
    #expect(late < .milliseconds(200))
    room.link.rate = 1_000_000
    room.run(for: .seconds(20))
    let time = try #require(room.reaches(300_000, from: .seconds(30)), "\(room.log)")
    #expect(time <= .seconds(14))
  }

  @Test func aPictureThatIsAboveTheFirstEstimateIsProbedForBeforeItFlows() throws {
    let single = SimulatedRoom(link: BottleneckLink(rate: 5_000_000))
    single.add(.audio, layers: [40_000])
    let plain = single.add(.video, layers: [2_500_000])
    // One temporal layer: all or nothing.
    plain.demand.bitrates[0, 0] = 2_500_000
    plain.demand.bitrates[0, 1] = 2_500_000
    single.run(for: .seconds(10))
    let time = try #require(single.reaches(2_200_000, from: .zero), "\(single.log)")
    #expect(time <= .seconds(3))
  }

  /// Consumers are there before ICE and DTLS are: what is sent until then goes nowhere.
  @Test func startsSoonAfterThePathIsThere() throws {
    let room = SimulatedRoom(link: BottleneckLink(rate: 3_000_000))
    room.add(.audio, layers: [100_000])
    let camera = room.add(.video, layers: [450_000, 900_000])
    for s in 0..<2 { for t in 0..<3 { camera.demand.bitrates[s, t] = [450_000, 900_000][s] } }
    room.isConnected = false
    room.run(for: .milliseconds(700))
    room.isConnected = true
    room.run(for: .seconds(10))
    let time = try #require(room.reaches(800_000, from: .milliseconds(700)), "\(room.log)")
    #expect(time <= .seconds(1))
  }

  @Test func redundancyOfAudioGivesWayToAPicture() {
    let room = SimulatedRoom(link: BottleneckLink(rate: 300_000))
    let voice = room.add(.audio, layers: [100_000])
    let camera = room.add(.video, layers: [145_000, 450_000])
    for s in 0..<2 { for t in 0..<3 { camera.demand.bitrates[s, t] = camera.layers[s] } }
    room.run(for: .seconds(30))
    #expect(voice.isThinned)
    #expect(room.video(from: .seconds(15), to: .seconds(30)) > 110_000, "\(room.log)")
    room.link.rate = 2_000_000
    room.run(for: .seconds(30))
    #expect(!voice.isThinned)
    #expect(room.video(from: .seconds(50), to: .seconds(60)) > 400_000)
  }

  @Test func sharesASmallLinkAmongManyAndDoesNotFlap() {
    let room = room(BottleneckLink(rate: 1_000_000), cameras: 6)
    room.run(for: .seconds(60))
    #expect(room.consumers.dropFirst().allSatisfy { $0.current != nil })
    #expect(room.longestQueue < .milliseconds(250))
    for consumer in room.consumers.dropFirst() {
      let changes = consumer.targets.filter { $0.at > .zero + .seconds(10) }.count
      #expect(changes <= 16, "\(changes) in 50 s")
    }
  }

  @Test func aPathThatFallsSilentIsSentLessAndRecovers() throws {
    let room = room(BottleneckLink(rate: 3_000_000))
    room.run(for: .seconds(10))
    let before = room.sender.targetBitrate ?? 0
    room.feedbackWorks = false
    room.run(for: .seconds(4))
    let silent = room.sender.targetBitrate ?? 0
    #expect(silent < before / 3)
    room.feedbackWorks = true
    room.run(for: .seconds(15))
    let time = try #require(room.reaches(1_300_000, from: .seconds(14)), "\(room.log)")
    #expect(time <= .seconds(10))
  }

  @Test func aPauseOfMediaCostsNoEstimate() {
    let room = room(BottleneckLink(rate: 3_000_000))
    room.run(for: .seconds(10))
    let before = room.sender.targetBitrate ?? 0
    let consumers = room.consumers
    room.consumers = []
    room.run(for: .seconds(30))
    #expect(room.sender.targetBitrate == before)
    room.consumers = consumers
  }

  @Test func theSameSeedGivesTheSameRun() {
    let runs = (0..<2).map { _ in
      let room = room(BottleneckLink(rate: 800_000, jitter: .milliseconds(10), loss: 0.03), cameras: 2)
      room.run(for: .seconds(10))
      return room.log
    }
    #expect(runs[0] == runs[1])
  }
}
