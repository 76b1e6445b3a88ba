import Core
import RTP

/// A media file that was made.
package struct RenderedMedia: Hashable, Sendable {
  package var path: String
  package var container: MediaContainer
  package var hasVideo: Bool
  package var hasAudio: Bool
  package var width = 0
  package var height = 0
  /// When its first frame was, from the recording's beginning.
  package var start: Duration = .zero
  package var duration: Duration = .zero
  package var losses = PlaybackLosses()
}

/// Puts tracks of a spool into a file as they are: no decoding.
package struct TrackRenderer {
  package var video: UInt16?
  package var audio: UInt16?
  package var container: MediaContainer
  /// Of simulcast: the highest picture wanted.
  package var maximumHeight: Int?
  package var title: String

  package init(
    video: UInt16?, audio: UInt16?, container: MediaContainer, maximumHeight: Int? = nil, title: String = ""
  ) {
    self.video = video
    self.audio = audio
    self.container = container
    self.maximumHeight = maximumHeight
    self.title = title
  }

  /// - Parameter progress: 0…1; false ends the rendering.
  package func render(
    _ scan: SpoolScan, to path: String, progress: (Double) -> Bool = { _ in true }
  ) throws(RecordingError) -> RenderedMedia {
    let start = video.flatMap { scan.streams[$0] }.flatMap(largestStart)
    let hasAudio = audio.flatMap { scan.streams[$0] }?.isUsable ?? false
    var description: MediaMuxer.Video?
    if let video, let payload = scan.streams[video]?.payload, let start {
      guard container.carries(payload) else {
        throw .container("\(payload.rawValue) cannot be in a file of type \(container.rawValue)")
      }
      description = MediaMuxer.Video(
        payload: payload, width: start.width, height: start.height, configuration: start.configuration)
    }
    guard description != nil || hasAudio else { throw .container("nothing was received to record") }
    let muxer = try MediaMuxer(
      path: path, container: container, video: description, hasAudio: hasAudio,
      metadata: title.isEmpty ? [:] : ["title": title])
    var file = RenderedMedia(path: path, container: container, hasVideo: description != nil, hasAudio: hasAudio)
    if let start { (file.width, file.height) = (start.width, start.height) }
    var layers = LayerChoice(maximumHeight: maximumHeight)
    var origin: Int64?
    var end: Int64 = 0
    /// Where the audio written so far ends.
    var audioEnd: Int64?
    let playback = SpoolPlayback(scan, streams: Set([video, audio].compactMap { $0 }))
    try playback.run(progress: progress) { item throws(RecordingError) in
      switch item.content {
      case .video(let frame, let ssrc) where item.stream == video && description != nil:
        guard layers.takes(frame, of: ssrc, at: item.time) else { return }
        let zero = origin ?? item.time
        origin = zero
        try muxer.write(video: frame.bytes, at: item.time - zero, isKeyFrame: frame.isKeyFrame)
        end = max(end, item.time)
      case .audio(let bytes, let samples) where item.stream == audio:
        let zero = origin ?? item.time
        origin = zero
        if let from = audioEnd { try fillSilence(muxer, from: from - zero, to: item.time - zero) }
        try muxer.write(audio: bytes, at: item.time - zero, samples: samples)
        audioEnd = item.time + Int64(samples) * 1_000_000_000 / 48_000
        end = max(end, audioEnd ?? end)
      default: break
      }
    }
    try muxer.finish()
    file.start = .nanoseconds(origin ?? 0)
    file.duration = .nanoseconds(max(0, end - (origin ?? 0)))
    file.losses = playback.losses
    return file
  }

  /// Mutes, discontinuous transmission and loss leave holes; players differ in what they make of them.
  private func fillSilence(_ muxer: MediaMuxer, from: Int64, to: Int64) throws(RecordingError) {
    var time = from
    while to - time >= 30_000_000 {
      try muxer.write(audio: OpusPacket.silence, at: time, samples: 960)
      time += 20_000_000
    }
  }

  private func largestStart(_ stream: SpoolScan.Stream) -> SpoolScan.Start? {
    stream.sources.values.compactMap(\.start)
      .filter { start in maximumHeight.map { start.height <= $0 } ?? true }
      .max { $0.width * $0.height < $1.width * $1.height }
      ?? stream.sources.values.compactMap(\.start).min { $0.height < $1.height }
  }
}
