import Core

/// Which spatial layers of a track somebody watches, so that its publisher may switch the others off: up at once, down
/// only when it has lasted.
struct Dynacast: Sendable {
  /// How long fewer layers must be wanted before the publisher is told.
  let holdDown: Duration
  /// What the publisher was told last: the highest layer wanted, nil for none. Starts with everything.
  private(set) var announced: Int?
  private var wanted: Int?
  private var lowerSince: Instant?

  init(announced: Int? = 2, holdDown: Duration = .seconds(5)) {
    self.holdDown = holdDown
    self.announced = announced
    wanted = announced
  }

  /// The highest layer that any consumer wants now; nil when nobody watches.
  ///
  /// - Returns: True when `announced` changed.
  mutating func update(wanted: Int?, now: Instant) -> Bool {
    self.wanted = wanted
    if rank(wanted) >= rank(announced) {
      lowerSince = nil
    } else if lowerSince == nil {
      lowerSince = now
    }
    return advance(to: now)
  }

  /// - Returns: True when `announced` changed.
  mutating func advance(to now: Instant) -> Bool {
    if rank(wanted) > rank(announced) {
      announced = wanted
      lowerSince = nil
      return true
    }
    guard let lowerSince, now - lowerSince >= holdDown else { return false }
    announced = wanted
    self.lowerSince = nil
    return true
  }

  private func rank(_ layer: Int?) -> Int { layer ?? -1 }
}
