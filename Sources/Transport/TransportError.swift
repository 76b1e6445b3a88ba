/// Why a transport or one of its parts could not be made or had to end.
///
/// Only what ends a transport is an error. Bad packets are counted in `TransportStatistics` and dropped.
package enum TransportError: Error, Sendable, Hashable, CustomStringConvertible {
  /// A system call failed: its name, the C error number, and what it was applied to.
  case system(call: String, code: Int32, subject: String)
  /// A C library refused: library and function, and its own words.
  case library(function: String, detail: String)
  /// No port of `media.ports` is free.
  case portsExhausted(ports: ClosedRange<UInt16>, detail: String)
  /// The peer's SDP lacks something or contradicts itself.
  case invalidRemote(String)
  /// `a=fingerprint` names a hash function that we refuse (RFC 8122 §5 lists them; MD5, MD2 and SHA-1 are broken).
  case unsupportedFingerprint(String)
  /// The peer's certificate is not the one that its SDP announced (RFC 8827 §6.5).
  case fingerprintMismatch(expected: String, actual: String)
  /// DTLS connected, but the two ends share no SRTP protection profile (RFC 5764 §4.1.2).
  case noCommonSRTPProfile
  /// The DTLS handshake failed, in OpenSSL's words.
  case handshakeFailed(String)
  /// The DTLS handshake did not end in time.
  case handshakeTimeout(Duration)
  /// The peer closed DTLS.
  case closedByPeer
  /// Used after `close()`.
  case closed

  package var description: String {
    switch self {
    case .system(let call, let code, let subject): "\(call)(\(subject)): \(systemErrorText(code)) (errno \(code))"
    case .library(let function, let detail): "\(function): \(detail)"
    case .portsExhausted(let ports, let detail):
      "no free port in media.ports \(ports.lowerBound)-\(ports.upperBound): \(detail)"
    case .invalidRemote(let detail): "the peer's transport description is unusable: \(detail)"
    case .unsupportedFingerprint(let algorithm): "the peer's fingerprint uses \(algorithm), which is refused"
    case .fingerprintMismatch(let expected, let actual):
      "the peer's certificate has the fingerprint \(actual), its SDP announced \(expected)"
    case .noCommonSRTPProfile: "the peer shares no SRTP protection profile with us"
    case .handshakeFailed(let detail): "the DTLS handshake failed: \(detail)"
    case .handshakeTimeout(let limit): "the DTLS handshake did not finish within \(limit)"
    case .closedByPeer: "the peer closed the DTLS connection"
    case .closed: "the transport is closed"
    }
  }
}

extension TransportError {
  /// A bind met an address that this machine does not have, or a family that it does not know.
  var isAddressMissing: Bool {
    guard case .system(_, let code, _) = self else { return false }
    return code == addressMissing || code == familyMissing
  }

  /// A bind met a port that someone else holds.
  var isAddressInUse: Bool {
    guard case .system("bind", let code, _) = self else { return false }
    return code == addressInUse
  }
}
