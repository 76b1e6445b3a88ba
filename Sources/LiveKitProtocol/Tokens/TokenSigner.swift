package import Core
import Crypto
import SwiftProtobuf

/// Signs access tokens and webhooks with one API key.
package struct TokenSigner: Sendable {
  /// The API key's name: `iss`.
  package let key: String
  private let secret: SymmetricKey

  package init(key: String, secret: Secret) {
    self.key = key
    self.secret = SymmetricKey(data: Array(secret.revealed.utf8))
  }

  /// A token with these claims, issued by this key.
  ///
  /// - Parameters:
  ///   - now: from when it is valid.
  ///   - lifetime: for how long.
  package func sign(_ claims: AccessClaims, now: WallTime, lifetime: Duration) -> String {
    var claims = claims
    claims.issuer = key
    // Protobuf JSON would write the times as 1800000000.0, which some readers refuse: they are appended.
    // Cannot fail: the messages hold no Any.
    let payload = try! claims.claims.jsonString().dropLast()
    let end = WallTime(milliseconds: now.milliseconds &+ lifetime.nanoseconds / 1_000_000)
    let times = #""nbf":\#(now.wholeSeconds),"exp":\#(end.wholeSeconds)}"#
    let signed =
      Self.header + "." + Base64URL.encode(Array((payload + (payload.utf8.count > 1 ? "," : "") + times).utf8))
    let signature = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: secret)
    return signed + "." + Base64URL.encode(Array(signature))
  }

  /// The `Authorization` of a webhook with this body, without a scheme before it.
  package func signWebhook(body: [UInt8], now: WallTime) -> String {
    var claims = AccessClaims(identity: "")
    // Standard base64: receivers compare the text.
    claims.sha256 = Base64.encode(Array(SHA256.hash(data: body)))
    return sign(claims, now: now, lifetime: .seconds(300))
  }

  private static let header = Base64URL.encode(Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8))
}
