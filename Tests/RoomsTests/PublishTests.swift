import Core
import LiveKitProtocol
import SFU
import Testing

@testable import Rooms
@testable import SDP

@Suite struct PublishTests {
  @Test func answersAddTrackAtOnceWithATrackSID() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    var request = Livekit_AddTrackRequest()
    request.cid = "cam"
    request.type = .video
    request.source = .camera
    rooms.send(.addTrack(request), from: ann)
    #expect(ann.published["cam"]?.hasPrefix("TR_VC") == true)
    #expect(ann.published["cam"]?.utf8.count == 15)
  }

  @Test func announcesATrackWhenItsMediaCame() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(300))
    var request = Livekit_AddTrackRequest()
    request.cid = "mic"
    request.source = .microphone
    rooms.send(.addTrack(request), from: ann)
    try ann.addTrack("mic", .audio)
    ann.offerPublisher(rooms.core)
    rooms.settle()
    #expect(ann.serverAnswers.map(\.id) == [1])
    #expect(ben.info("ann")?.tracks.isEmpty == true)
    let sid = try #require(ann.published["mic"])
    try rooms.startMedia(sid)
    rooms.advance(.milliseconds(300))
    #expect(ben.info("ann")?.tracks.map(\.sid) == [sid])
    #expect(ben.info("ann")?.isPublisher == true)
    #expect(ben.info("ann")?.tracks.first?.mimeType == "audio/opus")
    #expect(ben.receivedTracks == [sid])
    // The announcement came before the offer that carries the track.
    let update = ben.messages.lastIndex { if case .update = $0 { true } else { false } }
    let offer = ben.messages.lastIndex { if case .offer = $0 { true } else { false } }
    #expect(try #require(update) < #require(offer))
    let told = ann.messages.contains { if case .trackSubscribed(let it) = $0 { it.trackSid == sid } else { false } }
    #expect(told)
    let published = rooms.events.contains {
      if case .trackPublished(_, let who, let track) = $0 { who.identity == "ann" && track.sid == sid } else { false }
    }
    #expect(published)
  }

  @Test func takesTheOfferBeforeTheAnnouncement() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    try ann.addTrack("mic", .audio)
    ann.offerPublisher(rooms.core)
    rooms.settle()
    var request = Livekit_AddTrackRequest()
    request.cid = "mic"
    rooms.send(.addTrack(request), from: ann)
    let sid = try #require(ann.published["mic"])
    let added = rooms.media[0].commands.contains { if case .addProducer = $0 { true } else { false } }
    #expect(added)
    try rooms.startMedia(sid)
    #expect(try rooms.room().track(sid)?.isLive == true)
  }

  @Test func lateJoinersGetWhatIsThere() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let mic = try rooms.publish(ann, cid: "mic")
    let cam = try rooms.publish(ann, cid: "cam", type: .video)
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(50))
    #expect(ben.join?.otherParticipants.first?.tracks.map(\.sid) == [mic, cam])
    #expect(ben.serverOffers.count == 1)
    #expect(ben.receivedTracks == [mic, cam])
    #expect(ben.serverOffers.last?.sdp.contains("a=msid:\(ann.sid)|camera \(cam)") == true)
    let consumers = rooms.media[0].commands.filter { if case .addConsumer = $0 { true } else { false } }
    #expect(consumers.count == 2)
  }

  @Test func endsATrackThatIsNoLongerOffered() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "mic")
    #expect(ben.receivedTracks == [sid])
    ann.removeTrack("mic")
    ann.offerPublisher(rooms.core)
    rooms.settle()
    rooms.advance(.milliseconds(300))
    #expect(ben.info("ann")?.tracks.isEmpty == true)
    #expect(ben.receivedTracks.isEmpty)
    let unpublished = rooms.events.contains { if case .trackUnpublished = $0 { true } else { false } }
    #expect(unpublished)
    // Its name is free again.
    let next = try rooms.publish(ann, cid: "mic")
    #expect(next != sid)
    #expect(ben.receivedTracks == [next])
  }

  @Test func queuesASecondTrackOfTheSameName() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let first = try rooms.publish(ann, cid: "mic")
    var request = Livekit_AddTrackRequest()
    request.cid = "mic"
    rooms.send(.addTrack(request), from: ann)
    #expect(ann.published["mic"] == first)
    ann.removeTrack("mic")
    ann.offerPublisher(rooms.core)
    rooms.settle()
    #expect(ann.published["mic"] != first)
  }

  @Test func refusesWhatThePermissionsForbid() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann") { $0.claims.video.canPublishSources = [.microphone] }
    var request = Livekit_AddTrackRequest()
    request.cid = "cam"
    request.type = .video
    request.source = .camera
    rooms.send(.addTrack(request), from: ann)
    #expect(ann.published.isEmpty)
    let refused = ann.messages.contains {
      if case .requestResponse(let response) = $0 { response.reason == .notAllowed } else { false }
    }
    #expect(refused)
    request.source = .microphone
    request.type = .audio
    rooms.send(.addTrack(request), from: ann)
    #expect(ann.published.count == 1)
  }

  @Test func muteStopsForwardingAndIsAnnounced() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "mic")
    var mute = Livekit_MuteTrackRequest()
    mute.sid = sid
    mute.muted = true
    rooms.send(.mute(mute), from: ann)
    #expect(ben.info("ann")?.tracks.first?.muted == true)
    let ordered = rooms.media[0].commands.contains {
      if case .setProducerMuted(_, _, let muted) = $0 { muted } else { false }
    }
    #expect(ordered)
  }

  @Test func announcesAMutedTrackWithoutMedia() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(50))
    var request = Livekit_AddTrackRequest()
    request.cid = "mic"
    request.muted = true
    rooms.send(.addTrack(request), from: ann)
    try ann.addTrack("mic", .audio)
    ann.offerPublisher(rooms.core)
    rooms.settle()
    #expect(ben.info("ann")?.tracks.map(\.muted) == [true])
  }

  @Test func serverMuteReachesThePublisherAndUnmuteIsRefused() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    var request = Livekit_MuteRoomTrackRequest()
    request.room = "hall"
    request.identity = "ann"
    request.trackSid = try rooms.publish(ann, cid: "mic")
    request.muted = true
    #expect(try rooms.core.mutePublishedTrack(request).muted)
    let told = ann.messages.contains { if case .mute(let mute) = $0 { mute.muted } else { false } }
    #expect(told)
    #expect(ben.info("ann")?.tracks.first?.muted == true)
    request.muted = false
    #expect(throws: RoomError.self) { try rooms.core.mutePublishedTrack(request) }
    request.trackSid = "TR_nothing"
    #expect(throws: RoomError(.notFound, "track is not found")) { try rooms.core.mutePublishedTrack(request) }
  }

  @Test func takingThePermissionAwayEndsTheTracks() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "mic")
    var request = Livekit_UpdateParticipantRequest()
    request.room = "hall"
    request.identity = "ann"
    request.permission.canSubscribe = true
    _ = try rooms.core.updateParticipant(request)
    rooms.advance(.milliseconds(300))
    let told = ann.messages.contains { if case .trackUnpublished(let it) = $0 { it.trackSid == sid } else { false } }
    #expect(told)
    #expect(ann.info("ann")?.permission.canPublish == false)
    #expect(ben.info("ann")?.tracks.isEmpty == true)
    #expect(ben.receivedTracks.isEmpty)
  }

  @Test func mapsRIDsToLayersWhateverTheirOrder() {
    let encodings = ["f", "h", "q"].map { RemoteEncoding(rid: $0) }
    let section = SettledSection(
      mid: "1", kind: .video, direction: .recvonly, codecs: [], extensions: [:], encodings: encodings, isRefused: false)
    let parameters = TrackDescription.producerParameters(section, kind: .video, muted: false, isScreenShare: false)
    #expect(parameters.encodings.map(\.rid) == ["q", "h", "f"])
    #expect(parameters.encodings.map(\.spatialLayer) == [0, 1, 2])
    #expect(TrackDescription.qualities(encodings, Livekit_TrackInfo()) == [.low, .medium, .high])
    #expect(TrackDescription.qualities([encodings[2], encodings[1]], Livekit_TrackInfo()) == [.low, .medium])
    #expect(TrackDescription.qualities([encodings[0]], Livekit_TrackInfo()) == [.high])
  }
}
