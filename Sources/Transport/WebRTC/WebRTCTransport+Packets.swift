internal import Core

// The packet path of a transport: no allocation, no lock, no log.
extension WebRTCTransport {
  /// Called from inside libnice with what is not STUN.
  func receive(_ datagram: UnsafeMutableRawBufferPointer) {
    guard !isClosed else { return }
    let raw = UnsafeRawBufferPointer(datagram)
    let kind = PacketKind(raw)
    switch kind {
    case .rtp, .rtcp: receiveMedia(datagram, isRTCP: kind == .rtcp)
    case .dtls: receive(dtls: raw)
    case .stun, .turnChannel, .unknown: counters.rejected.malformed &+= 1
    }
  }

  /// From our own socket beside libnice's.
  func receive(datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, tag: Int, now: Instant) {
    receive(datagram)
  }

  private func receiveMedia(_ datagram: UnsafeMutableRawBufferPointer, isRTCP: Bool) {
    guard unprotector != nil else {
      counters.rejected.early &+= 1
      return
    }
    let result = isRTCP ? unprotector?.unprotect(rtcp: datagram) : unprotector?.unprotect(rtp: datagram)
    switch result {
    case .done(let length):
      counters.packetsReceived &+= 1
      counters.bytesReceived &+= UInt64(datagram.count)
      let packet = UnsafeRawBufferPointer(start: datagram.baseAddress, count: length)
      if isRTCP {
        receiver?.receive(rtcp: packet, now: worker.now)
      } else {
        receiver?.receive(rtp: packet, now: worker.now)
      }
    case .authenticationFailed: counters.rejected.authentication &+= 1
    case .replayed: counters.rejected.replayed &+= 1
    case .malformed: counters.rejected.malformed &+= 1
    case nil: counters.rejected.foreign &+= 1
    }
  }

  package func send(rtp packet: UnsafeRawBufferPointer) { send(packet, isRTCP: false) }

  package func send(rtcp packet: UnsafeRawBufferPointer) { send(packet, isRTCP: true) }

  @inline(__always)
  private func send(_ packet: UnsafeRawBufferPointer, isRTCP: Bool) {
    // 20 bytes hold the longest trailer: a 16-byte tag and the SRTCP index.
    guard sender != nil, sink.isReady, let base = packet.baseAddress, packet.count <= SendQueue.maximumPacket - 20
    else {
      counters.packetsNotSent &+= 1
      return
    }
    let slot = worker.sendQueue.reserve(packet.count + 20)
    slot.copyMemory(from: base, byteCount: packet.count)
    let length =
      isRTCP ? sender?.protect(rtcp: slot, length: packet.count) : sender?.protect(rtp: slot, length: packet.count)
    guard let length else {
      counters.packetsNotSent &+= 1
      return
    }
    worker.sendQueue.commit(length, to: sink)
    counters.packetsSent &+= 1
    counters.bytesSent &+= UInt64(length)
  }
}
