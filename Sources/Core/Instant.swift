#if canImport(Glibc)
  import Glibc
#endif

/// A point on the monotonic clock, in nanoseconds since an arbitrary origin.
///
/// Cores take it as an argument and never read a clock; `Instant.now()` is for shells only.
package struct Instant: InstantProtocol, Hashable, Sendable, CustomStringConvertible {
  /// Nanoseconds since the origin.
  package let nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The origin of a virtual clock.
  package static let zero = Instant(nanoseconds: 0)

  package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  package func advanced(by duration: Duration) -> Instant {
    Instant(nanoseconds: nanoseconds &+ duration.nanoseconds)
  }

  package func duration(to other: Instant) -> Duration {
    .nanoseconds(other.nanoseconds &- nanoseconds)
  }

  package static func + (instant: Instant, duration: Duration) -> Instant { instant.advanced(by: duration) }
  package static func - (instant: Instant, duration: Duration) -> Instant {
    Instant(nanoseconds: instant.nanoseconds &- duration.nanoseconds)
  }
  package static func - (a: Instant, b: Instant) -> Duration { b.duration(to: a) }

  package var description: String { "\(nanoseconds / 1_000_000) ms" }

  /// The machine's monotonic clock. For shells; a core gets its time as an argument.
  package static func now() -> Instant {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return Instant(nanoseconds: Int64(t.tv_sec) &* 1_000_000_000 &+ Int64(t.tv_nsec))
  }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC, as stored in records.
package struct WallTime: Hashable, Comparable, Sendable, Codable {
  package let milliseconds: Int64
  package init(milliseconds: Int64) { self.milliseconds = milliseconds }
  package static func < (a: WallTime, b: WallTime) -> Bool { a.milliseconds < b.milliseconds }

  /// The machine's real-time clock. For shells.
  package static func now() -> WallTime {
    var t = timespec()
    clock_gettime(CLOCK_REALTIME, &t)
    return WallTime(milliseconds: Int64(t.tv_sec) &* 1000 &+ Int64(t.tv_nsec) / 1_000_000)
  }
}

extension Duration {
  /// Whole nanoseconds, saturating at the ends of `Int64` (292 years).
  package var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    return product &+ attoseconds / 1_000_000_000
  }
  /// Seconds as a floating-point number.
  package var inSeconds: Double { Double(nanoseconds) / 1e9 }
  /// Milliseconds as a floating-point number.
  package var inMilliseconds: Double { Double(nanoseconds) / 1e6 }
}
