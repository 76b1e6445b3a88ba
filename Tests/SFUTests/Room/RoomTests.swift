import Core
import RTP
import Testing

@testable import SFU

/// Whole rooms under the virtual clock.
@Suite struct RoomTests {
  /// Five of all talk at a time, others every second.
  private func talk(_ room: RoomSimulation, _ tick: Int) {
    guard tick % 200 == 0 else { return }
    let shift = tick / 200 * 5
    for participant in room.participants {
      let place =
        (participant.index - shift % room.participants.count + room.participants.count) % room.participants.count
      participant.attenuation = place < 5 ? 15 + place * 3 : 75 + participant.index % 20
    }
  }

  @Test func aHundredParticipantsSeeAndHearEachOtherOverLossyPaths() throws {
    let room = RoomSimulation(seed: 2026)
    let seconds = 4.0
    room.run(seconds: seconds) { talk(room, $0) }

    var videoFrames = 0
    var late = 0
    var heardTogether: [Int: [Int: Int]] = [:]
    for subscription in room.subscriptions {
      let stream = room.stream(subscription)
      #expect(stream.faults.isEmpty, "\(subscription): \(stream.faults)")
      if subscription.kind == .video {
        let first = try #require(stream.firstFrame, "\(subscription) never saw a picture")
        #expect(first < 500, "\(subscription): first picture after \(first * 5) ms")
        if first > 200 { late += 1 }
        // Ten a second since the first, less what is under way, lost for good, or waited for a layer.
        let expected = (Double(room.tick - first) / 200) * 10
        #expect(Double(stream.frames) > expected * 0.75 - 3, "\(subscription): \(stream.frames) of \(expected)")
        videoFrames += stream.frames
      } else {
        for tenth in stream.heardIn { heardTogether[subscription.subscriber, default: [:]][tenth, default: 0] += 1 }
        #expect(stream.holes <= 3, "\(subscription): \(stream.holes) holes of \(stream.packets)")
      }
    }
    #expect(videoFrames > room.subscriptions.filter { $0.kind == .video }.count * 30)

    // Whose first key frame was lost waits for another.
    #expect(late < 20, "\(late) first pictures after a second")

    // The loudest three, and those who change places with them.
    for (subscriber, tenths) in heardTogether {
      let crowded = tenths.filter { $0.key > 3 && $0.value > 4 }.count
      #expect(crowded <= tenths.count / 4, "participant \(subscriber): \(crowded) of \(tenths.count) tenths")
      #expect(tenths.count >= Int(seconds * 10) - 3)
    }

    // A hundred subscribers do not ask a publisher for more key frames than the throttle lets through.
    for participant in room.participants.prefix(room.plan.cameras) {
      for stream in participant.video {
        #expect(Double(stream.keyFrameRequests) <= seconds * 2 + 1, "\(participant.index) \(stream.rid ?? "")")
      }
    }

    var speakers: Set<ProducerID> = []
    for case .speakers(let levels) in room.events { speakers.formUnion(levels.filter(\.isActive).map(\.producer)) }
    #expect(speakers.isSuperset(of: (0..<5).map { RoomSimulation.audio($0) }))
    let started = room.events.filter { if case .producerStarted = $0 { true } else { false } }
    #expect(started.count == room.plan.participants + room.plan.cameras)
    let statistics = room.router.statistics()
    #expect(statistics.peers.allSatisfy { $0.packetsMalformed == 0 && $0.packetsFlooded == 0 })
    let streams = statistics.producers.flatMap(\.streams)
    #expect(streams.map(\.nacked).reduce(0, +) > 100 && streams.map(\.recovered).reduce(0, +) > 100)
  }

  @Test func lipsStayInSyncForEverySubscriber() {
    var plan = RoomSimulation.Plan()
    plan.participants = 6
    plan.cameras = 3
    plan.watched = 2
    plan.loudest = nil
    let room = RoomSimulation(seed: 5, plan: plan)
    room.run(seconds: 3)
    var compared = 0
    for video in room.subscriptions where video.kind == .video {
      guard
        let audio = room.subscriptions.first(where: {
          $0.subscriber == video.subscriber && $0.source == video.source && $0.kind == .audio
        }), let pictures = room.stream(video).skew, let sound = room.stream(audio).skew
      else { continue }
      compared += 1
      #expect(abs(pictures - sound) < 15, "\(video): \(pictures) and \(sound) ms")
    }
    #expect(compared >= 6)
  }

  @Test func theSameSeedGivesTheSameRoom() {
    var plan = RoomSimulation.Plan()
    plan.participants = 8
    plan.cameras = 3
    plan.feedback = 30
    func run(_ seed: UInt64) -> UInt64 {
      let room = RoomSimulation(seed: seed, plan: plan)
      room.run(seconds: 1.5) { talk(room, $0) }
      return room.digest
    }
    let first = run(11)
    #expect(run(11) == first)
    #expect(run(12) != first)
  }

  @Test func goesOnUnderHeavyLoss() {
    var plan = RoomSimulation.Plan()
    plan.participants = 4
    plan.cameras = 2
    plan.watched = 2
    plan.loudest = nil
    plan.loss = 0.2
    let room = RoomSimulation(seed: 77, plan: plan)
    room.run(seconds: 20)
    for subscription in room.subscriptions {
      let stream = room.stream(subscription)
      #expect(stream.faults.isEmpty, "\(subscription): \(stream.faults)")
      #expect(stream.frames > (subscription.kind == .video ? 60 : 700), "\(subscription): \(stream.frames)")
    }
  }

  @Test func whoLeavesTakesTheirTracksAndNobodyElses() throws {
    var plan = RoomSimulation.Plan()
    plan.participants = 6
    plan.cameras = 3
    plan.loudest = nil
    let room = RoomSimulation(seed: 3, plan: plan)
    room.run(seconds: 1)
    room.router.removePeer(PeerID(rawValue: 1))
    #expect(room.router.producers.count == 7)
    #expect(!room.router.consumers.values.contains { $0.peer == PeerID(rawValue: 1) })
    let before = room.subscriptions.map { room.stream($0).packets }
    room.run(seconds: 1)
    for (subscription, packets) in zip(room.subscriptions, before) {
      let gained = room.stream(subscription).packets - packets
      let isGone = subscription.source == 0 || subscription.subscriber == 0
      #expect(isGone ? gained < 10 : gained > (subscription.kind == .video ? 5 : 40), "\(subscription): \(gained)")
    }
  }
}
