import LiveKitProtocol
import Rooms
import SwiftProtobuf

/// LiveKit's RoomService, method by method: the grant, the room, the call.
func roomServiceMethods(_ rooms: RoomService) -> [TwirpMethod] {
  func method(_ name: String, _ call: @escaping @Sendable (TwirpCall) async throws -> [UInt8]) -> TwirpMethod {
    TwirpMethod(service: "RoomService", name: name, call: call)
  }

  return [
    method("CreateRoom") { call in
      try call.require(.roomCreate)
      return try call.encode(try await rooms.createRoom(try call.decode(Livekit_CreateRoomRequest.self)))
    },
    method("DeleteRoom") { call in
      let request = try call.decode(Livekit_DeleteRoomRequest.self)
      try call.require(.roomCreate)
      try await rooms.deleteRoom(request.room)
      return try call.encode(Livekit_DeleteRoomResponse())
    },
    method("ListRooms") { call in
      try call.require(.roomList)
      let request = try call.decode(Livekit_ListRoomsRequest.self)
      var response = Livekit_ListRoomsResponse()
      response.rooms = await rooms.listRooms(request.names)
      return try call.encode(list: response, named: "rooms", isEmpty: response.rooms.isEmpty)
    },
    method("ListParticipants") { call in
      let request = try call.decode(Livekit_ListParticipantsRequest.self)
      try call.require(.roomAdmin, room: request.room)
      var response = Livekit_ListParticipantsResponse()
      response.participants = try await rooms.listParticipants(request.room)
      return try call.encode(list: response, named: "participants", isEmpty: response.participants.isEmpty)
    },
    method("GetParticipant") { call in
      let request = try call.decode(Livekit_RoomParticipantIdentity.self)
      try call.require(.roomAdmin, room: request.room)
      return try call.encode(try await rooms.getParticipant(request))
    },
    method("RemoveParticipant") { call in
      let request = try call.decode(Livekit_RoomParticipantIdentity.self)
      try call.require(.roomAdmin, room: request.room)
      try await rooms.removeParticipant(request)
      return try call.encode(Livekit_RemoveParticipantResponse())
    },
    method("MutePublishedTrack") { call in
      let request = try call.decode(Livekit_MuteRoomTrackRequest.self)
      try call.require(.roomAdmin, room: request.room)
      var response = Livekit_MuteRoomTrackResponse()
      response.track = try await rooms.mutePublishedTrack(request)
      return try call.encode(response)
    },
    method("UpdateParticipant") { call in
      let request = try call.decode(Livekit_UpdateParticipantRequest.self)
      try call.require(.roomAdmin, room: request.room)
      return try call.encode(try await rooms.updateParticipant(request))
    },
    method("UpdateSubscriptions") { call in
      let request = try call.decode(Livekit_UpdateSubscriptionsRequest.self)
      try call.require(.roomAdmin, room: request.room)
      try await rooms.updateSubscriptions(request)
      return try call.encode(Livekit_UpdateSubscriptionsResponse())
    },
    method("SendData") { call in
      let request = try call.decode(Livekit_SendDataRequest.self)
      try call.require(.roomAdmin, room: request.room)
      try await rooms.sendData(request)
      return try call.encode(Livekit_SendDataResponse())
    },
    method("UpdateRoomMetadata") { call in
      let request = try call.decode(Livekit_UpdateRoomMetadataRequest.self)
      try call.require(.roomAdmin, room: request.room)
      return try call.encode(try await rooms.updateRoomMetadata(request))
    },
    method("PerformRpc") { call in
      let request = try call.decode(Livekit_PerformRpcRequest.self)
      try call.require(.roomAdmin, room: request.room)
      var response = Livekit_PerformRpcResponse()
      response.payload = try await rooms.performRPC(request)
      return try call.encode(response)
    },
    method("ForwardParticipant") { call in
      let request = try call.decode(Livekit_ForwardParticipantRequest.self)
      try call.require(.roomAdmin, room: request.room)
      throw TwirpError(.unimplemented, "ForwardParticipant is not served: a track is in one room")
    },
    method("MoveParticipant") { call in
      let request = try call.decode(Livekit_MoveParticipantRequest.self)
      try call.require(.roomAdmin, room: request.room)
      guard call.claims.video.destinationRoom == request.destinationRoom else {
        throw TwirpError(.unauthenticated, "the token is for another destination")
      }
      try await rooms.moveParticipant(request)
      return try call.encode(Livekit_MoveParticipantResponse())
    },
  ]
}

extension TwirpCall {
  /// JSON leaves empty lists away; an empty list is an answer that scripts look into.
  func encode(list message: some Message, named name: String, isEmpty: Bool) throws(TwirpError) -> [UInt8] {
    isJSON && isEmpty ? Array("{\"\(name)\":[]}".utf8) : try encode(message)
  }
}
