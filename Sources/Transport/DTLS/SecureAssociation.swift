internal import Core

/// One DTLS association with a peer and the SRTP keys made by it (RFC 5764): what every WebRTC transport has above its
/// path to the peer. Worker-confined.
///
/// The owner calls `start` when datagrams can reach the peer and the peer's description is known, hands over what comes
/// from the peer, and sends what `transmit` is given. Media passes only while the state is `verified`.
final class SecureAssociation {
  enum State: Equatable {
    /// No handshake yet, or one under way.
    case unverified
    /// The peer's certificate is the announced one.
    case verified(SRTPProfile)
    case failed
  }

  /// What all associations of one kind of transport have in common.
  struct Options {
    var certificate: DTLSCertificate
    var profiles: [SRTPProfile]
    /// From `start` to verified keys.
    var handshakeTimeout: Duration
  }

  /// A browser's ClientHello takes two datagrams; further ones are flights sent again.
  static let maximumHeldDTLS = 8

  private let worker: MediaWorker
  private let options: Options
  private let events: TransportEvents
  /// Sends one DTLS datagram on the current path. A lost flight is sent again by the flight timer.
  private let transmit: (UnsafeRawBufferPointer) -> Void
  /// Takes decrypted packets. Not kept alive.
  weak var receiver: (any PacketReceiver)?
  /// Called when the keys are there, perhaps from inside the delivery of a datagram.
  var onVerified: (() -> Void)?
  /// SCTP over this association, once someone asked for it.
  private(set) var dataChannels: DataChannels?

  private(set) var state = State.unverified
  private(set) var dtls: DTLSSession?
  private var expected: CertificateFingerprint?
  var sender: SRTPSender?
  private var unprotector: SRTPReceiver?
  /// DTLS that came before `start`: a peer's ClientHello is sent as soon as *its* path works. Answering at once would
  /// lose our flight, and a second with it.
  private var held: [[UInt8]] = []
  private var flightTimer: WorkerTimer?
  private var handshakeTimer: WorkerTimer?
  var counters = TransportStatistics()

  init(
    worker: MediaWorker, options: Options, events: TransportEvents,
    transmit: @escaping (UnsafeRawBufferPointer) -> Void
  ) {
    self.worker = worker
    self.options = options
    self.events = events
    self.transmit = transmit
  }

  // MARK: Handshake

  /// Begins the handshake; changes nothing while one is under way or done.
  func start(role: DTLSRole, expecting fingerprint: CertificateFingerprint) {
    guard state == .unverified, dtls == nil else { return }
    expected = fingerprint
    do throws(TransportError) {
      let context = try options.certificate.context(profiles: options.profiles)
      let session = try DTLSSession(context: context, role: role, transmit: transmit)
      dtls = session
      passApplicationData()
      handshakeTimer = worker.after(options.handshakeTimeout) { [unowned self] _ in
        self.fail(.handshakeTimeout(self.options.handshakeTimeout))
      }
      session.start()
    } catch {
      fail(error)
      return
    }
    let early = held
    held = []
    for datagram in early { datagram.withUnsafeBytes { dtls?.receive($0) } }
    advanced()
  }

  private func receive(dtls datagram: UnsafeRawBufferPointer) {
    guard let dtls else {
      guard state == .unverified, held.count < SecureAssociation.maximumHeldDTLS else {
        counters.rejected.early &+= 1
        return
      }
      held.append([UInt8](datagram))
      return
    }
    dtls.receive(datagram)
    advanced()
  }

  private func advanced() {
    guard let dtls else { return }
    switch dtls.progress {
    case .handshaking:
      flightTimer = dtls.timeout.map { left in
        worker.after(left) { [unowned self] _ in
          self.dtls?.expire()
          self.advanced()
        }
      }
    case .connected: if state == .unverified { verify(dtls) }
    case .closed: if state != .failed { fail(.closedByPeer) }
    case .failed(let reason): if state != .failed { fail(.handshakeFailed(reason)) }
    }
  }

  /// The handshake proves that the peer holds its certificate's key; this proves that the certificate is the one of the
  /// SDP. No key leaves OpenSSL before it.
  private func verify(_ dtls: DTLSSession) {
    flightTimer = nil
    handshakeTimer = nil
    guard let expected else { return }
    guard let actual = dtls.peerFingerprint(expected.algorithm), actual == expected else {
      let actual = dtls.peerFingerprint(expected.algorithm)?.description ?? "none"
      dtls.close()
      return fail(.fingerprintMismatch(expected: expected.description, actual: actual))
    }
    guard let material = dtls.exportKeys(), options.profiles.contains(material.profile) else {
      dtls.close()
      return fail(.noCommonSRTPProfile)
    }
    let ours = dtls.role == .client ? material.client : material.server
    let theirs = dtls.role == .client ? material.server : material.client
    do throws(TransportError) {
      sender = try SRTPSender(profile: material.profile, master: ours)
      unprotector = try SRTPReceiver(profile: material.profile, master: theirs)
    } catch {
      return fail(error)
    }
    state = .verified(material.profile)
    events.emit(.connected(profile: material.profile))
    onVerified?()
    dataChannels?.start(role: dtls.role)
  }

  private func fail(_ error: TransportError) {
    state = .failed
    flightTimer = nil
    handshakeTimer = nil
    sender = nil
    unprotector = nil
    dataChannels?.transportEnded(error.description)
    events.emit(.failed(error))
  }

  /// Says goodbye and forgets everything but the counters; `start` may begin a new association.
  func end() {
    flightTimer = nil
    handshakeTimer = nil
    dataChannels?.transportEnded("a new DTLS association begins")
    dataChannels = nil
    dtls?.close()
    dtls = nil
    sender = nil
    unprotector = nil
    held = []
    state = .unverified
  }

  // MARK: Data channels

  /// Makes them, or gives those that are there. They end with this DTLS association.
  func openDataChannels(maximumMessageSize: Int) -> DataChannels {
    if let dataChannels { return dataChannels }
    let channels = DataChannels(worker: worker, maximumMessageSize: maximumMessageSize) { [weak self] in
      // A lost packet is sent again by SCTP.
      _ = self?.dtls?.send(applicationData: $0)
    }
    dataChannels = channels
    passApplicationData()
    if case .verified = state, let dtls { channels.start(role: dtls.role) }
    return channels
  }

  private func passApplicationData() {
    guard dataChannels != nil else { return }
    dtls?.onApplicationData = { [unowned self] in self.dataChannels?.receive($0) }
  }

  // MARK: Packets: no allocation, no lock, no log

  /// Takes RTP, RTCP or DTLS of the peer, which is told by the first byte; decrypts in place.
  func receive(_ datagram: UnsafeMutableRawBufferPointer, now: Instant) {
    let raw = UnsafeRawBufferPointer(datagram)
    let kind = PacketKind(raw)
    switch kind {
    case .rtp, .rtcp: receiveMedia(datagram, isRTCP: kind == .rtcp, now: now)
    case .dtls: receive(dtls: raw)
    case .stun, .turnChannel, .unknown: counters.rejected.malformed &+= 1
    }
  }

  private func receiveMedia(_ datagram: UnsafeMutableRawBufferPointer, isRTCP: Bool, now: Instant) {
    guard unprotector != nil else {
      counters.rejected.early &+= 1
      return
    }
    let result = isRTCP ? unprotector?.unprotect(rtcp: datagram) : unprotector?.unprotect(rtp: datagram)
    switch result {
    case .done(let length):
      counters.packetsReceived &+= 1
      counters.bytesReceived &+= UInt64(datagram.count)
      let packet = UnsafeRawBufferPointer(start: datagram.baseAddress, count: length)
      if isRTCP {
        receiver?.receive(rtcp: packet, now: now)
      } else {
        receiver?.receive(rtp: packet, now: now)
      }
    case .authenticationFailed: counters.rejected.authentication &+= 1
    case .replayed: counters.rejected.replayed &+= 1
    case .malformed: counters.rejected.malformed &+= 1
    case nil: counters.rejected.foreign &+= 1
    }
  }

  /// Encrypts a copy of the packet and queues it for the end of the turn.
  @inline(__always)
  func send(_ packet: UnsafeRawBufferPointer, isRTCP: Bool, to sink: DatagramSink) {
    // 20 bytes hold the longest trailer: a 16-byte tag and the SRTCP index.
    guard sender != nil, sink.isReady, let base = packet.baseAddress, packet.count <= SendQueue.maximumPacket - 20
    else {
      counters.packetsNotSent &+= 1
      return
    }
    let slot = worker.sendQueue.reserve(packet.count + 20)
    slot.copyMemory(from: base, byteCount: packet.count)
    let length =
      isRTCP ? sender?.protect(rtcp: slot, length: packet.count) : sender?.protect(rtp: slot, length: packet.count)
    guard let length else {
      counters.packetsNotSent &+= 1
      return
    }
    worker.sendQueue.commit(length, to: sink)
    counters.packetsSent &+= 1
    counters.bytesSent &+= UInt64(length)
  }
}
