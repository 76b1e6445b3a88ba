import Core

/// A ceiling for a publisher that takes REMB and nothing better: by loss, over what comes in. A value a peer.
///
/// Such peers do not count transport-wide; delay is left to their own controller.
struct ReceivedBandwidth {
  static let interval = Duration.milliseconds(1_000)
  static let minimum = 150_000.0
  static let maximum = 10_000_000.0

  private var ceiling: Double
  private var octets = 0
  private var expected = 0
  private var lost = 0
  private var lastUpdate: Instant?

  /// - Parameter initial: Bits a second.
  init(initial: Double = 1_500_000) { ceiling = initial }

  mutating func receive(octets count: Int) { octets &+= count }

  /// - Parameters:
  ///   - expected: Packets of all streams so far, by their sequence numbers.
  ///   - lost: Of these.
  /// - Returns: Bits a second to tell the publisher, when it is time.
  mutating func update(expected total: Int, lost totalLost: Int, now: Instant) -> UInt64? {
    guard let last = lastUpdate else {
      lastUpdate = now
      return nil
    }
    let elapsed = now - last
    guard elapsed >= Self.interval else { return nil }
    lastUpdate = now
    let rate = Double(octets) * 8 / elapsed.inSeconds
    let packets = total - expected
    let share = packets > 0 ? Double(max(0, totalLost - lost)) / Double(packets) : 0
    octets = 0
    expected = total
    lost = totalLost
    // The loss-based rule of draft-ietf-rmcat-gcc-02 §6: above 10 % down, below 2 % up.
    if share > 0.10 {
      ceiling = min(ceiling, max(rate, Self.minimum)) * (1 - 0.5 * share)
    } else if share < 0.02, rate > ceiling * 0.5 {
      ceiling *= 1.08
    }
    ceiling = min(max(ceiling, Self.minimum), Self.maximum)
    return UInt64(ceiling)
  }
}
