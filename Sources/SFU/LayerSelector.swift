import Core
import RTP

/// Decides which packets of a video track go to one subscriber: which simulcast stream, and which layers inside it.
///
/// Another stream takes over at one of its key frames and never before; until then the current one goes on. Layers inside
/// a stream are dropped so that everything that goes through can be decoded.
struct LayerSelector: Sendable {
  enum Decision: Hashable, Sendable {
    /// Of a stream that is not forwarded.
    case ignore
    /// Of the current stream, left out on purpose.
    case drop
    case forward
    /// The last packet of its picture, as this subscriber sees it.
    case forwardMarked
    /// A stream takes over with this packet.
    case join
  }

  /// How long a temporal layer may wait for a switching point before a key frame is worth it.
  static let patience = Duration.seconds(3)
  /// After that a picture that cannot be read (end-to-end encrypted) is taken for one to start at.
  static let blindStart = Duration.seconds(2)

  let isSimulcast: Bool
  /// What is wanted: at most these layers.
  private(set) var targetSpatial: Int
  private(set) var targetTemporal: Int
  /// Of simulcast: the layer to go to, among those that live.
  private(set) var aim: Int
  /// Index of the stream that goes through; −1 for none.
  private(set) var stream = -1
  /// Its layer; −1 for none.
  private(set) var streamLayer = -1
  private var codec = MediaCodec.vp8
  private var plain = TemporalSelector()
  private var vp9 = VP9Selector()
  private var targets = DecodeTargetSelector()
  private var waitingSince: Instant?
  private var temporalSince: Instant?

  init(isSimulcast: Bool, spatial: Int, temporal: Int) {
    self.isSimulcast = isSimulcast
    targetSpatial = spatial
    targetTemporal = temporal
    aim = spatial
  }

  /// Layers that go through; nil for none.
  var current: (spatial: Int, temporal: Int)? {
    guard stream >= 0 else { return nil }
    switch codec {
    case .vp9: return (isSimulcast ? streamLayer : vp9.spatial, vp9.temporal)
    case .av1: return (isSimulcast ? streamLayer : targets.spatial, targets.temporal)
    default: return (isSimulcast ? streamLayer : 0, plain.current)
    }
  }

  mutating func setTarget(spatial: Int, temporal: Int) {
    targetSpatial = spatial
    targetTemporal = temporal
  }

  /// Nothing goes through until the next key frame.
  mutating func stop() {
    stream = -1
    streamLayer = -1
    waitingSince = nil
    temporalSince = nil
  }

  /// Looks which layers are active. Call when the target changed, when streams came, and every 100 ms or so.
  ///
  /// - Returns: The spatial layer of which a key frame is needed; nil where none is.
  mutating func advance(_ streams: [ProducerStream], now: Instant) -> Int? {
    guard isSimulcast else {
      guard stream >= 0, stream < streams.count else { return streams.isEmpty ? nil : 0 }
      return needsKeyFrameInside(streams[stream], now) ? 0 : nil
    }
    aim = bestLayer(streams)
    if streamLayer != aim { return aim }
    guard stream >= 0, stream < streams.count else { return nil }
    return needsKeyFrameInside(streams[stream], now) ? aim : nil
  }

  /// The highest living layer within the target; the lowest above it where none is.
  private func bestLayer(_ streams: [ProducerStream]) -> Int {
    var within = -1
    var above = Int.max
    for stream in streams where stream.isActive {
      if stream.spatialLayer <= targetSpatial {
        within = max(within, stream.spatialLayer)
      } else {
        above = min(above, stream.spatialLayer)
      }
    }
    return within >= 0 ? within : above == .max ? targetSpatial : above
  }

  private mutating func needsKeyFrameInside(_ stream: ProducerStream, _ now: Instant) -> Bool {
    let temporal: Int
    switch codec {
    case .vp9:
      if !isSimulcast, vp9.spatial < min(targetSpatial, stream.highestSpatialLayer) { return true }
      temporal = vp9.temporal
    case .av1:
      if targets.isPending, targets.wantsOtherSize { return true }
      return isPatienceOver(targets.isPending, now)
    default: temporal = plain.current
    }
    return isPatienceOver(temporal < min(targetTemporal, stream.highestTemporalLayer), now)
  }

  private mutating func isPatienceOver(_ isPending: Bool, _ now: Instant) -> Bool {
    guard isPending else {
      temporalSince = nil
      return false
    }
    guard let since = temporalSince else {
      temporalSince = now
      return false
    }
    return now - since >= Self.patience
  }

  /// - Parameter isInOrder: The newest packet of its stream so far.
  mutating func select(
    _ packet: borrowing RoutedPacket, from source: ProducerStream, isInOrder: Bool, now: Instant
  ) -> Decision {
    guard packet.streamIndex == stream else {
      guard takesOver(packet, source, now) else { return .ignore }
      begin(packet, source)
      return .join
    }
    return inside(packet, source, isInOrder)
  }

  /// Whether a packet that begins a run after a join is also the last of its picture.
  mutating func isMarked(_ packet: borrowing RoutedPacket, from source: ProducerStream) -> Bool {
    inside(packet, source, true) == .forwardMarked
  }

  private mutating func inside(
    _ packet: borrowing RoutedPacket, _ source: ProducerStream, _ isInOrder: Bool
  ) -> Decision {
    switch packet.descriptor {
    case .vp9(let descriptor):
      return vp9.select(
        packet, descriptor, spatial: isSimulcast ? 7 : targetSpatial, temporal: targetTemporal, isInOrder: isInOrder)
    case .dependency(let descriptor):
      return targets.select(
        packet, descriptor, from: source, spatial: isSimulcast ? 7 : targetSpatial, temporal: targetTemporal,
        isInOrder: isInOrder)
    default: return plain.select(packet, target: targetTemporal, isInOrder: isInOrder) ? .forward : .drop
    }
  }

  private mutating func takesOver(_ packet: borrowing RoutedPacket, _ source: ProducerStream, _ now: Instant) -> Bool {
    // One that was lost and came again is as good, unless what is shown is newer by now.
    guard packet.startsFrame else { return false }
    if packet.isLate, stream >= 0, packet.header.timestamp != source.lastTimestamp { return false }
    if !startsKeyPicture(packet) {
      guard stream < 0, packet.descriptor == .none else { return false }
      guard let since = waitingSince else {
        waitingSince = now
        return false
      }
      guard now - since >= Self.blindStart else { return false }
    }
    // A stream that came later replaces one of the same layer: the publisher changed its SSRC.
    guard isSimulcast else { return packet.streamIndex > stream }
    let layer = source.spatialLayer
    if stream < 0 { return layer <= aim }
    if layer == streamLayer { return packet.streamIndex > stream }
    return abs(layer - aim) < abs(streamLayer - aim)
  }

  /// Upper layers of a key picture are key frames too, but nobody can start with them.
  private func startsKeyPicture(_ packet: borrowing RoutedPacket) -> Bool {
    switch packet.descriptor {
    case .vp9(let descriptor): descriptor.isKeyFrame
    case .dependency(let descriptor): descriptor.hasStructure && descriptor.startsFrame
    case .none, .vp8, .h264: packet.isKeyFrame
    }
  }

  private mutating func begin(_ packet: borrowing RoutedPacket, _ source: ProducerStream) {
    stream = packet.streamIndex
    streamLayer = source.spatialLayer
    codec = packet.codec
    waitingSince = nil
    temporalSince = nil
    plain.begin(target: targetTemporal)
    vp9.begin(spatial: isSimulcast ? 7 : targetSpatial, temporal: targetTemporal)
    targets.begin()
  }
}
