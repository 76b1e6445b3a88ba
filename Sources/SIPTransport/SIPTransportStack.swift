package import Core
package import Logging
package import NIOCore
package import SIP

/// SIP over UDP, TCP, TLS and WebSocket on one event loop: bytes in, messages out, and back.
///
/// All state belongs to the loop. Members that say so must be called on it, which is checked.
package final class SIPTransportStack: Sendable {
  private let loop: any EventLoop
  private let configuration: SIPTransportConfiguration
  private let box: NIOLoopBoundBox<TransportCore>

  /// - Parameters:
  ///   - onSendFailure: called on `loop` for a destination that could not be reached or whose connection broke, never
  ///     from inside `send`. For `.address` it is also called when a connection that we opened ends.
  ///   - onEvent: called on `loop`, messages synchronously from the read; `flowClosed` never from inside `send`.
  package init(
    loop: any EventLoop, configuration: SIPTransportConfiguration, logger: Logger,
    onSendFailure: @escaping @Sendable (Destination) -> Void = { _ in },
    onEvent: @escaping @Sendable (SIPTransportEvent) -> Void
  ) {
    self.loop = loop
    self.configuration = configuration
    box = .makeBoxSendingValue(
      TransportCore(
        loop: loop, configuration: configuration, logger: logger, onSendFailure: onSendFailure, onEvent: onEvent),
      eventLoop: loop)
  }

  /// On the loop only.
  private var core: TransportCore { box.value }

  /// Opens all listeners, or none.
  ///
  /// - Returns: what was bound, in the order of the configuration: UDP, TCP, TLS.
  /// - Throws: `SIPTransportError`, which names the address and the reason.
  package func start() async throws -> [BoundListener] {
    if !configuration.tls.isEmpty, configuration.serverTLS == nil {
      throw SIPTransportError(.noCertificate, "TLS \(configuration.tls[0]): no certificate is configured")
    }
    return try await loop.flatSubmit { self.bindAll() }.get()
  }

  private func bindAll() -> EventLoopFuture<[BoundListener]> {
    let core = core
    let opening =
      configuration.udp.map { DatagramListener.open($0, core: core) }
      + configuration.tcp.map { StreamListener.open(.tcp, $0, tls: nil, core: core) }
      + configuration.tls.map { StreamListener.open(.tls, $0, tls: configuration.serverTLS, core: core) }
    return EventLoopFuture.whenAllComplete(opening, on: loop).flatMapThrowing { results in
      do {
        let listeners = try results.map { try $0.get() }
        self.core.startSweeping()
        return listeners
      } catch {
        self.core.beginShutdown()
        self.core.finishShutdown()
        throw error
      }
    }
  }

  // MARK: On the loop

  /// Sends a message. A failure is told to `onSendFailure`.
  ///
  /// `.address(.tcp | .tls, …)` uses the connection that we opened to that address before, or opens one.
  package func send(_ message: SIPMessage, to destination: Destination) {
    let core = core
    let bytes = message.serialized()
    switch destination {
    case .flow(let flow) where flow.transport == .udp:
      guard let listener = core.datagramListeners.first(where: { $0.id == flow.id }),
        listener.send(bytes, to: flow.remote)
      else { return core.sendFailed(destination) }
    case .flow(let flow):
      guard let connection = core.connections[flow.id] else { return core.sendFailed(destination) }
      connection.send(bytes)
    case .address(.udp, let remote):
      guard let listener = core.datagramListener(towards: remote), listener.send(bytes, to: remote) else {
        return core.sendFailed(destination)
      }
    case .address(let transport, let remote) where transport == .tcp || transport == .tls:
      core.sendOutbound(bytes, transport, remote)
    case .address:
      // Nobody can be called by WebSocket (RFC 7118 §5.2).
      core.sendFailed(destination)
    }
  }

  /// The address that a peer at `destination` sees as ours, for Via and Contact: of the flow, or of the listener that
  /// serves the transport. A wildcard is replaced by the address of the route.
  package func local(for destination: Destination) -> Core.SocketAddress? {
    let core = core
    let own: Core.SocketAddress? =
      switch destination {
      case .flow(let flow): flow.local
      case .address(.udp, let remote): core.datagramListener(towards: remote)?.local
      case .address(let transport, let remote): core.streamListener(transport, towards: remote)
      }
    guard var own else { return nil }
    if own.ip.isUnspecified, let ip = core.routes.ownAddress(towards: destination.remote.ip, now: .now()) {
      own.ip = ip
    }
    return own
  }

  /// The name to send and to check when we open a TLS connection to `address`.
  package func setTLSServerName(_ name: String?, for address: Core.SocketAddress) {
    core.outbound.serverNames[address] = name
  }

  /// Networks whose rate and connections are not limited; replaces the earlier list.
  package func setUnlimitedNetworks(_ networks: [IPNetwork]) {
    core.limiter.limits.unlimited = networks
  }

  /// Closes a connection: a WebSocket by its closing handshake. A UDP flow has nothing to close.
  package func close(_ flow: Flow) {
    core.connections[flow.id]?.goAway()
  }

  package var connectionCount: Int { core.connectionCount }
  package var currentStatistics: SIPTransportStatistics { core.statistics }

  // MARK: WebSocket

  /// Whether the limits allow this peer one more WebSocket; a refusal is counted. On the loop.
  package func admitsWebSocket(from remote: NIOCore.SocketAddress?) -> Bool {
    guard let ip = Core.SocketAddress(remote)?.ip, core.admitConnection(from: ip, on: .ws) else { return false }
    core.limiter.releaseConnection(from: ip)
    return true
  }

  /// Takes over a channel that has just been upgraded (RFC 7118): it carries bare WebSocket bytes from here on.
  ///
  /// Must be called on the channel's loop, which must be the stack's; the channel must have its addresses. The returned
  /// future fails when the limits do not allow another connection; then the caller closes the channel.
  package func configureWebSocket(_ channel: any Channel, secure: Bool) -> EventLoopFuture<Void> {
    channel.eventLoop.makeCompletedFuture {
      let core = core
      let transport: TransportProtocol = secure ? .wss : .ws
      guard let local = Address(channel.localAddress), let remote = Address(channel.remoteAddress),
        core.admitConnection(from: remote.ip, on: transport)
      else { throw ChannelError.eof }
      let flow = Flow(id: core.nextID(), transport: transport, local: local, remote: remote)
      try? channel.syncOptions?.setOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2_048, maximum: 16_384))
      try? channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
      try? channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
      try channel.pipeline.syncOperations.addHandler(
        SIPConnection(
          flow: flow, isInbound: true, framing: .webSocket(maximumMessageSize: core.limits.maximumMessageSize),
          core: core))
    }
  }

  // MARK: From anywhere

  package func statistics() async -> SIPTransportStatistics {
    (try? await loop.submit { self.core.statistics }.get()) ?? SIPTransportStatistics()
  }

  /// Stops accepting, tells WebSockets 1001, waits for the connections to end, at most the close timeout, and closes
  /// what is left and the UDP sockets. Messages that arrive meanwhile are still delivered.
  package func shutdown() async {
    let timeout = configuration.limits.closeTimeout
    try? await loop.submit { self.core.beginShutdown() }.get()
    let deadline = Instant.now() + timeout
    while Instant.now() < deadline {
      guard let open = try? await loop.submit({ self.core.connectionCount }).get(), open > 0 else { break }
      try? await Task.sleep(for: .milliseconds(20))
    }
    try? await loop.submit { self.core.finishShutdown() }.get()
  }
}

extension TransportCore {
  /// The UDP socket to use towards `remote`: of its family, and bound to something that can reach it.
  func datagramListener(towards remote: Address) -> DatagramListener? {
    let family = datagramListeners.filter { $0.local.ip.isIPv6 == remote.ip.isIPv6 }
    return family.first { $0.local.ip.isUnspecified || $0.local.ip.isLoopback == remote.ip.isLoopback } ?? family.first
  }

  func streamListener(_ transport: TransportProtocol, towards remote: Address) -> Address? {
    let family = streamListeners.lazy.map(\.listener).filter {
      $0.transport == transport && $0.address.ip.isIPv6 == remote.ip.isIPv6
    }
    let fitting = family.first {
      $0.address.ip.isUnspecified || $0.address.ip.isLoopback == remote.ip.isLoopback
    }
    return (fitting ?? family.first)?.address
  }
}
