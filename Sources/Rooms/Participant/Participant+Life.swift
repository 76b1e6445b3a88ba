import Core
import LiveKitProtocol
import Logging

// From the join to the end.
extension Participant {
  /// The first messages of a new participant, and its connections.
  func begin(_ request: JoinRequest, signal: SignalConnection) {
    self.signal = signal
    state = .joined
    send(.join(joinResponse))
    refreshToken()
    watchSignal()
    joinTimer = context.after(context.configuration.joinTimeout) { [weak self] in
      guard let self, !self.wasActive else { return }
      self.leave(.joinFailure, action: .disconnect)
    }
    for track in request.addTrackRequests.prefix(context.configuration.maximumTracks) { publishing.add(track) }
    if case .viewer = endpoint {
      let peer = ViewerPeer(self)
      viewer = peer
      peer.open()
      if let offer = request.publisherOffer { peer.receive(offer: offer) }
    } else if isSinglePeerConnection {
      if let offer = request.publisherOffer, !offer.sdp.isEmpty { openPublisher().receive(offer: offer) }
    } else {
      let peer = SubscriberPeer(self)
      subscriber = peer
      peer.open()
    }
    subscribing.reconcileAll()
  }

  private var joinResponse: Livekit_JoinResponse {
    let configuration = context.configuration
    var join = Livekit_JoinResponse()
    join.room = room.info
    join.participant = info
    join.otherParticipants = room.present.filter { $0 !== self && !$0.isHidden }.map(\.info)
    join.serverVersion = configuration.serverVersion
    join.serverRegion = configuration.region
    join.serverInfo = context.serverInfo
    join.iceServers = configuration.iceServers
    if let quirks = ClientQuirks.configuration(for: client) { join.clientConfiguration = quirks }
    join.subscriberPrimary = isSubscriberPrimary
    join.fastPublish = permission.canPublish
    join.pingInterval = Int32(max(1, configuration.pingInterval.components.seconds))
    join.pingTimeout = Int32(max(1, configuration.pingTimeout.components.seconds))
    join.enabledPublishCodecs = configuration.enabledCodecs.map { mime in
      var codec = Livekit_Codec()
      codec.mime = mime
      return codec
    }
    return join
  }

  /// A new token, now and every five minutes: with it the client comes back after the old one has expired.
  func refreshToken() {
    guard endpoint == nil else { return }
    if let token = context.dependencies.mintToken(currentClaims) { send(.refreshToken(token)) }
    tokenTimer = context.after(.seconds(300)) { [weak self] in self?.refreshToken() }
  }

  /// What a token would say of the participant as it is now.
  var currentClaims: AccessClaims {
    claims.replacing(permission: permission, name: name, metadata: metadata, attributes: attributes)
  }

  /// Clients keep the newest token and begin anew with it: that is how they come into another room.
  func move(token: String) {
    send(.refreshToken(token))
    leave(.migration, action: .reconnect)
  }

  // MARK: Connections

  func connected(_ peer: PeerConnection) {
    failureTimer = nil
    quality.isLost = false
    if peer === publisher { publishing.connected() }
    if peer === receiving { subscribing.connected() }
    guard peer === primary, !wasActive, isPresent else { return }
    wasActive = true
    joinTimer = nil
    state = .active
    changed()
    subscribing.reconcileAll()
    room.becameActive(self)
  }

  /// No path works at the moment. After a while the client is asked to look for a new one.
  func interrupted(_ peer: PeerConnection) {
    quality.isLost = true
    guard failureTimer == nil else { return }
    failureTimer = context.after(.seconds(15)) { [weak self] in
      guard let self, self.isPresent else { return }
      self.failureTimer = nil
      // Without a socket the wait for another one has begun already.
      guard let signal = self.signal else { return }
      self.send(.leave(Participant.leaveMessage(.connectionTimeout, .resume)))
      signal.sink.close(.goingAway)
      self.room.service.forget(signal.id)
      self.signal = nil
      self.pingTimer = nil
      self.awaitResume(reason: .connectionTimeout, within: .seconds(10))
    }
  }

  /// A connection cannot be used any more, not even after an ICE restart.
  func failed(_ peer: PeerConnection, _ reason: String) {
    context.logger.info("peer connection failed", metadata: loggerMetadata.merging(["reason": "\(reason)"]) { $1 })
    reconnectFully(wasActive ? .mediaFailure : .joinFailure)
  }

  /// The client ended a connection. Its goodbye, or its new beginning, follows over the socket; DTLS was faster. One
  /// whose socket is gone as well is on its way back as somebody new, if it comes back at all: until then the others
  /// keep seeing it.
  func closedByClient(_ peer: PeerConnection) {
    isLeaving = true
    resumeTimer = nil
    failureTimer = context.after(signal == nil ? .seconds(10) : .seconds(3)) { [weak self] in
      guard let self, self.isPresent else { return }
      if self.signal == nil { self.end(.signalClose) } else { self.reconnectFully(.mediaFailure) }
    }
  }

  // MARK: Socket

  /// The socket is gone. Before anything worked that is the end; else the participant may come back.
  func signalLost() {
    signal = nil
    pingTimer = nil
    guard isPresent else { return }
    if isLeaving {
      failureTimer = nil
      awaitResume(reason: .signalClose, within: .seconds(10))
    } else if wasActive {
      awaitResume(reason: .signalClose, within: context.configuration.resumeTimeout)
    } else {
      end(.signalClose)
    }
  }

  private func awaitResume(reason: Livekit_DisconnectReason, within limit: Duration) {
    resumeTimer = context.after(limit) { [weak self] in
      guard let self, self.signal == nil else { return }
      self.end(reason)
    }
  }

  // MARK: End

  static func leaveMessage(
    _ reason: Livekit_DisconnectReason, _ action: Livekit_LeaveRequest.Action
  ) -> Livekit_LeaveRequest {
    var leave = Livekit_LeaveRequest()
    leave.reason = reason
    leave.action = action
    // What clients before protocol 13 look at.
    leave.canReconnect = action != .disconnect
    return leave
  }

  /// The client said goodbye, or is about to come back as somebody new.
  func leaveByClient() {
    if let signal {
      signal.sink.close(.normal)
      room.service.forget(signal.id)
      self.signal = nil
    }
    end(.clientInitiated)
  }

  /// Sends the participant away.
  func leave(_ reason: Livekit_DisconnectReason, action: Livekit_LeaveRequest.Action) {
    if let signal {
      signal.send(.leave(Participant.leaveMessage(reason, action)))
      signal.sink.close(action == .disconnect ? .normal : .goingAway)
      room.service.forget(signal.id)
      self.signal = nil
    }
    end(reason)
  }

  /// The client has to begin anew; nothing of this session can be saved.
  func reconnectFully(_ reason: Livekit_DisconnectReason) { leave(reason, action: .reconnect) }

  /// Takes everything back and tells the others. The socket has been dealt with.
  func end(_ reason: Livekit_DisconnectReason) {
    guard isPresent else { return }
    pingTimer = nil
    joinTimer = nil
    resumeTimer = nil
    tokenTimer = nil
    failureTimer = nil
    drainTimer = nil
    disconnectReason = reason
    // From here on nothing is announced track by track: the participant goes as a whole.
    state = .disconnected
    publishing.endAll()
    subscribing.endAll()
    publisher?.close()
    subscriber?.close()
    viewer?.close()
    phone?.closeMedia()
    version &+= 1
    room.left(self)
  }
}
