import Core
import SIP

/// H(name:realm:password) by both algorithms (RFC 7616 §3.4.2), lower-case hexadecimal.
struct PasswordHashes: Sendable, Hashable {
  let md5: String
  let sha256: String

  init(name: String, realm: String, password: Secret) {
    md5 = DigestHash.ha1(username: name, realm: realm, password: password.revealed, algorithm: .md5)
    sha256 = DigestHash.ha1(username: name, realm: realm, password: password.revealed, algorithm: .sha256)
  }
}
