import Core
import RTP

/// What is heard and seen in a room, as one file: mixed sound, and pictures in tiles with names. Used on one thread.
final class CompositeRenderer {
  /// One track.
  private final class Track {
    let id: UInt16
    let identity: String
    let name: String
    let isVideo: Bool
    let isScreen: Bool
    var isMuted = false
    var layers = LayerChoice()
    var decoder: VideoDecoder?
    /// Its picture changed since it was drawn.
    var isDirty = false

    init(_ stream: SpoolStream) {
      id = stream.id
      identity = stream.name
      name = stream.attributes["name"].flatMap { $0.isEmpty ? nil : $0 } ?? stream.name
      isVideo = stream.media == .video
      isScreen = stream.attributes["source"]?.hasPrefix("screen_share") ?? false
    }

    var isShown: Bool { isVideo && !isMuted && decoder?.hasPicture == true }
  }

  private let scan: SpoolScan
  private let plan: RenderPlan
  private let container: MediaContainer
  private var tracks: [Track] = []
  private var speaking: [String] = []
  private var layout: RenderPlan.Layout
  private var main: Int?
  private var places: [CompositeLayout.Place] = []
  private var items: [CompositeLayout.Item] = []
  /// Names of those without a picture, by their negative numbers.
  private var names: [Int: String] = [:]
  private var isStale = true
  private let canvas: Canvas
  private var encoder: (any VideoEncoder)?
  private var mixer: OfflineMixer?
  private var lastPicture: Int64?
  private var lastKey: Int64 = .min / 2

  init(scan: SpoolScan, plan: RenderPlan, container: MediaContainer) {
    self.scan = scan
    self.plan = plan
    self.container = container
    layout = plan.layout
    canvas = Canvas(width: plan.width, height: plan.height)
  }

  func render(to path: String, progress: (Double) -> Bool) throws(RecordingError) -> RenderedMedia {
    var description: MediaMuxer.Video?
    if plan.video {
      let codec = plan.videoCodec ?? (container == .mp4 ? .h264 : .vp8)
      let made: any VideoEncoder = codec == .h264 ? try H264Encoder(plan) : try VP8Encoder(plan)
      guard container.carries(made.payload) else {
        throw .container("\(made.payload.rawValue) cannot be in a file of type \(container.rawValue)")
      }
      encoder = made
      description = MediaMuxer.Video(
        payload: made.payload, width: canvas.width, height: canvas.height, configuration: made.configuration)
    }
    if plan.audio { mixer = try OfflineMixer(bitrate: plan.audioBitrate) }
    let muxer = try MediaMuxer(
      path: path, container: container, video: description, hasAudio: plan.audio, audioChannels: 1,
      metadata: scan.header.attributes["title"].map { ["title": $0] } ?? [:])
    let interval = Int64(1_000_000_000 / max(1, plan.framerate))
    var tick: Int64 = 0
    let end = max(0, scan.duration.nanoseconds)
    let playback = SpoolPlayback(scan)
    try playback.run(progress: progress) { item throws(RecordingError) in
      let now = min(item.time, end)
      while tick <= now - interval {
        try showPicture(at: tick, muxer)
        tick += interval
      }
      try mixer?.drain(upTo: now) { packet, time throws(RecordingError) in
        try muxer.write(audio: packet, at: time, samples: 960)
      }
      try take(item)
    }
    while tick < end {
      try showPicture(at: tick, muxer)
      tick += interval
    }
    // The last picture stands until the end.
    if plan.video { try showPicture(at: end, muxer, isLast: true) }
    try mixer?.drain(upTo: end) { packet, time throws(RecordingError) in
      try muxer.write(audio: packet, at: time, samples: 960)
    }
    for frame in try encoder?.finish() ?? [] {
      try muxer.write(video: frame.bytes, at: frame.milliseconds * 1_000_000, isKeyFrame: frame.isKeyFrame)
    }
    try muxer.finish()
    var file = RenderedMedia(path: path, container: container, hasVideo: plan.video, hasAudio: plan.audio)
    if plan.video { (file.width, file.height) = (canvas.width, canvas.height) }
    file.duration = .nanoseconds(end)
    file.losses = playback.losses
    return file
  }

  // MARK: What happens

  private func take(_ item: PlaybackItem) throws(RecordingError) {
    let track = tracks.first { $0.id == item.stream }
    switch item.content {
    case .streamBegan:
      guard track == nil, let stream = scan.streams[item.stream] else { return }
      tracks.append(Track(stream.description))
      isStale = true
    case .streamEnded:
      tracks.removeAll { $0.id == item.stream }
      mixer?.end(of: item.stream)
      isStale = true
    case .event(let event):
      switch event {
      case .mute, .unmute:
        track?.isMuted = event == .mute
        // What it shows afterwards is new.
        if event == .mute { track?.decoder?.forget() }
        isStale = true
      default:
        switch RoomNote(event) {
        case .speakers(let identities):
          speaking = identities
          isStale = true
        case .layout(let wanted):
          layout = wanted
          isStale = true
        case nil: break
        }
      }
    case .audio(let bytes, _): try mixer?.add(bytes, of: item.stream, at: item.time)
    case .video(let frame, let ssrc):
      guard plan.video, let track, track.layers.takes(frame, of: ssrc, at: item.time),
        let payload = scan.streams[item.stream]?.sources[ssrc]?.payload
      else { return }
      let decoder: VideoDecoder
      if let known = track.decoder, known.payload == payload {
        decoder = known
      } else {
        decoder = try VideoDecoder(payload)
        track.decoder = decoder
      }
      let wasShown = track.isShown
      guard decoder.decode(frame.bytes) else { return }
      track.isDirty = true
      if !wasShown { isStale = true }
    }
  }

  // MARK: Pictures

  /// One picture of the file, where something changed since the last, and once a second.
  private func showPicture(at time: Int64, _ muxer: MediaMuxer, isLast: Bool = false) throws(RecordingError) {
    guard let encoder else { return }
    let isChanged = draw()
    guard isChanged || isLast || lastPicture.map({ time - $0 >= 1_000_000_000 }) ?? true else { return }
    if let lastPicture, time <= lastPicture { return }
    let isKey = time - lastKey >= Int64(plan.keyFrameInterval * 1e9)
    if isKey { lastKey = time }
    lastPicture = time
    for frame in try encoder.encode(canvas, at: time / 1_000_000, forcesKeyFrame: isKey) {
      try muxer.write(video: frame.bytes, at: frame.milliseconds * 1_000_000, isKeyFrame: frame.isKeyFrame)
    }
  }

  /// True where anything changed.
  private func draw() -> Bool {
    if isStale {
      isStale = false
      arrange()
      canvas.fill(Tile(x: 0, y: 0, width: canvas.width, height: canvas.height), .black)
      for place in places { draw(place) }
      for track in tracks { track.isDirty = false }
      return true
    }
    var isChanged = false
    for place in places {
      guard let track = tracks.first(where: { Int($0.id) == place.id }), track.isDirty else { continue }
      track.isDirty = false
      draw(place)
      isChanged = true
    }
    return isChanged
  }

  private func arrange() {
    items = []
    names = [:]
    var seen: Set<String> = []
    for track in tracks where track.isShown {
      let isSpeaking = !track.isScreen && speaking.contains(track.identity)
      items.append(.init(id: Int(track.id), isScreen: track.isScreen, isSpeaking: isSpeaking))
      if !track.isScreen { seen.insert(track.identity) }
    }
    // Who is only heard has a place, too.
    for track in tracks where !track.isScreen && !seen.contains(track.identity) {
      seen.insert(track.identity)
      let id = -1 - Int(track.id)
      items.append(.init(id: id, isScreen: false, isSpeaking: speaking.contains(track.identity)))
      names[id] = track.name
    }
    places = CompositeLayout.places(layout, items, width: canvas.width, height: canvas.height, main: &main)
  }

  private func draw(_ place: CompositeLayout.Place) {
    let tile = place.tile
    let scale = max(1, min(4, tile.height / 120))
    let isSpeaking = items.first { $0.id == place.id }?.isSpeaking ?? false
    if let track = tracks.first(where: { Int($0.id) == place.id }) {
      if let decoder = track.decoder, decoder.hasPicture { canvas.draw(decoder.picture, in: tile) }
      if layout != .single { label(track.isScreen ? track.name + " (screen)" : track.name, tile, scale) }
    } else {
      canvas.fill(tile, .slate)
      let text = fitting(names[place.id] ?? "", tile.width - 8 * scale, scale)
      canvas.write(
        text, x: tile.x + (tile.width - BitmapFont.width(of: text, scale: scale)) / 2,
        y: tile.y + (tile.height - 7 * scale) / 2, scale: scale)
    }
    if isSpeaking, places.count > 1 { canvas.outline(tile, .green, thickness: 2 * scale) }
  }

  /// The name, below on the left, on a dark bar.
  private func label(_ name: String, _ tile: Tile, _ scale: Int) {
    let text = fitting(name, tile.width - 16 * scale, scale)
    guard !text.isEmpty else { return }
    let bar = Tile(
      x: tile.x + 4 * scale, y: tile.y + tile.height - 17 * scale,
      width: BitmapFont.width(of: text, scale: scale) + 8 * scale, height: 13 * scale)
    canvas.fill(bar, .black)
    canvas.write(text, x: bar.x + 4 * scale, y: bar.y + 3 * scale, scale: scale)
  }

  private func fitting(_ text: String, _ width: Int, _ scale: Int) -> String {
    String(text.prefix(max(0, width / (6 * scale))))
  }
}
