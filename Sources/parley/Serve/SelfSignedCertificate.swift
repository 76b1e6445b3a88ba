import Core
import Crypto
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
import Gateway
import SwiftASN1
import X509

/// The certificate for HTTPS, WSS and SIP over TLS where the operator configured none.
///
/// Made once and kept in the data directory, so that a browser which accepted it keeps accepting it.
enum SelfSignedCertificate {
  struct Files {
    let certificate: String
    let key: String
    let isNew: Bool
  }

  /// The files in `directory`; made there if missing, unreadable or about to expire.
  static func files(in directory: String, names: [String]) throws -> Files {
    let folder = directory + "/tls"
    let certificatePath = folder + "/certificate.pem"
    let keyPath = folder + "/key.pem"
    if let pem = try? String(contentsOfFile: certificatePath, encoding: .utf8),
      let certificate = try? Certificate(pemEncoded: pem), FileManager.default.isReadableFile(atPath: keyPath),
      certificate.notValidAfter > Date().addingTimeInterval(7 * 86_400)
    {
      return Files(certificate: certificatePath, key: keyPath, isNew: false)
    }
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let (certificate, key) = try make(names: names)
    try write(key, to: keyPath, permissions: 0o600)
    try write(certificate, to: certificatePath, permissions: 0o644)
    return Files(certificate: certificatePath, key: keyPath, isNew: true)
  }

  /// ECDSA P-256, valid for 397 days: the longest that browsers take.
  private static func make(names: [String]) throws -> (certificate: String, key: String) {
    let key = P256.Signing.PrivateKey()
    let subject = try DistinguishedName {
      OrganizationName("Parley")
      CommonName("Parley self-signed")
    }
    var alternatives: [GeneralName] = []
    for name in names {
      if let ip = IPAddress(name) {
        alternatives.append(.ipAddress(ASN1OctetString(contentBytes: ip.bytes[...])))
      } else {
        alternatives.append(.dnsName(name))
      }
    }
    let now = Date()
    let certificate = try Certificate(
      version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: .init(key.publicKey),
      notValidBefore: now.addingTimeInterval(-3600), notValidAfter: now.addingTimeInterval(397 * 86_400),
      issuer: subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage([.serverAuth])
        SubjectAlternativeNames(alternatives)
      },
      issuerPrivateKey: .init(key))
    return (try certificate.serializeAsPEM().pemString, key.pemRepresentation)
  }

  private static func write(_ text: String, to path: String, permissions: Int) throws {
    guard
      FileManager.default.createFile(
        atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: permissions])
    else { throw CertificateError(path: path) }
  }

  struct CertificateError: Error, CustomStringConvertible {
    let path: String
    var description: String {
      "cannot write \(path): set data.directory to a folder that this user may write, or http.tls.certificate and http.tls.key to your own files"
    }
  }
}
