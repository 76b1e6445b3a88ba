package import Core

/// A TURN server and the credentials that it takes (RFC 8656).
package struct TURNServer: Sendable, Hashable {
  package var address: SocketAddress
  package var user: String
  package var password: Secret
  /// TCP to the server; the relayed candidate is UDP all the same.
  package var overTCP: Bool

  package init(address: SocketAddress, user: String, password: Secret, overTCP: Bool = false) {
    self.address = address
    self.user = user
    self.password = password
    self.overTCP = overTCP
  }
}

extension WebRTCTransport {
  package struct Configuration: Sendable {
    /// Addresses to bind; each becomes a host candidate. Empty: libnice takes those of all interfaces.
    package var localAddresses: [IPAddress]
    /// Stands in host candidates instead of the bound address, for servers behind 1:1 NAT.
    package var advertisedAddress: IPAddress?
    /// UDP ports that candidates are bound in.
    package var ports: ClosedRange<UInt16>
    package var stunServer: SocketAddress?
    package var turnServers: [TURNServer]
    /// Only answers the peer's checks (RFC 8445 §2.5). Needs an address that the peer can reach.
    package var iceLite: Bool
    package var certificate: DTLSCertificate
    /// In order of preference; as DTLS server ours decides, as client the peer's.
    package var profiles: [SRTPProfile]
    /// Gathering with STUN or TURN ends after so long with what is there.
    package var gatheringTimeout: Duration
    /// From `setRemote` to a working pair.
    package var iceTimeout: Duration
    /// From a working pair to verified keys.
    package var handshakeTimeout: Duration

    package init(
      localAddresses: [IPAddress], advertisedAddress: IPAddress? = nil, ports: ClosedRange<UInt16>,
      stunServer: SocketAddress? = nil, turnServers: [TURNServer] = [], iceLite: Bool = false,
      certificate: DTLSCertificate,
      profiles: [SRTPProfile] = [.aeadAES128GCM, .aeadAES256GCM, .aes128CMSHA1_80],
      gatheringTimeout: Duration = .milliseconds(1500), iceTimeout: Duration = .seconds(20),
      handshakeTimeout: Duration = .seconds(10)
    ) {
      self.localAddresses = localAddresses
      self.advertisedAddress = advertisedAddress
      self.ports = ports
      self.stunServer = stunServer
      self.turnServers = turnServers
      self.iceLite = iceLite
      self.certificate = certificate
      self.profiles = profiles
      self.gatheringTimeout = gatheringTimeout
      self.iceTimeout = iceTimeout
      self.handshakeTimeout = handshakeTimeout
    }
  }
}

/// What happened to a `WebRTCTransport`. Delivered at the end of the worker's turn, so any method may be called.
package enum WebRTCTransportEvent: Sendable, Hashable {
  /// A pair works, the first one or another: `address:port` of both ends.
  case iceConnected(local: String, remote: String)
  /// No pair works at the moment; checks go on.
  case iceDisconnected
  /// No pair was found. Media never flowed, or no longer does after an ICE restart.
  case iceFailed(String)
  /// DTLS is done and the peer's fingerprint is the announced one: media flows from here on.
  case connected(profile: SRTPProfile)
  /// DTLS failed, or the peer closed it. No media is delivered any more.
  case failed(TransportError)
  /// The peer no longer answers consent checks (RFC 7675); nothing is sent any more. An ICE restart can cure it.
  case consentLost
}

/// What broke a media path, for counting.
package enum MediaFailure: String, CaseIterable, Sendable {
  /// No pair was found.
  case ice
  /// No pair works any more, or the peer withdrew its consent by silence; it may come back.
  case consent
  case dtlsTimeout = "dtls-timeout"
  case dtlsHandshake = "dtls-handshake"
  /// The peer's certificate was not the announced one.
  case fingerprint
  /// No media for `media.timeout`.
  case silence
  /// Sockets and libraries.
  case system
}

extension WebRTCTransportEvent {
  /// Nil for what is no failure; a peer that says goodbye is none.
  package var failure: MediaFailure? {
    switch self {
    case .iceConnected, .connected, .failed(.closedByPeer), .failed(.closed): nil
    case .iceFailed: .ice
    case .iceDisconnected, .consentLost: .consent
    case .failed(.handshakeTimeout): .dtlsTimeout
    case .failed(.handshakeFailed), .failed(.noCommonSRTPProfile): .dtlsHandshake
    case .failed(.fingerprintMismatch), .failed(.unsupportedFingerprint): .fingerprint
    case .failed: .system
    }
  }
}
