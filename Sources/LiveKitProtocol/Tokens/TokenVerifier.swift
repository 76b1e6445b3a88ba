package import Core
import Crypto
import SwiftProtobuf

/// Checks access tokens: JWTs in compact form (RFC 7515 §7.1), signed with HS256 by an API key's secret.
///
/// Synchronous: joins are decided on the signalling loop.
package struct TokenVerifier: Sendable {
  /// How far the issuer's clock may be from ours.
  package static let clockSkew = Duration.seconds(60)

  /// The type of `keys` stays with the verifier: secrets never leave it.
  private let keys: [String: SymmetricKey]

  /// - Parameter keys: API key → secret.
  package init(keys: [String: Secret]) {
    self.keys = keys.mapValues { SymmetricKey(data: Array($0.revealed.utf8)) }
  }

  /// The token's claims, if the signature and the times are right. Grants are the caller's to check.
  package func verify(_ token: some StringProtocol, now: WallTime) throws(TokenError) -> AccessClaims {
    let parts = Array(token.utf8).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw .malformed("it must have three parts separated by dots") }
    guard let header = Base64URL.decode(String(decoding: parts[0], as: UTF8.self)),
      let payload = Base64URL.decode(String(decoding: parts[1], as: UTF8.self)),
      let signature = Base64URL.decode(String(decoding: parts[2], as: UTF8.self))
    else { throw .malformed("its parts must be base64url") }
    let algorithm: String = try decode(header, as: Livekit_AccessTokenHeader.self, "header").alg
    guard algorithm == "HS256" else { throw .algorithm(algorithm) }
    let claims = try decode(payload, as: Livekit_AccessTokenClaims.self, "payload")
    guard let key = keys[claims.iss] else { throw .unknownKey(claims.iss) }
    let signed = Array(parts[0] + [UInt8(ascii: ".")] + parts[1])
    guard HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: signed, using: key) else {
      throw .wrongSignature
    }
    let result = AccessClaims(claims)
    let skew = Self.clockSkew.nanoseconds / 1_000_000
    if let notBefore = result.notBefore, now.milliseconds < notBefore.milliseconds &- skew { throw .notYetValid }
    if let expires = result.expires, now.milliseconds >= expires.milliseconds &+ skew { throw .expired }
    return result
  }

  private func decode<M: SwiftProtobuf.Message>(
    _ bytes: [UInt8], as type: M.Type, _ part: String
  ) throws(TokenError) -> M {
    var options = JSONDecodingOptions()
    options.ignoreUnknownFields = true
    options.messageDepthLimit = 20
    do {
      return try M(jsonUTF8Bytes: bytes, options: options)
    } catch {
      throw .malformed("its \(part) is not the JSON of one")
    }
  }
}
