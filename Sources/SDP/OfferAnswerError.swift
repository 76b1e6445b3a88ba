/// Why an offer or answer could not be used. After any of these the session is as it was before the call.
/// Refused offers are answered with 488 Not Acceptable Here.
package enum OfferAnswerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The step does not belong here: an offer while one is outstanding (RFC 3264 §4), an answer to none.
  case wrongState(AudioSession.State)
  /// The description has no audio section that is switched on.
  case noAudioStream
  /// Transport protocol of the audio section, which this leg does not speak.
  case unsupportedProtocol(String)
  case noCommonCodec
  /// No `c=` for the audio section.
  case missingConnectionAddress
  /// RFC 8839 §5.4: absent, too short, too long or with other than ice-char.
  case invalidICECredentials
  /// No SHA-2 fingerprint of the certificate (RFC 8122 §5).
  case missingFingerprint
  /// RFC 8829 §5.8: this leg has one component only.
  case rtcpMuxRequired
  /// The answer switched our stream off.
  case streamRefused
  /// The answer's media sections do not match the offer's (RFC 3264 §6).
  case mismatchedAnswer

  package var description: String {
    switch self {
    case .wrongState(let state): "offer/answer step in state \(state)"
    case .noAudioStream: "no audio stream offered"
    case .unsupportedProtocol(let name): "transport protocol \(name) is not spoken on this leg"
    case .noCommonCodec: "no common audio codec"
    case .missingConnectionAddress: "no connection address"
    case .invalidICECredentials: "ICE credentials missing or malformed"
    case .missingFingerprint: "no usable certificate fingerprint"
    case .rtcpMuxRequired: "RTP and RTCP must share a port"
    case .streamRefused: "audio stream refused"
    case .mismatchedAnswer: "answer does not match the offer"
    }
  }
}
