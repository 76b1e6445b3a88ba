import Core

/// Sequence numbers and timestamps of what one subscriber receives, whatever happens to the source: one space through
/// layer switches, drops, pauses, restarts and other sources. Pure arithmetic.
///
/// Sequence numbers keep the source's gaps (a loss upstream is a loss downstream, and may still be filled) and close over
/// what was dropped on purpose. Timestamps are the source's, shifted by an offset that each join sets anew.
struct Munger: Sendable {
  /// What one packet gets.
  struct Stamp: Hashable, Sendable {
    /// The low 16 bits go on the wire.
    var sequence: Int64
    var timestamp: UInt32
  }

  enum Verdict: Hashable, Sendable {
    case stamp(Stamp)
    /// Came before.
    case repeated
    /// Older than the source's beginning or the window.
    case tooOld
    /// The source's numbers jumped so far that it has to join anew.
    case discontinuity
  }

  /// A larger step forward of the source is no loss but a restart.
  static let maximumGap: Int64 = 600
  /// A timestamp that is that far from where the time that passed would put it belongs to another time line: seconds.
  static let maximumDrift: Int64 = 20

  /// Hertz.
  let clockRate: Int
  private(set) var numbers: NumberSpace<16>
  /// Ours minus the source's.
  private(set) var timestampOffset: UInt32
  /// The same as the sources' time lines would have it: packets that would have gone back in time were moved up, and the
  /// next source to join need not be.
  private(set) var alignedOffset: UInt32
  /// Of the newest picture or frame; the first one's before the first.
  private(set) var highestTimestamp: UInt32
  /// When it came; nil before the first packet.
  private(set) var highestAt: Instant?

  /// - Parameters:
  ///   - firstSequence: Random, below 2^15 by habit: old SRTP receivers lose a roll-over within the first packets.
  ///   - firstTimestamp: Random.
  init(firstSequence: UInt16, firstTimestamp: UInt32, clockRate: Int) {
    self.clockRate = clockRate
    numbers = NumberSpace(next: Int64(firstSequence))
    timestampOffset = 0
    alignedOffset = 0
    highestTimestamp = firstTimestamp
  }

  /// The highest sequence number so far, given out or kept free.
  var highestSequence: Int64 { numbers.highestOutput }

  /// A source joins at this packet, which is not numbered yet.
  ///
  /// - Parameters:
  ///   - aligned: Where the packet lies on our time line, if something knows (sender reports of both sources); nil puts it
  ///     by its time of arrival. It never goes back behind what was sent.
  ///   - gap: Sequence numbers that stay free: 1 tells the receiver that something is missing.
  mutating func join(sequence: Int64, timestamp: UInt32, aligned: UInt32?, gap: Int64 = 0, now: Instant) {
    numbers.join(sequence, gap: gap)
    guard let highestAt else {
      timestampOffset = (aligned ?? highestTimestamp) &- timestamp
      alignedOffset = timestampOffset
      return
    }
    let elapsed = units(now.nanoseconds &- highestAt.nanoseconds)
    var distance = elapsed
    if let aligned {
      distance = Int64(Int32(bitPattern: aligned &- highestTimestamp))
      // Sender reports that contradict the clock on the wall by seconds are wrong.
      if abs(distance - elapsed) > Self.maximumDrift * Int64(clockRate) / 4 { distance = elapsed }
    }
    let start = highestTimestamp &- timestamp
    alignedOffset = start &+ UInt32(truncatingIfNeeded: distance)
    timestampOffset = start &+ UInt32(truncatingIfNeeded: max(distance, 1))
  }

  /// Numbers a packet that goes through.
  mutating func forward(sequence: Int64, timestamp: UInt32, now: Instant) -> Verdict {
    let before = numbers.highestInput ?? sequence - 1
    if sequence > before {
      guard sequence - before <= Self.maximumGap else { return .discontinuity }
      if let highestAt {
        let step = Int64(Int32(bitPattern: timestamp &+ timestampOffset &- highestTimestamp))
        if step.magnitude > UInt64(clockRate * 4) {
          let drift = step - units(now.nanoseconds &- highestAt.nanoseconds)
          if drift.magnitude > UInt64(Self.maximumDrift) * UInt64(clockRate) { return .discontinuity }
        }
      }
    }
    switch numbers.forward(sequence) {
    case .output(let output):
      let ours = timestamp &+ timestampOffset
      if sequence > before, highestAt == nil || Int32(bitPattern: ours &- highestTimestamp) > 0 {
        highestTimestamp = ours
        highestAt = now
      }
      return .stamp(Stamp(sequence: output, timestamp: ours))
    case .repeated: return .repeated
    case .tooOld: return .tooOld
    }
  }

  /// A packet that does not go through.
  ///
  /// - Returns: For a late one the number that had been kept free for it, which nothing else will fill.
  @discardableResult
  mutating func drop(sequence: Int64) -> Int64? {
    // A jump of the numbers shows at the next packet that goes through.
    if let highest = numbers.highestInput, sequence - highest > Self.maximumGap { return nil }
    return numbers.drop(sequence)
  }

  /// Timestamp units in that many nanoseconds; 0 for negative ones.
  private func units(_ nanoseconds: Int64) -> Int64 {
    let ns = max(nanoseconds, 0)
    let rate = Int64(clockRate)
    return (ns / 1_000_000_000) &* rate &+ (ns % 1_000_000_000) * rate / 1_000_000_000
  }
}
