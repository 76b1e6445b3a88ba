import Core

/// A token bucket over packets: what one publisher may send. A value.
struct PacketBudget {
  private let rate: Double
  private let burst: Double
  private var tokens: Double
  private var last: Instant?

  /// - Parameter rate: Packets a second; half a second's worth may come at once.
  init(rate: Int) {
    self.rate = Double(max(rate, 1))
    burst = max(self.rate / 2, 1)
    tokens = burst
  }

  /// Whether one more packet may pass.
  mutating func admits(now: Instant) -> Bool {
    if let last, now > last { tokens = min(burst, tokens + (now - last).inSeconds * rate) }
    last = now
    guard tokens >= 1 else { return false }
    tokens -= 1
    return true
  }
}
