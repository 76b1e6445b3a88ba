internal import Core

// The packet path of a transport: no allocation, no lock, no log.
extension WebRTCTransport {
  /// Called from inside libnice with what is not STUN.
  func receive(_ datagram: UnsafeMutableRawBufferPointer) {
    guard !isClosed else { return }
    association.receive(datagram, now: worker.now)
  }

  /// From our own socket beside libnice's.
  func receive(datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, tag: Int, now: Instant) {
    guard !isClosed else { return }
    association.receive(datagram, now: now)
  }

  package func send(rtp packet: UnsafeRawBufferPointer) { association.send(packet, isRTCP: false, to: sink) }

  package func send(rtcp packet: UnsafeRawBufferPointer) { association.send(packet, isRTCP: true, to: sink) }
}
