import Core
import RTP

/// Sends everything that goes to one peer: numbers it transport-wide, estimates what the path carries, paces, and
/// shares the bandwidth out between the consumers. Confined to the worker's thread.
///
/// A consumer with a packet in hand asks `admits(_:bytes:now:)`. If so it builds the packet in `buffer` and calls
/// `transmit`; if not it calls `enqueue` and builds it later, when `write(_:isRetransmission:into:now:)` is called.
final class PeerSender {
  let transport: any PacketTransport
  private(set) var mode: BandwidthMode
  /// Where consumers build packets; one for all peers of a router.
  let buffer: UnsafeMutableRawBufferPointer

  /// - Parameter buffer: At least 1,500 bytes, outlives the sender, shared by the peers of a router.
  init(
    transport: any PacketTransport, mode: BandwidthMode = .none, buffer: UnsafeMutableRawBufferPointer, now: Instant
  ) {
    self.transport = transport
    self.mode = mode
    self.buffer = buffer
  }

  /// What offer and answer settled for the packets that we send.
  func configure(mode: BandwidthMode, now: Instant) { self.mode = mode }

  // MARK: Consumers

  /// - Returns: The slot that names the consumer in `transmit` and `enqueue`.
  func attach(_ consumer: any PacedConsumer, now: Instant) -> Int { 0 }
  /// Its queued packets are dropped.
  func detach(_ slot: Int, now: Instant) {}
  /// A consumer's demand changed (preferences, mute, speaker): allocate at the next tick.
  func demandChanged() {}

  // MARK: Packets

  /// Whether a packet may leave now; if not, `enqueue` it. Always true for audio and where nothing is estimated.
  func admits(_ kind: PacketKind, bytes: Int, now: Instant) -> Bool { true }

  /// Sends what stands in `buffer`.
  func transmit(_ packet: BuiltPacket, kind: PacketKind, now: Instant) {
    transport.send(rtp: UnsafeRawBufferPointer(rebasing: buffer[..<packet.length]))
  }

  /// Queues a packet by its output sequence number. `bytes` is its length (roughly).
  func enqueue(_ slot: Int, sequence: UInt16, bytes: Int, kind: PacketKind, now: Instant) {}

  // MARK: What the receiver reports

  func receive(_ feedback: TransportFeedback, now: Instant) {}
  /// A REMB in bits a second.
  func receive(maximumBitrate: UInt64, now: Instant) {}
  /// Report blocks on our streams.
  func receive(_ blocks: [ReportBlock], now: Instant) {}
  /// A round trip measured from a report block.
  func receive(roundTrip: Duration) {}

  // MARK: Time

  /// Drains the queue, probes, allocates. Every 5 ms.
  func tick(now: Instant) {}

  /// Bits a second; nil where nothing is known.
  var targetBitrate: Int? { nil }
}
