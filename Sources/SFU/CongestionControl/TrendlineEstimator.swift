import Core

/// The slope of the one-way delay over the last packet groups: the follow-up practice to the Kalman filter of
/// draft-ietf-rmcat-gcc-02 §5.3. Least squares over the smoothed, accumulated delay variation.
struct TrendlineEstimator: Sendable {
  /// Groups that the line is laid through.
  static let window = 20
  /// Weight of the past in the exponential smoothing of the accumulated delay.
  private static let smoothing = 0.9

  private struct Point: Sendable {
    var time: Double
    var delay: Double
  }

  private var points: [Point] = []
  private var cursor = 0
  private var firstArrival: Instant?
  private var accumulated = 0.0
  private var smoothed = 0.0
  /// Groups so far.
  private(set) var count = 0
  /// Milliseconds of delay gained a millisecond; 1 − capacity ÷ rate while a queue grows. 0 until the window is full.
  private(set) var slope = 0.0

  init() {}

  mutating func add(_ delta: GroupDelta) {
    let first = firstArrival ?? delta.arrival
    firstArrival = first
    count &+= 1
    accumulated += delta.variation
    smoothed = Self.smoothing * smoothed + (1 - Self.smoothing) * accumulated
    let point = Point(time: (delta.arrival - first).inMilliseconds, delay: smoothed)
    if points.count < Self.window {
      if points.isEmpty { points.reserveCapacity(Self.window) }
      points.append(point)
    } else {
      points[cursor] = point
      cursor = (cursor + 1) % Self.window
    }
    if points.count == Self.window, let fitted = fit() { slope = fitted }
  }

  private func fit() -> Double? {
    var time = 0.0
    var delay = 0.0
    for point in points {
      time += point.time
      delay += point.delay
    }
    time /= Double(points.count)
    delay /= Double(points.count)
    var covariance = 0.0
    var variance = 0.0
    for point in points {
      covariance += (point.time - time) * (point.delay - delay)
      variance += (point.time - time) * (point.time - time)
    }
    return variance > 0 ? covariance / variance : nil
  }
}
