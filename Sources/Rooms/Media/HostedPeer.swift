import Core
import SDP
import SFU
import Transport

/// One peer connection on its worker: the transport and its data channels. Worker-confined.
final class HostedPeer {
  let id: PeerID
  let room: MediaRoomID
  let router: Router
  let transport: any PeerTransport
  private let worker: MediaWorker
  var onEvent: ((RoomMediaEvent) -> Void)?
  var onFailure: ((MediaFailure) -> Void)?
  /// DTLS was done at some time.
  private var wasConnected = false
  private var isInterrupted = false
  private let data = PeerData()

  init(id: PeerID, room: MediaRoomID, router: Router, transport: any PeerTransport, worker: MediaWorker) {
    self.id = id
    self.room = room
    self.router = router
    self.transport = transport
    self.worker = worker
  }

  func start(receiver: any PacketReceiver) {
    transport.receiver = receiver
    transport.onEvent = { [weak self] in self?.receive($0) }
  }

  /// Collects candidates and reports them with our credentials.
  func gather(_ event: @escaping (TransportParameters) -> RoomMediaEvent) throws(TransportError) {
    try transport.gather { [weak self] lines in
      guard let self else { return }
      self.onEvent?(
        event(
          TransportParameters(
            ufrag: self.transport.localUfrag, pwd: self.transport.localPassword, candidates: lines,
            iceLite: self.transport.isICELite,
            fingerprint: Fingerprint(algorithm: "sha-256", value: self.transport.fingerprint))))
    }
  }

  func setRemote(_ remote: RemoteTransport) throws(TransportError) {
    let parameters = remote.parameters
    try transport.setRemote(
      ufrag: parameters.ufrag, password: parameters.pwd, candidates: parameters.candidates,
      fingerprint: (parameters.fingerprint.algorithm, parameters.fingerprint.value), isLite: parameters.iceLite,
      role: remote.isDTLSServer ? .server : .client)
  }

  private func receive(_ event: WebRTCTransportEvent) {
    if let failure = event.failure { onFailure?(failure) }
    switch event {
    case .connected:
      wasConnected = true
      isInterrupted = false
      onEvent?(.peerConnected(id))
    case .iceConnected:
      if wasConnected, isInterrupted {
        isInterrupted = false
        onEvent?(.peerReconnected(id))
      }
    case .iceDisconnected, .consentLost: interrupt()
    case .iceFailed(let reason):
      if wasConnected { interrupt() } else { onEvent?(.peerFailed(id, "ICE: \(reason)")) }
    case .failed(.closedByPeer): onEvent?(.peerClosed(id))
    case .failed(let error): onEvent?(.peerFailed(id, "\(error)"))
    }
  }

  private func interrupt() {
    guard wasConnected, !isInterrupted else { return }
    isInterrupted = true
    onEvent?(.peerDisconnected(id))
  }

  func close() {
    onEvent = nil
    data.close()
    transport.close()
  }

  // MARK: Data channels

  func openDataChannels(_ labels: [DataChannelLabel], remoteMaximumMessageSize: Int) {
    let channels = transport.openDataChannels(maximumMessageSize: DataChannels.defaultMessageSize)
    channels.remoteMaximumMessageSize = remoteMaximumMessageSize
    guard data.channels == nil else { return }
    data.channels = channels
    channels.onOpen = { [weak self] channel in
      guard let self, let label = self.data.opened(channel) else { return }
      self.onEvent?(.dataChannelOpen(self.id, label))
    }
    channels.onMessage = { [weak self] stream, _, bytes in
      guard let self, let label = self.data.label(of: stream) else { return }
      self.onEvent?(.data(self.id, label, [UInt8](bytes)))
    }
    channels.onClose = { [weak self] stream in self?.data.closed(stream) }
    channels.onWritable = { [weak self] in self?.data.writable() }
    for label in labels {
      let isReliable = label == .reliable
      channels.open(label: label.rawValue, ordered: isReliable, maxRetransmits: isReliable ? nil : 0)
    }
  }

  func send(_ bytes: [UInt8], on label: DataChannelLabel) {
    if !data.send(bytes, on: label) { onEvent?(.receiverStuck(id)) }
  }
}
