import Core

/// How late packets are, compared with the fastest ones: what a jitter buffer has to hold.
///
/// The delay of a packet is its arrival less its place in the media; only differences mean something. The least delay
/// of the last eight seconds is the base (clocks drift: it must be forgotten), a histogram of the delays over it gives
/// the buffer's target.
struct DelayEstimator {
  /// Milliseconds a bucket.
  private static let resolution = 5.0
  private static let bucketCount = 80
  /// The share of packets that shall be in time.
  private static let coverage: Float = 0.97
  /// 0.998 forgets half of it in 350 packets: 7 s.
  private static let memory: Float = 0.998
  private static let baseWindow: Int64 = 2_000_000_000

  private var histogram = InlineArray<80, Float>(repeating: 0)
  private var packets: Float = 0
  private var minima = InlineArray<4, Int64>(repeating: .max)
  private var minimumAt = 0
  private var windowEnds: Int64?
  private var base: Int64 = .max
  private var lastArrival: Int64?
  /// Lateness in milliseconds that `coverage` of the packets stay under.
  private(set) var spread = 0.0

  /// Nanoseconds: arrival less media time of the fastest packet.
  var fastest: Int64? { base == .max ? nil : base }

  /// Notes a packet. `mediaTime` in nanoseconds, from any origin.
  mutating func note(arrival: Instant, mediaTime: Int64) {
    let delay = arrival.nanoseconds &- mediaTime
    let now = arrival.nanoseconds
    if let ends = windowEnds {
      if now >= ends {
        // After a long silence all windows are stale.
        for _ in 0..<min(4, 1 + (now - ends) / Self.baseWindow) {
          minimumAt = (minimumAt + 1) & 3
          minima[minimumAt] = .max
        }
        windowEnds = now + Self.baseWindow
      }
    } else {
      windowEnds = now + Self.baseWindow
    }
    minima[minimumAt] = min(minima[minimumAt], delay)
    base = min(min(minima[0], minima[1]), min(minima[2], minima[3]))

    // What was held up together arrives together: one stall counts once, by its first packet.
    let sinceLast = lastArrival.map { now - $0 } ?? .max
    lastArrival = now
    guard sinceLast >= 3_000_000 else { return }
    let late = Double(delay &- base) / 1e6
    // Nobody waits that long: such a packet came out of a stall and says nothing about the next ones.
    guard late < Double(Self.bucketCount) * Self.resolution else { return }
    let bucket = max(0, Int(late / Self.resolution))
    // Young histograms learn fast.
    packets = min(packets + 1, 100_000)
    let keep = min(Self.memory, 1 - 1 / (packets + 1))
    var covered: Float = 0
    var found = Self.bucketCount
    for i in 0..<Self.bucketCount {
      histogram[i] *= keep
      if i == bucket { histogram[i] += 1 - keep }
      covered += histogram[i]
      if found == Self.bucketCount, covered >= Self.coverage * (1 - 1 / (packets + 1)) { found = i }
    }
    spread = Double(found) * Self.resolution
  }
}
