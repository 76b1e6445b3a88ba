import Core
import LiveKitProtocol
import SDP
import SFU
import Testing

@testable import Rooms

@Suite struct SubscribeTests {
  private func subscribe(_ sids: [String], _ wanted: Bool) -> Livekit_SignalRequest.OneOf_Message {
    var update = Livekit_UpdateSubscription()
    update.trackSids = sids
    update.subscribe = wanted
    return .subscription(update)
  }

  @Test func unsubscribesAndSubscribesAgain() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "mic")
    #expect(ben.receivedTracks == [sid])
    rooms.send(subscribe([sid], false), from: ben)
    rooms.advance(.milliseconds(300))
    #expect(ben.receivedTracks.isEmpty)
    let removed = rooms.media[0].commands.contains { if case .removeConsumer = $0 { true } else { false } }
    #expect(removed)
    rooms.send(subscribe([sid], true), from: ben)
    rooms.advance(.milliseconds(300))
    #expect(ben.receivedTracks == [sid])
  }

  @Test func withoutAutoSubscribeNothingComesUnasked() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben") { $0.autoSubscribe = false }
    let sid = try rooms.publish(ann, cid: "mic")
    #expect(ben.receivedTracks.isEmpty)
    var update = Livekit_UpdateSubscription()
    update.subscribe = true
    var tracks = Livekit_ParticipantTracks()
    tracks.participantSid = ann.sid
    tracks.trackSids = [sid]
    update.participantTracks = [tracks]
    rooms.send(.subscription(update), from: ben)
    rooms.advance(.milliseconds(300))
    #expect(ben.receivedTracks == [sid])
  }

  @Test func remembersASubscriptionToATrackThatIsYetToCome() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben") { $0.autoSubscribe = false }
    var request = Livekit_AddTrackRequest()
    request.cid = "mic"
    rooms.send(.addTrack(request), from: ann)
    let sid = try #require(ann.published["mic"])
    rooms.send(subscribe([sid], true), from: ben)
    rooms.advance(.seconds(2))
    try ann.addTrack("mic", .audio)
    ann.offerPublisher(rooms.core)
    rooms.settle()
    try rooms.startMedia(sid)
    rooms.advance(.milliseconds(300))
    #expect(ben.receivedTracks == [sid])
  }

  @Test func saysAfterAMinuteThatATrackDoesNotExist() throws {
    let rooms = RoomHarness()
    let ben = try rooms.join("ben")
    rooms.send(subscribe(["TR_nobody"], true), from: ben)
    func failures() -> [Livekit_SubscriptionResponse] {
      ben.messages.compactMap { if case .subscriptionResponse(let it) = $0 { it } else { nil } }
    }
    for _ in 0..<5 {
      rooms.advance(.seconds(10))
      rooms.send(.ping(1), from: ben)
    }
    #expect(failures().isEmpty)
    rooms.advance(.seconds(11))
    #expect(failures().map(\.err) == [.seTrackNotfound])
    #expect(failures().map(\.trackSid) == ["TR_nobody"])
  }

  @Test func saysThatACodecIsMissing() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    ben.policy = MediaPolicy.room.restricted(to: ["opus", "H264"])
    let sid = try rooms.publish(ann, cid: "cam", type: .video) {
      $0.simulcastCodecs = [make(Livekit_SimulcastCodec()) { $0.codec = "vp8" }]
    }
    let failures = ben.messages.compactMap { message -> Livekit_SubscriptionResponse? in
      if case .subscriptionResponse(let it) = message { it } else { nil }
    }
    #expect(failures.map(\.err) == [.seCodecUnsupported])
    #expect(failures.map(\.trackSid) == [sid])
  }

  @Test func changesWhileAnOfferIsOutWaitForItsAnswer() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(300))
    ben.answers = false
    let mic = try rooms.publish(ann, cid: "mic")
    let cam = try rooms.publish(ann, cid: "cam", type: .video)
    #expect(ben.serverOffers.map(\.id) == [1, 2])
    #expect(ben.receivedTracks == [mic])
    ben.answers = true
    // The answer to an offer long gone changes nothing.
    ben.forgetMessages()
    var stale = Livekit_SessionDescription()
    stale.type = "answer"
    stale.id = 1
    rooms.send(.answer(stale), from: ben)
    rooms.advance(.milliseconds(300))
    #expect(ben.serverOffers.isEmpty)
    #expect(ben.leaves.isEmpty)
    _ = cam
  }

  @Test func translatesSizesIntoLayers() {
    var info = Livekit_TrackInfo()
    info.type = .video
    info.layers = [(Livekit_VideoQuality.low, UInt32(320), UInt32(180)), (.medium, 640, 360), (.high, 1280, 720)].map {
      layer in
      make(Livekit_VideoLayer()) {
        $0.quality = layer.0
        $0.width = layer.1
        $0.height = layer.2
      }
    }
    let qualities: [Livekit_VideoQuality] = [.low, .medium, .high]
    func layer(_ width: UInt32, _ height: UInt32, quality: Livekit_VideoQuality = .low) -> Int {
      var settings = TrackSettings()
      settings.width = width
      settings.height = height
      settings.quality = quality
      return settings.preferences(for: info, qualities: qualities).maximumSpatialLayer
    }
    #expect(layer(320, 180) == 0)
    #expect(layer(340, 190) == 0)
    #expect(layer(400, 225) == 1)
    // Turned pictures count by their shorter side.
    #expect(layer(360, 640) == 1)
    #expect(layer(1920, 1080) == 2)
    // Without a size the quality counts.
    #expect(layer(0, 0, quality: .medium) == 1)
    #expect(layer(0, 0, quality: .high) == 2)
    var settings = TrackSettings()
    settings.isDisabled = true
    settings.framesPerSecond = 7
    let preferences = settings.preferences(for: info, qualities: qualities)
    #expect(preferences.isPaused)
    #expect(preferences.maximumTemporalLayer == 0)
  }

  @Test func settingsReachTheRouter() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "cam", type: .video)
    var settings = Livekit_UpdateTrackSettings()
    settings.trackSids = [sid]
    settings.disabled = true
    rooms.send(.trackSetting(settings), from: ben)
    let paused = rooms.media[0].commands.contains {
      if case .updateConsumer(_, _, let preferences) = $0 { preferences.isPaused } else { false }
    }
    #expect(paused)
  }

  @Test func publishersMayForbidSubscribers() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let cid = try rooms.join("cid")
    let sid = try rooms.publish(ann, cid: "mic")
    var permission = Livekit_SubscriptionPermission()
    permission.trackPermissions = [
      make(Livekit_TrackPermission()) {
        $0.participantIdentity = "cid"
        $0.allTracks = true
      }
    ]
    rooms.send(.subscriptionPermission(permission), from: ann)
    rooms.advance(.milliseconds(300))
    #expect(ben.receivedTracks.isEmpty)
    #expect(cid.receivedTracks == [sid])
    func told(_ client: TestClient) -> [Bool] {
      client.messages.compactMap { if case .subscriptionPermissionUpdate(let it) = $0 { it.allowed } else { nil } }
    }
    #expect(told(ben) == [false])
    #expect(told(cid).isEmpty)
    permission.allParticipants = true
    rooms.send(.subscriptionPermission(permission), from: ann)
    rooms.advance(.milliseconds(300))
    #expect(ben.receivedTracks == [sid])
    #expect(told(ben) == [false, true])
  }

  @Test func tellsPublishersWhichLayersAreWatched() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "cam", type: .video)
    let room = try rooms.room()
    let track = try #require(room.track(sid))
    track.qualities = [.low, .medium, .high]
    func updates() -> [[Bool]] {
      ann.messages.compactMap {
        if case .subscribedQualityUpdate(let it) = $0 { it.subscribedQualities.map(\.enabled) } else { nil }
      }
    }
    rooms.core.receive(.router(room.mediaID, .wantedLayers(track.producer, maximumSpatialLayer: 1)))
    rooms.core.receive(.router(room.mediaID, .wantedLayers(track.producer, maximumSpatialLayer: 1)))
    #expect(updates() == [[true, true, false]])
    rooms.core.receive(.router(room.mediaID, .wantedLayers(track.producer, maximumSpatialLayer: nil)))
    #expect(updates().last == [false, false, false])
    // One encoding is switched as a whole: it may have any name.
    track.qualities = [.high]
    rooms.core.receive(.router(room.mediaID, .wantedLayers(track.producer, maximumSpatialLayer: 0)))
    #expect(updates().last == [true, true, true])
  }

  @Test func speakersAreToldToThoseWhoHearThem() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let deaf = try rooms.join("deaf") { $0.autoSubscribe = false }
    let sid = try rooms.publish(ann, cid: "mic")
    let room = try rooms.room()
    let producer = try #require(room.track(sid)).producer
    func heard(_ client: TestClient) -> [[Bool]] {
      client.messages.compactMap {
        if case .speakersChanged(let it) = $0 { it.speakers.map { $0.sid == ann.sid && $0.active } } else { nil }
      }
    }
    rooms.core.receive(.router(room.mediaID, .speakers([SpeakerLevel(producer: producer, level: 0.5, isActive: true)])))
    #expect(heard(ann) == [[true]])
    #expect(heard(ben) == [[true]])
    #expect(heard(deaf).isEmpty)
    // One who comes later learns that ann speaks already.
    let late = try rooms.join("late")
    rooms.advance(.milliseconds(300))
    #expect(heard(late) == [[true]])
    rooms.core.receive(.router(room.mediaID, .speakers([SpeakerLevel(producer: producer, level: 0, isActive: false)])))
    #expect(heard(ben) == [[true], [false]])
  }

  @Test func pausesForBandwidthAreToldToTheSubscriber() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "cam", type: .video)
    let room = try rooms.room()
    let subscription = try #require(room.participant("ben")?.subscribing.subscriptions[sid])
    for isPaused in [false, true, true, false] {
      rooms.core.receive(.router(room.mediaID, .consumerState(subscription.consumer, isPausedForBandwidth: isPaused)))
    }
    let states = ben.messages.flatMap { message -> [Livekit_StreamStateInfo] in
      if case .streamStateUpdate(let it) = message { it.streamStates } else { [] }
    }
    #expect(states.map(\.state) == [.paused, .active])
    #expect(states.map(\.trackSid) == [sid, sid])
  }
}
