import Core

/// A queue that stands shows no slope, and would stay: it is seen in round trips that are far above the shortest, and we
/// send less until it has drained.
struct StandingQueue: Sendable {
  /// Of the target, while it drains.
  static let drain = 0.75
  private static let begin = Duration.milliseconds(150)
  private static let end = Duration.milliseconds(60)
  /// Reports in a row that a verdict needs.
  private static let needed = 3
  /// The shortest round trip is that of the last one to two of these: routes change.
  private static let window = Duration.seconds(10)

  private(set) var isDraining = false
  private var shortest: Duration?
  private var shortestBefore: Duration?
  private var windowStart: Instant?
  private var count = 0

  init() {}

  /// - Parameter roundTrip: From a packet's departure to the report of its arrival.
  mutating func add(_ roundTrip: Duration, now: Instant) {
    if let start = windowStart, now - start >= Self.window {
      shortestBefore = shortest
      shortest = nil
      windowStart = now
    }
    if windowStart == nil { windowStart = now }
    shortest = min(shortest ?? roundTrip, roundTrip)
    let floor = min(shortest ?? roundTrip, shortestBefore ?? roundTrip)
    if isDraining {
      if roundTrip - floor < Self.end { isDraining = false }
      count = 0
    } else {
      count = roundTrip - floor > Self.begin ? count + 1 : 0
      if count >= Self.needed { isDraining = true }
    }
  }
}
