import Core

/// Whether we send much less than the estimate (the application-limited region): then what the receiver gets says
/// nothing of the path, and only a probe can.
struct ApplicationLimit: Sendable {
  private static let window = Duration.milliseconds(500)
  private static let enter = 0.65
  private static let leave = 0.8

  /// Since when; nil while we send about what we may.
  private(set) var since: Instant?
  /// Sent over the last window, bits a second.
  private(set) var sentBitrate = 0
  private var bytes = 0
  private var windowStart: Instant?

  init() {}

  mutating func sent(bytes count: Int) { bytes &+= count }

  mutating func update(target: Int, now: Instant) {
    guard let start = windowStart else {
      windowStart = now
      return
    }
    let elapsed = now - start
    guard elapsed >= Self.window else { return }
    sentBitrate = Int(Double(bytes) * 8 / elapsed.inSeconds)
    bytes = 0
    windowStart = now
    let share = Double(sentBitrate) / Double(max(target, 1))
    if share < Self.enter {
      if since == nil { since = now }
    } else if share > Self.leave {
      since = nil
    }
  }
}
