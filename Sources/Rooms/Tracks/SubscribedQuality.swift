import LiveKitProtocol

/// Which layers of a track somebody watches, told to its publisher so that the others are not encoded (dynacast).
struct SubscribedQuality {
  /// The highest spatial layer that is watched; nil: none. The router waits before it lowers it.
  private var wanted: Int??
  /// What the publisher was told last.
  private var told: [Livekit_VideoQuality: Bool]?

  /// Takes what the router found; true where it is news.
  mutating func want(_ layer: Int?) -> Bool {
    if let wanted, wanted == layer { return false }
    wanted = .some(layer)
    return true
  }

  /// What the publisher has to be told, if anything.
  /// - Parameter qualities: that of each spatial layer. A track of one layer is switched as a whole: its single encoding
  ///   may have any name.
  mutating func update(for info: Livekit_TrackInfo, qualities: [Livekit_VideoQuality])
    -> Livekit_SubscribedQualityUpdate?
  {
    guard let wanted, info.type == .video, !info.muted else { return nil }
    var enabled: [Livekit_VideoQuality: Bool] = [:]
    for quality in [Livekit_VideoQuality.low, .medium, .high] {
      if qualities.count < 2 {
        enabled[quality] = wanted != nil
      } else if let wanted {
        let highest = qualities[min(max(wanted, 0), qualities.count - 1)]
        enabled[quality] = quality.rawValue <= highest.rawValue
      } else {
        enabled[quality] = false
      }
    }
    guard enabled != told else { return nil }
    told = enabled
    return message(info, enabled)
  }

  /// The same once more, for a publisher who resumed or who may have missed it.
  mutating func forgetTold() { told = nil }

  private func message(
    _ info: Livekit_TrackInfo, _ enabled: [Livekit_VideoQuality: Bool]
  ) -> Livekit_SubscribedQualityUpdate {
    var update = Livekit_SubscribedQualityUpdate()
    update.trackSid = info.sid
    let qualities = [Livekit_VideoQuality.low, .medium, .high].map { quality in
      var entry = Livekit_SubscribedQuality()
      entry.quality = quality
      entry.enabled = enabled[quality] ?? false
      return entry
    }
    var codec = Livekit_SubscribedCodec()
    codec.codec = String(info.mimeType.lowercased().dropFirst("video/".count))
    codec.qualities = qualities
    update.subscribedQualities = qualities
    update.subscribedCodecs = [codec]
    return update
  }
}
