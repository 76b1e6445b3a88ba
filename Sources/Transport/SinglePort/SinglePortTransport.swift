package import Core

/// One peer on the single port: ICE-lite, then DTLS, then SRTP. Worker-confined; call `close` when done.
///
/// The peer checks and nominates (RFC 8445 §2.5); a path counts once one check on it was authenticated. Its checks are
/// also its consent, and so is its media: without any for 15 s comes `iceDisconnected`, for 30 s `consentLost`, and
/// nothing is sent any more.
package final class SinglePortTransport: PeerTransport {
  private let lane: PortLane
  private let towards: IPAddress
  private let association: SecureAssociation
  private let events: TransportEvents
  private let sink = DatagramSink()
  private let route: DTLSRoute
  private(set) var ice: ICELiteSession
  private var remote: Remote?
  /// Whose socket the datagrams of a path arrive at, where it is not our own worker's.
  private var arrivals: [(path: PeerPath, lane: Int)] = []
  /// Something came over the selected path since the last `advance`, and how many packets were authentic by then.
  private var isHeard = false
  private var packetsHeard: UInt64 = 0
  /// For the selected path, once it is busy.
  private var socket: PathSocket?
  private var packetsSent: UInt64 = 0
  private var isClosed = false

  /// What the peer's SDP said.
  private struct Remote {
    var ufrag: String
    var password: String
    var fingerprint: CertificateFingerprint
    var role: DTLSRole
  }

  init(lane: PortLane, towards: IPAddress) throws(TransportError) {
    assert(lane.worker.isCurrent)
    guard !lane.isClosed else { throw .closed }
    self.lane = lane
    self.towards = towards
    var random = SystemRandomNumberGenerator()
    let credentials = ICECredentials(worker: lane.index, using: &random)
    ice = ICELiteSession(credentials: credentials)
    let events = TransportEvents(worker: lane.worker)
    self.events = events
    let route = DTLSRoute(lane: lane)
    self.route = route
    association = SecureAssociation(
      worker: lane.worker,
      options: SecureAssociation.Options(
        certificate: lane.configuration.certificate, profiles: lane.configuration.profiles,
        handshakeTimeout: lane.configuration.handshakeTimeout),
      events: events, transmit: { route.transmit($0) })
    lane.add(credentials.key, self)
  }

  deinit { shutDown() }

  /// The way of our DTLS datagrams; beside the transport, as the association must not keep it alive.
  private final class DTLSRoute {
    let lane: PortLane
    var path: PeerPath?
    init(lane: PortLane) { self.lane = lane }
    func transmit(_ datagram: UnsafeRawBufferPointer) {
      if let path { lane.transmit(datagram, on: path) }
    }
  }

  package var receiver: (any PacketReceiver)? {
    get { association.receiver }
    set { association.receiver = newValue }
  }

  package var onEvent: ((WebRTCTransportEvent) -> Void)? {
    get { events.handler }
    set { events.handler = newValue }
  }

  // MARK: Local description

  package var localUfrag: String { ice.credentials.ufrag }
  package var localPassword: String { ice.credentials.password }
  package var fingerprint: String { lane.configuration.certificate.fingerprint }
  package var isICELite: Bool { true }

  /// All candidates are known from the start.
  package var localCandidates: [String] { PortCandidates.lines(lane.configuration, towards: towards) }

  package func gather(_ completion: @escaping ([String]) -> Void) throws(TransportError) {
    guard !isClosed else { throw .closed }
    lane.worker.atEndOfTurn { [weak self] in
      if let self, !isClosed { completion(localCandidates) }
    }
  }

  package func restartICE() -> (ufrag: String, password: String) {
    guard !isClosed else { return ("", "") }
    restart()
    return (localUfrag, localPassword)
  }

  private func restart() {
    var random = SystemRandomNumberGenerator()
    let credentials = ICECredentials(worker: lane.index, using: &random)
    apply(ice.restart(credentials), arrival: lane.index)
    lane.add(credentials.key, self)
  }

  // MARK: Remote description

  package func setRemote(
    ufrag: String, password: String, candidates: [String], fingerprint: (algorithm: String, value: String),
    isLite: Bool, role: DTLSRole
  ) throws(TransportError) {
    guard !isClosed else { throw .closed }
    guard !isLite else { throw .invalidRemote("it is ICE-lite too, and neither side would check (RFC 8445 §6.1.1)") }
    try RemoteDescription.check(ufrag: ufrag, password: password)
    let expected = try CertificateFingerprint(algorithm: fingerprint.algorithm, value: fingerprint.value)
    let known = remote
    if known.map({ $0.ufrag != ufrag || $0.password != password }) ?? true {
      if known != nil, !ice.isRestartPending { restart() }
      ice.setRemote(ufrag: ufrag, deadline: lane.worker.now + lane.configuration.iceTimeout)
    }
    remote = Remote(ufrag: ufrag, password: password, fingerprint: expected, role: role)
    if let known, known.fingerprint != expected || known.role != role { association.end() }
    startDTLSIfReady()
  }

  /// The peer's candidates mean nothing to a lite agent, which sends no checks.
  package func addRemoteCandidate(_ line: String) {}

  private func startDTLSIfReady() {
    guard !isClosed, route.path != nil, let remote else { return }
    association.start(role: remote.role, expecting: remote.fingerprint)
  }

  // MARK: From the lane

  func password(for key: UInt64) -> [UInt8]? { ice.password(for: key) }

  /// A check whose MESSAGE-INTEGRITY was right.
  func receive(
    _ check: STUNMessage, key: UInt64, theirs: UnsafeRawBufferPointer, from path: PeerPath, arrival: Int, now: Instant
  ) -> STUNAnswer {
    guard !isClosed else { return .unauthenticated }
    let (answer, changes) = ice.receive(check, key: key, theirs: theirs, from: path, now: now)
    if !changes.isEmpty { apply(changes, arrival: arrival) }
    return answer
  }

  /// RTP, RTCP or DTLS on a proved path.
  @inline(__always)
  func receive(_ datagram: UnsafeMutableRawBufferPointer, from path: PeerPath, now: Instant) {
    guard !isClosed else { return }
    if path == route.path {
      isHeard = true
    } else {
      let changes = ice.prefer(path)
      if !changes.isEmpty { apply(changes, arrival: lane.index) }
    }
    association.receive(datagram, now: now)
  }

  func advance(to now: Instant) {
    guard !isClosed else { return }
    var changes: [ICELiteSession.Change] = []
    if isHeard {
      isHeard = false
      let packets = association.counters.packetsReceived
      if packets != packetsHeard { changes = ice.hear(at: now) }
      packetsHeard = packets
    }
    changes += ice.advance(to: now)
    if !changes.isEmpty { apply(changes, arrival: lane.index) }
    connectIfBusy()
  }

  /// Once a second.
  private func connectIfBusy() {
    let sent = association.counters.packetsSent
    let packets = sent &- packetsSent
    packetsSent = sent
    guard socket == nil, packets >= SinglePortTransport.busy || isArrivingElsewhere, let path = route.path,
      let socket = lane.connect(path)
    else { return }
    lane.worker.sendQueue.flush()
    self.socket = socket
    sink.descriptor = socket.descriptor
    sink.isConnected = true
  }

  /// Packets sent a second that make a path worth a socket of its own.
  private static let busy: UInt64 = 20

  private var isArrivingElsewhere: Bool { arrivals.contains { $0.path == route.path } }

  private func disconnect() {
    sink.isConnected = false
    guard let socket else { return }
    self.socket = nil
    lane.disconnect(socket)
  }

  func streamEnded(_ path: PeerPath) {
    guard !isClosed else { return }
    apply(ice.lose(path), arrival: lane.index)
  }

  /// The port goes before its peers: nothing can be sent or taken any more.
  func portClosed() {
    events.emit(.failed(.closed))
    disconnect()
    sink.descriptor = -1
    sink.relay = nil
    route.path = nil
  }

  private func apply(_ changes: [ICELiteSession.Change], arrival: Int) {
    for change in changes {
      switch change {
      case .added(let path):
        lane.add(path, self, arrival: arrival)
        if arrival != lane.index { arrivals.append((path, arrival)) }
      case .removed(let path): forget(path)
      case .selected(let path):
        use(path)
        events.emit(.iceConnected(local: lane.localAddress(of: path), remote: path.remote.description))
        startDTLSIfReady()
      case .retired(let key): lane.remove(key)
      case .disconnected: events.emit(.iceDisconnected)
      case .reconnected:
        if let path = ice.selected {
          use(path)
          events.emit(.iceConnected(local: lane.localAddress(of: path), remote: path.remote.description))
        }
      case .consentLost:
        stopSending()
        events.emit(.consentLost)
      case .failed:
        events.emit(.iceFailed("no check of the peer arrived within \(lane.configuration.iceTimeout)"))
      }
    }
  }

  private func forget(_ path: PeerPath) {
    if path == route.path { stopSending() }
    let arrival = arrivals.firstIndex { $0.path == path }.map { arrivals.remove(at: $0).lane } ?? lane.index
    lane.remove(path, of: self, arrival: arrival)
    if path.isStream { lane.streams.close(path.base, lane.worker.poll) }
  }

  private func use(_ path: PeerPath) {
    guard route.path != path else { return }
    // What is queued was meant for the path before.
    lane.worker.sendQueue.flush()
    disconnect()
    route.path = path
    if path.isStream {
      let (lane, base) = (lane, path.base)
      sink.descriptor = -1
      sink.relay = { lane.streams.send($0, on: base, lane.worker.poll) }
    } else {
      sink.relay = nil
      let sockets = lane.sockets.datagram
      sink.descriptor = sockets.indices.contains(Int(path.base)) ? sockets[Int(path.base)].descriptor : -1
      sink.destination = SocketStorage(path.remote)
    }
  }

  private func stopSending() {
    lane.worker.sendQueue.flush()
    disconnect()
    route.path = nil
    sink.descriptor = -1
    sink.relay = nil
  }

  // MARK: Packets

  package func send(rtp packet: UnsafeRawBufferPointer) { association.send(packet, isRTCP: false, to: sink) }

  package func send(rtcp packet: UnsafeRawBufferPointer) { association.send(packet, isRTCP: true, to: sink) }

  // MARK: State

  package var selectedPair: (local: String, remote: String)? {
    ice.selected.map { (lane.localAddress(of: $0), $0.remote.description) }
  }

  package var statistics: TransportStatistics {
    var all = association.counters
    all.packetsNotSent &+= sink.failures
    return all
  }

  package var dataChannels: DataChannels? { association.dataChannels }

  package func openDataChannels(maximumMessageSize: Int = DataChannels.defaultMessageSize) -> DataChannels {
    association.openDataChannels(maximumMessageSize: maximumMessageSize)
  }

  package func close() {
    guard !isClosed else { return }
    isClosed = true
    events.close()
    receiver = nil
    // Perhaps called from a packet's delivery: take it apart when the turn's work is done.
    lane.worker.atEndOfTurn { self.shutDown() }
  }

  private func shutDown() {
    isClosed = true
    association.end()
    for key in ice.keys { lane.remove(key) }
    for path in ice.paths { forget(path.path) }
    stopSending()
  }
}
