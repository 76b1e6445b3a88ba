package import Audio
package import Bridge
package import Core
package import Transport

/// What a hosted leg tells the signalling side.
package enum HostedLegEvent: Sendable {
  case iceConnected(local: String, remote: String)
  case iceDisconnected
  case transportConnected(profile: String)
  case transportFailed(String)
  /// The far end closed its DTLS association: it is leaving.
  case transportClosedByPeer
  case firstPacket
  case dtmf(Character)
  case mediaTimeout
  case mediaResumed
  /// A clip that does not loop was played to its end; the leg hears silence.
  case clipEnded
}

/// A browser leg's own transport parameters, for SDP.
package struct LocalWebRTC: Sendable {
  package var ufrag: String
  package var password: String
  package var candidates: [String]
  package var fingerprint: String
  /// Whether our SDP says `a=ice-lite`.
  package var isICELite: Bool
}

/// The remote end of a leg as SDP describes it.
package enum HostedRemote: Sendable {
  case webRTC(
    ufrag: String, password: String, candidates: [String], fingerprintAlgorithm: String, fingerprint: String,
    isLite: Bool, weAreDTLSServer: Bool)
  case rtp(rtp: SocketAddress?, rtcp: SocketAddress?, muxed: Bool)
}

/// What a leg hears.
package enum HostedSource: Sendable {
  case silence
  case leg(LegID)
  case echo
  case milliwatt
  case holdMusic
  case tones(CallProgressTone)
  /// Its end is told as `HostedLegEvent.clipEnded` where it does not loop.
  case clip(AudioClip, loops: Bool)
  /// The leg is a member of a conference: hears it and speaks to it.
  case conference(ConferencePort)
}

/// The legs of one media worker. The signalling side awaits in; packets never pass through here.
package actor MediaHost {
  package nonisolated let worker: MediaWorker
  package nonisolated var unownedExecutor: UnownedSerialExecutor { worker.asUnownedSerialExecutor() }

  private let configuration: MediaConfiguration
  private let peerTransports: PeerTransports
  private let ports: PortAllocator
  private let failed: @Sendable (MediaFailure) -> Void
  private let events: @Sendable (LegID, HostedLegEvent) -> Void
  private var legs: [LegID: HostedLeg] = [:]
  private var ticker: WorkerTimer?

  /// One leg: its transport and its audio.
  private final class HostedLeg {
    let media: MediaLeg
    let transport: Kind
    enum Kind {
      case webRTC(any PeerTransport)
      case plain(PlainTransport)
    }
    init(media: MediaLeg, transport: Kind) {
      self.media = media
      self.transport = transport
    }
  }

  package init(
    worker: MediaWorker, configuration: MediaConfiguration, peerTransports: PeerTransports, ports: PortAllocator,
    failed: @escaping @Sendable (MediaFailure) -> Void = { _ in },
    events: @escaping @Sendable (LegID, HostedLegEvent) -> Void
  ) {
    self.failed = failed
    self.worker = worker
    self.configuration = configuration
    self.peerTransports = peerTransports
    self.ports = ports
    self.events = events
  }

  /// Makes a browser leg and gathers its candidates.
  /// - Parameter towards: the peer's signalling address; a loopback peer gets a loopback candidate besides the others.
  package func openWebRTC(
    _ id: LegID, ssrc: SSRC, cname: String, controlling: Bool, towards: IPAddress
  ) async throws(TransportError) -> LocalWebRTC {
    let transport = try peerTransports.make(on: worker, towards: towards, isControlling: controlling)
    let media = makeMediaLeg(id, ssrc: ssrc, cname: cname)
    media.transport = transport
    transport.receiver = media
    transport.onEvent = { [events, failed] event in
      if let failure = event.failure { failed(failure) }
      if let translated = HostedLegEvent(event) { events(id, translated) }
    }
    legs[id] = HostedLeg(media: media, transport: .webRTC(transport))
    startTicking()
    return try await gather(transport)
  }

  /// Makes a leg of plain RTP and returns its local address and ports.
  package func openRTP(
    _ id: LegID, ssrc: SSRC, cname: String, towards: IPAddress
  ) throws(TransportError) -> (address: IPAddress, rtp: UInt16, rtcp: UInt16) {
    let local = LocalAddresses.source(towards: towards)
    let bind =
      configuration.listenAddresses.first { $0.isIPv6 == towards.isIPv6 }
      ?? (towards.isIPv6 ? IPAddress(v6High: 0, low: 0) : IPAddress(v4: 0))
    let transport = try PlainTransport(worker: worker, bind: bind, ports: ports)
    let media = makeMediaLeg(id, ssrc: ssrc, cname: cname)
    media.transport = transport
    transport.receiver = media
    legs[id] = HostedLeg(media: media, transport: .plain(transport))
    startTicking()
    let advertised = configuration.advertisedAddresses.first { $0.isIPv6 == towards.isIPv6 } ?? local ?? bind
    return (advertised, transport.localRTPPort, transport.localRTCPPort)
  }

  /// Applies what offer and answer settled. Nil `remote` keeps the transport as it is.
  package func configure(_ id: LegID, audio: NegotiatedAudio, remote: HostedRemote?) throws {
    guard let leg = legs[id] else { return }
    switch (remote, leg.transport) {
    case (
      .webRTC(let ufrag, let password, let candidates, let algorithm, let fingerprint, let isLite, let server),
      .webRTC(let transport)
    ):
      try transport.setRemote(
        ufrag: ufrag, password: password, candidates: candidates,
        fingerprint: (algorithm, fingerprint), isLite: isLite, role: server ? .server : .client)
    case (.rtp(let rtp, let rtcp, let muxed), .plain(let transport)):
      transport.setRemote(rtp: rtp, rtcp: rtcp, muxed: muxed)
    case (nil, _), (.webRTC, .plain), (.rtp, .webRTC): break
    }
    var audio = audio
    audio.opus.complexity = configuration.opusComplexity
    try leg.media.configure(audio, now: worker.now)
    try leg.media.setInbandDTMFDetection(audio.receiveTelephoneEvents.isEmpty, now: worker.now)
  }

  package func addRemoteCandidates(_ id: LegID, _ lines: [String]) {
    guard let leg = legs[id], case .webRTC(let transport) = leg.transport else { return }
    for line in lines { transport.addRemoteCandidate(line) }
  }

  /// New ICE credentials after the peer restarted ICE.
  package func restartICE(_ id: LegID) async throws(TransportError) -> LocalWebRTC? {
    guard let leg = legs[id], case .webRTC(let transport) = leg.transport else { return nil }
    _ = transport.restartICE()
    return try await gather(transport)
  }

  private func gather(_ transport: any PeerTransport) async throws(TransportError) -> LocalWebRTC {
    let result: Result<[String], TransportError> = await withCheckedContinuation { continuation in
      do throws(TransportError) {
        try transport.gather { continuation.resume(returning: .success($0)) }
      } catch {
        continuation.resume(returning: .failure(error))
      }
    }
    return LocalWebRTC(
      ufrag: transport.localUfrag, password: transport.localPassword, candidates: try result.get(),
      fingerprint: transport.fingerprint, isICELite: transport.isICELite)
  }

  /// Sets what each leg hears, both in one turn, so that no packet sees half a connection.
  package func setSources(_ sources: [(LegID, HostedSource)]) throws {
    for (id, source) in sources {
      guard let leg = legs[id] else { continue }
      let new: LegSource =
        switch source {
        case .silence: .silence
        case .leg(let other): legs[other].map { .leg($0.media) } ?? .silence
        case .echo: .echo
        case .milliwatt: .milliwatt
        case .holdMusic: .holdMusic
        case .tones(let tone): .tones(tone)
        case .clip(let clip, let loops): .clip(clip, loops: loops)
        case .conference(let port): .conference(port)
        }
      try leg.media.setSource(new, now: worker.now)
    }
  }

  /// Presses keys for the leg's far end: RFC 4733 events where it takes them, else tones.
  package func sendDTMF(_ id: LegID, _ digits: String) { legs[id]?.media.sendDTMF(digits, now: worker.now) }

  /// A digit that the leg's far end sent by SIP INFO: relayed as RFC 4733 or tone unless it is the twin of one that came
  /// by RTP.
  package func receiveInfo(_ id: LegID, digit: Character, milliseconds: Int) {
    legs[id]?.media.receiveInfo(digit: digit, durationMilliseconds: milliseconds, now: worker.now)
  }

  /// Shows the tap what the leg's far end sends from now on: RTP after decryption, and RTCP with sender reports. Called on
  /// this worker. Nil ends it.
  package func setTap(_ id: LegID, _ tap: (any PacketTap & Sendable)?) { legs[id]?.media.tap = tap }

  package func counters(_ id: LegID) -> MediaCounters? { legs[id].map { counters(of: $0) } }

  /// Ends the leg: RTCP BYE, DTLS close, sockets closed. The final counters are for the record.
  @discardableResult
  package func close(_ id: LegID) -> MediaCounters? {
    guard let leg = legs.removeValue(forKey: id) else { return nil }
    leg.media.close(now: worker.now)
    let final = counters(of: leg)
    switch leg.transport {
    case .webRTC(let transport): transport.close()
    case .plain(let transport): transport.close()
    }
    if legs.isEmpty {
      ticker?.cancel()
      ticker = nil
    }
    return final
  }

  package var legCount: Int { legs.count }

  /// What this worker's sockets of the single port have seen.
  package func statistics(of port: SinglePort) -> SinglePortStatistics { port.statistics(of: worker) }

  private func counters(of leg: HostedLeg) -> MediaCounters {
    var counters = leg.media.counters
    switch leg.transport {
    case .webRTC(let transport): counters.packetsRejected += Int(transport.statistics.rejected.total)
    case .plain(let transport): counters.packetsRejected += Int(transport.statistics.rejected.total)
    }
    return counters
  }

  private func makeMediaLeg(_ id: LegID, ssrc: SSRC, cname: String) -> MediaLeg {
    let media = MediaLeg(
      ssrc: ssrc, cname: cname, firstSequence: UInt16.random(in: 0..<32_768),
      firstTimestamp: UInt32.random(in: 0...UInt32.max), seed: UInt64.random(in: 0...UInt64.max), now: worker.now,
      wall: .now())
    media.mediaTimeout = configuration.mediaTimeout
    media.onEvent = { [events, failed] event in
      switch event {
      case .dtmf(let digit, _): events(id, .dtmf(digit))
      case .firstPacket: events(id, .firstPacket)
      case .mediaTimeout:
        failed(.silence)
        events(id, .mediaTimeout)
      case .mediaResumed: events(id, .mediaResumed)
      case .clipEnded: events(id, .clipEnded)
      case .goodbye: break
      }
    }
    return media
  }

  /// One ticker a worker: 20 ms, the packet time of every codec here.
  private func startTicking() {
    guard ticker == nil else { return }
    ticker = worker.every(.milliseconds(20)) { [weak self] now in
      self?.assumeIsolated { $0.tick(now) }
    }
  }

  private func tick(_ now: Instant) {
    for leg in legs.values { leg.media.tick(now: now) }
  }
}

extension HostedLegEvent {
  init?(_ event: WebRTCTransportEvent) {
    switch event {
    case .iceConnected(let local, let remote): self = .iceConnected(local: local, remote: remote)
    case .iceDisconnected, .consentLost: self = .iceDisconnected
    case .iceFailed(let why): self = .transportFailed("ICE: \(why)")
    case .connected(let profile): self = .transportConnected(profile: "\(profile)")
    case .failed(.closedByPeer): self = .transportClosedByPeer
    case .failed(let error): self = .transportFailed("\(error)")
    }
  }
}
