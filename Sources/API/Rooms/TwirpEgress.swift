import LiveKitProtocol
import Rooms

/// LiveKit's Egress, method by method. All need the grant `roomRecord`; a token that names a room grants it for that room
/// alone, as hosts of the room page have it.
func egressMethods(_ egress: any EgressControl) -> [TwirpMethod] {
  func method(_ name: String, _ call: @escaping @Sendable (TwirpCall) async throws -> [UInt8]) -> TwirpMethod {
    TwirpMethod(service: "Egress", name: name) { request in
      try request.require(.roomRecord)
      return try await call(request)
    }
  }

  return [
    method("StartRoomCompositeEgress") { call in
      let plan = try EgressPlan(try call.decode(Livekit_RoomCompositeEgressRequest.self))
      try call.requireRoom(plan.room)
      return try call.encode(try await egress.start(plan))
    },
    method("StartParticipantEgress") { call in
      let plan = try EgressPlan(try call.decode(Livekit_ParticipantEgressRequest.self))
      try call.requireRoom(plan.room)
      return try call.encode(try await egress.start(plan))
    },
    method("StartTrackCompositeEgress") { call in
      let plan = try EgressPlan(try call.decode(Livekit_TrackCompositeEgressRequest.self))
      try call.requireRoom(plan.room)
      return try call.encode(try await egress.start(plan))
    },
    method("StartTrackEgress") { call in
      let plan = try EgressPlan(try call.decode(Livekit_TrackEgressRequest.self))
      try call.requireRoom(plan.room)
      return try call.encode(try await egress.start(plan))
    },
    method("UpdateLayout") { call in
      let request = try call.decode(Livekit_UpdateLayoutRequest.self)
      try await call.requireRoom(ofEgress: request.egressID, egress)
      return try call.encode(try await egress.updateLayout(request.egressID, request.layout))
    },
    method("ListEgress") { call in
      let request = try call.decode(Livekit_ListEgressRequest.self)
      if !call.claims.video.room.isEmpty { try call.requireRoom(request.roomName) }
      var response = Livekit_ListEgressResponse()
      response.items = try await egress.list(
        room: request.roomName.isEmpty ? nil : request.roomName, id: request.egressID.isEmpty ? nil : request.egressID,
        active: request.active)
      return try call.encode(response)
    },
    method("StopEgress") { call in
      let request = try call.decode(Livekit_StopEgressRequest.self)
      try await call.requireRoom(ofEgress: request.egressID, egress)
      return try call.encode(try await egress.stop(request.egressID))
    },
    method("StartWebEgress") { _ in throw TwirpError(.unimplemented, "web egress is not served: it needs a browser") },
    method("StartEgress") { _ in throw TwirpError(.unimplemented, "StartEgress is not served; use the others") },
    method("UpdateStream") { _ in throw TwirpError(.unimplemented, "streams are not served") },
  ]
}

extension TwirpCall {
  /// - Throws: where the token is for another room.
  fileprivate func requireRoom(_ name: String) throws(TwirpError) {
    let bound = claims.video.room
    guard bound.isEmpty || bound == name else { throw TwirpError(.unauthenticated, "the token is for another room") }
  }

  fileprivate func requireRoom(ofEgress id: String, _ egress: any EgressControl) async throws {
    guard !claims.video.room.isEmpty else { return }
    for info in try await egress.list(room: nil, id: id, active: false) { try requireRoom(info.roomName) }
  }
}
