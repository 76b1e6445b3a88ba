import Core
import RTP

/// How a publisher's NTP clock maps to ours: one for all its streams, so that what was captured together stays together.
final class RemoteClock {
  /// Our clock minus the publisher's, in nanoseconds, by the fastest report.
  private(set) var offset: Int64?

  /// A larger difference is another clock, not jitter.
  private static let reset: Int64 = 5_000_000_000

  static func nanoseconds(_ ntp: NTPTime) -> Int64 {
    let seconds = Int64(truncatingIfNeeded: ntp.rawValue >> 32)
    let fraction = Int64(truncatingIfNeeded: ((ntp.rawValue & 0xFFFF_FFFF) * 1_000_000_000) >> 32)
    return seconds &* 1_000_000_000 &+ fraction
  }

  func receive(_ ntp: NTPTime, now: Instant) {
    let sample = now.nanoseconds &- Self.nanoseconds(ntp)
    guard let offset else {
      self.offset = sample
      return
    }
    let difference = sample &- offset
    if difference.magnitude > UInt64(Self.reset) {
      self.offset = sample
    } else if difference < 0 {
      self.offset = sample
    } else {
      // Clocks drift: forget the fastest report slowly.
      self.offset = offset &+ difference / 256
    }
  }
}

/// Maps between a stream's timestamps and the router's clock.
struct MediaTimeline {
  let clockRate: Int
  private let clock: RemoteClock
  /// A timestamp and our instant that belong together; until a sender report comes.
  private var arrival: (timestamp: UInt32, at: Instant)?
  /// Of the last sender report: timestamp and the publisher's NTP time in nanoseconds.
  private var report: (timestamp: UInt32, ntp: Int64)?

  init(clockRate: Int, clock: RemoteClock) {
    self.clockRate = clockRate
    self.clock = clock
  }

  var isSynchronised: Bool { report != nil }

  /// A packet came; before any sender report its arrival is the best that is known.
  mutating func received(timestamp: UInt32, at now: Instant) { arrival = (timestamp, now) }

  mutating func received(_ senderReport: SenderReport) {
    report = (senderReport.rtpTimestamp, RemoteClock.nanoseconds(senderReport.ntp))
  }

  func rtpTimestamp(at now: Instant) -> UInt32? {
    if let report, let offset = clock.offset {
      return report.timestamp &+ units(now.nanoseconds &- offset &- report.ntp)
    }
    return arrival.map { $0.timestamp &+ units((now - $0.at).nanoseconds) }
  }

  private func units(_ nanoseconds: Int64) -> UInt32 {
    let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return UInt32(
      truncatingIfNeeded: seconds &* Int64(clockRate) &+ rest &* Int64(clockRate) / 1_000_000_000)
  }
}
