/// Why a step of a `MultiplexedSession` failed. After any of these the session is as it was before the call.
package enum NegotiationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The far end offered while our own offer was out (RFC 3264 §4). This side alone offers: its offer is ignored.
  case glare
  /// An offer to a session that offers itself, or an offer wanted from one that only answers.
  case wrongRole
  /// A second offer before the first was answered.
  case offerOutstanding
  /// An answer to no offer.
  case noOfferOutstanding
  /// More media sections than `MediaPolicy.maximumSections`.
  case tooManySections(Int)
  /// More lines in one section than any client writes.
  case tooManyLines
  /// RFC 5888 §6: two sections with one identification tag.
  case duplicateMid(String)
  /// Not a token, or longer than 32 bytes.
  case invalidMid
  /// RFC 3264 §8: sections may be added, not taken away, and keep their place, kind and `a=mid`.
  case sectionsChanged
  /// Nothing in the description is switched on, now or ever before.
  case noTransport
  /// RFC 8839 §5.4: absent, too short, too long or with other than ice-char.
  case invalidICECredentials
  /// No SHA-2 fingerprint of the certificate (RFC 8122 §5).
  case missingFingerprint
  /// The answer's sections are not those of the offer (RFC 3264 §6).
  case mismatchedAnswer
  /// A track of that name is sent already.
  case duplicateTrack(String)
  /// The policy has none of the codecs that the sender names.
  case noCodec

  package var description: String {
    switch self {
    case .glare: "offer received while our own is out"
    case .wrongRole: "this side of the connection does not take that step"
    case .offerOutstanding: "an offer waits for its answer"
    case .noOfferOutstanding: "answer without offer"
    case .tooManySections(let limit): "more than \(limit) media sections"
    case .tooManyLines: "more lines in a section than any client writes"
    case .duplicateMid(let mid): "two media sections with mid \(mid)"
    case .invalidMid: "malformed mid"
    case .sectionsChanged: "media sections do not continue those of the description before"
    case .noTransport: "no media section is switched on"
    case .invalidICECredentials: "ICE credentials missing or malformed"
    case .missingFingerprint: "no usable certificate fingerprint"
    case .mismatchedAnswer: "answer does not match the offer"
    case .duplicateTrack(let id): "track \(id) is sent already"
    case .noCodec: "no codec to offer"
    }
  }
}
