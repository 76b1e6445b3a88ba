import Core
import RTP

/// Chooses the simulcast layer of a video track that goes into a file: the largest picture that is being sent. Changes
/// only at key frames.
struct LayerChoice {
  private struct Layer {
    var area = 0
    var lastTime: Int64 = .min
  }

  /// Pixels of the largest picture wanted; nil: no bound.
  let maximumHeight: Int?
  private var layers: [SSRC: Layer] = [:]
  private(set) var current: SSRC?
  private(set) var switches = 0
  /// A layer that sent nothing for so long is gone: nanoseconds.
  private static let patience: Int64 = 1_500_000_000

  init(maximumHeight: Int? = nil) { self.maximumHeight = maximumHeight }

  /// Whether a frame is to be kept. Frames come by rising time.
  mutating func takes(_ frame: EncodedFrame, of ssrc: SSRC, at time: Int64) -> Bool {
    layers[ssrc, default: Layer()].lastTime = time
    if frame.isKeyFrame { layers[ssrc]?.area = frame.width * frame.height }
    guard ssrc != current else { return true }
    guard frame.isKeyFrame, maximumHeight.map({ frame.height <= $0 || current == nil }) ?? true else { return false }
    if let current, let playing = layers[current] {
      let isGone = time - playing.lastTime > Self.patience
      guard isGone || (layers[ssrc]?.area ?? 0) > playing.area else { return false }
      switches += 1
    }
    current = ssrc
    return true
  }
}
