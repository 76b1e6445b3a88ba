import LiveKitProtocol
import SFU

/// A participant's connection quality, the worse of its connections'.
struct QualityRecord {
  private var scores: [PeerID: Double] = [:]
  var isLost = false
  /// What others were told last.
  private(set) var announced: (quality: Livekit_ConnectionQuality, score: Float)?

  /// - Parameter score: 1…5, as a mean opinion score.
  mutating func update(_ peer: PeerID, score: Double) { scores[peer] = score }
  mutating func remove(_ peer: PeerID) { scores[peer] = nil }

  var current: (quality: Livekit_ConnectionQuality, score: Float) {
    if isLost { return (.lost, 0) }
    let score = scores.values.min() ?? 5
    // Where LiveKit draws the lines: 80 and 40 of 100.
    let quality: Livekit_ConnectionQuality = score >= 4.2 ? .excellent : score >= 2.6 ? .good : .poor
    return (quality, Float(score))
  }

  /// Marks the present quality as told; true where it differs from what was told before.
  mutating func announce() -> Bool {
    let now = current
    defer { announced = now }
    return announced?.quality != now.quality
  }
}
