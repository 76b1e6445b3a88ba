internal import COpenSSL
internal import Synchronization

/// A self-signed certificate and its key, with the OpenSSL contexts made from them. WebRTC trusts it by the fingerprint
/// in SDP, never by a chain (RFC 8827 §6.5), so one serves all transports of a process.
package struct DTLSCertificate: Sendable {
  private let storage: Storage

  /// The SHA-256 fingerprint as in SDP: `AB:CD:…`.
  package var fingerprint: String { storage.fingerprint.value }

  /// A new ECDSA P-256 key with a certificate of ten years, as no peer looks at its dates.
  package static func make() throws(TransportError) -> DTLSCertificate { DTLSCertificate(storage: try Storage()) }

  /// The context for these profiles; made once and shared.
  func context(profiles: [SRTPProfile]) throws(TransportError) -> DTLSContext {
    let made = storage.contexts.withLock { (contexts) -> Result<DTLSContext, TransportError> in
      if let found = contexts[profiles] { return .success(found) }
      do throws(TransportError) {
        let context = try DTLSContext(certificate: storage.certificate, key: storage.key, profiles: profiles)
        contexts[profiles] = context
        return .success(context)
      } catch { return .failure(error) }
    }
    return try made.get()
  }

  /// `@unchecked Sendable`: the certificate and key are never changed after `init`, and OpenSSL counts their references
  /// atomically.
  private final class Storage: @unchecked Sendable {
    let certificate: OpaquePointer
    let key: OpaquePointer
    let fingerprint: CertificateFingerprint
    let contexts = Mutex<[[SRTPProfile]: DTLSContext]>([:])

    init() throws(TransportError) {
      guard let key = copenssl_make_p256_key() else {
        throw .library(function: "EVP_EC_gen", detail: drainOpenSSLErrors())
      }
      guard let certificate = X509_new() else {
        EVP_PKEY_free(key)
        throw .library(function: "X509_new", detail: drainOpenSSLErrors())
      }
      guard Storage.fill(certificate, key: key),
        let fingerprint = CertificateFingerprint.of(certificate: certificate, algorithm: .sha256)
      else {
        X509_free(certificate)
        EVP_PKEY_free(key)
        throw .library(function: "X509_sign", detail: drainOpenSSLErrors())
      }
      self.key = key
      self.certificate = certificate
      self.fingerprint = fingerprint
    }

    private static func fill(_ certificate: OpaquePointer, key: OpaquePointer) -> Bool {
      let serial = Int.random(in: 1...(.max))
      return X509_set_version(certificate, 2) == 1
        && ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), Int64(serial)) == 1
        && X509_gmtime_adj(X509_getm_notBefore(certificate), -86_400) != nil
        && X509_gmtime_adj(X509_getm_notAfter(certificate), 10 * 365 * 86_400) != nil
        && X509_set_pubkey(certificate, key) == 1
        && copenssl_name_add_cn(X509_get_subject_name(certificate), "Parley") == 1
        && X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1
        && X509_sign(certificate, key, EVP_sha256()) > 0
    }

    deinit {
      X509_free(certificate)
      EVP_PKEY_free(key)
    }
  }
}

/// Owns one `SSL_CTX` for DTLS 1.2 with SRTP.
///
/// `@unchecked Sendable`: it is not changed after `init`; `SSL_new` on a finished context is thread-safe.
final class DTLSContext: @unchecked Sendable {
  let pointer: OpaquePointer

  init(certificate: OpaquePointer, key: OpaquePointer, profiles: [SRTPProfile]) throws(TransportError) {
    ERR_clear_error()
    guard let context = SSL_CTX_new(DTLS_method()) else {
      throw .library(function: "SSL_CTX_new", detail: drainOpenSSLErrors())
    }
    _ = copenssl_ctx_session_cache_off(context)
    _ = copenssl_ctx_release_buffers(context)
    _ = copenssl_ctx_set_dtls_options(context)
    // Every certificate is let through here, and no chain is built; `DTLSSession` compares its fingerprint before any key
    // is used.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT) { _, _ in 1 }
    SSL_CTX_set_cert_verify_callback(context, { _, _ in 1 }, nil)
    let names = profiles.map(\.openSSLName).joined(separator: ":")
    guard copenssl_ctx_set_min_dtls12(context) == 1,
      copenssl_ctx_set_groups(context, "X25519:P-256:P-384") == 1,
      SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:!RSA-PSK:!aNULL") == 1,
      SSL_CTX_use_certificate(context, certificate) == 1, SSL_CTX_use_PrivateKey(context, key) == 1,
      // The one function of this family that returns 0 on success.
      SSL_CTX_set_tlsext_use_srtp(context, names) == 0
    else {
      SSL_CTX_free(context)
      throw .library(function: "SSL_CTX", detail: drainOpenSSLErrors())
    }
    pointer = context
  }

  deinit { SSL_CTX_free(pointer) }
}
