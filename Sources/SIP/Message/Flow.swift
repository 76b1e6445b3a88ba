package import Core

/// A transport as the Via header names it (RFC 3261 §20.42, RFC 7118 §5.2).
package enum TransportProtocol: String, Hashable, Sendable, CaseIterable {
  case udp = "UDP"
  case tcp = "TCP"
  case tls = "TLS"
  case ws = "WS"
  case wss = "WSS"

  /// From a Via or `transport=` token in any case.
  package init?(token: String) {
    for candidate in Self.allCases where candidate.rawValue.equalsIgnoringCase(token) {
      self = candidate
      return
    }
    return nil
  }

  /// Whether the transport retransmits by itself.
  package var isReliable: Bool { self != .udp }
  package var isSecure: Bool { self == .tls || self == .wss }
  package var isWebSocket: Bool { self == .ws || self == .wss }
  /// 5060, 5061 for TLS, 80 and 443 for WebSocket (RFC 3261 §19.1.2, RFC 7118 §5.2).
  package var defaultPort: UInt16 {
    switch self {
    case .udp, .tcp: 5060
    case .tls: 5061
    case .ws: 80
    case .wss: 443
    }
  }
  /// The value of a URI's `transport` parameter; both WebSocket kinds are `ws` there (RFC 7118 §5.2).
  package var uriParameter: String {
    switch self {
    case .udp: "udp"
    case .tcp: "tcp"
    case .tls: "tls"
    case .ws, .wss: "ws"
    }
  }
}

/// The way a message came, and the way back: one connection, or one UDP listener and a peer's address.
package struct Flow: Hashable, Sendable, CustomStringConvertible {
  /// The connection's unique number; for UDP the listener's.
  package let id: UInt64
  package let transport: TransportProtocol
  package let local: SocketAddress
  package let remote: SocketAddress

  package init(id: UInt64, transport: TransportProtocol, local: SocketAddress, remote: SocketAddress) {
    self.id = id
    self.transport = transport
    self.local = local
    self.remote = remote
  }

  package var description: String { "\(transport.rawValue)#\(id) \(remote)" }
}

/// Where a message is sent.
package enum Destination: Hashable, Sendable {
  /// Down an existing flow.
  case flow(Flow)
  /// To an address; the transport picks or opens a connection.
  case address(TransportProtocol, SocketAddress)

  package var transport: TransportProtocol {
    switch self {
    case .flow(let flow): flow.transport
    case .address(let transport, _): transport
    }
  }

  package var remote: SocketAddress {
    switch self {
    case .flow(let flow): flow.remote
    case .address(_, let address): address
    }
  }
}
