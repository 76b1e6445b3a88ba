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
    hash(Array("\(username):\(realm):\(password)".utf8), algorithm)
  }

  /// The `response` of a request. Without `qop` that of RFC 2069.
  package static func response(
    ha1: String, method: Method, uri: String, body: [UInt8], nonce: String, qop: DigestQOP?, nonceCount: String,
    clientNonce: String, algorithm: DigestAlgorithm
  ) -> String {
    var text: [UInt8] = []
    text.reserveCapacity(256)
    func append(_ field: String, _ separator: Bool = true) {
      text.append(contentsOf: field.utf8)
      if separator { text.append(UInt8(ascii: ":")) }
    }
    append(method.rawValue)
    append(uri, false)
    if qop == .authInt {
      append("")
      append(hash(body, algorithm), false)
    }
    let ha2 = hash(text, algorithm)
    text.removeAll(keepingCapacity: true)
    append(ha1)
    append(nonce)
    if let qop {
      append(nonceCount)
      append(clientNonce)
      append(qop.rawValue)
    }
    append(ha2, false)
    return hash(text, algorithm)
  }

  static func hash(_ bytes: [UInt8], _ algorithm: DigestAlgorithm) -> String {
    switch algorithm {
    case .md5:
      var function = Insecure.MD5()
      bytes.withUnsafeBytes { function.update(bufferPointer: $0) }
      return function.finalize().withUnsafeBytes(hexadecimal)
    case .sha256:
      var function = SHA256()
      bytes.withUnsafeBytes { function.update(bufferPointer: $0) }
      return function.finalize().withUnsafeBytes(hexadecimal)
    }
  }

  /// Two lower-case digits a byte.
  static func hexadecimal(_ bytes: UnsafeRawBufferPointer) -> String {
    String(unsafeUninitializedCapacity: bytes.count * 2) { out in
      for i in 0..<bytes.count {
        out[2 * i] = digit(bytes[i] >> 4)
        out[2 * i + 1] = digit(bytes[i] & 15)
      }
      return bytes.count * 2
    }
  }

  @inline(__always) private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x61 + value - 10 }

  /// Equality in time that depends on the lengths only.
  static func isEqual(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
  }
}

/// HMAC-SHA-256 (RFC 2104) with a key of at most 64 bytes; its two padded blocks are hashed once.
struct AuthenticationCode: Sendable {
  private let inner: SHA256
  private let outer: SHA256

  init(key: [UInt8]) {
    precondition(key.count <= 64, "a longer key would have to be hashed first")
    let block = key + [UInt8](repeating: 0, count: 64 - key.count)
    func padded(_ pad: UInt8) -> SHA256 {
      var function = SHA256()
      block.map { $0 ^ pad }.withUnsafeBytes { function.update(bufferPointer: $0) }
      return function
    }
    inner = padded(0x36)
    outer = padded(0x5C)
  }

  /// 32 bytes.
  func code(_ message: [UInt8]) -> [UInt8] {
    var first = inner
    message.withUnsafeBytes { first.update(bufferPointer: $0) }
    var second = outer
    first.finalize().withUnsafeBytes { second.update(bufferPointer: $0) }
    return second.finalize().withUnsafeBytes { [UInt8]($0) }
  }
}
