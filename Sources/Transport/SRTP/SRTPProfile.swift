/// An SRTP protection profile by its DTLS number (RFC 5764 §4.1.2, RFC 7714 §14.2).
package enum SRTPProfile: UInt16, Sendable, Hashable, CaseIterable {
  case aes128CMSHA1_80 = 1
  case aeadAES128GCM = 7
  case aeadAES256GCM = 8

  /// Bytes of the master key.
  package var keyLength: Int { self == .aeadAES256GCM ? 32 : 16 }
  /// Bytes of the master salt.
  package var saltLength: Int { self == .aes128CMSHA1_80 ? 14 : 12 }
  /// Bytes that protection adds to an RTP packet.
  package var tagLength: Int { self == .aes128CMSHA1_80 ? 10 : 16 }
  /// Bytes that protection adds to an RTCP packet: the tag and the 32-bit index with the E flag (RFC 3711 §3.4).
  package var rtcpTrailerLength: Int { tagLength + 4 }

  /// The name in OpenSSL's list and in the IANA registry.
  package var openSSLName: String {
    switch self {
    case .aes128CMSHA1_80: "SRTP_AES128_CM_SHA1_80"
    case .aeadAES128GCM: "SRTP_AEAD_AES_128_GCM"
    case .aeadAES256GCM: "SRTP_AEAD_AES_256_GCM"
    }
  }
}

/// Master key and salt of one direction.
package struct SRTPMasterKey: Sendable {
  let key: [UInt8]
  let salt: [UInt8]

  /// The lengths must be those of the profile that they are used with.
  package init(key: [UInt8], salt: [UInt8]) {
    self.key = key
    self.salt = salt
  }
}

/// Both directions' keys of one DTLS association.
struct SRTPKeys {
  let profile: SRTPProfile
  let client: SRTPMasterKey
  let server: SRTPMasterKey

  /// Splits exported keying material: client key, server key, client salt, server salt (RFC 5764 §4.2).
  init?(profile: SRTPProfile, material: [UInt8]) {
    let key = profile.keyLength
    let salt = profile.saltLength
    guard material.count == 2 * (key + salt) else { return nil }
    self.profile = profile
    client = SRTPMasterKey(key: Array(material[0..<key]), salt: Array(material[(2 * key)..<(2 * key + salt)]))
    server = SRTPMasterKey(key: Array(material[key..<(2 * key)]), salt: Array(material[(2 * key + salt)...]))
  }

  static func materialLength(_ profile: SRTPProfile) -> Int { 2 * (profile.keyLength + profile.saltLength) }
}
