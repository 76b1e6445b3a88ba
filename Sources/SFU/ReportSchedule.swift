import Core

/// When reports of one peer connection are due (RFC 3550 §6.2 with the intervals that browsers use). A value.
struct ReportSchedule {
  /// Receiver and sender reports about video.
  static let interval = Duration.milliseconds(1_000)
  /// Sender reports are few at first: two of each stream soon let the receiver align audio and video.
  static let earlyInterval = Duration.milliseconds(250)
  private static let earlyReports = 4

  private var next: Instant?
  private var made = 0

  init() {}

  /// There is something new to report: a stream began.
  mutating func hasten(now: Instant) {
    made = 0
    let soon = now + .milliseconds(20)
    next = next.map { min($0, soon) } ?? soon
  }

  mutating func isDue(now: Instant, random: inout SeededRandom) -> Bool {
    guard let next else {
      self.next = now + Self.interval / 2
      return false
    }
    guard now >= next else { return false }
    let mean = made < Self.earlyReports ? Self.earlyInterval : Self.interval
    made += 1
    self.next = now + mean * Double.random(in: 0.75...1.25, using: &random)
    return true
  }
}
