import Core

/// Which packets of one stream are missing and when to ask for them (RFC 4585 §6.2.1). A value; numbers are extended.
struct NackGenerator {
  struct Limits {
    /// Missing packets remembered at once. A larger gap is no loss that retransmission could mend.
    var maximumMissing = 512
    var maximumTries = 10
    /// A packet older than that comes too late for every jitter buffer.
    var maximumAge = Duration.milliseconds(1_500)
    /// Before any answer was timed.
    var initialRoundTrip = Duration.milliseconds(100)
    /// Between two requests for one packet at least.
    var minimumInterval = Duration.milliseconds(20)
  }

  /// What a packet's number said.
  enum Verdict {
    case inOrder
    /// Packets before it are missing.
    case gap
    /// It had been missing.
    case recovered
    /// Older than everything and not asked for: reordered beyond the window, or a copy.
    case late
    /// So much is missing at once that the list was given up: ask for a key frame.
    case overflow
  }

  private struct Missing {
    var sequence: Int64
    var since: Instant
    var asked: Instant
    var tries: Int
  }

  let limits: Limits
  /// By rising number.
  private var missing: [Missing] = []
  private(set) var highest: Int64?
  /// Smoothed time from request to answer; nil before the first answer to a first request.
  private(set) var roundTrip: Duration?
  /// Numbers asked for, repetitions included.
  private(set) var requested = 0
  private(set) var recovered = 0
  /// Never came, whatever was asked.
  private(set) var abandoned = 0

  init(limits: Limits = Limits()) { self.limits = limits }

  var missingCount: Int { missing.count }

  mutating func receive(_ sequence: Int64, now: Instant) -> Verdict {
    guard let highest else {
      self.highest = sequence
      return .inOrder
    }
    if sequence == highest + 1 {
      self.highest = sequence
      return .inOrder
    }
    if sequence > highest {
      self.highest = sequence
      let count = sequence - highest - 1
      guard count + Int64(missing.count) <= Int64(limits.maximumMissing) else {
        abandoned += missing.count
        missing.removeAll(keepingCapacity: true)
        return .overflow
      }
      for number in (highest + 1)..<sequence {
        missing.append(Missing(sequence: number, since: now, asked: now, tries: 0))
      }
      return .gap
    }
    guard let index = position(of: sequence) else { return .late }
    let entry = missing[index]
    // Only answers to a single request can be timed (Karn).
    if entry.tries == 1 { time(now - entry.asked) }
    if entry.tries > 0 { recovered += 1 }
    missing.remove(at: index)
    return .recovered
  }

  private func position(of sequence: Int64) -> Int? {
    var low = 0
    var high = missing.count
    while low < high {
      let middle = (low + high) / 2
      if missing[middle].sequence < sequence { low = middle + 1 } else { high = middle }
    }
    return low < missing.count && missing[low].sequence == sequence ? low : nil
  }

  private mutating func time(_ sample: Duration) {
    guard sample >= .zero, sample < .seconds(2) else { return }
    roundTrip = roundTrip.map { $0 * 7 / 8 + sample / 8 } ?? sample
  }

  /// What is to be asked for now, by rising number, appended to `lost` (cut to 16 bits). Gives up what is too old.
  mutating func collect(into lost: inout [UInt16], now: Instant) {
    guard !missing.isEmpty else { return }
    let interval = max((roundTrip ?? limits.initialRoundTrip) * 5 / 4, limits.minimumInterval)
    var kept = 0
    for index in 0..<missing.count {
      var entry = missing[index]
      if entry.tries >= limits.maximumTries || now - entry.since > limits.maximumAge {
        abandoned += 1
        continue
      }
      if entry.tries == 0 || now - entry.asked >= interval {
        entry.tries += 1
        entry.asked = now
        requested += 1
        lost.append(UInt16(truncatingIfNeeded: entry.sequence))
      }
      missing[kept] = entry
      kept += 1
    }
    missing.removeLast(missing.count - kept)
  }

  /// The track was muted, or a key frame made what is missing worthless.
  mutating func giveUp() {
    abandoned += missing.count
    missing.removeAll(keepingCapacity: true)
  }
}
