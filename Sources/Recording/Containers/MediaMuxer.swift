import CAVFormat
import Core
package import RTP

/// What a media file may be.
package enum MediaContainer: String, Hashable, Sendable, Codable, CaseIterable {
  case webm
  case matroska
  case mp4
  case ogg

  package var fileExtension: String { self == .matroska ? "mkv" : rawValue }
  /// Of a file with sound alone, or with pictures.
  package func contentType(hasVideo: Bool) -> String {
    switch self {
    case .webm: hasVideo ? "video/webm" : "audio/webm"
    case .matroska: hasVideo ? "video/x-matroska" : "audio/x-matroska"
    case .mp4: hasVideo ? "video/mp4" : "audio/mp4"
    case .ogg: "audio/ogg"
    }
  }

  /// The muxer's name at libavformat.
  var formatName: String { rawValue }

  /// Whether the container has a mapping for the codec that libavformat writes.
  package func carries(_ payload: VideoPayload) -> Bool {
    switch (self, payload) {
    case (.webm, .vp8), (.webm, .vp9), (.webm, .av1), (.matroska, _): true
    case (.mp4, .h264), (.mp4, .vp9), (.mp4, .av1): true
    default: false
    }
  }

  /// The usual one for what was published.
  package static func usual(video: VideoPayload?) -> MediaContainer {
    switch video {
    case nil: .ogg
    case .vp8, .vp9: .webm
    case .h264, .av1: .mp4
    }
  }
}

/// Writes one media file by libavformat: at most one video and one audio track, already encoded. Used on one thread.
///
/// Times are nanoseconds from the recording's beginning; within a track they must rise, and are made to.
package final class MediaMuxer {
  package struct Video: Hashable, Sendable {
    package var payload: VideoPayload
    package var width: Int
    package var height: Int
    /// H.264: parameter sets with start codes. AV1: the sequence header's OBU. Others: empty.
    package var configuration: [UInt8]

    package init(payload: VideoPayload, width: Int, height: Int, configuration: [UInt8] = []) {
      self.payload = payload
      self.width = width
      self.height = height
      self.configuration = configuration
    }
  }

  private let path: String
  private let context: UnsafeMutablePointer<AVFormatContext>
  private let packet: UnsafeMutablePointer<AVPacket>
  private let videoIndex: Int32?
  private let audioIndex: Int32?
  private var lastTime: [Int32: Int64] = [:]
  private var isFinished = false
  package private(set) var packets = 0

  /// - Parameter metadata: Tags of the file, such as `title`.
  package init(
    path: String, container: MediaContainer, video: Video?, hasAudio: Bool, audioChannels: Int = 2,
    metadata: [String: String] = [:]
  ) throws(RecordingError) {
    AVLogging.quiet
    self.path = path
    guard video != nil || hasAudio else { throw .container("\(path): there is nothing to write") }
    var made: UnsafeMutablePointer<AVFormatContext>?
    var code = avformat_alloc_output_context2(&made, nil, container.formatName, path)
    guard code >= 0, let context = made else { throw .container(path, code) }
    self.context = context
    guard let packet = av_packet_alloc() else {
      avformat_free_context(context)
      throw .container("\(path): out of memory")
    }
    self.packet = packet
    videoIndex = video == nil ? nil : 0
    audioIndex = hasAudio ? (video == nil ? 0 : 1) : nil
    do throws(RecordingError) {
      if let video { try Self.addVideo(video, to: context) }
      if hasAudio { try Self.addAudio(channels: audioChannels, to: context) }
      for (key, value) in metadata { av_dict_set(&context.pointee.metadata, key, value, 0) }
      // A muted track holds up the other no longer than this, in microseconds.
      context.pointee.max_interleave_delta = 5_000_000
      code = avio_open(&context.pointee.pb, path, AVIO_FLAG_WRITE)
      guard code >= 0 else { throw .container(path, code) }
      var options: OpaquePointer?
      if container == .mp4 { av_dict_set(&options, "movflags", "+faststart", 0) }
      code = avformat_write_header(context, &options)
      av_dict_free(&options)
      guard code >= 0 else { throw .container(path, code) }
    } catch {
      Self.free(context, packet)
      throw error
    }
  }

  deinit { Self.free(context, packet) }

  private static func free(
    _ context: UnsafeMutablePointer<AVFormatContext>, _ packet: UnsafeMutablePointer<AVPacket>
  ) {
    var packet: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&packet)
    avio_closep(&context.pointee.pb)
    avformat_free_context(context)
  }

  private static func addVideo(
    _ video: Video, to context: UnsafeMutablePointer<AVFormatContext>
  ) throws(RecordingError) {
    guard let stream = avformat_new_stream(context, nil) else { throw .container("out of memory") }
    let parameters = stream.pointee.codecpar!  // Made with the stream.
    parameters.pointee.codec_type = AVMEDIA_TYPE_VIDEO
    parameters.pointee.codec_id = video.payload.codecID
    parameters.pointee.width = Int32(clamping: video.width)
    parameters.pointee.height = Int32(clamping: video.height)
    parameters.pointee.format = AV_PIX_FMT_YUV420P.rawValue
    try setExtradata(video.configuration, of: parameters)
    stream.pointee.time_base = AVRational(num: 1, den: 90_000)
  }

  private static func addAudio(
    channels: Int, to context: UnsafeMutablePointer<AVFormatContext>
  ) throws(RecordingError) {
    guard let stream = avformat_new_stream(context, nil) else { throw .container("out of memory") }
    let parameters = stream.pointee.codecpar!  // Made with the stream.
    parameters.pointee.codec_type = AVMEDIA_TYPE_AUDIO
    parameters.pointee.codec_id = AV_CODEC_ID_OPUS
    parameters.pointee.sample_rate = 48_000
    parameters.pointee.frame_size = 960
    av_channel_layout_default(&parameters.pointee.ch_layout, Int32(channels))
    // RFC 7845 §5.1: version 1, channels, no pre-skip, 48 kHz, no gain, mapping family 0.
    try setExtradata(
      Array("OpusHead".utf8) + [1, UInt8(clamping: channels), 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0], of: parameters)
    stream.pointee.time_base = AVRational(num: 1, den: 48_000)
  }

  private static func setExtradata(
    _ bytes: [UInt8], of parameters: UnsafeMutablePointer<AVCodecParameters>
  ) throws(RecordingError) {
    guard !bytes.isEmpty else { return }
    guard let memory = av_mallocz(bytes.count + Int(AV_INPUT_BUFFER_PADDING_SIZE)) else {
      throw .container("out of memory")
    }
    memory.copyMemory(from: bytes, byteCount: bytes.count)
    parameters.pointee.extradata = memory.assumingMemoryBound(to: UInt8.self)
    parameters.pointee.extradata_size = Int32(bytes.count)
  }

  package func write(video bytes: [UInt8], at nanoseconds: Int64, isKeyFrame: Bool) throws(RecordingError) {
    guard let videoIndex else { return }
    try write(bytes, to: videoIndex, at: nanoseconds, duration: 0, isKeyFrame: isKeyFrame)
  }

  /// One Opus packet.
  /// - Parameter samples: Its length at 48 kHz.
  package func write(audio bytes: [UInt8], at nanoseconds: Int64, samples: Int) throws(RecordingError) {
    guard let audioIndex else { return }
    let duration = Int64(samples) * 1_000_000_000 / 48_000
    try write(bytes, to: audioIndex, at: nanoseconds, duration: duration, isKeyFrame: true)
  }

  private func write(
    _ bytes: [UInt8], to index: Int32, at nanoseconds: Int64, duration: Int64, isKeyFrame: Bool
  ) throws(RecordingError) {
    guard !isFinished, !bytes.isEmpty, nanoseconds >= 0 else { return }
    // Index and stream were made together.
    let base = context.pointee.streams[Int(index)]!.pointee.time_base
    let nano = AVRational(num: 1, den: 1_000_000_000)
    var time = av_rescale_q(nanoseconds, nano, base)
    if let last = lastTime[index], time <= last { time = last + 1 }
    lastTime[index] = time
    var code = av_new_packet(packet, Int32(bytes.count))
    guard code >= 0 else { throw .container(path, code) }
    packet.pointee.data.update(from: bytes, count: bytes.count)
    packet.pointee.stream_index = index
    packet.pointee.pts = time
    packet.pointee.dts = time
    packet.pointee.duration = duration == 0 ? 0 : av_rescale_q(duration, nano, base)
    packet.pointee.flags = isKeyFrame ? AV_PKT_FLAG_KEY : 0
    code = av_interleaved_write_frame(context, packet)
    guard code >= 0 else { throw .container(path, code) }
    packets += 1
    try checkOutput()
  }

  /// Writing is buffered: a full disk shows here.
  private func checkOutput() throws(RecordingError) {
    guard let output = context.pointee.pb, output.pointee.error < 0 else { return }
    throw .io(path: path, errno: -output.pointee.error, text: describeAV(output.pointee.error))
  }

  /// Writes what ends the file; it is whole when this returns.
  package func finish() throws(RecordingError) {
    guard !isFinished else { return }
    isFinished = true
    let code = av_write_trailer(context)
    guard code >= 0 else { throw .container(path, code) }
    avio_flush(context.pointee.pb)
    try checkOutput()
    let closed = avio_closep(&context.pointee.pb)
    guard closed >= 0 else { throw .io(path: path, errno: -closed, text: describeAV(closed)) }
  }
}

extension VideoPayload {
  var codecID: AVCodecID {
    switch self {
    case .vp8: AV_CODEC_ID_VP8
    case .vp9: AV_CODEC_ID_VP9
    case .h264: AV_CODEC_ID_H264
    case .av1: AV_CODEC_ID_AV1
    }
  }

  /// What a container keeps beside the frames, taken from a key frame.
  package func configuration(from keyFrame: [UInt8]) -> [UInt8] {
    switch self {
    case .vp8, .vp9: []
    case .h264: FrameConfiguration.parameterSets(of: keyFrame)
    case .av1: FrameConfiguration.sequenceHeader(of: keyFrame)
    }
  }
}
