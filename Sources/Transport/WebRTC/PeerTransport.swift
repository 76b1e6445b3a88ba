package import Core

/// One peer's bundled, multiplexed WebRTC transport, whichever way it reaches the peer: `WebRTCTransport` (a full ICE
/// agent with sockets of its own) or `SinglePortTransport` (ICE-lite on a port that all peers share). Worker-confined.
///
/// Order of calls: `gather`, describe it in SDP, `setRemote` with the peer's description, `close`. The peer may be told
/// to us first. Media is delivered and sent only between `.connected` and `.failed` or `close()`.
package protocol PeerTransport: PacketTransport {
  /// Takes decrypted packets. Not kept alive.
  var receiver: (any PacketReceiver)? { get set }
  /// Called at the end of the worker's turn; may call any method.
  var onEvent: ((WebRTCTransportEvent) -> Void)? { get set }

  var localUfrag: String { get }
  var localPassword: String { get }
  /// SHA-256 of our certificate, `AB:CD:…`.
  var fingerprint: String { get }
  /// Whether `a=ice-lite` belongs into our SDP.
  var isICELite: Bool { get }
  /// `candidate:…` lines known so far.
  var localCandidates: [String] { get }

  /// Calls `completion` once with all `candidate:…` lines, at the end of this turn or later.
  func gather(_ completion: @escaping ([String]) -> Void) throws(TransportError)

  /// Takes the peer's description out of an offer or answer. Calling again with the same values changes nothing. New ICE
  /// credentials that we did not ask for are the peer's ICE restart: `localUfrag` and `localPassword` are then new too
  /// and go into the answer (RFC 8445 §9). A new fingerprint or role starts a new DTLS association.
  /// - Parameters:
  ///   - candidates: `candidate:…` lines; unusable ones are left out.
  ///   - fingerprint: Hash function and `AB:CD:…`; SHA-1 and weaker are refused.
  ///   - isLite: The peer sent `a=ice-lite`.
  ///   - role: Ours.
  func setRemote(
    ufrag: String, password: String, candidates: [String], fingerprint: (algorithm: String, value: String),
    isLite: Bool, role: DTLSRole
  ) throws(TransportError)

  /// One trickled `candidate:…` line of the current generation.
  func addRemoteCandidate(_ line: String)

  /// Starts an ICE restart of ours and gives the new credentials for the offer; media goes on over the old path.
  func restartICE() -> (ufrag: String, password: String)

  /// `address:port` of both ends; nil before a pair works.
  var selectedPair: (local: String, remote: String)? { get }

  var statistics: TransportStatistics { get }

  /// The data channels once they were opened; nil again after a new DTLS association began.
  var dataChannels: DataChannels? { get }

  /// Puts SCTP on port 5000 over this transport's DTLS, and starts it as soon as DTLS is verified. Call it when the peer's
  /// description has an `m=application` line; calling it again gives the same. `DataChannels.onEnd` tells their end;
  /// after a new DTLS association it has to be called again.
  /// - Parameter maximumMessageSize: What our SDP says as `a=max-message-size`.
  func openDataChannels(maximumMessageSize: Int) -> DataChannels

  /// Says goodbye and gives everything back. Events and packets end at once.
  func close()
}

extension WebRTCTransport: PeerTransport {
  package var isICELite: Bool { configuration.iceLite }

  package var dataChannels: DataChannels? { association.dataChannels }

  package func openDataChannels(maximumMessageSize: Int = DataChannels.defaultMessageSize) -> DataChannels {
    association.openDataChannels(maximumMessageSize: maximumMessageSize)
  }
}

/// Checks that both transports make of a peer's description.
enum RemoteDescription {
  /// ICE-chars only (RFC 8839 §5.4): 4…256 and 22…256 of them.
  static func check(ufrag: String, password: String) throws(TransportError) {
    func isICE(_ text: String) -> Bool {
      text.utf8.allSatisfy {
        switch $0 {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2F: true
        // Not in the grammar, but sent by older stacks and harmless.
        case 0x2D, 0x3D, 0x5F: true
        default: false
        }
      }
    }
    guard 4...256 ~= ufrag.utf8.count, isICE(ufrag) else { throw .invalidRemote("ice-ufrag is not 4 to 256 ice-chars") }
    guard 22...256 ~= password.utf8.count, isICE(password) else {
      throw .invalidRemote("ice-pwd is not 22 to 256 ice-chars")
    }
  }
}
