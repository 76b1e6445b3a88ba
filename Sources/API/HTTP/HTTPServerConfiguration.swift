package import Core
package import SIPTransport

/// Where HTTP listens and what it tolerates.
package struct HTTPServerConfiguration: Sendable {
  /// One socket that accepts HTTP, with TLS when it has a certificate.
  package struct Listener: Sendable {
    /// Port 0 lets the kernel choose.
    package var address: Core.SocketAddress
    package var tls: TLSContextSource?

    package init(address: Core.SocketAddress, tls: TLSContextSource? = nil) {
      self.address = address
      self.tls = tls
    }
  }

  package struct Limits: Sendable {
    /// Bytes of a request's body.
    package var maximumBodySize = 1 << 20
    /// Bytes of a request's header fields together.
    package var maximumHeaderSize = 32_768
    /// HTTP connections of all listeners; an upgraded connection counts no longer.
    package var maximumConnections = 10_000
    /// HTTP connections of one source address (IPv6: of one /64).
    package var maximumConnectionsPerSource = 512
    /// How long a request's head, the TLS handshake before the first one included, may take.
    package var headTimeout: Duration = .seconds(10)
    /// How long a request's body may take.
    package var bodyTimeout: Duration = .seconds(30)
    /// How long a connection may stay open between requests.
    package var idleTimeout: Duration = .seconds(60)

    package init() {}
  }

  package var listeners: [Listener]
  package var limits: Limits
  /// The `Server` header; nil sends none.
  package var serverName: String?

  package init(listeners: [Listener], limits: Limits = Limits(), serverName: String? = nil) {
    self.listeners = listeners
    self.limits = limits
    self.serverName = serverName
  }
}

/// An HTTP listener and the address that the kernel gave it.
package struct BoundHTTPListener: Sendable, Hashable {
  package let address: Core.SocketAddress
  package let isSecure: Bool
}

/// Why the HTTP server ended before it was asked to.
package struct HTTPServerError: Error, CustomStringConvertible {
  package let description: String
}
