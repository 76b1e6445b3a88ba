import Core
import LiveKitProtocol
import Testing

@testable import Rooms

@Suite struct DataTests {
  private struct Sent: Equatable {
    var receivers: Set<String>
    var label: DataChannelLabel
    var packet: Livekit_DataPacket
  }

  /// What the workers were ordered to send since the last look.
  private func sent(_ rooms: RoomHarness) throws -> [Sent] {
    rooms.settle()
    defer { rooms.media[0].forget() }
    return try rooms.media[0].commands.compactMap { command in
      guard case .sendData(let peers, let label, let bytes) = command else { return nil }
      let names = peers.compactMap { rooms.context.peers[$0]?.connection?.participant.identity }
      return Sent(receivers: Set(names), label: label, packet: try #require(Livekit_DataPacket(parsing: bytes)))
    }
  }

  private func receive(
    _ packet: Livekit_DataPacket, on label: DataChannelLabel, from client: TestClient, _ rooms: RoomHarness
  ) throws {
    let sender = try #require(try rooms.room().participant(client.identity))
    rooms.core.receive(.data(sender.openPublisher().id, label, packet.bytes))
  }

  private func user(
    _ text: String, to identities: [String] = [], sequence: UInt32 = 0, nonce: [UInt8] = []
  ) -> Livekit_DataPacket {
    make(Livekit_DataPacket()) {
      $0.kind = .lossy
      $0.participantIdentity = "somebody else"
      $0.participantSid = "PA_somebodyelse"
      $0.sequence = sequence
      $0.destinationIdentities = identities
      $0.user.payload.append(contentsOf: Array(text.utf8))
      $0.user.nonce.append(contentsOf: nonce)
    }
  }

  private func three(_ rooms: RoomHarness) throws -> [TestClient] {
    let clients = try ["ann", "ben", "cid"].map { try rooms.join($0) }
    rooms.advance(.milliseconds(300))
    _ = try sent(rooms)
    return clients
  }

  @Test func goesToAllOthersWithTheTrueSender() throws {
    let rooms = RoomHarness()
    let ann = try three(rooms)[0]
    try receive(user("hello"), on: .reliable, from: ann, rooms)
    let all = try sent(rooms)
    #expect(all.map(\.receivers) == [["ben", "cid"]])
    #expect(all.map(\.label) == [.reliable])
    let packet = try #require(all.first).packet
    #expect(packet.participantIdentity == "ann")
    #expect(packet.participantSid == ann.sid)
    #expect(packet.user.participantIdentity == "ann")
    // The channel decides, not what the packet says.
    #expect(packet.kind == .reliable)
  }

  @Test func goesToThoseWhoAreNamed() throws {
    let rooms = RoomHarness()
    let clients = try three(rooms)
    try receive(user("psst", to: ["cid"]), on: .lossy, from: clients[0], rooms)
    #expect(try sent(rooms).map(\.receivers) == [["cid"]])
    var old = user("psst")
    old.user.destinationSids = [clients[1].sid]
    try receive(old, on: .lossy, from: clients[0], rooms)
    #expect(try sent(rooms).map(\.receivers) == [["ben"]])
    old.user.destinationSids = ["PA_gone"]
    try receive(old, on: .lossy, from: clients[0], rooms)
    try receive(user("me", to: ["ann"]), on: .lossy, from: clients[0], rooms)
    #expect(try sent(rooms).isEmpty)
  }

  @Test func takesEachReliableNumberOnce() throws {
    let rooms = RoomHarness()
    let ann = try three(rooms)[0]
    for sequence: UInt32 in [1, 2, 2, 1, 3] {
      try receive(user("x", sequence: sequence), on: .reliable, from: ann, rooms)
    }
    #expect(try sent(rooms).map(\.packet.sequence) == [1, 2, 3])
    try receive(user("x", nonce: [1, 2]), on: .lossy, from: ann, rooms)
    try receive(user("x", nonce: [1, 2]), on: .lossy, from: ann, rooms)
    #expect(try sent(rooms).count == 1)
  }

  @Test func dropsWhatThePermissionsForbid() throws {
    let rooms = RoomHarness()
    let mute = try rooms.join("mute") { $0.claims.video.canPublishData = false }
    try rooms.join("ben")
    rooms.advance(.milliseconds(300))
    _ = try sent(rooms)
    try receive(user("x"), on: .reliable, from: mute, rooms)
    #expect(try sent(rooms).isEmpty)
  }

  @Test func transcriptionsComeFromAgentsOnly() throws {
    let rooms = RoomHarness()
    let ann = try three(rooms)[0]
    let bot = try rooms.join("bot") { $0.claims.video.agent = true }
    rooms.advance(.milliseconds(100))
    _ = try sent(rooms)
    let packet = make(Livekit_DataPacket()) { $0.transcription.trackID = "TR_x" }
    try receive(packet, on: .reliable, from: ann, rooms)
    #expect(try sent(rooms).isEmpty)
    try receive(packet, on: .reliable, from: bot, rooms)
    #expect(try sent(rooms).map(\.receivers) == [["ann", "ben", "cid"]])
  }

  @Test func junkIsDropped() throws {
    let rooms = RoomHarness()
    let ann = try three(rooms)[0]
    let peer = try #require(try rooms.room().participant("ann")).openPublisher().id
    rooms.core.receive(.data(peer, .reliable, [0xFF, 0xFF, 0xFF]))
    rooms.core.receive(.data(peer, .dataTrack, [1, 2, 3]))
    #expect(try sent(rooms).isEmpty)
    #expect(ann.leaves.isEmpty)
  }

  @Test func replaysWhatAResumingReceiverMissed() throws {
    let rooms = RoomHarness()
    let clients = try three(rooms)
    rooms.core.disconnected(clients[1].session)
    for sequence: UInt32 in 1...3 {
      try receive(user("\(sequence)", sequence: sequence), on: .reliable, from: clients[0], rooms)
    }
    try receive(user("for cid", to: ["cid"], sequence: 4), on: .reliable, from: clients[0], rooms)
    let again = try rooms.resume(clients[1])
    rooms.advance(.milliseconds(100))
    _ = try sent(rooms)
    var state = Livekit_SyncState()
    state.datachannelReceiveStates = [
      make(Livekit_DataChannelReceiveState()) {
        $0.publisherSid = clients[0].sid
        $0.lastSeq = 1
      }
    ]
    rooms.send(.syncState(state), from: again)
    let replayed = try sent(rooms)
    #expect(replayed.map(\.packet.sequence) == [2, 3])
    #expect(replayed.allSatisfy { $0.receivers == ["ben"] })
    // After two seconds it is forgotten.
    rooms.advance(.seconds(3))
    rooms.send(.syncState(state), from: again)
    #expect(try sent(rooms).isEmpty)
  }

  @Test func tellsAResumingSenderWhatArrived() throws {
    let rooms = RoomHarness()
    let clients = try three(rooms)
    try receive(user("x", sequence: 7), on: .reliable, from: clients[0], rooms)
    rooms.core.disconnected(clients[0].session)
    let again = try rooms.resume(clients[0])
    guard case .reconnect(let reconnect) = again.messages.first else {
      Issue.record("no reconnect")
      return
    }
    #expect(reconnect.lastMessageSeq == 7)
  }

  @Test func theServersOwnPacketsHaveNoNumberAndNoSender() throws {
    let rooms = RoomHarness()
    _ = try three(rooms)
    var request = Livekit_SendDataRequest()
    request.room = "hall"
    request.data.append(contentsOf: [1, 2, 3])
    request.kind = .reliable
    request.topic = "news"
    request.destinationIdentities = ["ann", "ben"]
    try rooms.core.sendData(request)
    let all = try sent(rooms)
    #expect(all.map(\.receivers) == [["ann", "ben"]])
    #expect(all.first?.packet.sequence == 0)
    #expect(all.first?.packet.participantIdentity == "")
    #expect(all.first?.packet.user.topic == "news")
    request.room = "nowhere"
    #expect(throws: RoomError.self) { try rooms.core.sendData(request) }
  }

  @Test func theReplayCacheKeepsItsBound() {
    var cache = ReplayCache()
    for sequence: UInt32 in 1...100 {
      cache.append(
        ReplayCache.Entry(
          time: .zero, senderSID: "PA_a", sequence: sequence, destinations: [],
          bytes: [UInt8](repeating: 0, count: 64_000)))
    }
    #expect(cache.totalBytes <= ReplayCache.maximumBytes)
    let missed = cache.missed(by: "ben", lastSequences: ["PA_a": 0], now: .zero)
    #expect(missed.count == ReplayCache.maximumBytes / 64_000)
  }
}
