import Core

/// When the offerer of a peer connection may offer: one offer at a time, changes meanwhile wait for its answer, and
/// changes in quick succession share an offer.
struct RenegotiationState {
  enum Step: Equatable {
    case nothing
    /// Ask again after so long.
    case wait(Duration)
    case offer
  }

  /// Before the first offer, and for changes after it.
  static let firstDebounce: Duration = .milliseconds(10)
  static let laterDebounce: Duration = .milliseconds(150)

  private(set) var isDirty = false
  private(set) var isAwaitingAnswer = false
  /// Number of the latest offer, from 1; 0 before the first.
  private(set) var lastID: UInt32 = 0
  private var lastOffer: Instant?
  private var due: Instant?

  /// Something changed.
  mutating func change(now: Instant) -> Step {
    isDirty = true
    return next(now: now)
  }

  /// What to do now.
  mutating func next(now: Instant) -> Step {
    guard isDirty, !isAwaitingAnswer else { return .nothing }
    let due = self.due ?? debounced(from: now)
    self.due = due
    return now >= due ? .offer : .wait(due - now)
  }

  private func debounced(from now: Instant) -> Instant {
    guard let lastOffer else { return now + RenegotiationState.firstDebounce }
    // A change after a quiet time need not wait.
    return max(now + RenegotiationState.firstDebounce, lastOffer + RenegotiationState.laterDebounce)
  }

  /// An offer goes out; its number.
  mutating func offered(now: Instant) -> UInt32 {
    isDirty = false
    isAwaitingAnswer = true
    due = nil
    lastOffer = now
    lastID &+= 1
    return lastID
  }

  /// An answer came. False where it belongs to an older offer or to none. Number 0 fits any: clients send it.
  mutating func answered(id: UInt32) -> Bool {
    guard isAwaitingAnswer, id == 0 || id == lastID else { return false }
    isAwaitingAnswer = false
    return true
  }

  /// The offer that is out is void: its client came back with a new socket and never saw it, or lost its answer.
  mutating func abandonOffer() {
    if isAwaitingAnswer { isDirty = true }
    isAwaitingAnswer = false
    due = nil
  }
}
