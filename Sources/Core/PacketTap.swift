/// Sees packets go by, for a recording. Called on the media worker that the packets live on, once a packet: an
/// implementation copies and returns; it neither locks, allocates nor waits.
package protocol PacketTap: AnyObject {
  /// One RTP packet, decrypted, as its sender made it. Lost packets that were retransmitted come late and in the form
  /// of the original. The memory is the caller's and gone after the call.
  func tap(rtp packet: UnsafeRawBufferPointer, arrival: Instant)
  /// One compound RTCP packet with a sender report of the same source: relates its timestamps to NTP time.
  func tap(rtcp packet: UnsafeRawBufferPointer, arrival: Instant)
}
