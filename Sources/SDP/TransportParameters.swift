package import Core

/// Who starts the DTLS handshake (RFC 4145 §4, RFC 5763 §5).
package enum DTLSSetup: String, Hashable, Sendable {
  case actpass, active, passive, holdconn
}

/// The digest of a DTLS certificate (RFC 8122 §5).
package struct Fingerprint: Hashable, Sendable, CustomStringConvertible {
  /// Lower case: `sha-256`.
  package var algorithm: String
  /// Upper-case hexadecimal pairs joined by colons: `AB:CD:…`.
  package var value: String

  package init(algorithm: String, value: String) {
    self.algorithm = algorithm.lowercased()
    self.value = value.uppercased()
  }

  /// Parses `sha-256 AB:CD:…`; nil unless it is colon-separated pairs of the algorithm's length.
  package init?(_ text: String) {
    let fields = Fields.split(text)
    guard fields.count == 2 else { return nil }
    let pairs = fields[1].utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard pairs.allSatisfy({ $0.count == 2 && $0.allSatisfy { Hex.value(of: $0) != nil } }), pairs.count <= 64 else {
      return nil
    }
    self.init(algorithm: String(fields[0]), value: String(fields[1]))
    if let length = digestLength, length != pairs.count { return nil }
  }

  /// Bytes; nil for an algorithm that is not accepted. SHA-1 and MD5 are not: a certificate can be forged to match.
  package var digestLength: Int? {
    switch algorithm {
    case "sha-256": 32
    case "sha-384": 48
    case "sha-512": 64
    default: nil
    }
  }

  package var description: String { "\(algorithm) \(value)" }
}

/// What one side of a WebRTC transport tells the other: ICE credentials and candidates, DTLS certificate and role.
package struct TransportParameters: Hashable, Sendable {
  package var ufrag: String
  package var pwd: String
  /// `candidate:…` lines without `a=`.
  package var candidates: [String]
  package var iceLite: Bool
  package var fingerprint: Fingerprint
  /// In our own parameters: `actpass`, or the role that we prefer in answers. In the far end's: as it was signalled.
  package var setup: DTLSSetup

  package init(
    ufrag: String, pwd: String, candidates: [String], iceLite: Bool = false, fingerprint: Fingerprint,
    setup: DTLSSetup = .actpass
  ) {
    self.ufrag = ufrag
    self.pwd = pwd
    self.candidates = candidates
    self.iceLite = iceLite
    self.fingerprint = fingerprint
    self.setup = setup
  }
}

/// How packets of a leg travel on our side.
package enum LegTransport: Hashable, Sendable {
  /// Plain RTP. `rtcpPort` nil: the port above (RFC 3550 §11); equal to `port`: multiplexed (RFC 5761) where the far
  /// end agrees.
  case rtp(address: IPAddress, port: UInt16, rtcpPort: UInt16?)
  /// ICE and DTLS-SRTP, one bundled and multiplexed transport. `address` is the default candidate's.
  case webRTC(TransportParameters, address: SocketAddress)

  var isWebRTC: Bool {
    if case .webRTC = self { return true }
    return false
  }
}

/// What the far end's latest description says about its end of the stream.
package struct RemoteMedia: Hashable, Sendable {
  /// Where it takes RTP. Nil for a host name, for the unspecified address (hold of RFC 2543) and for WebRTC.
  package var rtp: SocketAddress?
  /// Where it takes RTCP; equal to `rtp` when multiplexed.
  package var rtcp: SocketAddress?
  /// The address text of `c=`, which may be a host name.
  package var host: String
  package var port: UInt16
  /// RTP and RTCP share a port: both sides said so.
  package var rtcpMux: Bool
  /// ICE and DTLS; nil for plain RTP.
  package var transport: TransportParameters?
  /// It will send further candidates (`a=ice-options:trickle` without `a=end-of-candidates`).
  package var trickles: Bool
  /// Its ICE credentials differ from those of its description before (RFC 8839 §4.4.1.1.1).
  package var iceRestarted: Bool
  /// From its own viewpoint. The unspecified address counts as not receiving, port 0 as `inactive`.
  package var direction: Direction
  /// The sources of `a=ssrc`.
  package var ssrcs: [SSRC]

  package init(
    rtp: SocketAddress?, rtcp: SocketAddress?, host: String, port: UInt16, rtcpMux: Bool,
    transport: TransportParameters?, trickles: Bool, iceRestarted: Bool, direction: Direction, ssrcs: [SSRC]
  ) {
    self.rtp = rtp
    self.rtcp = rtcp
    self.host = host
    self.port = port
    self.rtcpMux = rtcpMux
    self.transport = transport
    self.trickles = trickles
    self.iceRestarted = iceRestarted
    self.direction = direction
    self.ssrcs = ssrcs
  }
}
