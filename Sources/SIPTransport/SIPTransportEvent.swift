package import Core
package import SIP

/// What the transports tell their user, on the event loop and in order of arrival.
package enum SIPTransportEvent: Sendable {
  /// A well-formed message. It is delivered synchronously from the read.
  case message(SIPMessage, Flow)
  /// A TCP, TLS or WebSocket connection is gone; nothing can be sent down this flow any more.
  /// Never delivered from inside `send`.
  case flowClosed(Flow)
}

/// A listener and the address that the kernel gave it.
package struct BoundListener: Sendable, Hashable {
  package let transport: TransportProtocol
  package let address: Core.SocketAddress

  package init(transport: TransportProtocol, address: Core.SocketAddress) {
    self.transport = transport
    self.address = address
  }
}

/// Why the transports could not start.
package struct SIPTransportError: Error, CustomStringConvertible {
  package enum Kind: Sendable, Hashable {
    case bind
    /// A TLS listener without a certificate.
    case noCertificate
    case certificate
  }
  package let kind: Kind
  package let description: String

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// Counters since the start, and what is open now.
package struct SIPTransportStatistics: Sendable, Equatable {
  package struct PerTransport: Sendable, Equatable {
    /// Open connections; always 0 for UDP.
    package var connections = 0
    package var messagesIn = 0
    package var messagesOut = 0
    package var bytesIn = 0
    package var bytesOut = 0
  }
  package var transports: [TransportProtocol: PerTransport] = [:]
  package var refused: [RefusalReason: Int] = [:]
  /// Messages that found no flow, no listener or no connection.
  package var sendFailures = 0

  package init() {}

  package var connections: Int { transports.values.reduce(0) { $0 + $1.connections } }
  package subscript(_ transport: TransportProtocol) -> PerTransport { transports[transport] ?? PerTransport() }
}

/// Why something from the network was turned away. The raw value is the label in `/metrics`.
package enum RefusalReason: String, Sendable, CaseIterable {
  case connectionLimit = "connection_limit"
  case sourceConnectionLimit = "source_connection_limit"
  case messageRate = "message_rate"
  case malformed = "malformed"
  case oversized = "oversized"
  case partialTimeout = "partial_timeout"
  case silent = "silent"
  case idle = "idle"
  case pongTimeout = "pong_timeout"
  case slowReader = "slow_reader"
  case webSocketProtocol = "websocket_protocol"
  case invalidUTF8 = "invalid_utf8"
  case tls = "tls"

  /// The middle of the log line: "refused: …".
  var text: String {
    switch self {
    case .connectionLimit: "too many connections in all"
    case .sourceConnectionLimit: "too many connections from this source"
    case .messageRate: "too many messages a second from this source"
    case .malformed: "malformed SIP message"
    case .oversized: "message too large"
    case .partialTimeout: "message not completed in time"
    case .silent: "connection opened but nothing sent"
    case .idle: "connection idle for too long"
    case .pongTimeout: "WebSocket ping not answered"
    case .slowReader: "peer does not read what it is sent"
    case .webSocketProtocol: "WebSocket protocol violated"
    case .invalidUTF8: "WebSocket text is not UTF-8"
    case .tls: "TLS handshake failed"
    }
  }
}
