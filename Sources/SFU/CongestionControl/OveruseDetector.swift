import Core

enum BandwidthUsage: Hashable, Sendable {
  case normal
  /// A queue grows on the path.
  case overuse
  /// A queue drains.
  case underuse
}

/// Compares the delay's trend with a threshold that follows it slowly, so that neither a concurrent TCP flow starves us
/// nor jitter is taken for a queue (draft-ietf-rmcat-gcc-02 §5.4).
struct OveruseDetector: Sendable {
  /// `overuse_time_th`, milliseconds.
  private static let overuseTime = 10.0
  /// `del_var_th(0)`, milliseconds; range and K_u, K_d for the trendline, as practice has them.
  private static let initialThreshold = 12.5
  private static let thresholds = 6.0...600.0
  private static let rise = 0.0087
  private static let fall = 0.039
  /// Beyond the threshold by this: an outlier, which does not move it.
  private static let farOff = 15.0
  /// Turns a slope into the scale of the threshold.
  private static let gain = 4.0
  private static let longestMemory = 60

  private(set) var usage = BandwidthUsage.normal
  private(set) var threshold = Self.initialThreshold
  private var timeOverUsing: Double?
  private var overuses = 0
  private var lastSlope = 0.0
  private var lastUpdate: Instant?

  init() {}

  /// - Parameters:
  ///   - slope: Of the delay, milliseconds a millisecond.
  ///   - groups: Packet groups so far; few of them count less.
  ///   - sent: Milliseconds between the last two groups' departures.
  ///   - now: Of the latest group's arrival, on the receiver's clock.
  mutating func update(slope: Double, groups: Int, sent: Double, now: Instant) {
    guard groups >= 2 else {
      usage = .normal
      return
    }
    let trend = Double(min(groups, Self.longestMemory)) * slope * Self.gain
    if trend > threshold {
      // The first group over the threshold crossed it somewhere on its way.
      timeOverUsing = timeOverUsing.map { $0 + sent } ?? sent / 2
      overuses += 1
      if let time = timeOverUsing, time > Self.overuseTime, overuses > 1, slope >= lastSlope {
        timeOverUsing = 0
        overuses = 0
        usage = .overuse
      }
    } else {
      timeOverUsing = nil
      overuses = 0
      usage = trend < -threshold ? .underuse : .normal
    }
    lastSlope = slope
    adapt(trend, now: now)
  }

  /// del_var_th(i) = del_var_th(i−1) + (t(i) − t(i−1)) · K(i) · (|m(i)| − del_var_th(i−1))
  private mutating func adapt(_ trend: Double, now: Instant) {
    defer { lastUpdate = now }
    let magnitude = abs(trend)
    guard magnitude <= threshold + Self.farOff else { return }
    let elapsed = min(max(lastUpdate.map { (now - $0).inMilliseconds } ?? 0, 0), 100)
    let gain = magnitude < threshold ? Self.fall : Self.rise
    threshold += gain * (magnitude - threshold) * elapsed
    threshold = min(max(threshold, Self.thresholds.lowerBound), Self.thresholds.upperBound)
  }
}
