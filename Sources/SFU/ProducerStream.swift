import Core
import RTP

/// One received RTP stream of a producer: an encoding with its own SSRC.
final class ProducerStream {
  /// Position in `Producer.streams`; what `RoutedPacket.streamIndex` says.
  let index: Int
  let ssrc: SSRC
  let rid: String?
  /// Of the encoding. With SVC the packets say more.
  let spatialLayer: Int
  let history: PacketHistory
  /// Hertz.
  let clockRate: Int

  /// Loss and jitter.
  var statistics: ReceiveStatistics
  var rate = LayerBitrate()
  /// Highest spatial and temporal layer seen lately.
  var highestSpatialLayer = 0
  var highestTemporalLayer = 0
  /// AV1's template structure; nil before the first key frame.
  var dependencyStructure: DependencyStructure?
  var lastArrival: Instant?
  /// False while nothing has come for a while: muted, or the layer is switched off.
  var isActive = false
  /// The time line that this stream's timestamps follow.
  var timeline: MediaTimeline

  init(
    index: Int, ssrc: SSRC, rid: String?, spatialLayer: Int, codec: MediaCodec
  ) {
    self.index = index
    self.ssrc = ssrc
    self.rid = rid
    self.spatialLayer = spatialLayer
    clockRate = codec.clockRate
    history = PacketHistory(kind: codec.kind)
    statistics = ReceiveStatistics(clockRate: codec.clockRate)
    timeline = MediaTimeline(clockRate: codec.clockRate)
  }

  /// The stream's timestamp of what is captured at `now` on the router's clock: by the publisher's sender reports once
  /// there are any, by the last packet's arrival before. Nil before the first packet.
  ///
  /// All streams of one publisher share one mapping of NTP time, so that `a.rtpTimestamp(at:)` and `b.rtpTimestamp(at:)`
  /// name the same instant of capture: what layer switches and sender reports need.
  func rtpTimestamp(at now: Instant) -> UInt32? { timeline.rtpTimestamp(at: now) }
}

/// Bits a second by layer, over the last second or so.
struct LayerBitrate {
  static let spatialLayers = 4
  static let temporalLayers = 4

  /// Of just that layer.
  private(set) var rates: InlineArray<16, Double> = .init(repeating: 0)
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

  /// Folds what was counted into the rates. Call it every few hundred milliseconds.
  mutating func update(now: Instant) {
    guard let since else { return }
    let elapsed = (now - since).inSeconds
    guard elapsed >= 0.2 else { return }
    // An exponential average over about a second; the first value counts whole.
    let weight = min(1, elapsed / 1.0)
    for index in 0..<16 {
      let sample = Double(bits[index]) / elapsed
      rates[index] = rates[index] == 0 || sample == 0 && elapsed > 1 ? sample : rates[index] + weight * (sample - rates[index])
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

/// Maps between a stream's timestamps and the router's clock.
struct MediaTimeline {
  let clockRate: Int
  /// Timestamp and instant that belong together.
  private var anchor: (timestamp: UInt32, at: Instant)?
  /// The anchor came from a sender report.
  private(set) var isSynchronised = false

  init(clockRate: Int) { self.clockRate = clockRate }

  /// A packet came; before any sender report its arrival is the best that is known.
  mutating func received(timestamp: UInt32, at now: Instant) {
    if !isSynchronised { anchor = (timestamp, now) }
  }

  /// A sender report said that `timestamp` is captured at the instant `at` (of the router's clock).
  mutating func synchronise(timestamp: UInt32, at: Instant) {
    anchor = (timestamp, at)
    isSynchronised = true
  }

  func rtpTimestamp(at now: Instant) -> UInt32? {
    guard let anchor else { return nil }
    let elapsed = (now - anchor.at).nanoseconds
    let (seconds, rest) = elapsed.quotientAndRemainder(dividingBy: 1_000_000_000)
    let units = seconds &* Int64(clockRate) &+ rest &* Int64(clockRate) / 1_000_000_000
    return anchor.timestamp &+ UInt32(truncatingIfNeeded: units)
  }
}
