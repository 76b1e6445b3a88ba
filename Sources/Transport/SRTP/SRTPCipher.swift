internal import COpenSSL

/// Owns libcrypto's contexts for one direction and one kind of packet (RTP or RTCP), with the key set once: a packet
/// sets nothing but the IV, which is what makes it twice as fast as a new context.
final class SRTPCipher {
  private let cipher: OpaquePointer
  /// HMAC-SHA1 with its key; nil for AEAD.
  private let mac: OpaquePointer?
  /// The session salt, padded with zeros to 16 bytes, as two numbers.
  private let salt: (high: UInt64, low: UInt64)
  let tagLength: Int

  enum Direction { case protect, unprotect }

  /// Fetched once a process: fetching costs more than a packet.
  nonisolated(unsafe) private static let hmac: OpaquePointer? = EVP_MAC_fetch(nil, "HMAC", nil)

  init(
    profile: SRTPProfile, keys: SRTPSessionKeys, _ direction: Direction = .protect
  ) throws(TransportError) {
    guard keys.cipherKey.count == profile.keyLength, keys.salt.count == profile.saltLength else {
      throw .library(function: "SRTP cipher", detail: "session key or salt of a wrong length")
    }
    guard let cipher = EVP_CIPHER_CTX_new() else { throw .library(function: "EVP_CIPHER_CTX_new", detail: "failed") }
    let algorithm =
      switch profile {
      case .aeadAES128GCM: EVP_aes_128_gcm()
      case .aeadAES256GCM: EVP_aes_256_gcm()
      case .aes128CMSHA1_80: EVP_aes_128_ctr()
      }
    // A GCM IV of 12 bytes is the default.
    guard EVP_CipherInit_ex(cipher, algorithm, nil, keys.cipherKey, nil, direction == .protect ? 1 : 0) == 1 else {
      EVP_CIPHER_CTX_free(cipher)
      throw .library(function: "EVP_CipherInit_ex", detail: drainOpenSSLErrors())
    }
    var mac: OpaquePointer?
    if profile == .aes128CMSHA1_80 {
      mac = EVP_MAC_CTX_new(SRTPCipher.hmac)
      let isKeyed =
        mac != nil
        && copenssl_hmac_sha1_init(mac, keys.authenticationKey, keys.authenticationKey.count) == 1
      guard isKeyed else {
        EVP_MAC_CTX_free(mac)
        EVP_CIPHER_CTX_free(cipher)
        throw .library(function: "EVP_MAC_init", detail: drainOpenSSLErrors())
      }
    }
    let padded = keys.salt + [UInt8](repeating: 0, count: 16 - keys.salt.count)
    self.cipher = cipher
    self.mac = mac
    salt = (
      padded[0..<8].reduce(0) { $0 << 8 | UInt64($1) }, padded[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    )
    tagLength = profile.tagLength
  }

  deinit {
    EVP_CIPHER_CTX_free(cipher)
    EVP_MAC_CTX_free(mac)
  }

  // MARK: RTP

  /// Encrypts what follows the `header` bytes and appends the tag. The new length; nil when libcrypto refuses.
  @inline(__always)
  func protect(
    rtp packet: UnsafeMutableRawPointer, length: Int, header: Int, ssrc: UInt32, rollOverCounter: UInt32,
    sequence: UInt16
  ) -> Int? {
    guard mac != nil else {
      // 00 00 SSRC ROC SEQ, RFC 7714 §8.1.
      let high = UInt64(ssrc) << 16 | UInt64(rollOverCounter >> 16)
      let low = UInt64(rollOverCounter & 0xFFFF) << 48 | UInt64(sequence) << 32
      guard seal(packet, from: header, to: length, high, low, associated: packet, header, nil) else { return nil }
      return length + tagLength
    }
    // SSRC · 2^64 xor index · 2^16, RFC 3711 §4.1.1.
    let index = UInt64(rollOverCounter) << 16 | UInt64(sequence)
    guard count(packet, from: header, to: length, UInt64(ssrc), index << 16) else { return nil }
    // The authenticated portion is the packet and the roll-over counter behind it (RFC 3711 §4.2).
    var counter = rollOverCounter.bigEndian
    return authenticate(packet, length, &counter) ? length + tagLength : nil
  }

  // MARK: RTCP

  /// Encrypts what follows the first 8 bytes and appends the index with the E flag and the tag, in the order of the
  /// profile. The new length; nil when libcrypto refuses.
  func protect(rtcp packet: UnsafeMutableRawPointer, length: Int, ssrc: UInt32, index: UInt32) -> Int? {
    let flagged = (index | 0x8000_0000).bigEndian
    guard mac != nil else {
      // 00 00 SSRC 00 00 index, RFC 7714 §9.1; ciphertext, tag, index.
      guard
        seal(
          packet, from: 8, to: length, UInt64(ssrc) << 16, UInt64(index) << 32, associated: packet, 8, flagged)
      else { return nil }
      packet.storeBytes(of: flagged, toByteOffset: length + tagLength, as: UInt32.self)
      return length + tagLength + 4
    }
    // Ciphertext, index, tag (RFC 3711 §3.4).
    guard count(packet, from: 8, to: length, UInt64(ssrc), UInt64(index) << 16) else { return nil }
    packet.storeBytes(of: flagged, toByteOffset: length, as: UInt32.self)
    return authenticate(packet, length + 4, nil) ? length + 4 + tagLength : nil
  }

  // MARK: Unprotecting

  /// Verifies the tag behind the packet and decrypts what follows the `header` bytes. The length without the tag; nil when
  /// the tag is wrong, and the packet then is of no use.
  @inline(__always)
  func unprotect(
    rtp packet: UnsafeMutableRawPointer, length: Int, header: Int, ssrc: UInt32, rollOverCounter: UInt32,
    sequence: UInt16
  ) -> Int? {
    let end = length - tagLength
    guard end >= header else { return nil }
    guard mac != nil else {
      let high = UInt64(ssrc) << 16 | UInt64(rollOverCounter >> 16)
      let low = UInt64(rollOverCounter & 0xFFFF) << 48 | UInt64(sequence) << 32
      return open(packet, from: header, to: end, high, low, header, nil) ? end : nil
    }
    var counter = rollOverCounter.bigEndian
    guard isAuthentic(packet, end, &counter, tag: packet + end) else { return nil }
    let index = UInt64(rollOverCounter) << 16 | UInt64(sequence)
    return count(packet, from: header, to: end, UInt64(ssrc), index << 16) ? end : nil
  }

  /// Where the index with the E flag stands in an RTCP packet of `length` bytes.
  func rtcpIndexOffset(_ length: Int) -> Int { length - 4 - (mac == nil ? 0 : tagLength) }

  /// Verifies and decrypts what follows the first 8 bytes. The length without index and tag.
  func unprotect(rtcp packet: UnsafeMutableRawPointer, length: Int, ssrc: UInt32, index: UInt32) -> Int? {
    let end = length - tagLength - 4
    guard end >= 8 else { return nil }
    guard mac != nil else {
      let flagged = (index | 0x8000_0000).bigEndian
      return open(packet, from: 8, to: end, UInt64(ssrc) << 16, UInt64(index) << 32, 8, flagged) ? end : nil
    }
    guard isAuthentic(packet, end + 4, nil, tag: packet + end + 4) else { return nil }
    return count(packet, from: 8, to: end, UInt64(ssrc), UInt64(index) << 16) ? end : nil
  }

  // MARK: Primitives

  /// AES-GCM in place, the other way; the tag stands behind `end`.
  @inline(__always)
  private func open(
    _ packet: UnsafeMutableRawPointer, from start: Int, to end: Int, _ high: UInt64, _ low: UInt64,
    _ associatedLength: Int, _ trailer: UInt32?
  ) -> Bool {
    var iv = ((high ^ salt.high).bigEndian, (low ^ salt.low).bigEndian)
    let isSet = withUnsafeBytes(of: &iv) {
      EVP_DecryptInit_ex(cipher, nil, nil, nil, $0.bindMemory(to: UInt8.self).baseAddress)
    }
    let bytes = packet.assumingMemoryBound(to: UInt8.self)
    var written: Int32 = 0
    guard isSet == 1, EVP_DecryptUpdate(cipher, nil, &written, bytes, Int32(associatedLength)) == 1 else {
      return false
    }
    if var trailer {
      let isTaken = withUnsafeBytes(of: &trailer) {
        EVP_DecryptUpdate(cipher, nil, &written, $0.bindMemory(to: UInt8.self).baseAddress, 4)
      }
      guard isTaken == 1 else { return false }
    }
    var rest: (UInt64, UInt64) = (0, 0)
    return EVP_DecryptUpdate(cipher, bytes + start, &written, bytes + start, Int32(end - start)) == 1
      && copenssl_aead_set_tag(cipher, Int32(tagLength), packet + end) == 1
      && withUnsafeMutableBytes(of: &rest) {
        EVP_DecryptFinal_ex(cipher, $0.bindMemory(to: UInt8.self).baseAddress, &written) == 1
      }
  }

  /// AES-GCM in place; the tag goes behind `end`.
  @inline(__always)
  private func seal(
    _ packet: UnsafeMutableRawPointer, from start: Int, to end: Int, _ high: UInt64, _ low: UInt64,
    associated: UnsafeMutableRawPointer, _ associatedLength: Int, _ trailer: UInt32?
  ) -> Bool {
    var iv = ((high ^ salt.high).bigEndian, (low ^ salt.low).bigEndian)
    let isSet = withUnsafeBytes(of: &iv) {
      EVP_EncryptInit_ex(cipher, nil, nil, nil, $0.bindMemory(to: UInt8.self).baseAddress)
    }
    let bytes = packet.assumingMemoryBound(to: UInt8.self)
    var written: Int32 = 0
    guard isSet == 1, EVP_EncryptUpdate(cipher, nil, &written, bytes, Int32(associatedLength)) == 1 else {
      return false
    }
    if var trailer {
      let isTaken = withUnsafeBytes(of: &trailer) {
        EVP_EncryptUpdate(cipher, nil, &written, $0.bindMemory(to: UInt8.self).baseAddress, 4)
      }
      guard isTaken == 1 else { return false }
    }
    return EVP_EncryptUpdate(cipher, bytes + start, &written, bytes + start, Int32(end - start)) == 1
      && EVP_EncryptFinal_ex(cipher, bytes + end, &written) == 1
      && copenssl_aead_get_tag(cipher, Int32(tagLength), packet + end) == 1
  }

  /// AES-CTR in place.
  @inline(__always)
  private func count(
    _ packet: UnsafeMutableRawPointer, from start: Int, to end: Int, _ high: UInt64, _ low: UInt64
  ) -> Bool {
    var iv = ((high ^ salt.high).bigEndian, (low ^ salt.low).bigEndian)
    let isSet = withUnsafeBytes(of: &iv) {
      EVP_EncryptInit_ex(cipher, nil, nil, nil, $0.bindMemory(to: UInt8.self).baseAddress)
    }
    let bytes = packet.assumingMemoryBound(to: UInt8.self) + start
    var written: Int32 = 0
    return isSet == 1 && EVP_EncryptUpdate(cipher, bytes, &written, bytes, Int32(end - start)) == 1
  }

  /// HMAC-SHA1 over `length` bytes and the trailer; its first ten bytes go behind `length`.
  @inline(__always)
  private func authenticate(
    _ packet: UnsafeMutableRawPointer, _ length: Int, _ trailer: UnsafePointer<UInt32>?
  ) -> Bool {
    digest(packet, length, trailer) { (packet + length).copyMemory(from: $0, byteCount: tagLength) }
  }

  /// Whether the ten bytes at `tag` are right, in time that does not tell how many are.
  @inline(__always)
  private func isAuthentic(
    _ packet: UnsafeMutableRawPointer, _ length: Int, _ trailer: UnsafePointer<UInt32>?, tag: UnsafeRawPointer
  ) -> Bool {
    var isSame = false
    return digest(packet, length, trailer) { isSame = CRYPTO_memcmp($0, tag, tagLength) == 0 } && isSame
  }

  @inline(__always)
  private func digest(
    _ packet: UnsafeMutableRawPointer, _ length: Int, _ trailer: UnsafePointer<UInt32>?,
    _ body: (UnsafeRawPointer) -> Void
  ) -> Bool {
    var digest: (UInt64, UInt64, UInt64) = (0, 0, 0)
    var written = 0
    guard EVP_MAC_init(mac, nil, 0, nil) == 1,
      EVP_MAC_update(mac, packet.assumingMemoryBound(to: UInt8.self), length) == 1
    else { return false }
    if let trailer {
      let isTaken = trailer.withMemoryRebound(to: UInt8.self, capacity: 4) { EVP_MAC_update(mac, $0, 4) }
      guard isTaken == 1 else { return false }
    }
    return withUnsafeMutableBytes(of: &digest) { out in
      guard EVP_MAC_final(mac, out.bindMemory(to: UInt8.self).baseAddress, &written, out.count) == 1, written == 20,
        let base = out.baseAddress
      else { return false }
      body(base)
      return true
    }
  }
}
