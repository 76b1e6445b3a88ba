import Core
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import SIP

/// The TCP and TLS connections that we open: one a destination, with a bounded queue while it is set up.
struct OutboundConnections {
  struct Key: Hashable {
    let transport: TransportProtocol
    let remote: Address

    init(_ transport: TransportProtocol, _ remote: Address) {
      self.transport = transport
      self.remote = remote
    }
  }

  let tls: TLSContextSource?
  /// Names to send and to check in TLS; without one the peer's certificate must name its address.
  var serverNames: [Address: String] = [:]
  var connections: [Key: SIPConnection] = [:]
  /// Messages that wait for a connection.
  fileprivate var queues: [Key: [[UInt8]]] = [:]

  init(tls: TLSContextSource?) {
    self.tls = tls
  }

  /// Forgets all attempts; `report` hears of each destination that had messages waiting.
  mutating func failAll(_ report: (Destination) -> Void) {
    for key in queues.keys { report(.address(key.transport, key.remote)) }
    queues = [:]
  }
}

extension TransportCore {
  /// Sends over the connection to `remote`, which is opened when there is none.
  func sendOutbound(_ bytes: [UInt8], _ transport: TransportProtocol, _ remote: Address) {
    let key = OutboundConnections.Key(transport, remote)
    if let connection = outbound.connections[key] { return connection.send(bytes) }
    if let waiting = outbound.queues[key]?.count {
      guard waiting < limits.connectQueueLimit else { return sendFailed(.address(transport, remote)) }
      outbound.queues[key]!.append(bytes)
      return
    }
    guard !isShutDown, connections.count < limits.maximumConnections, transport == .tcp || outbound.tls != nil else {
      return sendFailed(.address(transport, remote))
    }
    outbound.queues[key] = [bytes]
    connect(key)
  }

  private func connect(_ key: OutboundConnections.Key) {
    let box = NIOLoopBound(self, eventLoop: loop)
    ClientBootstrap(group: loop)
      .connectTimeout(.nanoseconds(limits.connectTimeout.nanoseconds))
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          guard key.transport == .tls, let tls = box.value.outbound.tls else { return }
          try channel.pipeline.syncOperations.addHandler(
            NIOSSLClientHandler(context: tls.current, serverHostname: box.value.outbound.serverNames[key.remote]))
        }
      }
      .connect(to: key.remote.nio)
      .flatMapThrowing { channel in try box.value.connected(channel, key) }
      .whenFailure { error in
        let core = box.value
        core.logger.info(
          "connection could not be opened",
          metadata: ["destination": "\(key.transport.rawValue) \(key.remote)", "error": "\(error)"])
        if core.outbound.queues.removeValue(forKey: key) != nil { core.sendFailed(.address(key.transport, key.remote)) }
      }
  }

  private func connected(_ channel: any Channel, _ key: OutboundConnections.Key) throws {
    guard let waiting = outbound.queues.removeValue(forKey: key) else {
      channel.close(promise: nil)
      return
    }
    let flow = Flow(
      id: nextID(), transport: key.transport, local: Address(channel.localAddress) ?? key.remote, remote: key.remote)
    let connection = SIPConnection(
      flow: flow, isInbound: false, framing: .stream(maximumMessageSize: limits.maximumMessageSize), core: self)
    outbound.connections[key] = connection
    try channel.pipeline.syncOperations.addHandler(connection)
    for bytes in waiting { connection.send(bytes) }
  }
}
