// MARK: The seam between packet transports and what consumes packets. Everything here stays on one media worker's thread.

/// Sends plain RTP and RTCP to one peer. Implemented by transports, which encrypt and batch.
package protocol PacketTransport: AnyObject {
  /// Queues one RTP packet. The bytes are copied; encryption and the system call happen before the worker's turn ends.
  func send(rtp packet: UnsafeRawBufferPointer)
  /// Queues one compound RTCP packet.
  func send(rtcp packet: UnsafeRawBufferPointer)
}

/// Takes authenticated, decrypted RTP and RTCP of one peer. The pointers are valid only during the call.
package protocol PacketReceiver: AnyObject {
  func receive(rtp packet: UnsafeRawBufferPointer, now: Instant)
  func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant)
}
