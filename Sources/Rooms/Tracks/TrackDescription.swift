import LiveKitProtocol
import SDP
import SFU

/// Translations between what clients, SDP and the router call a track's properties.
enum TrackDescription {
  /// `TR_` and two letters: audio or video, and the source.
  static func sidDetail(_ type: Livekit_TrackType, _ source: Livekit_TrackSource) -> String {
    let first = type == .audio ? "A" : "V"
    let second =
      switch source {
      case .camera: "C"
      case .microphone: "M"
      case .screenShare: "S"
      case .screenShareAudio: "s"
      case .unknown, .UNRECOGNIZED: "U"
      }
    return first + second
  }

  /// `audio/opus`, `video/VP8`.
  static func mimeType(of encodingName: String, _ kind: MediaKind) -> String {
    let name = encodingName.lowercased()
    return kind == .audio ? "audio/" + name : "video/" + name.uppercased()
  }

  /// What a track will be until SDP says more.
  static func info(of request: Livekit_AddTrackRequest, sid: String) -> Livekit_TrackInfo {
    var info = Livekit_TrackInfo()
    info.sid = sid
    info.type = request.type
    info.name = request.name
    info.source = request.source
    info.muted = request.muted
    info.width = request.width
    info.height = request.height
    info.disableDtx = request.disableDtx
    info.stereo = request.stereo
    info.disableRed = request.disableRed
    info.encryption = request.encryption
    info.stream = request.stream
    info.backupCodecPolicy = request.backupCodecPolicy
    info.audioFeatures = request.audioFeatures
    info.packetTrailerFeatures = request.packetTrailerFeatures
    if request.type == .audio {
      if request.stereo, !info.audioFeatures.contains(.tfStereo) { info.audioFeatures.append(.tfStereo) }
      if request.disableDtx, !info.audioFeatures.contains(.tfNoDtx) { info.audioFeatures.append(.tfNoDtx) }
    }
    info.layers = request.layers
    if request.type == .video, info.layers.isEmpty {
      var layer = Livekit_VideoLayer()
      layer.quality = .high
      layer.width = request.width
      layer.height = request.height
      info.layers = [layer]
    }
    info.codecs = request.simulcastCodecs.prefix(1).map { codec in
      var described = Livekit_SimulcastCodecInfo()
      described.mimeType = mimeType(of: codec.codec, request.type == .audio ? .audio : .video)
      described.cid = codec.cid.isEmpty ? request.cid : codec.cid
      described.layers = codec.layers.isEmpty ? info.layers : codec.layers
      described.videoLayerMode = codec.videoLayerMode
      return described
    }
    info.mimeType = info.codecs.first?.mimeType ?? (request.type == .audio ? "audio/opus" : "video/VP8")
    return info
  }

  /// Lowest picture first. LiveKit's clients name them q, h and f; others by the order of the description.
  static func ordered(_ encodings: [RemoteEncoding]) -> [RemoteEncoding] {
    let ranks = ["q": 0, "h": 1, "f": 2]
    guard encodings.allSatisfy({ ranks[$0.rid ?? ""] != nil }) else { return encodings }
    return encodings.sorted { ranks[$0.rid ?? "", default: 0] < ranks[$1.rid ?? "", default: 0] }
  }

  /// Which quality each encoding stands for, lowest first.
  static func qualities(_ encodings: [RemoteEncoding], _ info: Livekit_TrackInfo) -> [Livekit_VideoQuality] {
    let ordered = ordered(encodings)
    if ordered.count < 2 {
      guard info.codecs.first?.videoLayerMode == .multipleSpatialLayersPerStream else { return [.high] }
      let described = Set(info.layers.map(\.quality)).filter { $0 != .off }.sorted { $0.rawValue < $1.rawValue }
      return described.isEmpty ? [.high] : described
    }
    let byRID: [String: Livekit_VideoQuality] = ["q": .low, "h": .medium, "f": .high]
    let named = ordered.compactMap { byRID[$0.rid ?? ""] }
    return named.count == ordered.count ? named : Array([.low, .medium, .high].prefix(ordered.count))
  }

  static func producerParameters(
    _ section: SettledSection, kind: MediaKind, muted: Bool, isScreenShare: Bool
  ) -> ProducerParameters {
    let encodings = ordered(section.encodings).enumerated().map { layer, encoding in
      EncodingParameters(
        rid: encoding.rid, ssrc: encoding.ssrc, retransmissionSSRC: encoding.retransmissionSSRC, spatialLayer: layer)
    }
    return ProducerParameters(
      kind: kind, mid: section.mid, codecs: codecs(section), extensions: extensions(section),
      encodings: encodings.isEmpty ? [EncodingParameters()] : encodings, muted: muted, isScreenShare: isScreenShare)
  }

  static func codecs(_ section: SettledSection) -> [CodecParameters] {
    section.codecs.compactMap { codec in
      MediaCodec(encodingName: codec.encodingName).map {
        CodecParameters(
          codec: $0, payloadType: codec.payloadType, retransmission: codec.retransmission,
          formatParameters: codec.formatParameters)
      }
    }
  }

  static func extensions(_ section: SettledSection) -> HeaderExtensionMap {
    var map = HeaderExtensionMap()
    for (uri, id) in section.extensions {
      if let known = HeaderExtension(uri: uri) { map[known] = id }
    }
    return map
  }
}
