import Core

extension AudioSession {
  /// Reads the far end's transport from its audio section.
  func readRemote(_ section: MediaDescription, of session: SessionDescription) throws(OfferAnswerError) -> RemoteMedia {
    guard let connection = session.connection(of: section) else { throw .missingConnectionAddress }
    var direction = session.direction(of: section)
    if section.port == 0, !isBundleOnly(section, of: session) { direction = .inactive }

    guard !transport.isWebRTC else {
      let parameters = try Self.readTransportParameters(section, of: session)
      guard section.rtcpMux else { throw .rtcpMuxRequired }
      let before = agreement.remote?.transport
      let trickles = (section.iceOptions + session.iceOptions).contains("trickle") && !section.endOfCandidates
      return RemoteMedia(
        rtp: nil, rtcp: nil, host: connection.address, port: section.port, rtcpMux: true, transport: parameters,
        trickles: trickles && !session.hasAttribute("end-of-candidates"),
        iceRestarted: before.map { $0.ufrag != parameters.ufrag || $0.pwd != parameters.pwd } ?? false,
        direction: direction, ssrcs: section.ssrcs)
    }

    let ip = connection.ip
    // The hold of RFC 2543 (RFC 3264 §8.4): it wants nothing, but may send.
    if let ip, ip.isUnspecified { direction = direction.intersected(with: .sendonly) }
    let usable = ip.flatMap { $0.isUnspecified || section.port == 0 ? nil : $0 }
    let rtp = usable.map { SocketAddress(ip: $0, port: section.port) }
    let mux = section.rtcpMux && multiplexesRTCP
    var rtcp = rtp
    if !mux, let usable {
      if let explicit = section.rtcp, explicit.port != 0 {
        let host = explicit.address.flatMap { $0.isUnspecified ? nil : $0 } ?? usable
        rtcp = SocketAddress(ip: host, port: explicit.port)
      } else {
        rtcp = section.port < .max ? SocketAddress(ip: usable, port: section.port + 1) : nil
      }
    }
    return RemoteMedia(
      rtp: rtp, rtcp: rtcp, host: connection.address, port: section.port, rtcpMux: mux, transport: nil,
      trickles: false, iceRestarted: false, direction: direction, ssrcs: section.ssrcs)
  }

  /// Our plain RTP transport can take RTCP on its RTP port.
  var multiplexesRTCP: Bool {
    if case .rtp(_, let port, let rtcpPort) = transport { return rtcpPort == port }
    return true
  }

  /// RFC 8843 §6: port 0, yet switched on as part of its group.
  func isBundleOnly(_ section: MediaDescription, of session: SessionDescription) -> Bool {
    guard transport.isWebRTC, section.hasAttribute("bundle-only"), let mid = section.mid else { return false }
    return session.groups("BUNDLE").contains { $0.contains(mid) }
  }

  static func readTransportParameters(
    _ section: MediaDescription, of session: SessionDescription
  ) throws(OfferAnswerError) -> TransportParameters {
    guard let ufrag = section.iceUfrag ?? session.iceUfrag, let pwd = section.icePwd ?? session.icePwd,
      Self.isICEString(ufrag, 4...256), Self.isICEString(pwd, 22...256)
    else { throw .invalidICECredentials }
    let fingerprints = section.fingerprints.isEmpty ? session.fingerprints : section.fingerprints
    guard let fingerprint = fingerprints.first(where: { $0.digestLength != nil }) else { throw .missingFingerprint }
    return TransportParameters(
      ufrag: ufrag, pwd: pwd, candidates: section.candidates, iceLite: session.iceLite, fingerprint: fingerprint,
      setup: section.setup ?? session.setup ?? .actpass)
  }

  private static func isICEString(_ text: String, _ length: ClosedRange<Int>) -> Bool {
    length.contains(text.utf8.count)
      && text.utf8.allSatisfy { c in
        switch c {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "+"), UInt8(ascii: "/"): true
        // Not ice-char, but seen in credentials of conferencing servers; harmless.
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "="): true
        default: false
        }
      }
  }

  /// Whether this leg's transport speaks the section's protocol.
  func speaks(_ name: String) -> Bool {
    let webRTC = ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "RTP/SAVPF"]
    return transport.isWebRTC ? webRTC.contains(name) : name == "RTP/AVP" || name == "RTP/AVPF"
  }

  /// Our DTLS role for what the far end says about its own; an established role stays if it may.
  func role(against setup: DTLSSetup, weAnswer: Bool) -> DTLSSetup {
    switch setup {
    case .active: return .passive
    case .passive: return .active
    case .actpass, .holdconn:
      if let established = agreement.role { return established }
      // An answer must decide (RFC 5763 §5); one that does not waits for us.
      guard weAnswer else { return .active }
      if case .webRTC(let own, _) = transport, own.setup == .active { return .active }
      return .passive
    }
  }
}
