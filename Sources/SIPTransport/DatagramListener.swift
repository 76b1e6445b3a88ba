import Core
import Glibc
import Logging
import NIOCore
import NIOPosix
import SIP

/// One UDP socket: datagrams in through `recvmmsg`, out by a `sendto` of our own.
///
/// Writing past NIO saves its pending-write bookkeeping and tells at once when the kernel refuses an address. When the
/// socket's buffer is full the datagram is dropped, as any router on its way might do; SIP sends it again.
final class DatagramListener: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>

  /// Datagrams fetched by one system call.
  static let batch = 16

  let id: UInt64
  let local: Address
  private let core: TransportCore
  /// Valid until NIO closes it.
  private let descriptor: CInt
  private let channel: any Channel
  private var isOpen = true

  private init(id: UInt64, local: Address, core: TransportCore, descriptor: CInt, channel: any Channel) {
    self.id = id
    self.local = local
    self.core = core
    self.descriptor = descriptor
    self.channel = channel
  }

  /// Binds a socket and starts to read. Must be called on the core's event loop.
  static func open(_ address: Address, core: TransportCore) -> EventLoopFuture<BoundListener> {
    let descriptor: CInt
    do {
      descriptor = try bindSocket(address)
    } catch {
      return core.loop.makeFailedFuture(error)
    }
    let local = Address(ownAddressOf: descriptor) ?? address
    let box = NIOLoopBound(core, eventLoop: core.loop)
    return DatagramBootstrap(group: core.loop)
      .channelOption(.datagramVectorReadMessageCount, value: batch)
      // A full-sized datagram must fit into its share; only the pages that are used become resident.
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: batch * 65_536))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let core = box.value
          let listener = DatagramListener(
            id: core.nextID(), local: local, core: core, descriptor: descriptor, channel: channel)
          core.datagramListeners.append(listener)
          try channel.pipeline.syncOperations.addHandler(listener)
        }
      }
      .withBoundSocket(descriptor)
      .map { _ in BoundListener(transport: .udp, address: local) }
  }

  private static func bindSocket(_ address: Address) throws(SIPTransportError) -> CInt {
    func failure(_ what: String) -> SIPTransportError {
      SIPTransportError(.bind, "UDP \(address): \(what): \(String(cString: strerror(errno)))")
    }
    let descriptor = socket(
      address.ip.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw failure("socket") }
    var on: CInt = 1
    if address.ip.isIPv6 {
      setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, socklen_t(MemoryLayout<CInt>.size))
    }
    // Room for a burst while the loop is busy; the kernel caps it at net.core.rmem_max.
    var size: CInt = 4 << 20
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
    guard address.withSockaddr({ Glibc.bind(descriptor, $0, $1) }) == 0 else {
      let error = failure("bind")
      Glibc.close(descriptor)
      throw error
    }
    return descriptor
  }

  // MARK: In

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    guard let remote = Address(envelope.remoteAddress) else { return }
    let buffer = envelope.data
    core.count(bytesIn: buffer.readableBytes, on: .udp)
    guard core.limiter.takeMessage(from: remote.ip, now: .now()) == nil else {
      core.refuse(.messageRate, from: remote.ip, on: .udp)
      return
    }
    let bytes = [UInt8](buffer.readableBytesView)
    // A keep-alive that holds a NAT binding open; on UDP it is not answered (RFC 5626 §4.4.1 answers streams only).
    if bytes.count <= 8, SIPParser.isKeepAlive(bytes) { return }
    let flow = Flow(id: id, transport: .udp, local: local, remote: remote)
    do throws(SIPParseError) {
      core.received(try SIPParser.parse(datagram: bytes, limits: core.sipLimits), on: flow)
    } catch {
      if error.kind == .empty { return }
      if let answer = core.answer(malformed: error, on: flow) { send(answer, to: remote) }
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // A datagram's error (an ICMP message, a truncated read) concerns that datagram only.
    core.logger.debug("UDP socket error", metadata: ["local": "\(local)", "error": "\(error)"])
  }

  func channelInactive(context: ChannelHandlerContext) {
    isOpen = false
    context.fireChannelInactive()
  }

  // MARK: Out

  /// - Returns: whether the kernel took the datagram, or dropped it for want of room.
  @discardableResult
  func send(_ bytes: [UInt8], to remote: Address) -> Bool {
    guard isOpen else { return false }
    let result = remote.withSockaddr { address, length in
      bytes.withUnsafeBytes { sendto(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT), address, length) }
    }
    if result < 0, errno != EAGAIN, errno != ENOBUFS, errno != EINTR { return false }
    core.count(sent: bytes.count, on: .udp)
    return true
  }

  func close() {
    isOpen = false
    channel.close(promise: nil)
  }
}

extension Core.SocketAddress {
  /// What the kernel says a socket is bound to.
  init?(ownAddressOf descriptor: CInt) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutableBytes(of: &storage) {
      getsockname(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    guard result == 0, let own = withUnsafeBytes(of: storage, { Self(sockaddr: $0) }) else { return nil }
    self = own
  }
}
