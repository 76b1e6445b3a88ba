import Core
import RTP

/// The lowest of something that jitters upwards, over time: a network delays packets, but never makes them early. One
/// minimum a window, linear between them.
struct LowerEnvelope: Sendable {
  private struct Point {
    var x: Double
    var y: Double
  }

  /// Seconds.
  private let window: Double
  private var points: [Point] = []
  private var windowStart = 0.0
  private(set) var spread = 0.0
  private var lowest = Double.infinity
  private var highest = -Double.infinity

  init(window: Double) { self.window = window }

  var isEmpty: Bool { points.isEmpty }

  /// - Parameter x: Seconds, mostly rising.
  mutating func add(x: Double, y: Double) {
    lowest = min(lowest, y)
    highest = max(highest, y)
    spread = highest - lowest
    if points.isEmpty || x - windowStart >= window {
      windowStart = x
      points.append(Point(x: x, y: y))
    } else if y < points[points.count - 1].y {
      points[points.count - 1] = Point(x: max(x, points.count > 1 ? points[points.count - 2].x : x), y: y)
    }
  }

  func value(at x: Double) -> Double {
    guard let first = points.first, let last = points.last else { return 0 }
    if x <= first.x { return first.y }
    if x >= last.x { return last.y }
    var low = 0
    var high = points.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if points[middle].x <= x { low = middle } else { high = middle }
    }
    let (a, b) = (points[low], points[high])
    return b.x > a.x ? a.y + (b.y - a.y) * (x - a.x) / (b.x - a.x) : b.y
  }
}

/// One sender's wall clock against ours, learnt from when its sender reports came (RFC 3550 §6.4.1). Shared by all its
/// streams, so that they keep their places to each other exactly.
struct SenderClock: Sendable {
  private var offset = LowerEnvelope(window: 20)
  private(set) var reports = 0

  /// - Parameters:
  ///   - ntp: Seconds of the sender's clock.
  ///   - arrival: Seconds of ours.
  mutating func note(ntp: Double, arrival: Double) {
    reports += 1
    offset.add(x: ntp, y: arrival - ntp)
  }

  /// A clock that was set during the recording cannot be followed.
  var isUsable: Bool { reports > 0 && offset.spread < 2 }

  func local(ntp: Double) -> Double { ntp + offset.value(at: ntp) }
}

/// Where the timestamps of one SSRC lie on our clock: by its sender's reports where there are any, else by the packets'
/// arrivals. A jump of the timestamps that time does not explain begins a new segment.
struct SourceTimeline: Sendable {
  private struct Segment {
    let since: Double
    /// Extended timestamp and NTP time in seconds.
    var reports: [(timestamp: Int64, ntp: Double)] = []
    var arrivals = LowerEnvelope(window: 10)
  }

  let clockRate: Double
  private var segments: [Segment] = []
  private var unwrapper = TimestampUnwrapper()
  private var last: (timestamp: Int64, arrival: Double)?

  init(clockRate: Int) { self.clockRate = Double(max(1, clockRate)) }

  static func seconds(_ instant: Instant) -> Double { Double(instant.nanoseconds) / 1e9 }

  static func seconds(_ ntp: NTPTime) -> Double {
    Double(ntp.rawValue >> 32) + Double(ntp.rawValue & 0xFFFF_FFFF) / 4_294_967_296
  }

  /// Every packet, in the order of its arrival.
  mutating func note(timestamp: UInt32, arrival: Instant) {
    let extended = unwrapper.unwrap(timestamp)
    let now = Self.seconds(arrival)
    if let last {
      let jump = Double(extended - last.timestamp) / clockRate - (now - last.arrival)
      if abs(jump) > 2 { segments.append(Segment(since: now)) }
    } else {
      segments.append(Segment(since: now))
    }
    last = (extended, now)
    let seconds = Double(extended) / clockRate
    segments[segments.count - 1].arrivals.add(x: seconds, y: now - seconds)
  }

  /// - Returns: The report's NTP time in seconds.
  mutating func note(report: SenderReport) {
    guard let last, !segments.isEmpty else { return }
    let distance = Int64(Int32(bitPattern: report.rtpTimestamp &- UInt32(truncatingIfNeeded: last.timestamp)))
    // Some senders say nothing sensible before they have sent.
    guard abs(Double(distance)) / clockRate < 60 else { return }
    segments[segments.count - 1].reports.append((last.timestamp + distance, Self.seconds(report.ntp)))
  }

  /// Seconds on our clock.
  /// - Parameters:
  ///   - timestamp: Extended as by a `TimestampUnwrapper` over the same packets.
  ///   - arrival: Of the packet: tells the segment.
  func time(of timestamp: Int64, arrival: Instant, clock: SenderClock?) -> Double {
    let now = Self.seconds(arrival)
    let segment = segments.last { $0.since <= now } ?? segments.first
    guard let segment else { return now }
    if let clock, clock.isUsable, let ntp = ntp(of: timestamp, in: segment) {
      let local = clock.local(ntp: ntp)
      // A sender that contradicts its own packets is not believed.
      if abs(local - now) < 3 { return local }
    }
    let seconds = Double(timestamp) / clockRate
    return seconds + segment.arrivals.value(at: seconds)
  }

  private func ntp(of timestamp: Int64, in segment: Segment) -> Double? {
    let reports = segment.reports
    guard !reports.isEmpty else { return nil }
    // The first report behind the timestamp.
    var low = 0
    var high = reports.count
    while low < high {
      let middle = (low + high) / 2
      if reports[middle].timestamp <= timestamp { low = middle + 1 } else { high = middle }
    }
    let before = reports[max(0, low - 1)]
    let nominal = before.ntp + Double(timestamp - before.timestamp) / clockRate
    guard low > 0, low < reports.count else { return nominal }
    let after = reports[low]
    let span = Double(after.timestamp - before.timestamp)
    guard span > 0 else { return nominal }
    let slope = (after.ntp - before.ntp) / span
    // Clocks of machines differ by parts in ten thousand.
    guard abs(slope * clockRate - 1) < 0.01 else { return nominal }
    return before.ntp + Double(timestamp - before.timestamp) * slope
  }
}
