import RTP

/// Drops spatial and temporal layers of a VP9 stream (RFC 9628 §4.2): down at any picture; spatially up at key pictures,
/// temporally up behind a switching-up point.
struct VP9Selector: Sendable {
  /// The highest layers that go through.
  private(set) var spatial = 0
  private(set) var temporal = 0
  // A picture's verdict: 0 dropped, else its highest spatial layer plus one.
  private var pictures = PictureLog()
  private var temporalRise = LayerRise()
  private var spatialRise = LayerRise()

  init() {}

  /// A source joins at a key picture.
  mutating func begin(spatial: Int, temporal: Int) {
    self.spatial = spatial
    self.temporal = temporal
    pictures.removeAll()
    temporalRise = LayerRise()
    spatialRise = LayerRise()
  }

  mutating func select(
    _ packet: borrowing RoutedPacket, _ descriptor: VP9Descriptor, spatial targetSpatial: Int,
    temporal targetTemporal: Int, isInOrder: Bool
  ) -> LayerSelector.Decision {
    let layer = Int(descriptor.spatialLayer ?? 0)
    let key = packet.header.timestamp
    let verdict: UInt8
    if let known = pictures.verdict(key, isInOrder: isInOrder) {
      verdict = known
    } else {
      let sequence = packet.extendedSequence
      if isInOrder {
        if descriptor.isKeyFrame {
          if targetSpatial > spatial { spatialRise.note(sequence, from: spatial) }
          if targetTemporal > temporal { temporalRise.note(sequence, from: temporal) }
          spatial = targetSpatial
          temporal = targetTemporal
        }
        spatial = min(spatial, targetSpatial)
        temporal = min(temporal, targetTemporal)
      }
      let temporalLayer = Int(descriptor.temporalLayer ?? 0)
      verdict =
        temporalLayer <= temporalRise.limit(sequence, temporal)
        ? UInt8(clamping: spatialRise.limit(sequence, spatial) + 1) : 0
      pictures.append(key, verdict)
      // What follows needs nothing of the higher layers from before this picture.
      if isInOrder, descriptor.isSwitchingUpPoint, temporalLayer <= temporal, temporal < targetTemporal {
        temporalRise.note(sequence + 1, from: temporal)
        temporal = targetTemporal
      }
    }
    guard layer < Int(verdict) else { return .drop }
    return descriptor.endsFrame && layer + 1 == Int(verdict) ? .forwardMarked : .forward
  }
}
