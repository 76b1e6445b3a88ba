package import Core
package import LiveKitProtocol
package import Logging

/// All rooms, on one executor (the signalling event loop). What it decides, media workers carry out.
///
/// Every method is synchronous on that loop: messages enter without a hop and are answered in order.
package actor RoomService {
  private nonisolated let executor: any SerialExecutor
  package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  package init(
    executor: any SerialExecutor, configuration: RoomConfiguration, dependencies: RoomDependencies, logger: Logger
  ) {
    self.executor = executor
  }

  // MARK: From signalling connections

  /// Takes a participant in, or back. The first message goes to `sink` before this returns; the caller upgrades the
  /// connection then and delivers it.
  package func join(_ request: JoinRequest, sink: any SignalSink) throws(JoinRefusal) -> SessionID {
    throw JoinRefusal(status: 503, text: "rooms are not served yet")
  }

  /// Whether a join would be taken, for `/rtc/validate`.
  package func validate(_ request: JoinRequest) throws(JoinRefusal) {
    throw JoinRefusal(status: 503, text: "rooms are not served yet")
  }

  package func receive(_ request: Livekit_SignalRequest, from session: SessionID) {}

  /// The connection closed, or could not be upgraded.
  package func disconnected(_ session: SessionID) {}

  // MARK: From the media workers and the clock

  package func media(_ events: [RoomMediaEvent]) {}

  /// Fires what is due.
  package func advance() {}

  // MARK: Server calls

  package func createRoom(_ request: Livekit_CreateRoomRequest) throws(RoomError) -> Livekit_Room {
    throw RoomError(.unavailable, "rooms are not served yet")
  }
  /// All rooms, or those of the given names.
  package func listRooms(_ names: [String]) -> [Livekit_Room] { [] }
  package func deleteRoom(_ name: String) throws(RoomError) {}
  package func listParticipants(_ room: String) throws(RoomError) -> [Livekit_ParticipantInfo] { [] }
  package func getParticipant(_ request: Livekit_RoomParticipantIdentity) throws(RoomError) -> Livekit_ParticipantInfo {
    throw RoomError(.notFound, "participant does not exist")
  }
  package func removeParticipant(_ request: Livekit_RoomParticipantIdentity) throws(RoomError) {}
  package func mutePublishedTrack(_ request: Livekit_MuteRoomTrackRequest) throws(RoomError) -> Livekit_TrackInfo {
    throw RoomError(.notFound, "track does not exist")
  }
  package func updateParticipant(
    _ request: Livekit_UpdateParticipantRequest
  ) throws(RoomError) -> Livekit_ParticipantInfo { throw RoomError(.notFound, "participant does not exist") }
  package func updateSubscriptions(_ request: Livekit_UpdateSubscriptionsRequest) throws(RoomError) {}
  package func sendData(_ request: Livekit_SendDataRequest) throws(RoomError) {}
  package func updateRoomMetadata(_ request: Livekit_UpdateRoomMetadataRequest) throws(RoomError) -> Livekit_Room {
    throw RoomError(.notFound, "room does not exist")
  }

  // MARK: Operation

  /// Takes no new participant and sends the present ones away with `SERVER_SHUTDOWN`; returns when all have left or
  /// after `RoomConfiguration.drainSpread` and a second.
  package func drain() async {}
}
