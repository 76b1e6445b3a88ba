import Core
import LiveKitProtocol
import SFU
import Testing

@testable import Rooms

@Suite struct ResumeTests {
  /// Kinds of messages, in order.
  private func kinds(_ client: TestClient) -> [String] {
    client.messages.map { message in
      switch message {
      case .reconnect: "reconnect"
      case .update: "update"
      case .roomUpdate: "room"
      case .offer: "offer"
      case .leave: "leave"
      case .join: "join"
      default: "other"
      }
    }.filter { $0 != "other" }
  }

  @Test func resumesWithEverybodyThenTheRoomThenAnOffer() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let cid = try rooms.join("cid")
    let sid = try rooms.publish(ann, cid: "mic")
    rooms.core.disconnected(ben.session)
    rooms.advance(.seconds(1))
    rooms.send(.leave(Livekit_LeaveRequest()), from: cid)
    let again = try rooms.resume(ben)
    rooms.advance(.milliseconds(300))
    #expect(kinds(again).prefix(4) == ["reconnect", "update", "room", "offer"])
    guard case .update(let snapshot) = again.messages[1] else {
      Issue.record("no snapshot")
      return
    }
    let states = Dictionary(uniqueKeysWithValues: snapshot.participants.map { ($0.identity, $0.state) })
    // Itself, the present, and the one who left meanwhile.
    #expect(states == ["ann": .active, "ben": .active, "cid": .disconnected])
    #expect(again.receivedTracks == [sid])
    let before = try #require(ben.serverOffers.last).sdp
    let after = try #require(again.serverOffers.last).sdp
    #expect(ufrag(before) != ufrag(after))
    // Nobody saw ben go.
    #expect(ann.updates.filter { $0.identity == "ben" && $0.state == .disconnected }.isEmpty)
  }

  private func ufrag(_ sdp: String) -> Substring? {
    sdp.split(separator: "\r\n").first { $0.hasPrefix("a=ice-ufrag:") }
  }

  @Test func unknownSessionsAreToldToBeginAnew() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let stranger = try rooms.resume(ann, sid: "PA_somebodyelse")
    #expect(kinds(stranger) == ["leave"])
    #expect(stranger.leaves.map(\.action) == [.reconnect])
    #expect(stranger.leaves.map(\.reason) == [.stateMismatch])
    #expect(stranger.closes == [.goingAway])
    // The living session is not touched.
    #expect(ann.closes.isEmpty)
    let nowhere = try rooms.resume(ann, room: "elsewhere")
    #expect(nowhere.leaves.map(\.action) == [.reconnect])
    #expect(rooms.core.room("elsewhere") == nil)
  }

  @Test func aNewSocketTakesOverFromTheOldOne() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.milliseconds(100))
    let again = try rooms.resume(ann)
    #expect(ann.closes == [.goingAway])
    rooms.core.disconnected(ann.session)
    rooms.advance(.seconds(1))
    #expect(try rooms.room().participant("ann")?.signal?.id == again.session)
  }

  @Test func endsWhenNobodyComesBack() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(100))
    rooms.core.disconnected(ben.session)
    for _ in 0..<3 {
      rooms.advance(.seconds(9))
      rooms.send(.ping(1), from: ann)
    }
    #expect(ann.info("ben")?.state == .active)
    rooms.advance(.seconds(4))
    #expect(ann.info("ben")?.state == .disconnected)
    #expect(ann.info("ben")?.disconnectReason == .signalClose)
    let late = try rooms.resume(ben)
    #expect(late.leaves.map(\.action) == [.reconnect])
  }

  @Test func aSocketLostBeforeTheConnectionWorkedIsTheEnd() throws {
    let rooms = RoomHarness()
    rooms.media[0].connects = false
    let ann = try rooms.join("ann")
    rooms.core.disconnected(ann.session)
    rooms.settle()
    #expect(try rooms.room().participant("ann") == nil)
  }

  @Test func appliesWhatTheClientBelieves() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let mic = try rooms.publish(ann, cid: "mic")
    let cam = try rooms.publish(ann, cid: "cam", type: .video)
    rooms.core.disconnected(ben.session)
    let again = try rooms.resume(ben)
    rooms.advance(.milliseconds(300))
    var state = Livekit_SyncState()
    state.subscription.trackSids = [mic]
    state.subscription.subscribe = false
    state.trackSidsDisabled = [cam]
    rooms.send(.syncState(state), from: again)
    rooms.advance(.milliseconds(300))
    #expect(again.receivedTracks == [cam])
    let paused = rooms.media[0].commands.contains {
      if case .updateConsumer(_, _, let preferences) = $0 { preferences.isPaused } else { false }
    }
    #expect(paused)
  }

  @Test func aTrackThatTheServerDoesNotKnowMeansBeginningAnew() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.milliseconds(100))
    rooms.core.disconnected(ann.session)
    let again = try rooms.resume(ann)
    var state = Livekit_SyncState()
    state.publishTracks = [make(Livekit_TrackPublishedResponse()) { $0.track.sid = "TR_unknown" }]
    rooms.send(.syncState(state), from: again)
    #expect(again.leaves.map(\.action) == [.reconnect])
    #expect(again.leaves.map(\.reason) == [.stateMismatch])
  }

  @Test func restartsICEOfThePublisherWithNewCredentialsInTheAnswer() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ann, cid: "mic")
    let before = ufrag(try #require(ann.serverAnswers.last).sdp)
    ann.restartPublisher()
    ann.offerPublisher(rooms.core)
    rooms.settle()
    #expect(ann.serverAnswers.count == 2)
    #expect(ufrag(try #require(ann.serverAnswers.last).sdp) != before)
    // The track goes on.
    #expect(ben.info("ann")?.tracks.map(\.sid) == [sid])
    #expect(rooms.media[0].commands.filter { if case .addProducer = $0 { true } else { false } }.count == 1)
  }

  @Test func changesWithoutASocketWaitForTheResume() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(300))
    rooms.core.disconnected(ben.session)
    let sid = try rooms.publish(ann, cid: "mic")
    #expect(ben.serverOffers.count == 1)
    let again = try rooms.resume(ben)
    rooms.advance(.milliseconds(300))
    #expect(again.receivedTracks == [sid])
    #expect(again.leaves.isEmpty)
  }

  @Test func aBrokenPathBringsAResumeAndThenTheEnd() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.milliseconds(100))
    let peer = try #require(try rooms.room().participant("ann")?.subscriber)
    rooms.core.receive(.peerDisconnected(peer.id))
    rooms.advance(.seconds(9))
    rooms.send(.ping(1), from: ann)
    #expect(ann.leaves.isEmpty)
    rooms.advance(.seconds(7))
    #expect(ann.leaves.map(\.action) == [.resume])
    #expect(ann.closes == [.goingAway])
    rooms.advance(.seconds(11))
    #expect(rooms.core.room("hall")?.participant("ann") == nil)
  }

  @Test func aPathThatHealsIsForgotten() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.milliseconds(100))
    let peer = try #require(try rooms.room().participant("ann")?.subscriber)
    rooms.core.receive(.peerDisconnected(peer.id))
    rooms.advance(.seconds(5))
    rooms.core.receive(.peerReconnected(peer.id))
    for _ in 0..<3 {
      rooms.advance(.seconds(9))
      rooms.send(.ping(1), from: ann)
    }
    #expect(ann.leaves.isEmpty)
  }

  @Test func aClosedConnectionWaitsForItsGoodbye() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(100))
    let peer = try #require(try rooms.room().participant("ben")?.subscriber)
    rooms.core.receive(.peerClosed(peer.id))
    rooms.advance(.milliseconds(500))
    #expect(ann.info("ben")?.state == .active)
    rooms.send(.leave(Livekit_LeaveRequest()), from: ben)
    #expect(ann.info("ben")?.disconnectReason == .clientInitiated)
    #expect(ben.leaves.isEmpty)
  }

  @Test func aClosedConnectionWithoutGoodbyeBeginsAnew() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.milliseconds(100))
    let peer = try #require(try rooms.room().participant("ann")?.subscriber)
    rooms.core.receive(.peerClosed(peer.id))
    rooms.advance(.seconds(4))
    #expect(ann.leaves.map(\.action) == [.reconnect])
  }

  @Test func aClientThatLostSocketAndConnectionIsReplacedByItself() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(100))
    let peer = try #require(try rooms.room().participant("ben")?.subscriber)
    rooms.core.disconnected(ben.session)
    rooms.core.receive(.peerClosed(peer.id))
    rooms.advance(.seconds(5))
    #expect(ann.info("ben")?.state == .active)
    let again = try rooms.join("ben")
    #expect(ann.info("ben")?.sid == again.sid)
    rooms.core.disconnected(again.session)
    rooms.advance(.milliseconds(10))
    // A goodbye that never comes: gone after ten seconds.
    let last = try rooms.join("cid")
    rooms.advance(.milliseconds(100))
    let other = try #require(try rooms.room().participant("cid")?.subscriber)
    rooms.core.receive(.peerClosed(other.id))
    rooms.core.disconnected(last.session)
    rooms.advance(.seconds(9))
    rooms.send(.ping(1), from: ann)
    #expect(ann.info("cid")?.state == .active)
    rooms.advance(.seconds(2))
    #expect(ann.info("cid")?.state == .disconnected)
  }
}
