internal import Core

// ICE and DTLS of a transport: what happens until media may flow.
extension WebRTCTransport {
  // MARK: ICE

  func armICETimer() {
    iceTimer = worker.after(configuration.iceTimeout) { [unowned self] _ in
      self.iceTimer = nil
      if !self.iceWorks || self.restartPending {
        self.emit(.iceFailed("no candidate pair worked within \(self.configuration.iceTimeout)"))
      }
    }
  }

  /// Called from inside libnice.
  func iceChanged(_ state: ICEState) {
    guard !isClosed else { return }
    switch state {
    case .connected, .ready:
      iceWorks = true
      iceWorkedOnce = true
      iceTimer = nil
      pairSelected()
      worker.atEndOfTurn { [weak self] in
        self?.startDTLSIfReady()
        if case .verified = self?.keys { self?.settle() }
      }
    case .failed:
      let consent = iceWorks
      iceWorks = false
      sink.descriptor = -1
      sink.relay = nil
      announcedPair = nil
      emit(consent ? .consentLost : .iceFailed("every candidate pair failed"))
    case .disconnected:
      if iceWorks {
        iceWorks = false
        emit(.iceDisconnected)
      }
    case .gathering, .connecting:
      // Also the way of a restart, during which the old pair goes on.
      break
    }
  }

  /// Called from inside libnice, on each new pair.
  func pairSelected() {
    guard !isClosed, let pair = ice.selectedPair else { return }
    if let direct = pair.direct {
      openMediaSocket(beside: direct.descriptor)
      sink.descriptor = media?.socket.descriptor ?? direct.descriptor
      sink.destination = direct.destination
      sink.relay = nil
    } else {
      closeMediaSocket()
      sink.descriptor = -1
      sink.relay = { [unowned self] in self.ice.send($0) }
    }
    guard iceWorks, announcedPair.map({ $0 != (pair.local, pair.remote) }) ?? true else { return }
    announcedPair = (pair.local, pair.remote)
    emit(.iceConnected(local: pair.local, remote: pair.remote))
  }

  /// Media is received there from now on; without it libnice goes on delivering everything.
  private func openMediaSocket(beside base: Int32) {
    guard media?.base != base else { return }
    closeMediaSocket()
    guard let socket = MediaSocket.split(from: base),
      let watch = try? worker.watch(socket.descriptor, tag: 0, consumer: self)
    else { return }
    media = (base, socket, watch)
  }

  func closeMediaSocket() {
    guard let media else { return }
    // What is queued refers to the descriptor.
    worker.sendQueue.flush()
    worker.poll.remove(media.watch)
    sink.descriptor = -1
    self.media = nil
  }

  /// ICE and DTLS are done: from now on the agent only answers checks and asks for consent.
  private func settle() {
    guard !isClosed, iceWorks, !restartPending else { return }
    ice.setSettled(true)
  }

  // MARK: DTLS

  func startDTLSIfReady() {
    guard !isClosed, iceWorks, keys == .none, dtls == nil, let remote else { return }
    do throws(TransportError) {
      let context = try configuration.certificate.context(profiles: configuration.profiles)
      let session = try DTLSSession(context: context, role: remote.role) { [unowned self] in
        // A lost flight is sent again by the flight timer.
        _ = self.ice.send($0)
      }
      dtls = session
      handshakeTimer = worker.after(configuration.handshakeTimeout) { [unowned self] _ in
        self.fail(.handshakeTimeout(self.configuration.handshakeTimeout))
      }
      session.start()
    } catch {
      fail(error)
      return
    }
    let held = heldDTLS
    heldDTLS = []
    for datagram in held { datagram.withUnsafeBytes { dtls?.receive($0) } }
    dtlsAdvanced()
  }

  /// Called from inside libnice.
  func receive(dtls datagram: UnsafeRawBufferPointer) {
    guard let dtls else {
      guard keys == .none, heldDTLS.count < WebRTCTransport.maximumHeldDTLS else {
        counters.rejected.early &+= 1
        return
      }
      heldDTLS.append([UInt8](datagram))
      return
    }
    dtls.receive(datagram)
    dtlsAdvanced()
  }

  private func dtlsAdvanced() {
    guard let dtls else { return }
    switch dtls.progress {
    case .handshaking:
      flightTimer = dtls.timeout.map { left in
        worker.after(left) { [unowned self] _ in
          self.dtls?.expire()
          self.dtlsAdvanced()
        }
      }
    case .connected: if keys == .none { verify(dtls) }
    case .closed: if keys != .failed { fail(.closedByPeer) }
    case .failed(let reason): fail(.handshakeFailed(reason))
    }
  }

  /// The handshake proves that the peer holds its certificate's key; this proves that the certificate is the one of the
  /// SDP. No key leaves OpenSSL before it.
  private func verify(_ dtls: DTLSSession) {
    flightTimer = nil
    handshakeTimer = nil
    guard let remote else { return }
    guard let actual = dtls.peerFingerprint(remote.fingerprint.algorithm), actual == remote.fingerprint else {
      let actual = dtls.peerFingerprint(remote.fingerprint.algorithm)?.description ?? "none"
      dtls.close()
      return fail(.fingerprintMismatch(expected: remote.fingerprint.description, actual: actual))
    }
    guard let material = dtls.exportKeys(), configuration.profiles.contains(material.profile) else {
      dtls.close()
      return fail(.noCommonSRTPProfile)
    }
    let ours = dtls.role == .client ? material.client : material.server
    let theirs = dtls.role == .client ? material.server : material.client
    do throws(TransportError) {
      sender = try SRTPSender(profile: material.profile, master: ours)
      unprotector = try SRTPReceiver(profile: material.profile, master: theirs)
      keys = .verified(material.profile)
      emit(.connected(profile: material.profile))
      // Perhaps inside the context at this moment.
      worker.atEndOfTurn { [weak self] in self?.settle() }
    } catch {
      fail(error)
    }
  }

  private func fail(_ error: TransportError) {
    keys = .failed
    flightTimer = nil
    handshakeTimer = nil
    sender = nil
    unprotector = nil
    emit(.failed(error))
  }

  /// Forgets the association; the next one starts with the peer's new description.
  func endAssociation() {
    flightTimer = nil
    handshakeTimer = nil
    dtls?.close()
    dtls = nil
    sender = nil
    unprotector = nil
    heldDTLS = []
    keys = .none
  }

  // MARK: Events

  func emit(_ event: WebRTCTransportEvent) {
    guard !isClosed else { return }
    pendingEvents.append(event)
    guard pendingEvents.count == 1 else { return }
    worker.atEndOfTurn { [weak self] in
      guard let self else { return }
      let events = pendingEvents
      pendingEvents = []
      // `close()` in a handler clears `onEvent`.
      for event in events { onEvent?(event) }
    }
  }
}
