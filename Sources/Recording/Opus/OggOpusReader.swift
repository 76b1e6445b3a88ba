import CAVFormat

/// Reads what `OggOpusWriter` writes, and other Ogg Opus files whose streams are all uncoupled. Used on one thread.
package final class OggOpusReader {
  package let path: String
  package let channels: Int
  private var context: UnsafeMutablePointer<AVFormatContext>
  private let packet: UnsafeMutablePointer<AVPacket>

  package init(path: String) throws(RecordingError) {
    self.path = path
    var made: UnsafeMutablePointer<AVFormatContext>?
    let code = avformat_open_input(&made, path, av_find_input_format("ogg"), nil)
    guard code >= 0, let context = made else {
      if (-4_096..<0).contains(code) { throw RecordingError(-code, path: path) }
      throw .container("\(path): libavformat's error \(code)")
    }
    guard let packet = av_packet_alloc() else {
      avformat_close_input(&made)
      throw .container("out of memory")
    }
    self.context = context
    self.packet = packet
    var head: [UInt8] = []
    if context.pointee.nb_streams > 0, let stream = context.pointee.streams[0],
      let parameters = stream.pointee.codecpar, parameters.pointee.codec_id == AV_CODEC_ID_OPUS,
      let bytes = parameters.pointee.extradata
    {
      head = Array(UnsafeBufferPointer(start: bytes, count: Int(parameters.pointee.extradata_size)))
    }
    // RFC 7845 §5.1: mono is one stream without a table; a family with a table names streams and coupled ones.
    let isMono = head.count >= 19 && head[18] == 0 && head[9] == 1
    let isUncoupled = head.count >= 21 && head[18] != 0 && head[20] == 0 && head[19] == head[9]
    channels = isMono ? 1 : isUncoupled ? Int(head[9]) : 0
    guard channels > 0 else {
      release()
      throw .container("\(path) has no Opus that can be taken apart")
    }
  }

  deinit { if channels > 0 { release() } }

  private func release() {
    var packet: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&packet)
    var context: UnsafeMutablePointer<AVFormatContext>? = context
    avformat_close_input(&context)
  }

  /// The next packet, one for each channel; nil at the end.
  package func next() throws(RecordingError) -> [OpusFrames]? {
    let code = av_read_frame(context, packet)
    if code == cav_error_end { return nil }
    guard code >= 0 else { throw .container("\(path): libavformat's error \(code)") }
    defer { av_packet_unref(packet) }
    var bytes = Array(UnsafeBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.size)))[...]
    var pieces: [OpusFrames] = []
    for channel in 0..<channels {
      let frames = channel < channels - 1 ? OpusFrames(takingSelfDelimited: &bytes) : OpusFrames(parsing: bytes)
      guard let frames else { throw .container("\(path): a packet is damaged") }
      pieces.append(frames)
    }
    return pieces
  }
}
