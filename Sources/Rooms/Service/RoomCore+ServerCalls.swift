import Core
import LiveKitProtocol

// What servers ask for. Errors as Twirp names them.
extension RoomCore {
  func createRoom(_ request: Livekit_CreateRoomRequest) throws(RoomError) -> Livekit_Room {
    guard !request.name.isEmpty else { throw RoomError(.invalidArgument, "room name cannot be empty") }
    guard request.name.count <= context.configuration.maximumNameLength else {
      throw RoomError(.invalidArgument, "room name exceeds limits")
    }
    guard request.metadata.utf8.count <= context.configuration.maximumMetadata else {
      throw RoomError(.invalidArgument, "metadata exceeds limits")
    }
    if let existing = room(request.name) { return existing.info }
    guard !isDraining, !context.dependencies.media.isEmpty else {
      throw RoomError(.unavailable, "the server is shutting down")
    }
    let limit = context.configuration.maximumRooms
    guard limit == 0 || allRooms.count < limit else { throw RoomError(.resourceExhausted, "too many rooms") }
    var options = RoomOptions(context.configuration)
    options.apply(
      emptyTimeout: request.emptyTimeout, departureTimeout: request.departureTimeout,
      maximumParticipants: request.maxParticipants, metadata: request.metadata)
    if request.hasEgress { options.egress = request.egress }
    return make(request.name, options).info
  }

  func listRooms(_ names: [String]) -> [Livekit_Room] {
    names.isEmpty ? allRooms.map(\.info) : names.compactMap { room($0)?.info }
  }

  func deleteRoom(_ name: String) throws(RoomError) { try find(name).close(.roomDeleted) }

  func listParticipants(_ name: String) throws(RoomError) -> [Livekit_ParticipantInfo] {
    try find(name).present.map(\.info)
  }

  func getParticipant(_ room: String, _ identity: String) throws(RoomError) -> Livekit_ParticipantInfo {
    try find(room, identity).info
  }

  func removeParticipant(_ room: String, _ identity: String) throws(RoomError) {
    try find(room, identity).leave(.participantRemoved, action: .disconnect)
  }

  func mutePublishedTrack(_ request: Livekit_MuteRoomTrackRequest) throws(RoomError) -> Livekit_TrackInfo {
    let participant = try find(request.room, request.identity)
    guard let track = participant.publishing.track(request.trackSid) else {
      throw RoomError(.notFound, "track is not found")
    }
    guard request.muted || context.configuration.enableRemoteUnmute || !track.info.muted else {
      throw RoomError(.failedPrecondition, "remote unmute not enabled")
    }
    if track.info.muted != request.muted {
      participant.publishing.setMuted(track, request.muted)
      var mute = Livekit_MuteTrackRequest()
      mute.sid = track.sid
      mute.muted = request.muted
      participant.send(.mute(mute))
    }
    return track.info
  }

  func updateParticipant(_ request: Livekit_UpdateParticipantRequest) throws(RoomError) -> Livekit_ParticipantInfo {
    let participant = try find(request.room, request.identity)
    if let problem = participant.change(
      name: request.name, metadata: request.metadata, attributes: request.attributes)
    {
      throw RoomError(.invalidArgument, problem)
    }
    if request.hasPermission {
      participant.change(permission: request.permission)
    } else {
      participant.refreshToken()
    }
    return participant.info
  }

  func updateSubscriptions(_ request: Livekit_UpdateSubscriptionsRequest) throws(RoomError) {
    let participant = try find(request.room, request.identity)
    let sids = Set(request.trackSids).union(request.participantTracks.flatMap(\.trackSids))
    participant.subscribing.set(sids, request.subscribe)
  }

  func sendData(_ request: Livekit_SendDataRequest) throws(RoomError) {
    let room = try find(request.room)
    guard request.data.count <= 64_000 else { throw RoomError(.invalidArgument, "data exceeds 64000 bytes") }
    var user = Livekit_UserPacket()
    user.payload = request.data
    user.destinationSids = request.destinationSids
    user.destinationIdentities = request.destinationIdentities
    if request.hasTopic { user.topic = request.topic }
    user.nonce = request.nonce
    var packet = Livekit_DataPacket()
    packet.kind = request.kind
    packet.destinationIdentities =
      request.destinationIdentities + request.destinationSids.compactMap { room.participant(sid: $0)?.identity }
    packet.user = user
    // Named ones that are all gone do not mean everybody.
    if packet.destinationIdentities.isEmpty, !request.destinationSids.isEmpty { return }
    room.data.send(packet)
  }

  func performRPC(
    _ request: Livekit_PerformRpcRequest, _ completion: @escaping ServerCalls.Completion
  ) {
    do throws(RoomError) {
      let participant = try find(request.room, request.destinationIdentity)
      try participant.room.data.call(request, to: participant, completion)
    } catch {
      completion(.failure(error))
    }
  }

  /// Sends a participant into another room: it gets a token for that one and begins anew there, with its tracks.
  func moveParticipant(_ request: Livekit_MoveParticipantRequest) throws(RoomError) {
    let participant = try find(request.room, request.identity)
    guard !request.destinationRoom.isEmpty, request.destinationRoom != request.room else {
      throw RoomError(.invalidArgument, "the destination must be another room")
    }
    guard participant.endpoint == nil, participant.signal != nil else {
      throw RoomError(.failedPrecondition, "the participant cannot be told where to go")
    }
    var claims = participant.currentClaims
    claims.video.room = request.destinationRoom
    // Who would not be let in there stays here.
    let join = JoinRequest(claims: claims, clientInfo: participant.client, remote: participant.remote)
    do throws(JoinRefusal) {
      try validate(join)
    } catch {
      throw RoomError(error.status == 404 ? .notFound : .failedPrecondition, error.text)
    }
    guard let token = context.dependencies.mintToken(claims) else {
      throw RoomError(.failedPrecondition, "the key of the participant's token is not known any more")
    }
    participant.move(token: token)
  }

  func updateRoomMetadata(_ request: Livekit_UpdateRoomMetadataRequest) throws(RoomError) -> Livekit_Room {
    let room = try find(request.room)
    guard request.metadata.utf8.count <= context.configuration.maximumMetadata else {
      throw RoomError(.invalidArgument, "metadata exceeds limits")
    }
    room.metadata = request.metadata
    room.sendUpdate()
    return room.info
  }

  private func find(_ name: String) throws(RoomError) -> Room {
    guard let room = room(name) else { throw RoomError(.notFound, "requested room does not exist") }
    return room
  }

  private func find(_ name: String, _ identity: String) throws(RoomError) -> Participant {
    guard let participant = try find(name).participant(identity) else {
      throw RoomError(.notFound, "participant does not exist")
    }
    return participant
  }
}
