internal import Core

// ICE and DTLS of a transport: what happens until media may flow.
extension WebRTCTransport {
  // MARK: ICE

  func armICETimer() {
    iceTimer = worker.after(configuration.iceTimeout) { [unowned self] _ in
      self.iceTimer = nil
      if !self.iceWorks || self.restartPending {
        self.events.emit(.iceFailed("no candidate pair worked within \(self.configuration.iceTimeout)"))
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
        if case .verified = self?.association.state { self?.settle() }
      }
    case .failed:
      let consent = iceWorks
      iceWorks = false
      sink.descriptor = -1
      sink.relay = nil
      announcedPair = nil
      events.emit(consent ? .consentLost : .iceFailed("every candidate pair failed"))
    case .disconnected:
      if iceWorks {
        iceWorks = false
        events.emit(.iceDisconnected)
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
    events.emit(.iceConnected(local: pair.local, remote: pair.remote))
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
  func settle() {
    guard !isClosed, iceWorks, !restartPending else { return }
    ice.setSettled(true)
  }

  // MARK: DTLS

  func startDTLSIfReady() {
    guard !isClosed, iceWorks, let remote else { return }
    association.start(role: remote.role, expecting: remote.fingerprint)
  }
}
