import Core

/// A burst that shall be sent at a rate, to learn whether the path carries it.
struct ProbeCluster: Hashable, Sendable {
  /// 1…255.
  var id: UInt8
  /// Bits a second.
  var bitrate: Int
  var duration: Duration
  /// Bytes at the least.
  var bytes: Int { max(Int(Double(bitrate) / 8 * duration.inSeconds), 5 * 200) }
  static let packets = 5
}

/// Decides when to probe: at the start, after a fall, and while the allocator could use more than the estimate.
struct ProbeController: Sendable {
  /// At the start the estimate is taken threefold, then twofold on while the path follows.
  private static let firstFactor = 3.0
  private static let furtherFactor = 2.0
  /// A probe that came through at this share of its rate is worth a further one.
  private static let success = 0.7
  /// Less than that and more than the estimate by so much: it was not in vain.
  private static let gain = 1.1
  private static let periods: ClosedRange<Duration> = .seconds(2) ... .seconds(5)
  private static let retry = Duration.milliseconds(200)
  /// Of the jitter is a probe's length.
  private static let jitterFactor = 8.0
  /// While somebody has no picture at all for want of bandwidth.
  private static let urgentPeriod = Duration.seconds(1)
  private static let resultTimeout = Duration.seconds(1)
  /// A fall below this share of the old estimate is worth a probe once the path is calm.
  private static let fall = 0.66
  private static let recoveryDelay = Duration.seconds(2)
  private static let recoveryTimeout = Duration.seconds(10)

  private enum State: Hashable, Sendable {
    case initial
    case waiting(since: Instant, bitrate: Int, isExponential: Bool)
    case idle
  }

  private let shortest: Duration
  private var duration: Duration
  private var state = State.initial
  private var counter: UInt8 = 0
  private var period = Self.periods.lowerBound
  private var last: Instant?
  private var beforeFall: (bitrate: Int, at: Instant)?
  private var pending: Int?
  /// Before the last cluster began.
  private var past: (state: State, last: Instant?)?
  private var retryAt: Instant?

  /// - Parameter duration: Of a cluster, at the least.
  init(duration: Duration = .milliseconds(25)) {
    shortest = duration
    self.duration = duration
  }

  /// - Parameters:
  ///   - estimate: In force.
  ///   - wanted: Bits a second that would be of use; nil or less than the estimate: nothing to probe for.
  ///   - jitter: Of arrivals, milliseconds: a burst must be much longer to be measured.
  ///   - isUrgent: Somebody is paused for want of it.
  ///   - isCalm: The path shows neither over-use nor heavy loss, and nothing is queued.
  /// - Returns: A cluster to send now.
  mutating func next(
    estimate: Int, wanted: Int?, jitter: Double = 0, isUrgent: Bool = false, isCalm: Bool, now: Instant
  ) -> ProbeCluster? {
    duration = max(shortest, .milliseconds(Int64(min(max(jitter * Self.jitterFactor, 0), 100))))
    if case .waiting(let since, _, _) = state, now - since > Self.resultTimeout {
      state = .idle
      lengthen()
    }
    if let retryAt, now < retryAt { return nil }
    guard let wanted, wanted > estimate, isCalm else {
      pending = nil
      return nil
    }
    // Somewhat more than is of use: a probe measures a little low.
    let useful = wanted + wanted / 8
    switch state {
    case .initial:
      return begin(min(Int(Double(estimate) * Self.firstFactor), useful), exponential: true, now: now)
    case .waiting: return nil
    case .idle:
      if let rate = pending {
        pending = nil
        return begin(min(rate, useful), exponential: true, now: now)
      }
      if let fallen = beforeFall {
        if now - fallen.at > Self.recoveryTimeout || fallen.bitrate <= estimate {
          beforeFall = nil
        } else if now - fallen.at > Self.recoveryDelay {
          beforeFall = nil
          return begin(min(Int(Double(fallen.bitrate) * 0.85), useful), exponential: false, now: now)
        }
      }
      if let last, now - last < (isUrgent ? Self.urgentPeriod : period) { return nil }
      return begin(min(Int(Double(estimate) * Self.furtherFactor), useful), exponential: true, now: now)
    }
  }

  /// What a cluster came through at; `estimate` is that before it.
  mutating func receive(result: Int, estimate: Int, now: Instant) {
    guard case .waiting(_, let bitrate, let isExponential) = state else { return }
    state = .idle
    if Double(result) >= Double(bitrate) * Self.success {
      period = Self.periods.lowerBound
      if isExponential { pending = Int(Double(result) * Self.furtherFactor) }
    } else if Double(result) > Double(estimate) * Self.gain {
      period = Self.periods.lowerBound
    } else {
      lengthen()
    }
  }

  /// The first report came: what was sent before may have found no path yet (ICE and DTLS were under way).
  mutating func restart() {
    state = .initial
    period = Self.periods.lowerBound
  }

  /// The cluster could not be sent: nobody has a stream that padding fits in.
  mutating func cancel(now: Instant) {
    guard let past else { return }
    (state, last) = past
    self.past = nil
    retryAt = now + Self.retry
  }

  /// The estimate fell.
  mutating func fell(from old: Int, to new: Int, now: Instant) {
    pending = nil
    if Double(new) < Double(old) * Self.fall { beforeFall = (old, now) }
  }

  private mutating func begin(_ bitrate: Int, exponential: Bool, now: Instant) -> ProbeCluster {
    counter = counter == .max ? 1 : counter + 1
    past = (state, last)
    last = now
    state = .waiting(since: now, bitrate: bitrate, isExponential: exponential)
    return ProbeCluster(id: counter, bitrate: bitrate, duration: duration)
  }

  private mutating func lengthen() { period = min(period * 1.5, Self.periods.upperBound) }
}
