import Core

/// What the receiver got, bits a second: R_hat of draft-ietf-rmcat-gcc-02 §5.5, over sliding windows of its own clock.
struct AcknowledgedBitrate: Sendable {
  /// Milliseconds a bucket, and buckets: half a second, the upper bound of the draft's window.
  private static let width: Int64 = 25
  private static let count = 20
  /// Buckets of the short window, for the capacity of a link that is busy all the time.
  private static let recentCount = 8

  private var buckets: [UInt32] = []
  private var packets: [UInt16] = []
  /// Number of the newest bucket since the origin of the receiver's clock.
  private var newest: Int64 = 0
  private var first: Int64?

  init() {}

  mutating func add(bytes: Int, arrival: Instant) {
    if buckets.isEmpty {
      buckets = [UInt32](repeating: 0, count: Self.count)
      packets = [UInt16](repeating: 0, count: Self.count)
    }
    let bucket = arrival.nanoseconds / (Self.width &* 1_000_000)
    if first == nil || bucket > newest &+ 400 || bucket < newest &- 400 {
      // The first packet, or ten seconds of nothing: start anew.
      for i in 0..<Self.count { clear(i) }
      first = bucket
      newest = bucket
    }
    if bucket > newest {
      var step = max(newest &+ 1, bucket &- Int64(Self.count) &+ 1)
      while step <= bucket {
        clear(slot(step))
        step &+= 1
      }
      newest = bucket
    }
    guard bucket > newest &- Int64(Self.count) else { return }
    buckets[slot(bucket)] &+= UInt32(clamping: bytes)
    packets[slot(bucket)] &+= 1
  }

  /// Over half a second (less at the start); nil before 150 ms have been seen.
  var bitrate: Int? { rate(over: Self.count, atLeast: 6, packets: 5) }

  /// Over the last 200 ms; nil where too little arrived to say.
  var recent: Int? { rate(over: Self.recentCount, atLeast: Self.recentCount, packets: 5) }

  private func rate(over window: Int, atLeast: Int, packets wanted: Int) -> Int? {
    guard let first else { return nil }
    // The newest bucket is still filling.
    let span = Int(min(newest &- first, Int64(window - 1)))
    guard span >= atLeast - 1, span > 0 else { return nil }
    var bytes = 0
    var seen = 0
    for back in 1...span {
      bytes += Int(buckets[slot(newest &- Int64(back))])
      seen += Int(packets[slot(newest &- Int64(back))])
    }
    guard seen >= wanted else { return nil }
    return bytes * 8 * 1000 / (span * Int(Self.width))
  }

  private func slot(_ bucket: Int64) -> Int {
    let remainder = Int(bucket % Int64(Self.count))
    return remainder < 0 ? remainder + Self.count : remainder
  }

  private mutating func clear(_ slot: Int) {
    buckets[slot] = 0
    packets[slot] = 0
  }
}
