import RTP

/// Drops temporal layers of a stream with one spatial layer (VP8, H.264): down at any picture, up where a picture says
/// that a decoder may.
struct TemporalSelector: Sendable {
  /// The highest layer that goes through.
  private(set) var current = 0
  private var pictures = PictureLog()

  init() {}

  /// A source joins at a key frame.
  mutating func begin(target: Int) {
    current = target
    pictures.removeAll()
  }

  /// Whether the packet goes through.
  mutating func select(_ packet: borrowing RoutedPacket, target: Int, isInOrder: Bool) -> Bool {
    if let verdict = pictures[packet.header.timestamp] { return verdict != 0 }
    let layer = packet.temporalLayer
    if isInOrder {
      if packet.isKeyFrame || target < current {
        current = target
      } else if layer == current + 1, layer <= target, packet.isSwitchPoint {
        // One layer at a time: a picture that refers to the base layer only says nothing of the layer between.
        current = layer
      }
    }
    let passes = layer <= current
    pictures.append(packet.header.timestamp, passes ? 1 : 0)
    return passes
  }
}
