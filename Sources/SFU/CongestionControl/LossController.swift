import Core

/// A cap from packet loss (draft-ietf-rmcat-gcc-02 §6): above 10 % it falls, between 2 and 10 % it stands, below it rises.
///
/// Follow-up practice: loss that was there before we sent more, and stays when we send less, is the path's own (radio,
/// a lossy Wi-Fi) and is not answered: `inherent`. And what arrived is never taken for too much.
struct LossController: Sendable {
  /// §6's 2 % and 10 %, of what exceeds the inherent loss.
  private static let low = 0.02
  private static let high = 0.10
  private static let increasePerSecond = 0.08
  /// A verdict needs so many packets and so much time.
  private static let windowPackets = 30
  private static let window = Duration.milliseconds(400)
  /// Windows whose lower quartile is the inherent loss.
  private static let memory = 16

  /// Bits a second; nil where loss limits nothing.
  private(set) var cap: Double?
  /// Of the last window, 0…1.
  private(set) var fraction = 0.0
  private(set) var inherent = 0.0
  private var sent = 0
  private var lost = 0
  private var windowStart: Instant?
  private var past: [Float] = []
  private var cursor = 0
  private var lastDecrease: Instant?

  init() {}

  /// - Parameters:
  ///   - expected: Packets reported on.
  ///   - lost: Those of them that did not arrive; negative where some did after all.
  ///   - bitrate: The target in force.
  ///   - delivered: What the receiver gets, bits a second.
  mutating func add(
    expected: Int, lost: Int, bitrate: Double, delivered: Double?, roundTrip: Duration, now: Instant
  ) {
    sent &+= max(0, expected)
    self.lost &+= lost
    let start = windowStart ?? now
    windowStart = start
    guard sent >= Self.windowPackets, now - start >= Self.window else { return }
    let elapsed = min((now - start).inSeconds, 2)
    fraction = min(max(Double(self.lost) / Double(sent), 0), 1)
    sent = 0
    self.lost = 0
    windowStart = now

    let excess = fraction - inherent
    if excess > Self.high {
      if lastDecrease.map({ now - $0 >= roundTrip + .milliseconds(300) }) ?? true {
        lastDecrease = now
        let current = min(cap ?? bitrate, bitrate)
        let lowered = current * (1 - 0.5 * excess)
        // What comes through is no congestion: a bottleneck is left as soon as we are under what it delivers.
        cap = min(current, max(lowered, (delivered ?? 0) * 0.9))
      }
    } else if excess < Self.low, let cap {
      self.cap = cap * (1 + Self.increasePerSecond * elapsed)
    }
    // Far above what is in force it limits nothing.
    if let cap, cap > bitrate * 1.5 { self.cap = nil }
    remember()
  }

  /// A probe got through at this rate.
  mutating func raise(to probed: Int) {
    if let cap, cap < Double(probed) { self.cap = Double(probed) }
  }

  /// Nothing limits any more.
  mutating func clear() { cap = nil }

  private mutating func remember() {
    if past.count < Self.memory {
      if past.isEmpty { past.reserveCapacity(Self.memory) }
      past.append(Float(fraction))
    } else {
      past[cursor] = Float(fraction)
      cursor = (cursor + 1) % Self.memory
    }
    // Four windows at least: a first burst of loss is congestion until shown otherwise.
    guard past.count >= 4 else { return }
    inherent = Double(past.sorted()[past.count / 4])
  }
}
