import Core

/// A_hat of the delay-based controller: additive or multiplicative increase, multiplicative decrease
/// (draft-ietf-rmcat-gcc-02 §5.5).
struct RateController: Sendable {
  enum State: Hashable, Sendable { case hold, increase, decrease }

  /// β of §5.6.
  private static let backoff = 0.85
  private static let limitedBackoff = 0.7
  /// η: 8 % a second.
  private static let multiplicativeIncrease = 1.08
  /// Never beyond 1.5 · R_hat, plus a little so that small rates can grow.
  private static let outrun = 1.5
  private static let outrunFloor = 10_000.0
  /// A growing queue of this slope (ms a ms) is no burst of our own.
  private static let congestedSlope = 0.1

  /// The rate is a quarter above the capacity or more.
  private static let steepSlope = 0.2

  let minimum: Int
  let maximum: Int
  private(set) var state = State.hold
  /// Bits a second.
  private(set) var bitrate: Double
  /// What the path was seen to carry when a queue grew: near it the increase is additive.
  private(set) var capacity = LinkCapacity()
  private(set) var lastDecrease: Instant?
  private var lastChange: Instant?
  var roundTrip: Duration = .milliseconds(200)

  init(initial: Int, minimum: Int, maximum: Int) {
    self.minimum = minimum
    self.maximum = maximum
    bitrate = Double(initial)
  }

  /// - Parameters:
  ///   - acknowledged: What the receiver got; nil before that is known.
  ///   - recent: The same over a shorter while.
  ///   - slope: Of the delay.
  ///   - isLimited: We send much less than we might: what was received says nothing of the path.
  mutating func update(
    usage: BandwidthUsage, acknowledged: Int?, recent: Int?, slope: Double, isLimited: Bool, now: Instant
  ) {
    // The state machine of §5.5: over-use decreases, under-use holds while the queue drains, normal increases.
    switch usage {
    case .overuse: state = .decrease
    case .underuse: state = .hold
    case .normal: state = state == .hold || state == .increase ? .increase : .hold
    }
    switch state {
    case .hold: lastChange = now
    case .increase: increase(acknowledged: acknowledged, now: now)
    case .decrease:
      if mayDecrease(acknowledged: acknowledged, now: now) {
        decrease(acknowledged: acknowledged, recent: recent, slope: slope, isLimited: isLimited, now: now)
      }
      state = .hold
    }
  }

  /// What a probe measured.
  mutating func raise(to probed: Int, now: Instant) {
    capacity.probed(Double(probed))
    bitrate = min(max(bitrate, Double(probed)), Double(maximum))
    lastChange = now
  }

  /// Nothing is heard of the receiver any more.
  mutating func scale(by factor: Double, now: Instant) {
    bitrate = max(bitrate * factor, Double(minimum))
    lastChange = now
  }

  private mutating func increase(acknowledged: Int?, now: Instant) {
    defer { lastChange = now }
    let elapsed = min(lastChange.map { (now - $0).inSeconds } ?? 0, 1)
    if let acknowledged, let upper = capacity.upper, Double(acknowledged) > upper { capacity.forget() }
    let raised: Double
    if capacity.estimate != nil {
      raised = bitrate + additiveIncrease * elapsed
    } else {
      raised = max(bitrate * exponential(Self.multiplicativeIncrease, elapsed), bitrate + 1000 * elapsed)
    }
    let limit = acknowledged.map { Self.outrun * Double($0) + Self.outrunFloor } ?? raised
    bitrate = min(max(min(raised, limit), bitrate), Double(maximum))
  }

  /// Bits a second each second: half an average packet each response time, which is the round trip and 100 ms.
  private var additiveIncrease: Double {
    let frame = bitrate / 30
    let packets = (frame / (1200 * 8)).rounded(.up)
    let response = roundTrip.inSeconds + 0.1
    return max(4000, frame / max(packets, 1) / (2 * response))
  }

  private func mayDecrease(acknowledged: Int?, now: Instant) -> Bool {
    guard let last = lastDecrease else { return true }
    if now - last >= min(max(roundTrip, .milliseconds(10)), .milliseconds(200)) { return true }
    return acknowledged.map { Double($0) < bitrate / 2 } ?? false
  }

  private mutating func decrease(
    acknowledged: Int?, recent: Int?, slope: Double, isLimited: Bool, now: Instant
  ) {
    lastDecrease = now
    lastChange = now
    guard let acknowledged else {
      bitrate = max(bitrate * Self.backoff, Double(minimum))
      return
    }
    // While a queue grows fast, what came out of it lately is the link's rate; but a short window may have fallen into a
    // gap between two pictures, so not by more than half at a time. While it grows slowly either window may be too low:
    // one by a gap, the other by a flow that has just begun.
    let latest = Double(recent ?? acknowledged)
    let mean = Double(acknowledged)
    let received = slope >= Self.steepSlope ? max(latest, mean / 2) : max(latest, mean)
    var lowered = received * Self.backoff
    if isLimited {
      // A queue under a flow that is far below the estimate: the estimate may be wrong, or the receiver was held up for a
      // moment. What arrives says little of the path, so it falls by steps until the flow is near it.
      lowered = max(lowered, bitrate * (slope < Self.congestedSlope ? Self.backoff : Self.limitedBackoff))
    } else {
      if lowered > bitrate, let estimate = capacity.estimate { lowered = estimate * Self.backoff }
      if let lower = capacity.lower, received < lower { capacity.forget() }
      capacity.congested(received)
    }
    bitrate = max(min(lowered, bitrate), Double(minimum))
  }
}

/// `base` to the power of `exponent` in 0…1, near 1: five terms of the binomial series. (Spares the C library.)
private func exponential(_ base: Double, _ exponent: Double) -> Double {
  let x = base - 1
  var term = 1.0
  var sum = 1.0
  for k in 1...5 {
    term *= (exponent - Double(k - 1)) / Double(k) * x
    sum += term
  }
  return sum
}

/// Mean and deviation of the rates at which the link was full (draft-ietf-rmcat-gcc-02 §5.5: "close to convergence").
struct LinkCapacity: Hashable, Sendable {
  private(set) var estimate: Double?
  /// Normalised: variance in kbps² over the mean in kbps.
  private var deviation = 0.4

  init() {}

  var upper: Double? { estimate.map { $0 + 3 * spread($0) } }
  var lower: Double? { estimate.map { max(0, $0 - 3 * spread($0)) } }

  mutating func congested(_ bitrate: Double) { update(bitrate, weight: 0.05) }
  mutating func probed(_ bitrate: Double) { if estimate != nil { update(bitrate, weight: 0.5) } }
  mutating func forget() { estimate = nil }

  private mutating func update(_ bitrate: Double, weight: Double) {
    guard let old = estimate else {
      estimate = bitrate
      return
    }
    let mean = (1 - weight) * old + weight * bitrate
    estimate = mean
    let error = (mean - bitrate) / 1000
    let normalised = error * error / max(mean / 1000, 1)
    deviation = min(max((1 - weight) * deviation + weight * normalised, 0.4), 2.5)
  }

  private func spread(_ bitrate: Double) -> Double { (deviation * bitrate / 1000).squareRoot() * 1000 }
}
