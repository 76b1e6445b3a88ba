/// What one transport sent, took and refused since it was made. Counters wrap never in practice (64 bits).
package struct TransportStatistics: Sendable, Hashable {
  /// RTP and RTCP packets handed to the kernel or to the relay, and their bytes on the wire without IP and UDP headers.
  package var packetsSent: UInt64 = 0
  package var bytesSent: UInt64 = 0
  /// Packets that could not be sent: before keys or an address were known, too long, or refused by the kernel.
  package var packetsNotSent: UInt64 = 0
  /// RTP and RTCP packets delivered to the receiver, and their bytes on the wire.
  package var packetsReceived: UInt64 = 0
  package var bytesReceived: UInt64 = 0
  package var rejected = RejectedPackets()

  package init() {}
}

/// Datagrams that were dropped, by reason.
package struct RejectedPackets: Sendable, Hashable {
  /// The SRTP authentication tag was wrong.
  package var authentication: UInt64 = 0
  /// Already seen, or older than the replay window (RFC 3711 §3.3.2).
  package var replayed: UInt64 = 0
  /// Neither RTP, RTCP, DTLS nor STUN, or cut short.
  package var malformed: UInt64 = 0
  /// Media before the peer was authenticated, or DTLS before ICE and SDP were ready for it.
  package var early: UInt64 = 0
  /// From another source than the locked one (RTP bleed), or more SSRCs than one peer may use.
  package var foreign: UInt64 = 0

  package init() {}

  /// All of them.
  package var total: UInt64 { authentication &+ replayed &+ malformed &+ early &+ foreign }
}
