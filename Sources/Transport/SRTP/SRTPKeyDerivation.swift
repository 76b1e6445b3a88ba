internal import COpenSSL

/// The keys that packets of one kind are protected with (RFC 3711 §4.3, RFC 7714 §11).
struct SRTPSessionKeys: Equatable {
  /// 16 or 32 bytes.
  var cipherKey: [UInt8]
  /// 14 bytes, or 12 for AEAD.
  var salt: [UInt8]
  /// 20 bytes for HMAC-SHA1; empty for AEAD.
  var authenticationKey: [UInt8]

  enum Kind: UInt8 {
    /// Labels 0, 1, 2.
    case rtp = 0
    /// Labels 3, 4, 5.
    case rtcp = 3
  }

  init(cipherKey: [UInt8], salt: [UInt8], authenticationKey: [UInt8] = []) {
    self.cipherKey = cipherKey
    self.salt = salt
    self.authenticationKey = authenticationKey
  }

  /// Derives from the master key with a key derivation rate of 0.
  init(_ kind: Kind, profile: SRTPProfile, master: SRTPMasterKey) throws(TransportError) {
    guard master.key.count == profile.keyLength, master.salt.count == profile.saltLength else {
      throw .library(function: "SRTP key derivation", detail: "master key or salt of a wrong length")
    }
    let isAEAD = profile != .aes128CMSHA1_80
    cipherKey = try SRTPSessionKeys.derive(kind.rawValue, profile.keyLength, master)
    authenticationKey = isAEAD ? [] : try SRTPSessionKeys.derive(kind.rawValue + 1, 20, master)
    salt = try SRTPSessionKeys.derive(kind.rawValue + 2, profile.saltLength, master)
  }

  /// The first `count` bytes of the AES-CTR key stream whose IV is the salt, padded to 16 bytes, with the label xored
  /// into byte 7.
  static func derive(_ label: UInt8, _ count: Int, _ master: SRTPMasterKey) throws(TransportError) -> [UInt8] {
    var iv = master.salt + [UInt8](repeating: 0, count: 16 - master.salt.count)
    iv[7] ^= label
    let cipher = master.key.count == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr()
    guard let context = EVP_CIPHER_CTX_new() else { throw .library(function: "EVP_CIPHER_CTX_new", detail: "failed") }
    defer { EVP_CIPHER_CTX_free(context) }
    let zeros = [UInt8](repeating: 0, count: count)
    var out = zeros
    var written: Int32 = 0
    guard EVP_EncryptInit_ex(context, cipher, nil, master.key, iv) == 1,
      EVP_EncryptUpdate(context, &out, &written, zeros, Int32(count)) == 1, Int(written) == count
    else { throw .library(function: "EVP_EncryptUpdate", detail: drainOpenSSLErrors()) }
    return out
  }
}
