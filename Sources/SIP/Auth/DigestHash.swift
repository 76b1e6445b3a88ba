import Core
import Crypto

/// A digest algorithm that we speak (RFC 3261 §22.4, RFC 8760 §2).
package enum DigestAlgorithm: String, Hashable, Sendable, CaseIterable {
  case md5 = "MD5"
  case sha256 = "SHA-256"

  /// From a token in any case.
  package init?(token: String) {
    if token.equalsIgnoringCase("MD5") {
      self = .md5
    } else if token.equalsIgnoringCase("SHA-256") {
      self = .sha256
    } else {
      return nil
    }
  }

  /// Hexadecimal digits of a hash.
  package var digits: Int { self == .md5 ? 32 : 64 }
}

/// `qop` values (RFC 7616 §3.3).
package enum DigestQOP: String, Hashable, Sendable {
  case auth
  /// The body is protected too.
  case authInt = "auth-int"
}

/// The arithmetic of RFC 7616 §3.4, for both sides.
package enum DigestHash {
  /// H(username:realm:password) as lower-case hexadecimal: all that a server needs to keep.
  package static func ha1(
    username: String, realm: String, password: String, algorithm: DigestAlgorithm
  ) -> String {
    hash("\(username):\(realm):\(password)", algorithm)
  }

  /// The `response` of a request. Without `qop` that of RFC 2069.
  package static func response(
    ha1: String, method: Method, uri: String, body: [UInt8], nonce: String, qop: DigestQOP?, nonceCount: String,
    clientNonce: String, algorithm: DigestAlgorithm
  ) -> String {
    var a2 = "\(method.rawValue):\(uri)"
    if qop == .authInt { a2 += ":" + hash(body, algorithm) }
    let ha2 = hash(a2, algorithm)
    guard let qop else { return hash("\(ha1):\(nonce):\(ha2)", algorithm) }
    return hash("\(ha1):\(nonce):\(nonceCount):\(clientNonce):\(qop.rawValue):\(ha2)", algorithm)
  }

  static func hash(_ text: String, _ algorithm: DigestAlgorithm) -> String { hash(Array(text.utf8), algorithm) }

  static func hash(_ bytes: [UInt8], _ algorithm: DigestAlgorithm) -> String {
    switch algorithm {
    case .md5:
      var function = Insecure.MD5()
      bytes.withUnsafeBytes { function.update(bufferPointer: $0) }
      return Hex.encode(function.finalize())
    case .sha256: return Hex.encode(sha256(bytes))
    }
  }

  static func sha256(_ bytes: [UInt8]) -> [UInt8] {
    var function = SHA256()
    bytes.withUnsafeBytes { function.update(bufferPointer: $0) }
    return Array(function.finalize())
  }

  /// HMAC-SHA-256 (RFC 2104).
  static func authenticationCode(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    var block = key.count > 64 ? sha256(key) : key
    block += [UInt8](repeating: 0, count: 64 - block.count)
    let inner = sha256(block.map { $0 ^ 0x36 } + message)
    return sha256(block.map { $0 ^ 0x5C } + inner)
  }

  /// Equality in time that depends on the lengths only.
  static func isEqual(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
  }
}
