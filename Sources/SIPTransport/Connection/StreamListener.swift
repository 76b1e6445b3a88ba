import Core
import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import SIP

/// Listens for TCP or TLS connections and makes each a `SIPConnection`.
enum StreamListener {
  /// Must be called on the core's event loop.
  static func open(
    _ transport: TransportProtocol, _ address: Address, tls: TLSContextSource?, core: TransportCore
  ) -> EventLoopFuture<BoundListener> {
    let box = NIOLoopBound(core, eventLoop: core.loop)
    let bootstrap = ServerBootstrap(group: core.loop)
      .serverChannelOption(.backlog, value: 1_024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.socketOption(.so_keepalive), value: 1)
      .childChannelOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2_048, maximum: 16_384)
      )
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try accept(channel, transport, tls, box.value) }
      }
    let only6 =
      address.ip.isIPv6
      ? bootstrap.serverChannelOption(
        ChannelOptions.Types.SocketOption(level: .ipv6, name: .init(rawValue: IPV6_V6ONLY)), value: 1) : bootstrap
    return only6.bind(to: address.nio).map { channel in
      let listener = BoundListener(transport: transport, address: Address(channel.localAddress) ?? address)
      box.value.streamListeners.append((listener, channel))
      return listener
    }.flatMapErrorThrowing { error in
      throw SIPTransportError(.bind, "\(transport.rawValue) \(address): \(error)")
    }
  }

  /// A throw closes the connection.
  private static func accept(
    _ channel: any Channel, _ transport: TransportProtocol, _ tls: TLSContextSource?, _ core: TransportCore
  ) throws {
    guard let local = Address(channel.localAddress), let remote = Address(channel.remoteAddress),
      core.admitConnection(from: remote.ip, on: transport)
    else { throw ChannelError.eof }
    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.current)) }
    let flow = Flow(id: core.nextID(), transport: transport, local: local, remote: remote)
    try channel.pipeline.syncOperations.addHandler(
      SIPConnection(
        flow: flow, isInbound: true, framing: .stream(maximumMessageSize: core.limits.maximumMessageSize), core: core))
  }
}
