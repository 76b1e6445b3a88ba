package import Core

/// Leaves a service alone that fails: after some failures in a row nothing is asked of it for a while, then one request
/// tries whether it is back. A value with the time as an argument.
package struct CircuitBreaker: Sendable {
  package let threshold: Int
  package let firstPause: Duration
  package let longestPause: Duration

  private var failures = 0
  private var pauses = 0
  private var closedUntil: Instant?
  private var isTrying = false

  package init(threshold: Int = 3, firstPause: Duration = .seconds(5), longestPause: Duration = .seconds(300)) {
    self.threshold = max(1, threshold)
    self.firstPause = firstPause
    self.longestPause = longestPause
  }

  /// Whether a request may be made now. After a true, tell `succeeded` or `failed`.
  package mutating func permits(now: Instant) -> Bool {
    guard let until = closedUntil else { return true }
    guard now >= until, !isTrying else { return false }
    isTrying = true
    return true
  }

  package var isSuspended: Bool { closedUntil != nil }

  package mutating func succeeded() {
    (failures, pauses, closedUntil, isTrying) = (0, 0, nil, false)
  }

  /// - Parameter isGrave: counts as many failures at once: a service that hangs holds a caller up each time it is asked.
  package mutating func failed(now: Instant, isGrave: Bool = false) {
    failures = min(failures + (isGrave ? threshold : 1), 1_000_000)
    // Requests that were under way when the first ones failed do not lengthen the pause.
    if closedUntil != nil, !isTrying { return }
    isTrying = false
    guard failures >= threshold else { return }
    closedUntil = now + min(longestPause, firstPause * (1 << min(pauses, 16)))
    pauses += 1
  }

  /// The request came to nothing, by no fault of the service.
  package mutating func abandoned() { isTrying = false }
}
