import LiveKitProtocol
import SFU

/// What a subscriber's picture of a track looks like, translated into layers.
struct TrackSettings: Equatable {
  var isDisabled = false
  var quality = Livekit_VideoQuality.high
  /// Pixels on the subscriber's screen; 0 says nothing.
  var width: UInt32 = 0
  var height: UInt32 = 0
  /// Frames a second; 0 says nothing.
  var framesPerSecond: UInt32 = 0
  var priority: UInt32 = 0

  init() {}

  init(_ request: Livekit_UpdateTrackSettings) {
    isDisabled = request.disabled
    quality = request.quality
    width = request.width
    height = request.height
    framesPerSecond = request.fps
    priority = request.priority
  }

  /// - Parameter qualities: that of each spatial layer, lowest first.
  func preferences(
    for info: Livekit_TrackInfo, qualities: [Livekit_VideoQuality]
  ) -> ConsumerPreferences {
    var preferences = ConsumerPreferences()
    preferences.isPaused = isDisabled
    preferences.priority = Int(min(priority, 255))
    guard info.type == .video else { return preferences }
    let wanted = width > 0 && height > 0 ? fitting(info) : quality
    if wanted == .off {
      preferences.isPaused = true
    } else {
      preferences.maximumSpatialLayer = max(0, (qualities.lastIndex { $0.rawValue <= wanted.rawValue }) ?? 0)
    }
    switch framesPerSecond {
    case 0: break
    // Three temporal layers of at most 30 frames a second are what encoders make.
    case ...8: preferences.maximumTemporalLayer = 0
    case ...16: preferences.maximumTemporalLayer = 1
    default: break
    }
    return preferences
  }

  /// The lowest quality whose picture is not smaller than what is shown. The shorter side counts: clients turn pictures.
  private func fitting(_ info: Livekit_TrackInfo) -> Livekit_VideoQuality {
    let wanted = min(width, height)
    let layers = info.layers.filter { $0.quality != .off && $0.width > 0 && $0.height > 0 }
      .sorted { $0.quality.rawValue < $1.quality.rawValue }
    guard !layers.isEmpty else { return .high }
    // A picture that is a little too small is not worth the next layer, which is four times as much.
    let found = layers.first { Double(min($0.width, $0.height)) * 1.1 >= Double(wanted) }
    return found?.quality ?? .high
  }
}
