// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// Our part in a DTLS handshake (RFC 5763 §5): `a=setup:active` is the client, `passive` the server.
package enum DTLSRole: Sendable, Hashable { case client, server }

/// Owns one `SSL` on memory BIOs: datagrams in, datagrams out, keys at the end. Knows neither sockets nor clocks.
///
/// Drive rule: after `start`, each `receive` and each `expire` look at `progress` and ask for `timeout` again.
final class DTLSSession {
  enum Progress: Equatable {
    case handshaking
    case connected
    /// The peer sent close_notify.
    case closed
    case failed(String)
  }

  /// Datagrams leave with at most so many bytes: below any real path's MTU, tunnels included.
  private static let mtu = 1200
  /// Plain bytes of a record (RFC 5246 §6.2.1).
  private static let maximumRecord = 16_384

  private let ssl: OpaquePointer
  private let input: OpaquePointer
  private let output: OpaquePointer
  private let transmit: (UnsafeRawBufferPointer) -> Void
  let role: DTLSRole
  private(set) var progress = Progress.handshaking
  /// A handler of application data may send, while OpenSSL reads.
  private var isReading = false
  /// Takes the peer's application data, one record a call; the bytes live as long as the call. The first may come before
  /// the owner has compared the peer's fingerprint. May call `send` and `close`.
  var onApplicationData: ((UnsafeRawBufferPointer) -> Void)?

  init(
    context: DTLSContext, role: DTLSRole, transmit: @escaping (UnsafeRawBufferPointer) -> Void
  ) throws(TransportError) {
    ERR_clear_error()
    guard let ssl = SSL_new(context.pointer) else { throw .library(function: "SSL_new", detail: drainOpenSSLErrors()) }
    guard let input = BIO_new(BIO_s_mem()) else {
      SSL_free(ssl)
      throw .library(function: "BIO_new", detail: drainOpenSSLErrors())
    }
    guard let output = BIO_new(BIO_s_mem()) else {
      BIO_free(input)
      SSL_free(ssl)
      throw .library(function: "BIO_new", detail: drainOpenSSLErrors())
    }
    SSL_set_bio(ssl, input, output)  // owns both from here on
    _ = copenssl_dtls_set_link_mtu(ssl, DTLSSession.mtu)
    // RFC 6347 §4.2.4.1 starts at 1 s; a lost flight would then be heard as a second of silence. RFC 9147 §5.8.2 allows less.
    DTLS_set_timer_cb(ssl) { _, last in last == 0 ? 150_000 : min(last &* 2, 3_000_000) }
    if role == .client { SSL_set_connect_state(ssl) } else { SSL_set_accept_state(ssl) }
    self.ssl = ssl
    self.input = input
    self.output = output
    self.transmit = transmit
    self.role = role
  }

  deinit { SSL_free(ssl) }

  /// The client's first flight; the server only waits.
  func start() { if role == .client { advance() } }

  /// One datagram from the peer.
  func receive(_ datagram: UnsafeRawBufferPointer) {
    guard let base = datagram.baseAddress, datagram.count >= 13, datagram.count <= 65_535 else { return }
    switch progress {
    case .closed, .failed: return
    case .handshaking, .connected: break
    }
    _ = copenssl_bio_reset(input)
    guard BIO_write(input, base, Int32(datagram.count)) == Int32(datagram.count) else { return }
    advance()
  }

  /// Until `expire` has to be called; nil when no flight waits for an answer.
  var timeout: Duration? {
    guard progress == .handshaking else { return nil }
    var left = timeval()
    guard copenssl_dtls_get_timeout(ssl, &left) == 1 else { return nil }
    return .seconds(left.tv_sec) + .microseconds(Int64(left.tv_usec))
  }

  /// Sends the last flight again if it is time.
  func expire() {
    guard progress == .handshaking else { return }
    ERR_clear_error()
    if copenssl_dtls_handle_timeout(ssl) < 0 { progress = .failed(drainOpenSSLErrors()) }
    flush()
  }

  private func advance() {
    ERR_clear_error()
    if progress == .handshaking {
      let result = SSL_do_handshake(ssl)
      if result == 1 {
        progress = .connected
      } else {
        fail(SSL_get_error(ssl, result))
      }
    }
    if progress == .connected { readApplicationData() }
    flush()
    releaseBuffers()
  }

  /// OpenSSL would keep 33 KB for records of TLS's full size, and SSL_MODE_RELEASE_BUFFERS leaves DTLS out. Reading makes
  /// them anew by itself, writing does not.
  private func releaseBuffers() {
    if progress == .connected { SSL_free_buffers(ssl) }
  }

  /// Takes all records that are there; alerts, and flights sent again, are taken inside.
  private func readApplicationData() {
    // A record must fit whole: its rest would look like the next one.
    let size = onApplicationData == nil ? 64 : DTLSSession.maximumRecord
    isReading = true
    defer { isReading = false }
    withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { buffer in
      while progress == .connected {
        ERR_clear_error()
        let count = SSL_read(ssl, buffer.baseAddress, Int32(buffer.count))
        guard count > 0 else { return fail(SSL_get_error(ssl, count)) }
        onApplicationData?(UnsafeRawBufferPointer(rebasing: buffer[..<Int(count)]))
      }
    }
  }

  /// Sends `bytes` as one record; false before the handshake is done, or when OpenSSL refuses.
  func send(applicationData bytes: UnsafeRawBufferPointer) -> Bool {
    guard progress == .connected, let base = bytes.baseAddress, 1...DTLSSession.maximumRecord ~= bytes.count else {
      return false
    }
    ERR_clear_error()
    guard SSL_alloc_buffers(ssl) == 1 else { return false }
    let count = SSL_write(ssl, base, Int32(bytes.count))
    flush()
    if !isReading { releaseBuffers() }
    return Int(count) == bytes.count
  }

  private func fail(_ code: Int32) {
    switch code {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: break
    case SSL_ERROR_ZERO_RETURN: progress = .closed
    default:
      let reason = drainOpenSSLErrors()
      // A broken record behind a finished handshake must not end the call: anyone on the path could send one.
      if progress == .handshaking { progress = .failed(reason) }
    }
  }

  /// A memory BIO forgets where datagrams end, so records are walked and packed anew.
  ///
  ///     type(1) version(2) epoch(2) sequence(6) length(2)
  private func flush() {
    var start: UnsafeMutablePointer<CChar>?
    let count = Int(copenssl_bio_mem_data(output, &start))
    guard count > 0, let start else { return }
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    var datagram = 0
    var position = 0
    while position + 13 <= count {
      let end = min(position + 13 + Int(RTPFields.uint16(bytes, at: position + 11)), count)
      if end - datagram > DTLSSession.mtu, position > datagram {
        transmit(UnsafeRawBufferPointer(rebasing: bytes[datagram..<position]))
        datagram = position
      }
      position = end
    }
    if position > datagram { transmit(UnsafeRawBufferPointer(rebasing: bytes[datagram..<position])) }
    _ = copenssl_bio_reset(output)
  }

  // MARK: Results of a finished handshake

  /// The fingerprint of the peer's certificate; nil without one.
  func peerFingerprint(_ algorithm: FingerprintAlgorithm) -> CertificateFingerprint? {
    guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
    defer { X509_free(certificate) }
    return CertificateFingerprint.of(certificate: certificate, algorithm: algorithm)
  }

  /// The SRTP profile that both sides share and its keys; nil when they share none.
  func exportKeys() -> SRTPKeys? {
    guard let selected = SSL_get_selected_srtp_profile(ssl),
      let profile = SRTPProfile(rawValue: UInt16(truncatingIfNeeded: selected.pointee.id))
    else { return nil }
    let label = "EXTRACTOR-dtls_srtp"
    var material = [UInt8](repeating: 0, count: SRTPKeys.materialLength(profile))
    defer { OPENSSL_cleanse(&material, material.count) }
    guard SSL_export_keying_material(ssl, &material, material.count, label, label.utf8.count, nil, 0, 0) == 1 else {
      return nil
    }
    return SRTPKeys(profile: profile, material: material)
  }

  /// Sends close_notify. Nothing is taken afterwards.
  func close() {
    switch progress {
    case .connected:
      ERR_clear_error()
      // Without memory there is no goodbye; the peer's consent ends all the same.
      if SSL_alloc_buffers(ssl) == 1 { SSL_shutdown(ssl) }
      flush()
    case .handshaking, .closed, .failed: break
    }
    progress = .closed
    ERR_clear_error()
  }
}
