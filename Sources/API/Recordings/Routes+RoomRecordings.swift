import HTTPTypes
import Hummingbird
import LiveKitProtocol
import Rooms

/// Recording of rooms in the operator's API: what LiveKit's Egress does, in fewer words.
extension RESTRoutes {
  mutating func addRoomRecordings() {
    let egress = services.egress

    @Sendable func service() throws(RESTError) -> any EgressControl {
      guard let egress else { throw RESTError(.notImplemented, "not-served", "Rooms are not recorded here.") }
      return egress
    }

    on(.get, "/v1/rooms/{room}/recordings", .apiKey) { call in
      let service = try service()
      let room = try call.parameter("room")
      let infos = try await mapped { () async throws(RoomError) in
        try await service.list(room: room, id: nil, active: false)
      }
      return .json(["recordings": infos.map(RoomRecordingBody.init)])
    }

    on(.post, "/v1/rooms/{room}/recordings", .apiKey) { call in
      let service = try service()
      let room = try call.parameter("room")
      var input = try await call.body()
      let identity = try input.text("participant")
      let track = try input.text("track")
      let layout = try input.text("layout") ?? ""
      let path = try input.text("path") ?? ""
      let isAudioOnly = try input.flag("audioOnly") ?? false
      try input.finish()
      let plan = try await mapped { () async throws(RoomError) in
        try Self.plan(room, identity, track, layout, path, isAudioOnly)
      }
      let info = try await mapped { () async throws(RoomError) in try await service.start(plan) }
      return .json(RoomRecordingBody(info), status: .created)
    }

    on(.delete, "/v1/rooms/{room}/recordings/{id}", .apiKey) { call in
      let service = try service()
      let room = try call.parameter("room")
      let id = try call.parameter("id")
      let info = try await mapped { () async throws(RoomError) in
        guard try await service.list(room: room, id: id, active: false).first != nil else {
          throw RoomError(.notFound, "the room has no such recording")
        }
        return try await service.stop(id)
      }
      return .json(RoomRecordingBody(info))
    }
  }

  private static func plan(
    _ room: String, _ identity: String?, _ track: String?, _ layout: String, _ path: String, _ isAudioOnly: Bool
  ) throws(RoomError) -> EgressPlan {
    guard identity == nil || track == nil else {
      throw RoomError(.invalidArgument, "participant and track exclude each other")
    }
    var file = Livekit_EncodedFileOutput()
    file.filepath = path
    if let track {
      var request = Livekit_TrackEgressRequest()
      request.roomName = room
      request.trackID = track
      request.file.filepath = path
      return try EgressPlan(request)
    }
    if let identity {
      var request = Livekit_ParticipantEgressRequest()
      request.roomName = room
      request.identity = identity
      request.fileOutputs = [file]
      return try EgressPlan(request)
    }
    var request = Livekit_RoomCompositeEgressRequest()
    request.roomName = room
    request.layout = layout
    request.audioOnly = isAudioOnly
    request.fileOutputs = [file]
    return try EgressPlan(request)
  }
}

/// Errors of rooms in the words of REST.
private func mapped<Value>(_ body: () async throws(RoomError) -> Value) async throws(RESTError) -> Value {
  do throws(RoomError) {
    return try await body()
  } catch {
    switch error.code {
    case .notFound: throw .missing(error.message)
    case .invalidArgument: throw .invalid(error.message)
    case .unimplemented: throw RESTError(.notImplemented, "not-served", error.message)
    case .unavailable: throw RESTError(.serviceUnavailable, "unavailable", error.message)
    default: throw RESTError(.conflict, "conflict", error.message)
    }
  }
}

/// A room's recording in JSON.
private struct RoomRecordingBody: Encodable {
  let id: String
  let room: String
  /// `starting`, `active`, `ending`, `complete`, `failed`.
  let state: String
  let error: String?
  let locations: [String]

  init(_ info: Livekit_EgressInfo) {
    id = info.egressID
    room = info.roomName
    state =
      switch info.status {
      case .egressStarting: "starting"
      case .egressActive: "active"
      case .egressEnding: "ending"
      case .egressComplete: "complete"
      default: "failed"
      }
    error = info.error.isEmpty ? nil : info.error
    locations = info.fileResults.map(\.location)
  }
}
