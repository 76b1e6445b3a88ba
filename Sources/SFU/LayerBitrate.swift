import Core

/// Bits a second of one stream by layer, over the last second or so.
struct LayerBitrate {
  static let spatialLayers = 4
  static let temporalLayers = 4
  static let updateInterval = Duration.milliseconds(250)

  /// Of just that layer.
  private var rates: InlineArray<16, Double> = .init(repeating: 0)
  private var bits: InlineArray<16, Int> = .init(repeating: 0)
  private var since: Instant?

  init() {}

  /// Counts a packet. `octets` is the whole RTP packet.
  mutating func add(spatial: Int, temporal: Int, octets: Int, now: Instant) {
    if since == nil { since = now }
    let spatial = min(max(spatial, 0), Self.spatialLayers - 1)
    let temporal = min(max(temporal, 0), Self.temporalLayers - 1)
    bits[spatial * Self.temporalLayers + temporal] &+= octets &* 8
  }

  /// Folds what was counted into the rates; nothing happens more often than each `updateInterval`.
  mutating func update(now: Instant) {
    guard let since, now - since >= Self.updateInterval else { return }
    let elapsed = (now - since).inSeconds
    // An exponential average over about a second; the first value counts whole.
    let weight = min(1, elapsed)
    for index in 0..<16 {
      let sample = Double(bits[index]) / elapsed
      let rate = rates[index]
      // What has stopped goes to zero instead of fading for ever.
      rates[index] = rate == 0 || rate < 1_000 && sample == 0 ? sample : rate + weight * (sample - rate)
      bits[index] = 0
    }
    self.since = now
  }

  /// Bits a second of a spatial layer up to and with a temporal one, without the lower spatial layers.
  func bitrate(spatial: Int, temporal: Int) -> Double {
    guard (0..<Self.spatialLayers).contains(spatial) else { return 0 }
    var sum = 0.0
    for layer in 0...min(max(temporal, 0), Self.temporalLayers - 1) {
      sum += rates[spatial * Self.temporalLayers + layer]
    }
    return sum
  }

  var total: Double {
    var sum = 0.0
    for index in 0..<16 { sum += rates[index] }
    return sum
  }
}
