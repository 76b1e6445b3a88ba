import CAVFormat
import Glibc

/// Writes an Ogg file with one Opus stream for each channel, side by side in every packet: channel mapping family 1 with
/// as many streams as channels and none coupled (RFC 7845 §5.1.1). So what each party's own encoder made is carried
/// untouched, and players hear one file of one, two or more channels. Used on one thread.
package final class OggOpusWriter {
  package let path: String
  package let channels: Int
  /// 20 ms each.
  package private(set) var packets: Int64 = 0
  private var context: UnsafeMutablePointer<AVFormatContext>
  private let packet: UnsafeMutablePointer<AVPacket>
  private var isFinished = false
  private static let preSkip: Int64 = 312

  /// - Parameter tags: Vorbis comments: `TITLE`, `DATE` …
  package init(path: String, channels: Int, tags: [(String, String)] = []) throws(RecordingError) {
    self.path = path
    self.channels = channels
    var made: UnsafeMutablePointer<AVFormatContext>?
    let code = avformat_alloc_output_context2(&made, nil, "ogg", path)
    guard code >= 0, let context = made, let packet = av_packet_alloc() else {
      throw .container("libavformat cannot write Ogg")
    }
    self.context = context
    self.packet = packet
    do throws(RecordingError) {
      try begin(tags)
    } catch {
      release()
      throw error
    }
  }

  deinit { release() }

  private func release() {
    var packet: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&packet)
    avio_closep(&context.pointee.pb)
    avformat_free_context(context)
  }

  private func begin(_ tags: [(String, String)]) throws(RecordingError) {
    guard let stream = avformat_new_stream(context, nil), let parameters = stream.pointee.codecpar else {
      throw .container("out of memory")
    }
    parameters.pointee.codec_type = AVMEDIA_TYPE_AUDIO
    parameters.pointee.codec_id = AV_CODEC_ID_OPUS
    parameters.pointee.sample_rate = 48_000
    parameters.pointee.frame_size = 960
    parameters.pointee.initial_padding = Int32(Self.preSkip)
    av_channel_layout_default(&parameters.pointee.ch_layout, Int32(clamping: channels))
    // RFC 7845 §5.1: version, channels, pre-skip, input rate, gain, mapping family, streams, coupled ones, mapping.
    var head = Array("OpusHead".utf8) + [1, UInt8(clamping: channels)]
    head.append(little: UInt16(Self.preSkip))
    head.append(little: UInt32(48_000))
    head += [0, 0, 1, UInt8(clamping: channels), 0] + (0..<UInt8(clamping: channels))
    guard let memory = av_mallocz(head.count + Int(AV_INPUT_BUFFER_PADDING_SIZE)) else {
      throw .container("out of memory")
    }
    memory.copyMemory(from: head, byteCount: head.count)
    parameters.pointee.extradata = memory.assumingMemoryBound(to: UInt8.self)
    parameters.pointee.extradata_size = Int32(head.count)
    stream.pointee.time_base = AVRational(num: 1, den: 48_000)
    for (name, value) in tags { av_dict_set(&stream.pointee.metadata, name, value, 0) }
    try check(avio_open(&context.pointee.pb, path, AVIO_FLAG_WRITE))
    try check(avformat_write_header(context, nil))
  }

  /// Adds 20 ms: one piece a channel.
  package func write(_ pieces: [OpusFrames]) throws(RecordingError) {
    guard pieces.count == channels, !isFinished else { return }
    var bytes: [UInt8] = []
    for (index, piece) in pieces.enumerated() {
      bytes += piece.packet(selfDelimited: index < channels - 1)
    }
    try check(av_new_packet(packet, Int32(clamping: bytes.count)))
    packet.pointee.data.update(from: bytes, count: bytes.count)
    packet.pointee.stream_index = 0
    packet.pointee.pts = packets * 960 - Self.preSkip
    packet.pointee.dts = packet.pointee.pts
    packet.pointee.duration = 960
    packet.pointee.flags = AV_PKT_FLAG_KEY
    try check(av_write_frame(context, packet))
    av_packet_unref(packet)
    packets += 1
  }

  /// Ends the file; it is whole and on the disk when this returns.
  package func finish() throws(RecordingError) {
    guard !isFinished else { return }
    isFinished = true
    try check(av_write_trailer(context))
    avio_flush(context.pointee.pb)
    try check(0)
    try check(avio_closep(&context.pointee.pb))
    try FileSync.sync(path)
  }

  /// Writing is buffered: a full disk may show in the output's own state.
  private func check(_ code: Int32) throws(RecordingError) {
    let output = context.pointee.pb?.pointee.error ?? 0
    let failure = code < 0 ? code : output
    guard failure < 0 else { return }
    if (-4_096..<0).contains(failure) { throw RecordingError(-failure, path: path) }
    throw .container("\(path): libavformat's error \(failure)")
  }
}

/// Makes files outlive the machine's power.
enum FileSync {
  /// Syncs a file, and the directory that names it.
  static func sync(_ path: String) throws(RecordingError) {
    try one(path, O_RDONLY)
    let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    try one(directory.isEmpty ? "/" : directory, O_RDONLY | O_DIRECTORY)
  }

  private static func one(_ path: String, _ flags: Int32) throws(RecordingError) {
    let descriptor = open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw RecordingError(errno, path: path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw RecordingError(errno, path: path) }
  }
}
