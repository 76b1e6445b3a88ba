import Core
import LiveKitProtocol
import Testing

@testable import Rooms

@Suite struct JoinTests {
  @Test func sendsJoinFirstWithWhatClientsNeed() throws {
    let rooms = RoomHarness()
    let client = try rooms.join("ann")
    guard case .join(let join) = client.messages.first else {
      Issue.record("the first message is \(String(describing: client.messages.first))")
      return
    }
    #expect(join.room.name == "hall")
    #expect(join.room.sid.hasPrefix("RM_"))
    #expect(join.participant.sid.hasPrefix("PA_"))
    #expect(join.participant.sid.utf8.count == 15)
    #expect(join.participant.state == .joined)
    #expect(join.participant.permission.canPublish)
    #expect(join.pingInterval == 5)
    #expect(join.pingTimeout == 15)
    #expect(join.subscriberPrimary)
    #expect(join.serverInfo.protocol == 17)
    #expect(join.enabledPublishCodecs.map(\.mime).contains("video/VP8"))
  }

  @Test func offersDataChannelsWithoutAnyTrack() throws {
    let rooms = RoomHarness()
    let client = try rooms.join("ann")
    rooms.advance(.milliseconds(50))
    #expect(client.serverOffers.count == 1)
    #expect(client.serverOffers.first?.id == 1)
    #expect(client.serverOffers.first?.sdp.contains("m=application") == true)
  }

  @Test func becomesActiveWhenThePrimaryConnectionWorks() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(50))
    #expect(ann.info("ben")?.state == .active)
    #expect(try rooms.room().participant("ben")?.wasActive == true)
    #expect(ben.join?.otherParticipants.map(\.identity) == ["ann"])
    let joined = rooms.events.compactMap { if case .participantJoined(_, let info) = $0 { info.identity } else { nil } }
    #expect(joined == ["ann", "ben"])
  }

  @Test func versionsRiseWithEveryChange() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(50))
    try rooms.publish(ben, cid: "mic")
    rooms.send(.leave(Livekit_LeaveRequest()), from: ben)
    let versions = ann.updates.filter { $0.identity == "ben" }.map(\.version)
    #expect(versions.count >= 4)
    #expect(zip(versions, versions.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test func hiddenParticipantsAreNeverAnnounced() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let spy = try rooms.join("spy") { $0.claims.video.hidden = true }
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(50))
    #expect(ann.info("spy") == nil)
    #expect(ben.join?.otherParticipants.map(\.identity) == ["ann"])
    #expect(spy.info("ben") != nil)
    #expect(try rooms.room().info.numParticipants == 2)
  }

  @Test func secondJoinOfOneIdentityEndsTheFirst() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let first = try rooms.join("ben")
    rooms.advance(.milliseconds(50))
    let second = try rooms.join("ben")
    #expect(first.leaves.map(\.reason) == [.duplicateIdentity])
    #expect(first.leaves.map(\.action) == [.disconnect])
    #expect(first.closes == [.normal])
    #expect(first.sid != second.sid)
    #expect(ann.info("ben")?.sid == second.sid)
    #expect(ann.info("ben")?.state == .joined)
    // The dead socket's end does not harm its successor.
    rooms.core.disconnected(first.session)
    rooms.settle()
    #expect(try rooms.room().participant("ben")?.sid == second.sid)
  }

  @Test func refusesByStatus() throws {
    let rooms = RoomHarness { $0.autoCreate = false }
    func status(_ configure: (inout JoinRequest) -> Void) -> Int? {
      do {
        try rooms.join("ann", configure)
        return nil
      } catch let refusal as JoinRefusal { return refusal.status } catch { return -1 }
    }
    #expect(status { $0.claims.video.roomJoin = false } == 401)
    #expect(status { $0.claims.identity = "" } == 400)
    #expect(status { $0.claims.video.room = "" } == 400)
    #expect(status { $0.claims.identity = String(repeating: "x", count: 257) } == 400)
    #expect(status { _ in } == 404)
    var request = Livekit_CreateRoomRequest()
    request.name = "hall"
    request.maxParticipants = 1
    _ = try rooms.core.createRoom(request)
    #expect(status { _ in } == nil)
    #expect(status { $0.claims.identity = "ben" } == 503)
    // Agents need no place, and ann may come again.
    #expect(
      status {
        $0.claims.identity = "bot"
        $0.claims.video.agent = true
      } == nil)
    #expect(status { _ in } == nil)
  }

  @Test func answersBothKindsOfPing() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    var ping = Livekit_Ping()
    ping.timestamp = 4711
    rooms.send(.pingReq(ping), from: ann)
    rooms.send(.ping(12), from: ann)
    var seen: [Int64] = []
    for message in ann.messages {
      if case .pongResp(let pong) = message {
        #expect(pong.lastPingTimestamp == 4711)
        seen.append(pong.timestamp)
      }
      if case .pong(let time) = message { seen.append(time) }
    }
    #expect(seen.count == 2)
    #expect(seen.allSatisfy { $0 >= 1_700_000_000_000 && $0 < 1_800_000_000_000 })
  }

  @Test func dropsASilentSocketButKeepsTheParticipant() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.seconds(10))
    rooms.send(.ping(1), from: ann)
    rooms.advance(.seconds(14))
    #expect(ann.closes.isEmpty)
    rooms.advance(.seconds(2))
    #expect(ann.closes == [.cut])
    #expect(try rooms.room().participant("ann") != nil)
    rooms.advance(.seconds(31))
    #expect(rooms.core.room("hall")?.participant("ann") == nil)
  }

  @Test func dropsOneWhoNeverConnects() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    ann.answers = false
    rooms.media[0].connects = false
    let ben = try rooms.join("ben")
    ben.answers = false
    for _ in 0..<6 {
      rooms.advance(.seconds(9))
      rooms.send(.ping(1), from: ben)
    }
    // No answer to the offer within 15 s: it is told to begin anew.
    #expect(ben.leaves.map(\.action) == [.reconnect])
    let aborted = rooms.events.contains {
      if case .participantConnectionAborted(_, let info) = $0 { info.identity == "ben" } else { false }
    }
    #expect(aborted)
  }

  @Test func refreshesTheTokenAtOnceAndEveryFiveMinutes() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    #expect(ann.messages.dropFirst().first.map { if case .refreshToken = $0 { true } else { false } } == true)
    for _ in 0..<31 {
      rooms.advance(.seconds(10))
      rooms.send(.ping(1), from: ann)
    }
    #expect(rooms.mintedTokens.count == 2)
    #expect(rooms.mintedTokens.last?.identity == "ann")
    #expect(rooms.mintedTokens.last?.video.room == "hall")
  }

  @Test func aFloodOfMessagesIsTheEnd() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    for _ in 0..<3000 { ben.send(.ping(1), rooms.core) }
    #expect(ben.leaves.isEmpty)
    rooms.advance(.seconds(5))
    for _ in 0..<4100 { ben.send(.ping(1), rooms.core) }
    #expect(ben.leaves.map(\.action) == [.disconnect])
    #expect(ann.leaves.isEmpty)
    #expect(ann.info("ben")?.state == .disconnected)
  }
}
