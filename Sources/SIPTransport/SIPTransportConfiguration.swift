package import Core

/// Where the SIP transports listen and what they tolerate (RFC 3261 §18, RFC 7118).
///
/// SIP over WebSocket has no listener here: the HTTP server accepts those connections and hands each upgraded
/// channel to `SIPTransportStack.configureWebSocket`.
package struct SIPTransportConfiguration: Sendable {
  /// UDP listeners. Port 0 lets the kernel choose. `0.0.0.0` and `[::]` may stand side by side on one port.
  package var udp: [Core.SocketAddress]
  package var tcp: [Core.SocketAddress]
  /// TLS listeners; they need `serverTLS`.
  package var tls: [Core.SocketAddress]
  /// Certificate of the TLS listeners; shared with the HTTP server, may be reloaded while running.
  package var serverTLS: TLSContextSource?
  /// Trust for the TLS connections that we open. Without it, requests to `.address(.tls, …)` fail.
  package var clientTLS: TLSContextSource?
  package var limits: SIPTransportLimits

  package init(
    udp: [Core.SocketAddress] = [], tcp: [Core.SocketAddress] = [], tls: [Core.SocketAddress] = [],
    serverTLS: TLSContextSource? = nil, clientTLS: TLSContextSource? = nil, limits: SIPTransportLimits = .init()
  ) {
    self.udp = udp
    self.tcp = tcp
    self.tls = tls
    self.serverTLS = serverTLS
    self.clientTLS = clientTLS
    self.limits = limits
  }
}

/// Bounds on what one peer, one source address and all together may cost.
package struct SIPTransportLimits: Sendable {
  /// Bytes of one SIP message, headers and body, and of one WebSocket message over all its fragments.
  package var maximumMessageSize = 65_536
  /// Open connections of all stream transports together.
  package var maximumConnections = 20_000
  /// Open connections of one source address (IPv6: of one /64). A call centre behind one NAT is one source.
  package var maximumConnectionsPerSource = 1_000
  /// Sustained messages a second of one source; keep-alives and WebSocket control frames count too.
  /// UDP messages above it are dropped, a stream above it is read more slowly.
  package var messagesPerSecondPerSource = 500.0
  /// Messages that one source may send at once after a silence.
  package var messageBurstPerSource = 2_000.0
  /// Sources that are remembered. Beyond it the unknown ones share one allowance.
  package var maximumTrackedSources = 65_536
  /// Networks whose message rate and connections are not limited: the trunks.
  package var unlimitedNetworks: [IPNetwork] = []

  /// How long a message, or a WebSocket frame, may stay incomplete.
  package var partialMessageTimeout: Duration = .seconds(10)
  /// How long an accepted connection may say nothing at all; covers the TLS handshake.
  package var firstMessageTimeout: Duration = .seconds(30)
  /// How long a TCP or TLS connection may stay silent after its first message.
  package var streamIdleTimeout: Duration = .seconds(3_600)
  /// Silence after which a WebSocket peer gets a ping.
  package var webSocketPingInterval: Duration = .seconds(25)
  /// How long a pinged WebSocket peer may stay silent.
  package var pongTimeout: Duration = .seconds(10)
  /// How long we wait for the peer's half of the WebSocket closing handshake.
  package var closeTimeout: Duration = .seconds(2)
  package var connectTimeout: Duration = .seconds(5)
  /// Messages kept for one destination while its connection is being set up.
  package var connectQueueLimit = 64
  /// Bytes that wait for a slow reader before its connection is closed.
  package var maximumUnsentBytes = 1 << 20
  /// How long a peer may refuse to read before its connection is closed.
  package var unwritableTimeout: Duration = .seconds(30)

  package init() {}
}

/// An address prefix, such as `192.0.2.0/24`.
package struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
  package let address: IPAddress
  package let prefix: Int

  package init(_ address: IPAddress, prefix: Int? = nil) {
    self.address = address
    self.prefix = prefix ?? (address.isIPv6 ? 128 : 32)
  }

  /// Parses `192.0.2.0/24`, `2001:db8::/32` or a bare address.
  package init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(parts[0]) else { return nil }
    let width = address.isIPv6 ? 128 : 32
    if parts.count == 1 {
      self.init(address)
    } else {
      guard let prefix = Int(parts[1]), (0...width).contains(prefix) else { return nil }
      self.init(address, prefix: prefix)
    }
  }

  package func contains(_ ip: IPAddress) -> Bool { ip.unmapped.isInside(address, prefix: prefix) }
  package var description: String { "\(address)/\(prefix)" }
}
