import Core
import LiveKitProtocol
import Logging

// What a client says.
extension Participant {
  func receive(_ request: Livekit_SignalRequest) {
    signal?.lastHeard = context.now
    guard isPresent else { return }
    guard budget.spend(request, now: context.now) else {
      context.logger.info("a client floods its signal connection", metadata: loggerMetadata)
      leave(.stateMismatch, action: .disconnect)
      return
    }
    switch request.message {
    case .offer(let offer): receiveOffer(offer)
    case .answer(let answer): subscriber?.receive(answer: answer)
    case .trickle(let trickle): receiveTrickle(trickle)
    case .addTrack(let track): publishing.add(track)
    case .mute(let mute): publishing.mute(mute.sid, mute.muted)
    case .subscription(let update): subscribing.update(update)
    case .trackSetting(let settings): subscribing.update(settings)
    case .subscriptionPermission(let permission): publishing.update(permission)
    case .syncState(let state): synchronize(state)
    case .updateMetadata(let update): updateMetadata(update)
    case .updateAudioTrack(let update): publishing.update(update)
    case .updateVideoTrack(let update): publishing.update(update)
    case .updateLayers(let update): publishing.update(update)
    case .leave: leaveByClient()
    case .ping(let timestamp): answerPing(timestamp)
    case .pingReq(let ping): answerPing(ping)
    case .publishDataTrackRequest(let request):
      refuse(.unsupportedType, "data tracks are not served") { $0.request = .publishDataTrack(request) }
    case .unpublishDataTrackRequest, .updateDataSubscription: break
    case .simulate(let scenario): simulate(scenario)
    case nil:
      // A request that is newer than this server.
      break
    }
  }

  private func receiveOffer(_ offer: Livekit_SessionDescription) {
    if let viewer { viewer.receive(offer: offer) } else { openPublisher().receive(offer: offer) }
  }

  /// The connection that the client offers.
  func openPublisher() -> PublisherPeer {
    if let publisher { return publisher }
    let peer = PublisherPeer(self)
    publisher = peer
    peer.open()
    return peer
  }

  private func receiveTrickle(_ trickle: Livekit_TrickleRequest) {
    let peer: PeerConnection? =
      viewer ?? (trickle.target == .subscriber && !isSinglePeerConnection ? subscriber : openPublisher())
    peer?.receive(candidate: trickle.candidateInit)
  }

  // MARK: Heartbeats

  private func answerPing(_ timestamp: Int64) { send(.pong(context.wallTime.milliseconds)) }

  private func answerPing(_ ping: Livekit_Ping) {
    var pong = Livekit_Pong()
    pong.lastPingTimestamp = ping.timestamp
    pong.timestamp = context.wallTime.milliseconds
    send(.pongResp(pong))
  }

  /// Drops a socket of which nothing was heard; the peer connections stay.
  func watchSignal() {
    // Nobody speaks on a connection that is none.
    guard let signal, endpoint == nil else { return }
    let limit = signal.lastHeard + context.configuration.pingTimeout
    pingTimer = context.after(limit - context.now) { [weak self] in
      guard let self, let signal = self.signal else { return }
      if self.context.now >= signal.lastHeard + self.context.configuration.pingTimeout {
        signal.sink.close(.cut)
        self.room.service.forget(signal.id)
        self.signalLost()
      } else {
        self.watchSignal()
      }
    }
  }

  // MARK: Answers to requests

  func respond(
    _ id: UInt32, _ reason: Livekit_RequestResponse.Reason, _ message: String,
    _ fill: (inout Livekit_RequestResponse) -> Void = { _ in }
  ) {
    if reason == .ok, protocolVersion <= 14 { return }
    var response = Livekit_RequestResponse()
    response.requestID = id
    response.reason = reason
    response.message = message
    fill(&response)
    send(.requestResponse(response))
  }

  func refuse(
    _ reason: Livekit_RequestResponse.Reason, _ message: String, _ fill: (inout Livekit_RequestResponse) -> Void
  ) { respond(0, reason, message, fill) }
}
