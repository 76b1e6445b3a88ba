import Core

/// What a packet is to the pacer: the order in which packets leave when not all can.
enum PacketKind: UInt8, Sendable {
  /// Sent at once, whatever the budget.
  case audio
  /// Answers to NACKs.
  case retransmission
  case video
  /// Sent only to learn what the path carries.
  case padding
}

/// A packet that stands in a buffer, ready but for its transport-wide sequence number.
struct BuiltPacket: Hashable, Sendable {
  /// Bytes from the buffer's start.
  var length: Int
  /// Where the two bytes of the transport-wide sequence number lie; 0 where the packet has no such extension.
  var transportSequenceOffset: Int

  init(length: Int, transportSequenceOffset: Int = 0) {
    self.length = length
    self.transportSequenceOffset = transportSequenceOffset
  }
}

/// What a peer's sender needs of a consumer. Packets wait as (consumer, sequence) and are built when they leave.
protocol PacedConsumer: AnyObject {
  var id: ConsumerID { get }
  /// Builds the packet with that output sequence number from the producer's history: as it is, or wrapped as a
  /// retransmission (RFC 4588) with the next number of the retransmission stream.
  ///
  /// - Returns: nil when the history no longer has it.
  func write(
    _ sequence: UInt16, isRetransmission: Bool, into buffer: UnsafeMutableRawBufferPointer, now: Instant
  ) -> BuiltPacket?
  /// Builds something of about `bytes` bytes that the receiver does not need: a recent packet on the retransmission
  /// stream, or padding alone (RFC 4588 §3; at most 255 bytes of it).
  ///
  /// - Returns: nil without a retransmission stream.
  func writePadding(_ bytes: Int, into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> BuiltPacket?
  /// The pacer gave up video packets of this consumer: what follows cannot be decoded before a key frame.
  func pacerDropped(now: Instant)
  /// What this consumer would take of the peer's bandwidth.
  var demand: BandwidthDemand { get }
  /// What the allocator settled on.
  func setTarget(_ target: LayerTarget, now: Instant)
  /// Audio: whether redundancy (RFC 2198) may be sent. It is half of what audio takes, and a picture may need it more.
  func setRedundancy(_ isAllowed: Bool)
}
