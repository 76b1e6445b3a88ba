package import Core

/// One browser's bundled, multiplexed transport: ICE, then DTLS, then SRTP. Worker-confined.
///
/// Order of calls: `gather`, describe it in SDP, `setRemote` with the peer's description, `close`. The peer may be told
/// to us first. Media is delivered and sent only between `.connected` and `.failed` or `close()`.
package final class WebRTCTransport: PacketTransport, DatagramConsumer {
  let worker: MediaWorker
  let configuration: Configuration
  let ice: ICEAgent
  let sink = DatagramSink()
  /// Beside the libnice socket of the selected pair, whose descriptor is `base`.
  var media: (base: Int32, socket: UDPSocket, watch: UInt64)?

  let association: SecureAssociation
  let events: TransportEvents

  var remote: Remote?
  var iceWorks = false
  var iceWorkedOnce = false
  var restartPending = false
  var announcedPair: (local: String, remote: String)?
  var isClosed = false
  private var hasGathered = false
  private var gatherCompletion: (([String]) -> Void)?
  private var gatherTimer: WorkerTimer?
  var iceTimer: WorkerTimer?

  /// libnice takes no more remote candidates than that.
  static let maximumRemoteCandidates = 25

  /// What the peer's SDP said.
  struct Remote {
    var ufrag: String
    var password: String
    var candidates: Set<String>
    var fingerprint: CertificateFingerprint
    var role: DTLSRole
  }

  /// Binds nothing yet.
  /// - Parameter controlling: True for the side that makes the first offer (RFC 8445 §6.1.1).
  package init(worker: MediaWorker, configuration: Configuration, controlling: Bool) throws(TransportError) {
    assert(worker.isCurrent)
    guard !configuration.profiles.isEmpty else {
      throw .library(function: "WebRTCTransport", detail: "no SRTP profile is configured")
    }
    self.worker = worker
    self.configuration = configuration
    ice = try ICEAgent(
      worker: worker,
      options: ICEAgent.Options(
        localAddresses: configuration.localAddresses, ports: configuration.ports,
        stunServer: configuration.stunServer, turnServers: configuration.turnServers, isLite: configuration.iceLite,
        isControlling: controlling))
    events = TransportEvents(worker: worker)
    let ice = ice
    association = SecureAssociation(
      worker: worker,
      options: SecureAssociation.Options(
        certificate: configuration.certificate, profiles: configuration.profiles,
        handshakeTimeout: configuration.handshakeTimeout),
      events: events, transmit: { _ = ice.send($0) })
    association.onVerified = { [unowned self] in
      // Perhaps inside the context at this moment.
      self.worker.atEndOfTurn { [weak self] in self?.settle() }
    }
    ice.onPacket = { [unowned self] in self.receive($0) }
    ice.onState = { [unowned self] in self.iceChanged($0) }
    ice.onSelectedPair = { [unowned self] in self.pairSelected() }
    ice.onGathered = { [unowned self] in self.gathered() }
  }

  deinit { shutDown() }

  package var receiver: (any PacketReceiver)? {
    get { association.receiver }
    set { association.receiver = newValue }
  }

  package var onEvent: ((WebRTCTransportEvent) -> Void)? {
    get { events.handler }
    set { events.handler = newValue }
  }

  // MARK: Local description

  package var localUfrag: String { ice.localCredentials.ufrag }
  package var localPassword: String { ice.localCredentials.password }
  /// SHA-256, `AB:CD:…`.
  package var fingerprint: String { configuration.certificate.fingerprint }

  /// Binds sockets and collects candidates, then calls `completion` once with `candidate:…` lines: at the end of this
  /// turn with host candidates only, else when STUN and TURN have answered or after `gatheringTimeout`.
  package func gather(_ completion: @escaping ([String]) -> Void) throws(TransportError) {
    guard !isClosed else { throw .closed }
    if hasGathered {
      worker.atEndOfTurn { [weak self] in
        if let self { completion(self.localCandidates) }
      }
      return
    }
    gatherCompletion = completion
    gatherTimer = worker.after(configuration.gatheringTimeout) { [unowned self] _ in self.finishGathering() }
    guard ice.gather() else {
      gatherTimer = nil
      gatherCompletion = nil
      throw .portsExhausted(
        ports: configuration.ports,
        detail: "no UDP port could be bound on "
          + (configuration.localAddresses.isEmpty
            ? "any interface" : configuration.localAddresses.map(\.description).joined(separator: ", ")))
    }
  }

  /// `candidate:…` lines gathered so far, with the advertised address.
  package var localCandidates: [String] {
    let lines = ice.localCandidates
    guard let advertised = configuration.advertisedAddress else { return lines }
    return lines.map { ICECandidateLine.advertising(advertised, in: $0) }
  }

  private func gathered() {
    // libnice's function that leads here has not returned yet.
    worker.atEndOfTurn { [weak self] in self?.finishGathering() }
  }

  private func finishGathering() {
    gatherTimer = nil
    guard let completion = gatherCompletion, !isClosed else { return }
    gatherCompletion = nil
    hasGathered = true
    completion(localCandidates)
  }

  /// Starts an ICE restart of ours and gives the new credentials for the offer; media goes on over the old pair.
  package func restartICE() -> (ufrag: String, password: String) {
    guard !isClosed else { return ("", "") }
    restartPending = true
    ice.setSettled(false)
    ice.restart()
    return ice.localCredentials
  }

  // MARK: Remote description

  /// Takes the peer's description out of an offer or answer. Calling again with the same values changes nothing, as in
  /// a re-INVITE for hold. New ICE credentials that we did not ask for are the peer's ICE restart: `localUfrag` and
  /// `localPassword` are then new too and go into the answer (RFC 8445 §9). A new fingerprint or role starts a new DTLS
  /// association; no media flows until it is verified (RFC 8842 §5.1).
  /// - Parameters:
  ///   - candidates: `candidate:…` lines; unusable ones (TCP, `.local` names, second components) are left out.
  ///   - fingerprint: Hash function and `AB:CD:…`; SHA-1 and weaker are refused.
  ///   - isLite: The peer sent `a=ice-lite`; we then take the controlling role.
  ///   - role: Ours.
  package func setRemote(
    ufrag: String, password: String, candidates: [String], fingerprint: (algorithm: String, value: String),
    isLite: Bool, role: DTLSRole
  ) throws(TransportError) {
    guard !isClosed else { throw .closed }
    try RemoteDescription.check(ufrag: ufrag, password: password)
    let expected = try CertificateFingerprint(algorithm: fingerprint.algorithm, value: fingerprint.value)
    let known = remote
    let newCredentials = known.map { $0.ufrag != ufrag || $0.password != password } ?? true
    if newCredentials {
      ice.setSettled(false)
      if known != nil, !restartPending { ice.restart() }
      restartPending = false
      if isLite { ice.setControlling(true) }
      guard ice.setRemoteCredentials(ufrag: ufrag, password: password) else {
        throw .library(function: "nice_agent_set_remote_credentials", detail: "refused")
      }
      armICETimer()
    }
    remote = Remote(
      ufrag: ufrag, password: password, candidates: newCredentials ? [] : known?.candidates ?? [],
      fingerprint: expected, role: role)
    addRemoteCandidates(candidates)
    if let known, known.fingerprint != expected || known.role != role { association.end() }
    startDTLSIfReady()
  }

  /// One trickled `candidate:…` line of the current generation; unusable and known ones change nothing.
  package func addRemoteCandidate(_ line: String) { addRemoteCandidates([line]) }

  private func addRemoteCandidates(_ lines: [String]) {
    guard !isClosed, remote != nil else { return }
    var fresh: [String] = []
    for line in lines {
      guard let line = ICECandidateLine.normalized(line), ICECandidateLine.isUsable(line),
        (remote?.candidates.count ?? 0) < WebRTCTransport.maximumRemoteCandidates,
        remote?.candidates.insert(line).inserted == true
      else { continue }
      fresh.append(line)
    }
    if !fresh.isEmpty { _ = ice.addRemoteCandidates(fresh) }
  }

  // MARK: State

  /// `address:port` of both ends; nil before a pair works.
  package var selectedPair: (local: String, remote: String)? { announcedPair }

  package var statistics: TransportStatistics {
    var all = association.counters
    all.packetsNotSent &+= sink.failures
    return all
  }

  /// Says goodbye and gives everything back. Events and packets end at once; libnice goes in the worker's next turns.
  package func close() {
    guard !isClosed else { return }
    isClosed = true
    events.close()
    receiver = nil
    association.dataChannels?.close()
    gatherCompletion = nil
    // Perhaps called from a packet's delivery, inside libnice: take it apart when the turn's work is done.
    worker.atEndOfTurn { self.shutDown() }
  }

  private func shutDown() {
    gatherTimer = nil
    iceTimer = nil
    association.end()
    // Media queued in this turn would go to a socket that libnice is about to close.
    worker.sendQueue.flush()
    sink.descriptor = -1
    sink.relay = nil
    closeMediaSocket()
    ice.close()
  }
}
