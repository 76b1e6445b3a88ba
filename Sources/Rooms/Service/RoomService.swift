import Core
package import LiveKitProtocol
package import Logging

/// All rooms, on one executor (the signalling event loop). What it decides, media workers carry out.
///
/// Every method is synchronous on that loop: messages enter without a hop and are answered in order.
package actor RoomService {
  private nonisolated let executor: any SerialExecutor
  package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  let context: RoomContext
  let core: RoomCore

  package init(
    executor: any SerialExecutor, configuration: RoomConfiguration, dependencies: RoomDependencies, logger: Logger
  ) {
    self.executor = executor
    context = RoomContext(configuration: configuration, dependencies: dependencies, logger: logger)
    core = RoomCore(context)
  }

  // MARK: From signalling connections

  /// Takes a participant in, or back. The first message goes to `sink` before this returns; the caller upgrades the
  /// connection then and delivers it.
  package func join(_ request: JoinRequest, sink: any SignalSink) throws(JoinRefusal) -> SessionID {
    defer { context.flush() }
    return try core.join(request, sink: sink)
  }

  /// Whether a join would be taken, for `/rtc/validate`.
  package func validate(_ request: JoinRequest) throws(JoinRefusal) { try core.validate(request) }

  package func receive(_ request: Livekit_SignalRequest, from session: SessionID) {
    core.receive(request, from: session)
    context.flush()
  }

  /// The connection closed, or could not be upgraded.
  package func disconnected(_ session: SessionID) {
    core.disconnected(session)
    context.flush()
  }

  // MARK: From the media workers and the clock

  package func media(_ events: [RoomMediaEvent]) {
    for event in events { core.receive(event) }
    context.flush()
  }

  /// Fires what is due.
  package func advance() {
    context.fireTimers()
    context.flush()
  }

  // MARK: Server calls

  /// Idempotent by name.
  package func createRoom(_ request: Livekit_CreateRoomRequest) throws(RoomError) -> Livekit_Room {
    defer { context.flush() }
    return try core.createRoom(request)
  }

  /// All rooms, or those of the given names.
  package func listRooms(_ names: [String]) -> [Livekit_Room] { core.listRooms(names) }

  package func deleteRoom(_ name: String) throws(RoomError) {
    defer { context.flush() }
    try core.deleteRoom(name)
  }

  package func listParticipants(_ room: String) throws(RoomError) -> [Livekit_ParticipantInfo] {
    try core.listParticipants(room)
  }

  package func getParticipant(_ request: Livekit_RoomParticipantIdentity) throws(RoomError) -> Livekit_ParticipantInfo {
    try core.getParticipant(request.room, request.identity)
  }

  package func removeParticipant(_ request: Livekit_RoomParticipantIdentity) throws(RoomError) {
    defer { context.flush() }
    try core.removeParticipant(request.room, request.identity)
  }

  package func mutePublishedTrack(_ request: Livekit_MuteRoomTrackRequest) throws(RoomError) -> Livekit_TrackInfo {
    defer { context.flush() }
    return try core.mutePublishedTrack(request)
  }

  package func updateParticipant(
    _ request: Livekit_UpdateParticipantRequest
  ) throws(RoomError) -> Livekit_ParticipantInfo {
    defer { context.flush() }
    return try core.updateParticipant(request)
  }

  package func updateSubscriptions(_ request: Livekit_UpdateSubscriptionsRequest) throws(RoomError) {
    defer { context.flush() }
    try core.updateSubscriptions(request)
  }

  package func sendData(_ request: Livekit_SendDataRequest) throws(RoomError) {
    defer { context.flush() }
    try core.sendData(request)
  }

  package func updateRoomMetadata(_ request: Livekit_UpdateRoomMetadataRequest) throws(RoomError) -> Livekit_Room {
    defer { context.flush() }
    return try core.updateRoomMetadata(request)
  }

  /// The answer of a participant to a call of ours.
  package func performRPC(_ request: Livekit_PerformRpcRequest) async throws(RoomError) -> String {
    let result = await withCheckedContinuation { continuation in
      core.performRPC(request) { continuation.resume(returning: $0) }
      context.flush()
    }
    return try result.get()
  }

  package func moveParticipant(_ request: Livekit_MoveParticipantRequest) throws(RoomError) {
    defer { context.flush() }
    try core.moveParticipant(request)
  }

  // MARK: Operation

  package var participantCount: Int { core.participantCount }
  package var roomCount: Int { core.allRooms.count }

  /// Takes no new participant and sends the present ones away with `SERVER_SHUTDOWN`; returns when all have left or
  /// after `RoomConfiguration.drainSpread` and a second.
  package func drain() async {
    core.drain()
    context.flush()
    let deadline = context.now + context.configuration.drainSpread + .seconds(1)
    while core.participantCount > 0, context.now < deadline { try? await Task.sleep(for: .milliseconds(50)) }
    core.closeAll()
    context.flush()
  }
}
