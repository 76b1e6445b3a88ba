import Core
import LiveKitProtocol
import Synchronization
import Testing

@testable import Rooms

/// What servers ask of participants: calls, and to go elsewhere.
@Suite struct ServerCallTests {
  private final class Answer: Sendable {
    private let state = Mutex<[Result<String, RoomError>]>([])
    var all: [Result<String, RoomError>] { state.withLock { $0 } }
    func take(_ result: Result<String, RoomError>) { state.withLock { $0.append(result) } }
    var error: RoomError? { if case .failure(let error)? = all.first { error } else { nil } }
  }

  private func call(
    _ rooms: RoomHarness, _ configure: (inout Livekit_PerformRpcRequest) -> Void = { _ in }
  ) -> (answer: Answer, request: Livekit_DataPacket?) {
    var request = Livekit_PerformRpcRequest()
    request.room = "hall"
    request.destinationIdentity = "ann"
    request.method = "greet"
    request.payload = "you"
    configure(&request)
    let answer = Answer()
    rooms.media[0].forget()
    rooms.core.performRPC(request) { answer.take($0) }
    rooms.settle()
    let packets = rooms.media[0].commands.compactMap { command -> Livekit_DataPacket? in
      if case .sendData(_, .reliable, let bytes) = command { Livekit_DataPacket(parsing: bytes) } else { nil }
    }
    return (answer, packets.first)
  }

  private func reply(_ rooms: RoomHarness, from identity: String, _ fill: (inout Livekit_DataPacket) -> Void) throws {
    let sender = try #require(try rooms.room().participant(identity))
    var packet = Livekit_DataPacket()
    packet.destinationIdentities = [ServerCalls.caller]
    fill(&packet)
    rooms.core.receive(.data(sender.openPublisher().id, .reliable, packet.bytes))
    rooms.settle()
  }

  @Test func anAnswerComesBackToTheServer() throws {
    let rooms = RoomHarness()
    for name in ["ann", "ben"] { try rooms.join(name) }
    let (answer, packet) = call(rooms)
    let request = try #require(packet)
    #expect(request.destinationIdentities == ["ann"] && request.participantIdentity == ServerCalls.caller)
    #expect(request.rpcRequest.method == "greet" && request.rpcRequest.payload == "you")
    #expect(request.rpcRequest.version == 1 && request.rpcRequest.responseTimeoutMs == 15_000)
    rooms.media[0].forget()
    try reply(rooms, from: "ann") { $0.rpcAck.requestID = request.rpcRequest.id }
    rooms.advance(.seconds(10))
    // Somebody else cannot answer for her.
    try reply(rooms, from: "ben") {
      $0.rpcResponse.requestID = request.rpcRequest.id
      $0.rpcResponse.payload = "I am Ann"
    }
    #expect(answer.all.isEmpty)
    rooms.media[0].forget()
    try reply(rooms, from: "ann") {
      $0.rpcResponse.requestID = request.rpcRequest.id
      $0.rpcResponse.payload = "hello"
    }
    #expect(answer.all == [.success("hello")])
    let passedOn = rooms.media[0].commands.contains { if case .sendData = $0 { true } else { false } }
    #expect(!passedOn, "the answer is nobody else's")
    rooms.advance(.seconds(20))
    #expect(answer.all.count == 1)
  }

  @Test func noAcknowledgementAndNoAnswerAreToldApart() throws {
    let rooms = RoomHarness()
    try rooms.join("ann")
    let silent = call(rooms)
    rooms.advance(.seconds(8))
    #expect(silent.answer.error?.code == .deadlineExceeded && silent.answer.error?.details["rpc_code"] == "1501")
    let slow = call(rooms) { $0.responseTimeoutMs = 9000 }
    try reply(rooms, from: "ann") { $0.rpcAck.requestID = slow.request?.rpcRequest.id ?? "" }
    rooms.advance(.seconds(8))
    #expect(slow.answer.all.isEmpty)
    rooms.advance(.seconds(2))
    #expect(slow.answer.error?.details["rpc_code"] == "1502")
  }

  @Test func errorsKeepTheirCodesAndData() throws {
    let rooms = RoomHarness()
    try rooms.join("ann")
    for (number, code) in [(1400, RoomError.Code.unimplemented), (1500, .unknown), (101, .unknown)] {
      let (answer, packet) = call(rooms)
      try reply(rooms, from: "ann") {
        $0.rpcResponse.requestID = packet?.rpcRequest.id ?? ""
        $0.rpcResponse.error.code = UInt32(number)
        $0.rpcResponse.error.message = "no"
        $0.rpcResponse.error.data = "why"
      }
      #expect(answer.error?.code == code && answer.error?.message == "no")
      #expect(answer.error?.details == ["rpc_code": "\(number)", "rpc_data": "why"])
    }
  }

  @Test func whoLeavesOwesAnAnswerNoMore() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let (answer, _) = call(rooms)
    rooms.send(.leave(Livekit_LeaveRequest()), from: ann)
    #expect(answer.error?.code == .unavailable && answer.error?.details["rpc_code"] == "1503")
  }

  @Test func whatCannotBeAskedIsRefusedAtOnce() throws {
    let rooms = RoomHarness()
    try rooms.join("ann")
    #expect(call(rooms) { $0.destinationIdentity = "nobody" }.answer.error?.code == .notFound)
    #expect(call(rooms) { $0.room = "nowhere" }.answer.error?.code == .notFound)
    #expect(call(rooms) { $0.method = "" }.answer.error?.code == .invalidArgument)
    #expect(
      call(rooms) { $0.payload = String(repeating: "x", count: 16_000) }.answer.error?.code == .invalidArgument)
  }

  // MARK: Moving

  private func move(_ rooms: RoomHarness, to destination: String) throws(RoomError) {
    var request = Livekit_MoveParticipantRequest()
    request.room = "hall"
    request.identity = "ann"
    request.destinationRoom = destination
    try rooms.core.moveParticipant(request)
    rooms.settle()
  }

  @Test func whoIsMovedGetsATokenForTheOtherRoomAndBeginsAnew() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(300))
    try move(rooms, to: "lobby")
    let claims = try #require(rooms.mintedTokens.last)
    #expect(claims.video.room == "lobby" && claims.video.roomJoin && claims.identity == "ann")
    #expect(ann.leaves.map(\.action) == [.reconnect])
    let order = ann.messages.suffix(2).map { message in
      switch message {
      case .refreshToken: "token"
      case .leave: "leave"
      default: "other"
      }
    }
    #expect(order == ["token", "leave"])
    #expect(ben.info("ann")?.state == .disconnected)
    #expect(try rooms.room().participant("ann") == nil)
  }

  @Test func whoWouldNotBeLetInStays() throws {
    let rooms = RoomHarness { $0.autoCreate = false }
    rooms.core.make("hall", RoomOptions(rooms.context.configuration)).updateSoon()
    var options = RoomOptions(rooms.context.configuration)
    options.maximumParticipants = 1
    _ = rooms.core.make("small", options)
    let ann = try rooms.join("ann")
    try rooms.join("cid", room: "small")
    #expect(throws: RoomError(.notFound, "requested room does not exist")) { try move(rooms, to: "nowhere") }
    #expect(throws: RoomError.self) { try move(rooms, to: "small") }
    #expect(throws: RoomError.self) { try move(rooms, to: "hall") }
    #expect(ann.leaves.isEmpty)
  }
}
