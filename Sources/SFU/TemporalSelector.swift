import RTP

/// When a stream's layers last went up: what is older and comes later still goes by the lower layer, as it may refer to
/// what was left out before.
struct LayerRise: Sendable {
  /// How far back late packets may lie.
  private static let reach: Int64 = 256
  private var at = Int64.min
  private var before = 0

  init() {}

  mutating func note(_ sequence: Int64, from level: Int) {
    before = at == .min || sequence - at > Self.reach ? level : min(before, level)
    at = sequence
  }

  /// The level that goes for a packet.
  func limit(_ sequence: Int64, _ current: Int) -> Int { sequence < at ? min(before, current) : current }
}

/// Drops temporal layers of a stream with one spatial layer (VP8, H.264): down at any picture, up where a picture says
/// that a decoder may.
struct TemporalSelector: Sendable {
  /// The highest layer that goes through.
  private(set) var current = 0
  private var pictures = PictureLog()
  private var rise = LayerRise()

  init() {}

  /// A source joins at a key frame.
  mutating func begin(target: Int) {
    current = target
    pictures.removeAll()
    rise = LayerRise()
  }

  /// Whether the packet goes through.
  mutating func select(_ packet: borrowing RoutedPacket, target: Int, isInOrder: Bool) -> Bool {
    if let verdict = pictures.verdict(packet.header.timestamp, isInOrder: isInOrder) { return verdict != 0 }
    let layer = packet.temporalLayer
    var highest = rise.limit(packet.extendedSequence, current)
    if isInOrder {
      if packet.isKeyFrame || target < current {
        current = target
      } else if layer == current + 1, layer <= target, packet.isSwitchPoint {
        // One layer at a time: a picture that refers to the base layer only says nothing of the layer between.
        rise.note(packet.extendedSequence, from: current)
        current = layer
      }
      highest = current
    }
    let passes = layer <= highest
    pictures.append(packet.header.timestamp, passes ? 1 : 0)
    return passes
  }
}
