/// Bounds of the timestamp rates that the arithmetic here is made for, in hertz: RTP's audio and video clocks lie well
/// inside (RFC 3551 §6).
enum ClockRate {
  static let bounds = 1_000...384_000

  static func clamp(_ rate: Int) -> Int { min(max(rate, bounds.lowerBound), bounds.upperBound) }
}
