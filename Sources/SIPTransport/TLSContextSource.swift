import NIOCore
package import NIOSSL
import Synchronization

/// A TLS configuration that may be replaced while connections use it: a renewed certificate needs no restart.
package final class TLSContextSource: Sendable {
  private let build: @Sendable () throws -> NIOSSLContext
  private let context: Mutex<NIOSSLContext>

  /// How long a closing connection waits for the peer's close_notify.
  private static let shutdownTimeout = TimeAmount.seconds(1)

  private init(build: @escaping @Sendable () throws -> NIOSSLContext) throws {
    self.build = build
    context = Mutex(try build())
  }

  /// What a new connection uses.
  package var current: NIOSSLContext { context.withLock { $0 } }

  /// Reads the files again. On failure the old context stays in use.
  package func reload() throws {
    let fresh = try build()
    context.withLock { $0 = fresh }
  }

  /// A server's context from PEM files. TLS 1.2 and 1.3.
  ///
  /// - Throws: `SIPTransportError` of kind `.certificate`, which names the file.
  package static func server(certificateChain: String, privateKey: String) throws -> TLSContextSource {
    try TLSContextSource {
      do {
        let chain = try NIOSSLCertificate.fromPEMFile(certificateChain)
        guard !chain.isEmpty else { throw SIPTransportError(.certificate, "no certificate in \(certificateChain)") }
        let key = try NIOSSLPrivateKey(file: privateKey, format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
          certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.shutdownTimeout = shutdownTimeout
        return try NIOSSLContext(configuration: configuration)
      } catch let error as SIPTransportError {
        throw error
      } catch {
        throw SIPTransportError(.certificate, "cannot use \(certificateChain) with \(privateKey): \(error)")
      }
    }
  }

  /// A client's context: the system's roots, or those in a PEM file; `verify: false` accepts anything.
  package static func client(trustRoots: String? = nil, verify: Bool = true) throws -> TLSContextSource {
    try TLSContextSource {
      var configuration = TLSConfiguration.makeClientConfiguration()
      configuration.minimumTLSVersion = .tlsv12
      configuration.shutdownTimeout = shutdownTimeout
      if let trustRoots { configuration.trustRoots = .file(trustRoots) }
      if !verify { configuration.certificateVerification = .none }
      do {
        return try NIOSSLContext(configuration: configuration)
      } catch {
        throw SIPTransportError(.certificate, "cannot build a TLS client context: \(error)")
      }
    }
  }
}
