import Core
import Foundation
import LiveKitProtocol
import NetworkSupport
import Rooms
import SwiftProtobuf
import Testing

@testable import API

@Suite struct RoomsTwirpTests {
  private let creator = RoomsTestServer.serverToken {
    $0.roomCreate = true
    $0.roomList = true
  }

  private func admin(_ room: String = "lobby") -> String {
    RoomsTestServer.serverToken {
      $0.roomAdmin = true
      $0.room = room
    }
  }

  @Test func protobufAndJSONSayTheSame() async throws {
    try await RoomsTestServer.run { server in
      let request = Livekit_CreateRoomRequest.with {
        $0.name = "blue"
        $0.emptyTimeout = 77
        $0.metadata = "m"
      }
      let binary = try await server.call(
        "CreateRoom", try request.serializedBytes(), type: "application/protobuf", token: creator)
      #expect(binary.status == 200 && binary.headers["content-type"] == "application/protobuf")
      let room = try Livekit_Room(serializedBytes: binary.body)
      #expect(room.name == "blue" && room.emptyTimeout == 77 && room.sid.hasPrefix("RM_"))

      // Idempotent by name; both spellings of a field are read, LiveKit's is written.
      for field in ["empty_timeout", "emptyTimeout"] {
        let json = try await server.call("CreateRoom", json: #"{"name":"blue","\#(field)":5}"#, token: creator)
        #expect(json.status == 200 && json.headers["content-type"] == "application/json")
        #expect(json.text.contains(#""sid":"\#(room.sid)""#))
        #expect(json.text.contains(#""empty_timeout":"#) && !json.text.contains("emptyTimeout"))
      }
      let list = try await server.call("ListRooms", json: "{}", token: creator)
      #expect(try Livekit_ListRoomsResponse(jsonString: list.text).rooms.map(\.name) == ["blue"])
      #expect(list.headers["access-control-allow-origin"] == "*")
    }
  }

  @Test func anEmptyListIsAList() async throws {
    try await RoomsTestServer.run { server in
      for body in ["{}", ""] {
        let reply = try await server.call("ListRooms", json: body, token: creator)
        #expect(reply.text == #"{"rooms":[]}"#)
      }
    }
  }

  @Test func wholeLifeOfARoom() async throws {
    try await RoomsTestServer.run { server in
      let (ada, _) = try await server.join("ada")
      let participants = try await server.call("ListParticipants", json: #"{"room":"lobby"}"#, token: admin())
      #expect(
        try Livekit_ListParticipantsResponse(jsonString: participants.text).participants.map(\.identity) == ["ada"])

      let metadata = try await server.call(
        "UpdateRoomMetadata", json: #"{"room":"lobby","metadata":"hello"}"#, token: admin())
      #expect(try Livekit_Room(jsonString: metadata.text).metadata == "hello")
      let told = try await ada.first {
        if case .roomUpdate(let update) = $0, !update.room.metadata.isEmpty { update.room } else { nil }
      }
      #expect(told.metadata == "hello")

      let changed = try await server.call(
        "UpdateParticipant", json: #"{"room":"lobby","identity":"ada","name":"Ada","attributes":{"a":"b"}}"#,
        token: admin())
      let info = try Livekit_ParticipantInfo(jsonString: changed.text)
      #expect(info.name == "Ada" && info.attributes == ["a": "b"])

      let deleted = try await server.call("DeleteRoom", json: #"{"room":"lobby"}"#, token: creator)
      #expect(deleted.status == 200 && deleted.text == "{}")
      let leave = try await ada.first { if case .leave(let leave) = $0 { leave } else { nil } }
      #expect(leave.reason == .roomDeleted)
      #expect(server.events.names.first == "room_started")
    }
  }

  // MARK: Errors

  private func error(_ reply: RoomsTestServer.Reply) -> (code: String?, message: String?) {
    let object = (try? JSONSerialization.jsonObject(with: Data(reply.body))) as? [String: Any]
    return (object?["code"] as? String, object?["msg"] as? String)
  }

  @Test func whatIsNotThereIsNotFound() async throws {
    try await RoomsTestServer.run { server in
      for (method, json) in [
        ("DeleteRoom", #"{"room":"none"}"#), ("GetParticipant", #"{"room":"none","identity":"x"}"#),
        ("RemoveParticipant", #"{"room":"none","identity":"x"}"#),
        ("MutePublishedTrack", #"{"room":"none","identity":"x","track_sid":"TR_x","muted":true}"#),
        ("UpdateParticipant", #"{"room":"none","identity":"x","name":"n"}"#),
        ("UpdateRoomMetadata", #"{"room":"none","metadata":"m"}"#),
      ] {
        let reply = try await server.call(method, json: json, token: method == "DeleteRoom" ? creator : admin("none"))
        #expect(reply.status == 404 && error(reply).code == "not_found", "\(method): \(reply.text)")
        #expect(reply.headers["content-type"]?.hasPrefix("application/json") == true)
      }
    }
  }

  @Test func errorsAreJSONForProtobufToo() async throws {
    try await RoomsTestServer.run { server in
      let request = Livekit_DeleteRoomRequest.with { $0.room = "none" }
      let reply = try await server.call(
        "DeleteRoom", try request.serializedBytes(), type: "application/protobuf", token: creator)
      #expect(reply.status == 404 && error(reply).code == "not_found")
    }
  }

  @Test func aMissingGrantIs401() async throws {
    try await RoomsTestServer.run { server in
      _ = try await server.join("ada")
      let calls: [(String, String, String?)] = [
        ("CreateRoom", #"{"name":"x"}"#, nil),
        ("CreateRoom", #"{"name":"x"}"#, "rubbish"),
        ("CreateRoom", #"{"name":"x"}"#, RoomsTestServer.serverToken { $0.roomList = true }),
        ("ListRooms", "{}", RoomsTestServer.serverToken { $0.roomCreate = true }),
        ("DeleteRoom", #"{"room":"lobby"}"#, admin()),
        ("ListParticipants", #"{"room":"lobby"}"#, creator),
        ("ListParticipants", #"{"room":"lobby"}"#, admin("other")),
        ("SendData", #"{"room":"lobby","data":"aGk="}"#, RoomsTestServer.token("ada")),
      ]
      for (method, json, token) in calls {
        let reply = try await server.call(method, json: json, token: token)
        #expect(reply.status == 401 && error(reply).code == "unauthenticated", "\(method): \(reply.text)")
        #expect(reply.headers["access-control-allow-origin"] == "*")
      }
    }
  }

  @Test func theRoomOfTheRequestMustBeNamed() async throws {
    try await RoomsTestServer.run { server in
      let reply = try await server.call("ListParticipants", json: "{}", token: admin(""))
      #expect(reply.status == 400 && error(reply).code == "invalid_argument")
    }
  }

  @Test(arguments: [
    ("application/json", "{"), ("application/json", "[]"), ("application/json", #"{"name":7}"#),
    ("application/protobuf", "\u{1}\u{1}"),
  ]) func aBodyOfAnotherShapeIsMalformed(type: String, body: String) async throws {
    try await RoomsTestServer.run { server in
      let reply = try await server.call("CreateRoom", Array(body.utf8), type: type, token: creator)
      #expect(reply.status == 400 && error(reply).code == "malformed", "\(reply.text)")
    }
  }

  @Test func otherTypesAndMethodsAreBadRoutes() async throws {
    try await RoomsTestServer.run { server in
      let text = try await server.call("ListRooms", [], type: "text/plain", token: creator)
      #expect(text.status == 404 && error(text).code == "bad_route")
      let unknown = try await server.call("EatRoom", json: "{}", token: creator)
      #expect(unknown.status == 404 && error(unknown).code == "bad_route")
      let egress = try await server.call("ListEgress", Array("{}".utf8), token: creator, service: "Egress")
      #expect(egress.status == 404 && error(egress).code == "bad_route")
      let get = try await server.http.get("/twirp/livekit.RoomService/ListRooms")
      #expect(get.status == 404 && get.text.contains("bad_route"))
    }
  }

  @Test func preflightsAreOpen() async throws {
    try await RoomsTestServer.run { server in
      for path in ["/twirp/livekit.RoomService/ListRooms", "/rtc/validate"] {
        let reply = try await server.http.get(path, ["Origin": "https://elsewhere.example"], method: "OPTIONS")
        #expect(reply.status == 204, "\(path)")
        #expect(reply.headers["access-control-allow-origin"] == "*")
        #expect(reply.headers["access-control-allow-headers"]?.contains("Authorization") == true)
      }
    }
  }

  @Test func whatIsNotServedSaysSo() async throws {
    try await RoomsTestServer.run { server in
      let reply = try await server.call("ForwardParticipant", json: #"{"room":"lobby"}"#, token: admin())
      #expect(reply.status == 501 && error(reply).code == "unimplemented")
    }
  }

  @Test func callsAndMovesNeedTheirRightsAndSomebody() async throws {
    try await RoomsTestServer.run { server in
      let rpc = try await server.call("PerformRpc", json: #"{"room":"other"}"#, token: admin())
      #expect(rpc.status == 401)
      let nobody = try await server.call(
        "PerformRpc", json: #"{"room":"lobby","destination_identity":"x","method":"m"}"#, token: admin())
      #expect(nobody.status == 404 && error(nobody).code == "not_found")
      let move = try await server.call(
        "MoveParticipant", json: #"{"room":"lobby","identity":"x","destination_room":"hall"}"#, token: admin())
      #expect(move.status == 401)
    }
  }

  // MARK: Retries

  @Test func aRetriedRequestIsDoneOnce() async throws {
    try await RoomsTestServer.run { server in
      _ = try await server.call("CreateRoom", json: #"{"name":"once"}"#, token: creator)
      let first = try await server.call("DeleteRoom", json: #"{"room":"once"}"#, token: creator, id: "r-1")
      let again = try await server.call("DeleteRoom", json: #"{"room":"once"}"#, token: creator, id: "r-1")
      #expect(first.status == 200 && again.status == 200)
      let other = try await server.call("DeleteRoom", json: #"{"room":"once"}"#, token: creator, id: "r-2")
      #expect(other.status == 404)
    }
  }

  @Test func anotherTokenDoesNotGetSomebodysAnswer() async throws {
    try await RoomsTestServer.run { server in
      let first = try await server.call("ListRooms", json: "{}", token: creator, id: "same")
      #expect(first.status == 200)
      let other = try await server.call(
        "ListRooms", json: "{}", token: RoomsTestServer.serverToken { $0.roomCreate = true }, id: "same")
      #expect(other.status == 401)
    }
  }

  @Test func repliesAreBounded() async {
    let replies = TwirpReplies()
    let claims = AccessClaims(identity: "")
    for number in 0..<1500 {
      let key = TwirpReplies.Key(
        id: "\(number)", method: "m", call: TwirpCall(body: [], isJSON: true, claims: claims))
      let outcome = await replies.once(key) { .success([]) }
      #expect(outcome == .success([]))
    }
    #expect(replies.count <= TwirpReplies.capacity)
  }
}
