internal import COpenSSL

/// A hash function of `a=fingerprint` (RFC 8122 §5) that is strong enough to bind media to signalling.
package enum FingerprintAlgorithm: String, Sendable, Hashable, CaseIterable {
  case sha256 = "sha-256"
  case sha384 = "sha-384"
  case sha512 = "sha-512"

  /// By its name in SDP, case-insensitively. SHA-1, SHA-224, MD5 and MD2 are not accepted.
  package init(name: String) throws(TransportError) {
    guard let found = FingerprintAlgorithm(rawValue: name.lowercased()) else { throw .unsupportedFingerprint(name) }
    self = found
  }

  /// Bytes of a digest.
  var digestLength: Int {
    switch self {
    case .sha256: 32
    case .sha384: 48
    case .sha512: 64
    }
  }

  fileprivate var function: OpaquePointer? {
    switch self {
    case .sha256: EVP_sha256()
    case .sha384: EVP_sha384()
    case .sha512: EVP_sha512()
    }
  }
}

/// The hash of a certificate as SDP carries it.
package struct CertificateFingerprint: Sendable, Hashable, CustomStringConvertible {
  package let algorithm: FingerprintAlgorithm
  /// The digest; `algorithm.digestLength` bytes.
  package let bytes: [UInt8]

  /// Parses `sha-256` and `AB:CD:…` of either case.
  package init(algorithm name: String, value: String) throws(TransportError) {
    let algorithm = try FingerprintAlgorithm(name: name)
    var bytes: [UInt8] = []
    for part in value.split(separator: ":", omittingEmptySubsequences: false) {
      guard part.utf8.count == 2, part.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }), let byte = UInt8(part, radix: 16)
      else { throw .invalidRemote("the fingerprint is not colon-separated hexadecimal") }
      bytes.append(byte)
    }
    guard bytes.count == algorithm.digestLength else {
      throw .invalidRemote(
        "a \(algorithm.rawValue) fingerprint has \(algorithm.digestLength) bytes, not \(bytes.count)")
    }
    self.algorithm = algorithm
    self.bytes = bytes
  }

  private init(algorithm: FingerprintAlgorithm, bytes: [UInt8]) {
    self.algorithm = algorithm
    self.bytes = bytes
  }

  /// Of an X.509 certificate; nil only when OpenSSL cannot digest at all.
  static func of(certificate: OpaquePointer, algorithm: FingerprintAlgorithm) -> CertificateFingerprint? {
    var digest = [UInt8](repeating: 0, count: 64)
    var length: UInt32 = 0
    guard X509_digest(certificate, algorithm.function, &digest, &length) == 1, Int(length) <= digest.count else {
      return nil
    }
    return CertificateFingerprint(algorithm: algorithm, bytes: Array(digest.prefix(Int(length))))
  }

  /// `AB:CD:…`, upper case as RFC 8122 wants it.
  package var value: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: ":")
  }

  /// As in `a=fingerprint:`.
  package var description: String { "\(algorithm.rawValue) \(value)" }
}
