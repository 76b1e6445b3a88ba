import Core
import LiveKitProtocol
import NetworkSupport
import Rooms
import SwiftProtobuf
import Testing

@testable import API

@Suite struct RoomsSignalTests {
  // MARK: Joining

  @Test func theFirstMessageIsTheJoin() async throws {
    try await RoomsTestServer.run { server in
      let (_, join) = try await server.join("ada")
      #expect(join.room.name == "lobby" && join.room.sid.hasPrefix("RM_"))
      #expect(join.participant.identity == "ada" && join.participant.sid.hasPrefix("PA_"))
      #expect(join.pingInterval == 5 && join.pingTimeout == 15)
      #expect(join.subscriberPrimary)
      #expect(join.participant.permission.canPublish)
    }
  }

  @Test(arguments: [
    ("/rtc", true), ("//rtc", true), ("/rtc", false), ("///rtc", false),
  ]) func aTokenTravelsInTheQueryOrInAHeader(path: String, inQuery: Bool) async throws {
    try await RoomsTestServer.run { server in
      let token = RoomsTestServer.token("ada")
      let client = try await server.socket(
        inQuery ? path + "?access_token=\(token)&protocol=17" : path + "?protocol=17",
        authorization: inQuery ? nil : "Bearer \(token)")
      guard case .join? = try await client.next().message else {
        Issue.record("no join")
        return
      }
    }
  }

  @Test func signallingWorksOverTLS() async throws {
    try await RoomsTestServer.run { server in
      let client = try await server.socket("/rtc?access_token=\(RoomsTestServer.token("ada"))", tls: true)
      guard case .join? = try await client.next().message else {
        Issue.record("no join")
        return
      }
    }
  }

  @Test func aMessageBehindTheHandshakeIsNotLost() async throws {
    try await RoomsTestServer.run { server in
      let client = try await RawClient.connect(to: server.http.plain)
      var ping = Livekit_SignalRequest()
      ping.ping = 77
      try await client.send(
        Array(RoomsTestServer.upgrade("/rtc?access_token=\(RoomsTestServer.token("ada"))").utf8)
          + RawClient.frame(opcode: 2, try ping.serializedBytes()))
      _ = try await HTTPTestServer.response(from: client, hasBody: false)
      let signal = SignalClient(client: client)
      let pong = try await signal.first { if case .pong(let time) = $0 { time } else { nil } }
      #expect(pong > 0)
    }
  }

  struct Refused: Sendable, CustomTestStringConvertible {
    let name: String
    let status: Int
    let text: String
    var path = "/rtc"
    var authorization: String?
    var testDescription: String { name }
  }

  static let refused: [Refused] = {
    func query(
      _ identity: String = "ada", room: String = "lobby", _ lifetime: Duration = .seconds(600),
      _ change: (inout AccessClaims) -> Void = { _ in }
    ) -> String {
      "/rtc?access_token=\(RoomsTestServer.token(identity, room: room, lifetime: lifetime, change))"
    }
    return [
      Refused(name: "no token", status: 401, text: "no access token"),
      Refused(name: "rubbish", status: 401, text: "invalid token", path: "/rtc?access_token=rubbish"),
      Refused(
        name: "the header wins", status: 401, text: "invalid token", path: query(), authorization: "Bearer x"),
      Refused(
        name: "wrong scheme", status: 401, text: "Bearer",
        authorization: "Basic \(Base64.encode(Array("devkey:devsecret".utf8)))"),
      Refused(name: "expired", status: 401, text: "expired", path: query("ada", .seconds(-61))),
      Refused(
        name: "no roomJoin", status: 401, text: "roomJoin",
        path: query { $0.video.roomJoin = false }),
      Refused(name: "no room", status: 400, text: "no room name", path: query(room: "")),
      Refused(name: "no identity", status: 400, text: "identity", path: query("")),
      Refused(
        name: "too long a room", status: 400, text: "",
        path: query(room: String(repeating: "r", count: 257))),
      Refused(
        name: "reconnect without sid", status: 400, text: "sid",
        path: query() + "&reconnect=1"),
      Refused(
        name: "attributes that are none", status: 400, text: "attributes",
        path: query() + "&attributes=e30x"),
      Refused(
        name: "v1 without join_request", status: 400, text: "join_request",
        path: "/rtc/v1?access_token=" + RoomsTestServer.token("ada")),
    ]
  }()

  @Test(arguments: refused) func refusesBeforeTheUpgrade(_ refused: Refused) async throws {
    try await RoomsTestServer.run { server in
      let answer = try await server.answer(refused.path, authorization: refused.authorization)
      #expect(answer.status == refused.status, "\(answer.text)")
      #expect(answer.text.contains(refused.text), "\(answer.text)")
      #expect(answer.headers["access-control-allow-origin"] == "*")
      #expect(answer.headers["content-type"]?.hasPrefix("text/plain") == true)

      // What the upgrade is refused for, the validation says, too.
      let parts = refused.path.split(separator: "?", maxSplits: 1)
      let validation = try await server.http.get(
        parts[0] + "/validate" + (parts.count > 1 ? "?" + parts[1] : ""),
        refused.authorization.map { ["Authorization": $0] } ?? [:])
      #expect(validation.status == refused.status, "\(validation.text)")
      #expect(validation.text.contains(refused.text))
      #expect(validation.headers["access-control-allow-origin"] == "*")
    }
  }

  @Test(arguments: ["/rtc/validate", "//rtc/validate"]) func validationSucceeds(path: String) async throws {
    try await RoomsTestServer.run { server in
      let answer = try await server.http.get(path + "?access_token=\(RoomsTestServer.token("ada"))")
      #expect(answer.status == 200 && answer.text == "success")
      #expect(answer.headers["access-control-allow-origin"] == "*")
    }
  }

  @Test func aRoomThatMustExistDoes404() async throws {
    var configuration = RoomConfiguration()
    configuration.autoCreate = false
    try await RoomsTestServer.run(configuration: configuration) { server in
      let answer = try await server.answer("/rtc?access_token=\(RoomsTestServer.token("ada"))")
      #expect(answer.status == 404)
      #expect(answer.text.contains("requested room does not exist"))
    }
  }

  @Test func withoutUpgradeThereIsNothingAtTheSocketsPaths() async throws {
    try await RoomsTestServer.run { server in
      for path in ["/rtc", "/rtc/v1"] {
        let answer = try await server.http.get(path)
        #expect(answer.status == 404 && answer.headers["access-control-allow-origin"] == "*")
      }
    }
  }

  // MARK: /rtc/v1

  private func joinRequest(gzip: Bool = false, _ fill: (inout Livekit_JoinRequest) -> Void) throws -> String {
    var join = Livekit_JoinRequest()
    join.clientInfo.sdk = .python
    join.clientInfo.protocol = 18
    join.connectionSettings.autoSubscribe = true
    fill(&join)
    var wrapped = Livekit_WrappedJoinRequest()
    wrapped.joinRequest = try join.serializedBytes()
    return Base64URL.encode(try wrapped.serializedBytes())
  }

  @Test func joinsOverASinglePeerConnection() async throws {
    try await RoomsTestServer.run { server in
      let request = try joinRequest { _ in }
      let client = try await server.socket(
        "/rtc/v1?join_request=\(request)", authorization: "Bearer \(RoomsTestServer.token("ada"))")
      guard case .join(let join)? = try await client.next().message else {
        Issue.record("no join")
        return
      }
      #expect(!join.subscriberPrimary)
      #expect(join.participant.identity == "ada")
    }
  }

  @Test(arguments: [
    ("!!!", "base64url"), ("_____w", "not a JoinRequest"), ("CAESAWE", "not properly compressed"),
    ("CAcSAWE", "unknown way"),
  ]) func refusesABrokenJoinRequest(_ text: String, problem: String) async throws {
    try await RoomsTestServer.run { server in
      let answer = try await server.answer(
        "/rtc/v1?join_request=\(text)&access_token=\(RoomsTestServer.token("ada"))")
      #expect(answer.status == 400)
      #expect(answer.text.contains(problem), "\(answer.text)")
    }
  }

  @Test func aLongJoinRequestFits() async throws {
    try await RoomsTestServer.run { server in
      let request = try joinRequest { $0.clientInfo.otherSdks = String(repeating: "x", count: 15_000) }
      let client = try await server.socket(
        "/rtc/v1?join_request=\(request)", authorization: "Bearer \(RoomsTestServer.token("ada"))")
      guard case .join? = try await client.next().message else {
        Issue.record("no join")
        return
      }
    }
  }

  // MARK: Messages

  @Test func answersBothPings() async throws {
    try await RoomsTestServer.run { server in
      let (client, _) = try await server.join("ada")
      try await client.send(.pingReq(.with { $0.timestamp = 42 }))
      let pong = try await client.first { if case .pongResp(let pong) = $0 { pong } else { nil } }
      #expect(pong.lastPingTimestamp == 42 && pong.timestamp > 1_600_000_000_000)
    }
  }

  @Test func speaksJSONToWhomSpeaksIt() async throws {
    try await RoomsTestServer.run { server in
      let (client, _) = try await server.join("ada")
      try await client.sendJSON(#"{"pingReq":{"timestamp":"42"},"someday":{"x":1}}"#)
      while true {
        let frame = try await client.client.receiveFrame()
        guard frame.opcode == 1 else { continue }
        #expect(frame.text.contains("\"pongResp\"") && frame.text.contains("\"lastPingTimestamp\":\"42\""))
        break
      }
      // And binary again to whom turns back.
      try await client.send(.ping(7))
      let opcode = try await { () async throws -> UInt8 in
        while true {
          let frame = try await client.client.receiveFrame()
          if frame.opcode == 2 { return frame.opcode }
        }
      }()
      #expect(opcode == 2)
    }
  }

  @Test func ignoresWhatItCannotRead() async throws {
    try await RoomsTestServer.run { server in
      let (client, _) = try await server.join("ada")
      try await client.client.send(RawClient.frame(opcode: 2, [0xFF, 0xFF, 0xFF]))
      try await client.client.send(RawClient.frame(opcode: 2, []))
      // Field 99: of a newer client.
      try await client.client.send(RawClient.frame(opcode: 2, [0x9A, 0x06, 0x01, 0x61]))
      try await client.send(.ping(7))
      _ = try await client.first { if case .pong(let time) = $0 { time } else { nil } }
    }
  }

  @Test func answersAPingOfTheWebSocket() async throws {
    try await RoomsTestServer.run { server in
      let (client, _) = try await server.join("ada")
      try await client.client.send(RawClient.frame(opcode: 9, [1, 2, 3]))
      while true {
        let frame = try await client.client.receiveFrame()
        if frame.opcode == 10 {
          #expect(frame.payload == [1, 2, 3])
          break
        }
      }
    }
  }

  @Test func pingsForTheSakeOfProxies() async throws {
    var limits = SignalLimits()
    limits.pingInterval = .milliseconds(50)
    try await RoomsTestServer.run(limits: limits) { server in
      let (client, _) = try await server.join("ada")
      var pings = 0
      while pings < 3 { if try await client.client.receiveFrame().opcode == 9 { pings += 1 } }
    }
  }

  // MARK: Bounds

  @Test func closesAtAMessageThatIsTooLarge() async throws {
    try await RoomsTestServer.run { server in
      let (client, _) = try await server.join("ada")
      // The length alone: 2 MiB and a byte.
      try await client.client.send([0x82, 0xFF] + [0, 0, 0, 0, 0, 0x20, 0, 1] + [0, 0, 0, 0])
      while true {
        let frame = try await client.client.receiveFrame()
        guard frame.opcode == 8 else { continue }
        #expect(frame.closeCode == 1009)
        break
      }
      try await client.client.closed()
    }
  }

  @Test func readsAFloodSlowlyAndCompletely() async throws {
    var limits = SignalLimits()
    limits.messageBurst = 20
    limits.messagesPerSecond = 200
    try await RoomsTestServer.run(limits: limits) { server in
      let (client, _) = try await server.join("ada")
      let begin = ContinuousClock.now
      var bytes: [UInt8] = []
      for number in 0..<80 {
        var request = Livekit_SignalRequest()
        request.pingReq = .with { $0.timestamp = Int64(number) }
        bytes += RawClient.frame(opcode: 2, try request.serializedBytes())
      }
      try await client.client.send(bytes)
      for number in 0..<80 {
        let pong = try await client.first { if case .pongResp(let pong) = $0 { pong } else { nil } }
        #expect(pong.lastPingTimestamp == Int64(number))
      }
      // Sixty above the burst, at 200 a second.
      #expect(ContinuousClock.now - begin > .milliseconds(200))
    }
  }

  @Test func cutsWhoDoesNotRead() async throws {
    var limits = SignalLimits()
    limits.maximumBacklog = 200_000
    limits.messagesPerSecond = 100_000
    limits.messageBurst = 100_000
    try await RoomsTestServer.run(limits: limits) { server in
      let slow = try SlowClient(to: server.http.plain)
      slow.send(RoomsTestServer.upgrade("/rtc?access_token=\(RoomsTestServer.token("slow"))"))
      let (ada, _) = try await server.join("ada")
      let admin = RoomsTestServer.serverToken {
        $0.roomAdmin = true
        $0.room = "lobby"
      }
      try await until("slow is there") {
        try await server.call("ListParticipants", json: #"{"room":"lobby"}"#, token: admin).text.contains("slow")
      }
      // Each metadata of half a megabyte is told to everybody.
      for number in 0..<20 {
        let reply = try await server.call(
          "UpdateRoomMetadata",
          json: #"{"room":"lobby","metadata":"\#(number)\#(String(repeating: "m", count: 400_000))"}"#,
          token: admin)
        #expect(reply.status == 200)
      }
      try await until("slow is gone") {
        try await !server.call("ListParticipants", json: #"{"room":"lobby"}"#, token: admin).text.contains("slow")
      }
      // Who reads, stays.
      try await ada.send(.ping(1))
      _ = try await ada.first { if case .pong(let time) = $0 { time } else { nil } }
    }
  }

  // MARK: The end

  @Test func theLastWordIsHeardBeforeTheSocketCloses() async throws {
    try await RoomsTestServer.run { server in
      let (client, _) = try await server.join("ada")
      let reply = try await server.call(
        "RemoveParticipant", json: #"{"room":"lobby","identity":"ada"}"#,
        token: RoomsTestServer.serverToken {
          $0.roomAdmin = true
          $0.room = "lobby"
        })
      #expect(reply.status == 200, "\(reply.text)")
      let leave = try await client.first { if case .leave(let leave) = $0 { leave } else { nil } }
      #expect(leave.reason == .participantRemoved && leave.action == .disconnect)
      #expect(try await client.client.receiveFrame().closeCode == 1000)
      try await client.client.send(RawClient.frame(opcode: 8, [0x03, 0xE8]))
      try await client.client.closed()
    }
  }

  @Test func aClientThatDoesNotAnswerTheCloseIsNotWaitedForLong() async throws {
    var limits = SignalLimits()
    limits.closeTimeout = .milliseconds(100)
    try await RoomsTestServer.run(limits: limits) { server in
      let (client, _) = try await server.join("ada")
      _ = try await server.call(
        "DeleteRoom", json: #"{"room":"lobby"}"#, token: RoomsTestServer.serverToken { $0.roomCreate = true })
      _ = try await client.first { if case .leave(let leave) = $0 { leave } else { nil } }
      try await client.client.closed()
    }
  }

  @Test func aSecondJoinOfAnIdentityReplacesTheFirst() async throws {
    try await RoomsTestServer.run { server in
      let (first, join) = try await server.join("ada")
      let (_, other) = try await server.join("ada")
      #expect(join.participant.sid != other.participant.sid)
      let leave = try await first.first { if case .leave(let leave) = $0 { leave } else { nil } }
      #expect(leave.reason == .duplicateIdentity)
    }
  }

  @Test func aResumeOfNothingIsTakenAndSentAway() async throws {
    try await RoomsTestServer.run { server in
      let client = try await server.socket(
        "/rtc?access_token=\(RoomsTestServer.token("ada"))&reconnect=1&sid=PA_gone&protocol=17")
      guard case .leave(let leave)? = try await client.next().message else {
        Issue.record("no leave")
        return
      }
      #expect(leave.reason == .stateMismatch && leave.action == .reconnect)
    }
  }

  @Test func aSocketThatVanishesIsNoticed() async throws {
    try await RoomsTestServer.run { server in
      let (client, _) = try await server.join("ada")
      await client.client.close()
      let token = RoomsTestServer.serverToken {
        $0.roomAdmin = true
        $0.room = "lobby"
      }
      // Without media there is nothing to come back to, so the participant leaves at once.
      try await until("ada is gone") {
        try await server.call("ListParticipants", json: #"{"room":"lobby"}"#, token: token).text
          == #"{"participants":[]}"#
      }
    }
  }
}
