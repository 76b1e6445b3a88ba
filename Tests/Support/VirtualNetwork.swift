package import Core

/// A seeded one-way link under a virtual clock: it loses, duplicates and reorders what is sent over it.
package struct VirtualLink<Item> {
  package var delay: Duration
  package var jitter: Duration
  /// Probability of loss, 0…1.
  package var loss: Double
  /// Probability that an item arrives twice, 0…1.
  package var duplication: Double
  private var random: SeededRandom
  private var inFlight: [(due: Instant, order: Int, item: Item)] = []
  private var sent = 0

  package init(
    seed: UInt64, delay: Duration = .milliseconds(10), jitter: Duration = .zero, loss: Double = 0,
    duplication: Double = 0
  ) {
    self.delay = delay
    self.jitter = jitter
    self.loss = loss
    self.duplication = duplication
    random = SeededRandom(seed: seed)
  }

  /// Hands an item to the link at `now`.
  package mutating func send(_ item: Item, now: Instant) {
    let copies = Double.random(in: 0..<1, using: &random) < duplication ? 2 : 1
    for _ in 0..<copies where Double.random(in: 0..<1, using: &random) >= loss {
      let extra = jitter == .zero ? 0 : Int64.random(in: 0...jitter.nanoseconds, using: &random)
      inFlight.append((now + delay + .nanoseconds(extra), sent, item))
      sent += 1
    }
  }

  /// When the next item arrives; nil when nothing is under way.
  package var nextArrival: Instant? { inFlight.map(\.due).min() }

  /// Everything that has arrived by `now`, in order of arrival.
  package mutating func receive(now: Instant) -> [Item] {
    let due = inFlight.filter { $0.due <= now }.sorted { ($0.due, $0.order) < ($1.due, $1.order) }
    inFlight.removeAll { $0.due <= now }
    return due.map(\.item)
  }
}
