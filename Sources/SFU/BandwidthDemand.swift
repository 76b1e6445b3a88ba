/// Measured bits a second for forwarding a track up to a spatial and a temporal layer; 0 where that cannot be had now.
///
/// A value is what the subscriber would receive in all: of simulcast that stream alone, of SVC with the layers below.
struct LayerBitrates: Hashable, Sendable {
  static let spatialCount = 3
  static let temporalCount = 4
  // Twelve words in place, no allocation.
  private var row0 = SIMD4<UInt32>()
  private var row1 = SIMD4<UInt32>()
  private var row2 = SIMD4<UInt32>()

  init() {}

  /// 0 outside 0…2, 0…3.
  subscript(spatial: Int, temporal: Int) -> Int {
    get {
      guard temporal >= 0, temporal < Self.temporalCount else { return 0 }
      switch spatial {
      case 0: return Int(row0[temporal])
      case 1: return Int(row1[temporal])
      case 2: return Int(row2[temporal])
      default: return 0
      }
    }
    set {
      guard temporal >= 0, temporal < Self.temporalCount else { return }
      let value = UInt32(clamping: newValue)
      switch spatial {
      case 0: row0[temporal] = value
      case 1: row1[temporal] = value
      case 2: row2[temporal] = value
      default: break
      }
    }
  }

  /// Nothing was measured yet.
  var isEmpty: Bool {
    for spatial in 0..<Self.spatialCount {
      for temporal in 0..<Self.temporalCount where self[spatial, temporal] > 0 { return false }
    }
    return true
  }
}

/// What a consumer shall forward.
enum LayerTarget: Hashable, Sendable {
  case paused
  case layer(spatial: Int, temporal: Int)

  /// Everything that the subscriber asked for.
  static let highest = LayerTarget.layer(spatial: 2, temporal: 3)
}

/// What one consumer would take of its peer's bandwidth.
struct BandwidthDemand: Hashable, Sendable {
  var id: ConsumerID
  var kind: MediaKind
  /// Muted, paused by the subscriber, or of a producer that sends nothing: it takes no part.
  var isIdle = false
  var isScreenShare = false
  /// The producer is among the active speakers (set on its video by whoever knows the participant).
  var isSpeaking = false
  /// 0 is unset, 1 the highest.
  var priority = 0
  /// What the subscriber asked for: 0…2.
  var maximumSpatialLayer = 2
  /// 0…3.
  var maximumTemporalLayer = 3
  /// Of video.
  var bitrates = LayerBitrates()

  init(id: ConsumerID, kind: MediaKind) {
    self.id = id
    self.kind = kind
  }
}
