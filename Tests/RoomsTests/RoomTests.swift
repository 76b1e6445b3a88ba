import Core
import LiveKitProtocol
import SFU
import Testing

@testable import Rooms

@Suite struct RoomTests {
  private func finished(_ rooms: RoomHarness) -> [String] {
    rooms.events.compactMap { if case .roomFinished(let room) = $0 { room.name } else { nil } }
  }

  @Test func closesAfterTheLastOneLeft() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.send(.leave(Livekit_LeaveRequest()), from: ann)
    rooms.advance(.seconds(19))
    #expect(finished(rooms).isEmpty)
    rooms.advance(.seconds(2))
    #expect(finished(rooms) == ["hall"])
    let closed = rooms.media[0].commands.contains { if case .closeRoom = $0 { true } else { false } }
    #expect(closed)
  }

  @Test func closesIfNobodyCame() throws {
    let rooms = RoomHarness()
    var request = Livekit_CreateRoomRequest()
    request.name = "hall"
    request.emptyTimeout = 10
    request.metadata = "m"
    let made = try rooms.core.createRoom(request)
    #expect(made.emptyTimeout == 10)
    #expect(made.departureTimeout == 20)
    #expect(made.metadata == "m")
    #expect(try rooms.core.createRoom(request).sid == made.sid)
    #expect(rooms.core.listRooms([]).map(\.name) == ["hall"])
    #expect(rooms.core.listRooms(["other"]).isEmpty)
    rooms.advance(.seconds(11))
    #expect(finished(rooms) == ["hall"])
    #expect(rooms.core.listRooms([]).isEmpty)
  }

  @Test func agentsDoNotHoldARoom() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let bot = try rooms.join("bot") { $0.claims.kind = .agent }
    rooms.send(.leave(Livekit_LeaveRequest()), from: ann)
    for _ in 0..<3 {
      rooms.advance(.seconds(7))
      rooms.send(.ping(1), from: bot)
    }
    #expect(bot.leaves.map(\.reason) == [.roomClosed])
    #expect(finished(rooms) == ["hall"])
  }

  @Test func aTokenMayConfigureTheRoomThatItCreates() throws {
    let rooms = RoomHarness()
    try rooms.join("ann") { request in
      request.claims.roomConfiguration = make(Livekit_RoomConfiguration()) {
        $0.emptyTimeout = 7
        $0.departureTimeout = 3
        $0.metadata = "by token"
      }
    }
    let info = try rooms.room().info
    #expect(info.emptyTimeout == 7)
    #expect(info.departureTimeout == 3)
    #expect(info.metadata == "by token")
  }

  @Test func deletionSendsEverybodyAway() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(100))
    try rooms.core.deleteRoom("hall")
    rooms.settle()
    for client in [ann, ben] {
      #expect(client.leaves.map(\.reason) == [.roomDeleted])
      #expect(client.leaves.map(\.action) == [.disconnect])
      #expect(client.closes == [.normal])
    }
    #expect(throws: RoomError(.notFound, "requested room does not exist")) { try rooms.core.deleteRoom("hall") }
    let left = rooms.events.compactMap { if case .participantLeft(_, let info) = $0 { info.identity } else { nil } }
    #expect(left == ["ann", "ben"])
  }

  @Test func removalHasItsReason() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(100))
    try rooms.core.removeParticipant("hall", "ben")
    rooms.settle()
    #expect(ben.leaves.map(\.reason) == [.participantRemoved])
    #expect(ann.info("ben")?.state == .disconnected)
    #expect(ann.info("ben")?.disconnectReason == .participantRemoved)
    #expect(throws: RoomError(.notFound, "participant does not exist")) {
      try rooms.core.removeParticipant("hall", "ben")
    }
    #expect(try rooms.core.listParticipants("hall").map(\.identity) == ["ann"])
  }

  @Test func theClientsOwnLeaveNeedsNoAnswer() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.send(.leave(Livekit_LeaveRequest()), from: ben)
    #expect(ben.leaves.isEmpty)
    #expect(ben.closes == [.normal])
    #expect(ann.info("ben")?.disconnectReason == .clientInitiated)
  }

  @Test func metadataReachesEverybody() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    var request = Livekit_UpdateRoomMetadataRequest()
    request.room = "hall"
    request.metadata = "topic"
    #expect(try rooms.core.updateRoomMetadata(request).metadata == "topic")
    let told = ann.messages.contains { if case .roomUpdate(let it) = $0 { it.room.metadata == "topic" } else { false } }
    #expect(told)
  }

  @Test func participantsChangeThemselvesOnlyIfTheyMay() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben") { $0.claims.video.canUpdateOwnMetadata = true }
    func reasons(_ client: TestClient) -> [Livekit_RequestResponse.Reason] {
      client.messages.compactMap { if case .requestResponse(let it) = $0 { it.reason } else { nil } }
    }
    var update = Livekit_UpdateParticipantMetadata()
    update.requestID = 3
    update.metadata = "m"
    update.name = "Ben"
    update.attributes = ["hand": "up"]
    rooms.send(.updateMetadata(update), from: ann)
    #expect(reasons(ann) == [.notAllowed])
    rooms.send(.updateMetadata(update), from: ben)
    #expect(reasons(ben) == [.ok])
    for client in [ann, ben] {
      #expect(client.info("ben")?.metadata == "m")
      #expect(client.info("ben")?.name == "Ben")
      #expect(client.info("ben")?.attributes == ["hand": "up"])
    }
    update.attributes = ["hand": ""]
    rooms.send(.updateMetadata(update), from: ben)
    #expect(ann.info("ben")?.attributes.isEmpty == true)
    update.metadata = String(repeating: "x", count: 512 * 1024 + 1)
    rooms.send(.updateMetadata(update), from: ben)
    #expect(reasons(ben).last == .limitExceeded)
    #expect(ann.info("ben")?.metadata == "m")
  }

  @Test func connectionQualityIsToldWhenItChanges() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.milliseconds(100))
    let room = try rooms.room()
    let peer = try #require(room.participant("ann")?.subscriber)
    func told() -> [Livekit_ConnectionQuality] {
      ann.messages.flatMap { message -> [Livekit_ConnectionQuality] in
        if case .connectionQuality(let it) = message { it.updates.map(\.quality) } else { [] }
      }
    }
    rooms.advance(.seconds(5))
    #expect(told() == [.excellent])
    rooms.core.receive(.router(room.mediaID, .quality(peer.id, score: 3)))
    rooms.send(.ping(1), from: ann)
    rooms.advance(.seconds(5))
    #expect(told() == [.excellent, .good])
    rooms.send(.ping(1), from: ann)
    rooms.advance(.seconds(5))
    #expect(told() == [.excellent, .good])
  }

  @Test func roomsSpreadOverTheWorkers() throws {
    let rooms = RoomHarness(workers: 2)
    try rooms.join("ann", room: "one")
    try rooms.join("ben", room: "one")
    try rooms.join("ann", room: "two")
    try rooms.join("ann", room: "three")
    #expect(try rooms.room("one").worker != rooms.room("two").worker)
    #expect(try rooms.room("three").worker == rooms.room("two").worker)
  }

  @Test func drainSendsEverybodyAwayToComeBack() throws {
    let rooms = RoomHarness { $0.drainSpread = .seconds(2) }
    let clients = try (0..<4).map { try rooms.join("p\($0)") }
    rooms.advance(.milliseconds(100))
    rooms.core.drain()
    #expect(throws: JoinRefusal.self) { try rooms.join("late") }
    rooms.advance(.milliseconds(100))
    #expect(clients.count { !$0.leaves.isEmpty } == 1)
    rooms.advance(.seconds(2))
    #expect(clients.allSatisfy { $0.leaves.map(\.reason) == [.serverShutdown] })
    #expect(clients.allSatisfy { $0.leaves.map(\.action) == [.reconnect] })
    #expect(rooms.core.participantCount == 0)
  }

  @Test func nothingIsLeftOfARoomThatClosed() throws {
    let rooms = RoomHarness()
    weak var room: Room?
    weak var participant: Participant?
    do {
      let ann = try rooms.join("ann")
      try rooms.join("ben")
      try rooms.publish(ann, cid: "mic")
      room = try rooms.room()
      participant = room?.participant("ann")
    }
    try rooms.core.deleteRoom("hall")
    rooms.settle()
    #expect(room == nil)
    #expect(participant == nil)
    #expect(rooms.context.peers.isEmpty)
    #expect(rooms.context.producers.isEmpty)
    #expect(rooms.context.consumers.isEmpty)
  }
}
