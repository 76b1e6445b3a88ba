package import Core

/// Learns once which address a peer's RTP comes from, then holds on to it (symmetric RTP, RFC 4961; against "RTP bleed").
///
/// The address that SDP announced is believed at its first packet. Another one, as behind NAT, has to send two
/// consecutive packets of one SSRC; if the announced one speaks up within `preference` it wins after all. From then on
/// every other source is refused until `expect` is called with another address.
package struct SourceLatch: Sendable {
  package enum Verdict: Sendable, Hashable {
    /// From the locked source.
    case accepted
    /// From the source that has just been locked.
    case locked
    /// May become the source; not to be delivered.
    case probation
    case refused
  }

  /// What SDP announced.
  package private(set) var announced: SocketAddress?
  /// Where packets come from.
  package private(set) var locked: SocketAddress?
  private var lockedAt = Instant.zero
  private var candidate: (source: SocketAddress, ssrc: UInt32, sequence: UInt16)?

  /// So long after locking another source the announced one may still take over.
  package static let preference = Duration.seconds(2)

  package init() {}

  /// The peer's announced address, from SDP. The same one again changes nothing; another one, or the first, opens
  /// learning.
  package mutating func expect(_ address: SocketAddress) {
    guard address != announced else { return }
    announced = address
    if locked == address { return }
    locked = nil
    candidate = nil
  }

  /// Judges a packet with a valid RTP header.
  package mutating func judge(source: SocketAddress, ssrc: UInt32, sequence: UInt16, now: Instant) -> Verdict {
    if source == locked { return .accepted }
    guard let announced else { return .refused }
    if source == announced, locked == nil || lockedAt.duration(to: now) <= SourceLatch.preference {
      lock(source, now)
      return .locked
    }
    guard locked == nil else { return .refused }
    if let candidate, candidate.source == source, candidate.ssrc == ssrc, sequence == candidate.sequence &+ 1 {
      lock(source, now)
      return .locked
    }
    candidate = (source, ssrc, sequence)
    return .probation
  }

  private mutating func lock(_ source: SocketAddress, _ now: Instant) {
    locked = source
    lockedAt = now
    candidate = nil
  }
}
