internal import COpenSSL

/// Computes MESSAGE-INTEGRITY (RFC 8489 §14.5): HMAC-SHA1 under a short-term credential's password. Owns one context,
/// keyed anew for each message, so that a peer costs no memory for it.
package final class STUNIntegrity {
  static let length = 20

  private let context: OpaquePointer

  package init() throws(TransportError) {
    guard let mac = EVP_MAC_fetch(nil, "HMAC", nil) else {
      throw .library(function: "EVP_MAC_fetch", detail: drainOpenSSLErrors())
    }
    // The context keeps the algorithm.
    defer { EVP_MAC_free(mac) }
    guard let context = EVP_MAC_CTX_new(mac) else {
      throw .library(function: "EVP_MAC_CTX_new", detail: drainOpenSSLErrors())
    }
    self.context = context
  }

  deinit { EVP_MAC_CTX_free(context) }

  /// The HMAC of the message up to its integrity attribute at `end`, with a header whose length ends behind that
  /// attribute. Nil when libcrypto refuses.
  func digest(of message: UnsafeRawBufferPointer, upTo end: Int, password: [UInt8]) -> [20 of UInt8]? {
    guard end >= STUNMessage.headerLength, end <= message.count, end <= 0xFFFF, let base = message.baseAddress else {
      return nil
    }
    // Type and length, then what the message has from the cookie on.
    let type = message.loadUnaligned(as: UInt16.self)
    let length = UInt16(truncatingIfNeeded: end - STUNMessage.headerLength + 4 + STUNIntegrity.length).bigEndian
    var head = (type, length)
    var digest = [20 of UInt8](repeating: 0)
    var written = 0
    let isDone =
      copenssl_hmac_sha1_init(context, password, password.count) == 1
      && withUnsafeBytes(of: &head) {
        EVP_MAC_update(context, $0.bindMemory(to: UInt8.self).baseAddress, 4) == 1
      }
      && EVP_MAC_update(context, base.assumingMemoryBound(to: UInt8.self) + 4, end - 4) == 1
      && withUnsafeMutableBytes(of: &digest) {
        EVP_MAC_final(context, $0.bindMemory(to: UInt8.self).baseAddress, &written, $0.count) == 1
      }
    guard isDone, written == STUNIntegrity.length else {
      ERR_clear_error()
      return nil
    }
    return digest
  }

  /// Whether the MESSAGE-INTEGRITY attribute at `offset` is right, in time that does not tell how much of it is.
  package func verify(_ message: UnsafeRawBufferPointer, attribute offset: Int, password: [UInt8]) -> Bool {
    guard offset + 4 + STUNIntegrity.length <= message.count, let base = message.baseAddress,
      var expected = digest(of: message, upTo: offset, password: password)
    else { return false }
    return withUnsafeBytes(of: &expected) {
      CRYPTO_memcmp($0.baseAddress, base + offset + 4, STUNIntegrity.length) == 0
    }
  }
}

/// FINGERPRINT (RFC 8489 §14.7): CRC-32 of ITU V.42, xored with "STUN".
enum STUNFingerprint {
  private static let mask: UInt32 = 0x5354_554E

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
  }

  /// Of the message up to its fingerprint attribute at `end`. The length in the header must already count the attribute.
  static func value(of message: UnsafeRawBufferPointer, upTo end: Int) -> UInt32 {
    var crc = UInt32.max
    table.withUnsafeBufferPointer { table in
      for byte in message.prefix(end) {
        crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8
      }
    }
    return ~crc ^ mask
  }

  static func verify(_ message: UnsafeRawBufferPointer, attribute offset: Int) -> Bool {
    guard offset + 8 <= message.count else { return false }
    return RTPFields.uint32(message, at: offset + 4) == value(of: message, upTo: offset)
  }
}
