import Synchronization

/// A count that only rises. Any thread; one atomic addition, no lock.
///
/// Not for the packet path: there a worker counts in plain integers and a gauge reads them.
package final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  package init() {}
  package func increment(by amount: Int = 1) { count.wrappingAdd(amount, ordering: .relaxed) }
  package var value: Int { count.load(ordering: .relaxed) }
}

/// A value that rises and falls. Any thread; one atomic operation, no lock.
package final class Gauge: Sendable {
  private let current = Atomic<Int>(0)
  package init() {}
  package func set(_ value: Int) { current.store(value, ordering: .relaxed) }
  package func add(_ amount: Int) { current.wrappingAdd(amount, ordering: .relaxed) }
  package var value: Int { current.load(ordering: .relaxed) }
}

/// Observed values counted by size, with fixed upper bounds. Any thread; two atomic additions, no lock.
package final class Histogram: Sendable {
  /// Upper bounds, ascending; values above the last count in an implicit infinite bucket.
  package let bounds: [Double]
  private let buckets: [Counter]
  /// The sum in millionths, so that it fits an atomic integer.
  private let sumInMillionths = Atomic<Int>(0)

  /// Seconds, from a millisecond to a minute.
  package static let seconds: [Double] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
  ]

  package init(bounds: [Double] = Histogram.seconds) {
    self.bounds = bounds
    buckets = (0...bounds.count).map { _ in Counter() }
  }

  /// Counts one value; NaN and infinities are ignored.
  package func observe(_ value: Double) {
    guard value.isFinite else { return }
    buckets[bounds.firstIndex { value <= $0 } ?? bounds.count].increment()
    sumInMillionths.wrappingAdd(Int(max(-1e12, min(1e12, value * 1e6))), ordering: .relaxed)
  }

  package func observe(_ duration: Duration) { observe(duration.inSeconds) }

  /// How many values were at most each bound, then how many in all: cumulative, as Prometheus wants them.
  package var cumulativeCounts: [Int] {
    var total = 0
    return buckets.map {
      total += $0.value
      return total
    }
  }

  package var sum: Double { Double(sumInMillionths.load(ordering: .relaxed)) / 1e6 }
}
