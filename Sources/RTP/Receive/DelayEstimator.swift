/// Estimates from arrivals how long packets must be held so that nearly all of them are there in time.
///
/// Transit is arrival minus media time: network delay plus an unknown constant. The lowest transit of the last 5 to 10 s
/// is the base, which follows clock drift and changes of route; what a packet took beyond it is its relative delay. The
/// target is the 97th percentile of the last 500 relative delays. When a whole half second of packets stays far above the
/// base, the route or the far end's clock has moved and the base follows at once. All times in nanoseconds.
struct DelayEstimator: Sendable {
  static let quantile = 0.97
  /// Transit moved more than this between two packets: the far end's clock was set, not the network slow.
  static let jump: Int64 = 1_000_000_000
  private static let bucketWidth: Int64 = 5_000_000
  private static let bucketCount = 128
  private static let historyLength = 500
  private static let minimumWindow: Int64 = 5_000_000_000

  private var counts = [UInt16](repeating: 0, count: bucketCount)
  private var history = [UInt8](repeating: 0, count: historyLength)
  private var historyCount = 0
  private var historyNext = 0
  private var windowStart: Int64 = 0
  private var windowMinimum: Int64 = .max
  private var previousMinimum: Int64 = .max
  private(set) var lastTransit: Int64?
  /// The packet just observed moved the base up to a new level.
  private(set) var tookLevel = false
  /// The transits of the packets since the last block ended.
  private var block: InlineArray<25, Int64> = InlineArray(repeating: 0)
  private var blockCount = 0
  /// A block whose lowest transit lies that far above the base is a new level.
  private static let levelShift: Int64 = 80_000_000

  /// The lowest recent transit; nil before the first packet.
  var base: Int64? { lastTransit == nil ? nil : min(windowMinimum, previousMinimum) }

  /// Whether this transit cannot belong to the clock of the packets before.
  func isJump(_ transit: Int64) -> Bool {
    lastTransit.map { (transit &- $0).magnitude > UInt64(Self.jump) } ?? false
  }

  /// Starts another clock; the jitter seen so far still counts.
  mutating func rebase() {
    lastTransit = nil
    windowMinimum = .max
    previousMinimum = .max
    blockCount = 0
  }

  /// Takes a packet's transit.
  ///
  /// - Returns: Its relative delay.
  mutating func observe(transit: Int64, now: Int64) -> Int64 {
    if lastTransit == nil { windowStart = now }
    lastTransit = transit
    if now &- windowStart > Self.minimumWindow {
      // After a long silence both windows are stale.
      previousMinimum = now &- windowStart > 2 * Self.minimumWindow ? transit : windowMinimum
      windowMinimum = transit
      windowStart = now
    }
    windowMinimum = min(windowMinimum, transit)
    let relative = max(0, transit &- min(windowMinimum, previousMinimum))
    record(relative)
    tookLevel = false
    block[blockCount] = transit
    blockCount += 1
    if blockCount == block.count { endBlock(now) }
    return tookLevel ? max(0, transit &- windowMinimum) : relative
  }

  private mutating func endBlock(_ now: Int64) {
    blockCount = 0
    var lowest = Int64.max
    for i in block.indices { lowest = min(lowest, block[i]) }
    guard lowest &- min(windowMinimum, previousMinimum) > Self.levelShift else { return }
    tookLevel = true
    windowMinimum = lowest
    previousMinimum = .max
    windowStart = now
    for i in counts.indices { counts[i] = 0 }
    historyCount = 0
    historyNext = 0
    for i in block.indices { record(block[i] &- lowest) }
  }

  private mutating func record(_ relative: Int64) {
    let bucket = Int(min(relative / Self.bucketWidth, Int64(Self.bucketCount - 1)))
    if historyCount == Self.historyLength {
      counts[Int(history[historyNext])] -= 1
    } else {
      historyCount += 1
    }
    counts[bucket] += 1
    history[historyNext] = UInt8(bucket)
    historyNext = (historyNext + 1) % Self.historyLength
  }

  /// The upper edge of the bucket that holds the percentile; zero before the first packet.
  var percentile: Int64 {
    let above = Int(Double(historyCount) * (1 - Self.quantile))
    var seen = 0
    for bucket in stride(from: Self.bucketCount - 1, through: 0, by: -1) {
      seen += Int(counts[bucket])
      if seen > above { return Int64(bucket + 1) * Self.bucketWidth }
    }
    return 0
  }
}
