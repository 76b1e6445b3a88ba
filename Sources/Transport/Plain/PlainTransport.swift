package import Core

/// RTP/AVP to one peer over a pair of UDP sockets, or one where RTCP is multiplexed (RFC 5761). Worker-confined.
package final class PlainTransport: PacketTransport, DatagramConsumer {
  private static let rtpTag = 0
  private static let rtcpTag = 1

  private let worker: MediaWorker
  private let ports: PortAllocator
  private let rtpSocket: UDPSocket
  private let rtcpSocket: UDPSocket
  private let rtpSink = DatagramSink()
  private let rtcpSink = DatagramSink()
  private var watches: [UInt64] = []
  private var latch = SourceLatch()
  /// Where SDP says that RTCP comes from.
  private var announcedRTCP: SocketAddress?
  private var lockedRTCP: SocketAddress?
  private var isMuxed = false
  /// False while the peer's port is 0 or its address unspecified: nothing is sent.
  private var sends = false
  private var counters = TransportStatistics()
  private var isClosed = false

  /// Takes packets. Not kept alive.
  package weak var receiver: (any PacketReceiver)?
  /// Called when the peer's RTP source is learned, with the address that packets now go to.
  package var onSourceLocked: ((SocketAddress) -> Void)?

  /// Binds an even port for RTP and the next one for RTCP. Pairs that another program holds are passed over.
  package init(worker: MediaWorker, bind address: IPAddress, ports: PortAllocator) throws(TransportError) {
    assert(worker.isCurrent)
    self.worker = worker
    self.ports = ports
    (rtpSocket, rtcpSocket) = try PlainTransport.bindPair(address, ports)
    rtpSink.descriptor = rtpSocket.descriptor
    rtcpSink.descriptor = rtcpSocket.descriptor
    do throws(TransportError) {
      watches = [try worker.watch(rtpSocket.descriptor, tag: PlainTransport.rtpTag, consumer: self)]
      watches.append(try worker.watch(rtcpSocket.descriptor, tag: PlainTransport.rtcpTag, consumer: self))
    } catch {
      shutDown()
      throw error
    }
  }

  deinit { shutDown() }

  private static func bindPair(
    _ address: IPAddress, _ ports: PortAllocator
  ) throws(TransportError) -> (UDPSocket, UDPSocket) {
    while true {
      let even = try ports.allocatePair()
      do throws(TransportError) {
        let rtp = try UDPSocket(binding: SocketAddress(ip: address, port: even))
        let rtcp = try UDPSocket(binding: SocketAddress(ip: address, port: even + 1))
        return (rtp, rtcp)
      } catch {
        // Released with its reuse delay, so each turn of this loop meets another pair until none is left.
        ports.releasePair(even)
        guard error.isAddressInUse else { throw error }
      }
    }
  }

  package var localRTPPort: UInt16 { rtpSocket.local.port }
  package var localRTCPPort: UInt16 { isMuxed ? rtpSocket.local.port : rtcpSocket.local.port }

  /// The source that the peer's RTP is locked to; nil before.
  package var lockedSource: SocketAddress? { latch.locked }

  package var statistics: TransportStatistics {
    var all = counters
    all.packetsNotSent &+= rtpSink.failures &+ rtcpSink.failures
    return all
  }

  // MARK: Addresses

  /// What the peer's SDP says. The same values again change nothing; another RTP address opens learning anew.
  /// - Parameters:
  ///   - rtp: Nil for port 0: nothing is sent until the next call. An unspecified address (`c=0.0.0.0`) is the same.
  ///   - rtcp: Nil for the port above RTP's (RFC 3550 §11).
  ///   - muxed: RTCP goes over the RTP port, both ways.
  package func setRemote(rtp: SocketAddress?, rtcp: SocketAddress?, muxed: Bool) {
    guard !isClosed else { return }
    isMuxed = muxed
    guard let rtp, rtp.port != 0, !rtp.ip.isUnspecified else {
      sends = false
      return
    }
    sends = true
    latch.expect(rtp)
    let signalled = rtcp ?? SocketAddress(ip: rtp.ip, port: rtp.port == .max ? .max : rtp.port + 1)
    if signalled != announcedRTCP {
      announcedRTCP = signalled
      lockedRTCP = nil
    }
    aim()
  }

  /// Packets go where the peer's come from, else where its SDP says.
  private func aim() {
    if let rtp = latch.locked ?? latch.announced, let target = kernelAddress(rtp) { rtpSink.destination = target }
    guard let announcedRTCP else { return }
    var rtcp = lockedRTCP ?? announcedRTCP
    if lockedRTCP == nil, let locked = latch.locked, let announced = latch.announced, locked != announced,
      rtcp.ip == announced.ip
    {
      // Behind NAT the announced RTCP address is as wrong as the RTP one was; the next port is the best guess.
      rtcp = SocketAddress(ip: locked.ip, port: locked.port == .max ? .max : locked.port + 1)
    }
    if let target = kernelAddress(rtcp) { rtcpSink.destination = target }
  }

  /// Nil for an address of the other family than our socket's.
  private func kernelAddress(_ address: SocketAddress) -> SocketStorage? {
    address.ip.isIPv6 == rtpSocket.local.ip.isIPv6 ? SocketStorage(address) : nil
  }

  // MARK: Packets in

  func receive(datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, tag: Int, now: Instant) {
    guard !isClosed, let source = SocketAddress(kernel: source) else { return }
    let packet = UnsafeRawBufferPointer(datagram)
    switch PacketKind(packet) {
    case .rtp where tag == PlainTransport.rtpTag:
      guard RTPFields.headerLength(packet) != nil else { return counters.rejected.malformed &+= 1 }
      switch latch.judge(
        source: source, ssrc: RTPFields.uint32(packet, at: 8), sequence: RTPFields.uint16(packet, at: 2), now: now)
      {
      case .accepted: break
      case .locked:
        aim()
        onSourceLocked?(source)
      case .probation: return counters.rejected.early &+= 1
      case .refused: return counters.rejected.foreign &+= 1
      }
      counters.packetsReceived &+= 1
      counters.bytesReceived &+= UInt64(packet.count)
      receiver?.receive(rtp: packet, now: now)
    case .rtcp:
      guard acceptsRTCP(from: source, tag: tag) else { return counters.rejected.foreign &+= 1 }
      counters.packetsReceived &+= 1
      counters.bytesReceived &+= UInt64(packet.count)
      receiver?.receive(rtcp: packet, now: now)
    case .rtp, .stun, .dtls, .turnChannel, .unknown: counters.rejected.malformed &+= 1
    }
  }

  /// Multiplexed RTCP comes from the RTP source. Else it comes from the host that RTP is locked to, or that SDP
  /// announced, and its first port is locked too.
  private func acceptsRTCP(from source: SocketAddress, tag: Int) -> Bool {
    if tag == PlainTransport.rtpTag { return source == latch.locked ?? latch.announced }
    if let lockedRTCP { return source == lockedRTCP }
    guard source == announcedRTCP || source.ip == (latch.locked ?? latch.announced)?.ip else { return false }
    lockedRTCP = source
    aim()
    return true
  }

  // MARK: Packets out

  package func send(rtp packet: UnsafeRawBufferPointer) { send(packet, to: rtpSink) }

  package func send(rtcp packet: UnsafeRawBufferPointer) { send(packet, to: isMuxed ? rtpSink : rtcpSink) }

  private func send(_ packet: UnsafeRawBufferPointer, to sink: DatagramSink) {
    guard sends, sink.isReady, let base = packet.baseAddress, packet.count <= SendQueue.maximumPacket else {
      counters.packetsNotSent &+= 1
      return
    }
    worker.sendQueue.reserve(packet.count).copyMemory(from: base, byteCount: packet.count)
    worker.sendQueue.commit(packet.count, to: sink)
    counters.packetsSent &+= 1
    counters.bytesSent &+= UInt64(packet.count)
  }

  // MARK: End

  /// Sends what is queued, closes the sockets and gives the ports back. Calling it again changes nothing.
  package func close() {
    guard !isClosed else { return }
    receiver = nil
    onSourceLocked = nil
    shutDown()
  }

  private func shutDown() {
    guard !isClosed else { return }
    isClosed = true
    worker.sendQueue.flush()
    rtpSink.descriptor = -1
    rtcpSink.descriptor = -1
    for watch in watches { worker.poll.remove(watch) }
    watches = []
    ports.releasePair(rtpSocket.local.port)
  }
}
