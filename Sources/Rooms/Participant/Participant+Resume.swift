import Core
import LiveKitProtocol
import Logging

// Coming back on another socket.
extension Participant {
  /// The order of these messages is what clients need: reconnect, everybody, the room, then the offer.
  func resume(_ request: JoinRequest, signal new: SignalConnection) {
    if let old = signal {
      old.sink.close(.goingAway)
      room.service.forget(old.id)
    }
    signal = new
    resumeTimer = nil
    failureTimer = nil
    var reconnect = Livekit_ReconnectResponse()
    reconnect.iceServers = context.configuration.iceServers
    reconnect.serverInfo = context.serverInfo
    if let quirks = ClientQuirks.configuration(for: client) { reconnect.clientConfiguration = quirks }
    reconnect.lastMessageSeq = sequences.last
    send(.reconnect(reconnect))
    send(.update(room.snapshot(for: self)))
    var update = Livekit_RoomUpdate()
    update.room = room.info
    send(.roomUpdate(update))
    refreshToken()
    watchSignal()
    publishing.resumed()
    subscriber?.resume()
    publisher?.resume()
    if let state = request.syncState { synchronize(state) }
  }

  /// What the client believes.
  func synchronize(_ state: Livekit_SyncState) {
    for published in state.publishTracks.prefix(context.configuration.maximumTracks * 2) {
      let sid = published.track.sid
      if !sid.isEmpty, publishing.track(sid) == nil {
        context.logger.info("resuming client publishes an unknown track", metadata: loggerMetadata)
        reconnectFully(.stateMismatch)
        return
      }
    }
    if state.hasSubscription { subscribing.update(state.subscription) }
    subscribing.disable(state.trackSidsDisabled)
    var last: [String: UInt32] = [:]
    for entry in state.datachannelReceiveStates.prefix(10_000) { last[entry.publisherSid] = entry.lastSeq }
    if !last.isEmpty { room.data.replay(to: self, lastSequences: last) }
  }

  /// Failures that clients ask for in their tests.
  func simulate(_ scenario: Livekit_SimulateScenario) {
    switch scenario.scenario {
    case .serverLeave: leave(.serverShutdown, action: .disconnect)
    case .leaveRequestFullReconnect: reconnectFully(.unknownReason)
    case .nodeFailure, .disconnectSignalOnResume, .disconnectSignalOnResumeNoMessages, .migration, .speakerUpdate,
      .switchCandidateProtocol, .subscriberBandwidth, nil:
      break
    }
  }
}
