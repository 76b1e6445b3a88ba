import Core

/// How busy a media worker is, from the CPU time of its thread. A pure value.
struct WorkerLoad {
  private static let period = Duration.seconds(1)
  private var begin: (at: Instant, busy: Duration)?

  /// - Parameter busy: CPU time since the start.
  /// - Returns: The share of a core that the last period took, once a period.
  mutating func update(busy: () -> Duration, now: Instant) -> Double? {
    guard let begin else {
      begin = (now, busy())
      return nil
    }
    let passed = now - begin.at
    guard passed >= Self.period else { return nil }
    let total = busy()
    self.begin = (now, total)
    return (total - begin.busy) / passed
  }
}

/// Whether a worker takes more participants: not while it was above the limit in each of the last periods.
struct LoadGate {
  private static let periods = 3
  private var above = 0
  /// Of the last period.
  private(set) var share = 0.0

  var isOpen: Bool { above < Self.periods }

  mutating func update(_ share: Double, limit: Double) {
    self.share = share
    above = share > limit ? min(above + 1, Self.periods) : 0
  }
}
