import CAVFormat
import RTP

/// Decodes one video track; keeps the latest picture. Used on one thread.
final class VideoDecoder {
  let payload: VideoPayload
  /// I420 or what the codec makes; valid while `hasPicture`.
  let picture: UnsafeMutablePointer<AVFrame>
  private(set) var hasPicture = false
  /// Frames that did not decode.
  private(set) var failures = 0
  private let context: UnsafeMutablePointer<AVCodecContext>
  private let packet: UnsafeMutablePointer<AVPacket>
  private let spare: UnsafeMutablePointer<AVFrame>

  init(_ payload: VideoPayload) throws(RecordingError) {
    AVLogging.quiet
    self.payload = payload
    guard let codec = avcodec_find_decoder(payload.codecID) else {
      throw .codec("this libavcodec has no decoder for \(payload.rawValue)")
    }
    guard let context = avcodec_alloc_context3(codec), let packet = av_packet_alloc(), let picture = av_frame_alloc(),
      let spare = av_frame_alloc()
    else { throw .codec("out of memory") }
    (self.context, self.packet, self.picture, self.spare) = (context, packet, picture, spare)
    context.pointee.thread_count = 1
    context.pointee.flags |= AV_CODEC_FLAG_LOW_DELAY
    let code = avcodec_open2(context, codec, nil)
    guard code >= 0 else { throw .codec("\(payload.rawValue) decoder", code) }
  }

  deinit {
    var context: UnsafeMutablePointer<AVCodecContext>? = context
    avcodec_free_context(&context)
    var packet: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&packet)
    for frame in [picture, spare] {
      var frame: UnsafeMutablePointer<AVFrame>? = frame
      av_frame_free(&frame)
    }
  }

  /// True where there is a new picture. What does not decode is counted: the next key frame mends it.
  func decode(_ bytes: [UInt8]) -> Bool {
    guard !bytes.isEmpty, av_new_packet(packet, Int32(bytes.count)) >= 0 else { return false }
    packet.pointee.data.update(from: bytes, count: bytes.count)
    let code = avcodec_send_packet(context, packet)
    av_packet_unref(packet)
    if code < 0 { failures += 1 }
    var isNew = false
    while avcodec_receive_frame(context, spare) >= 0 {
      av_frame_unref(picture)
      av_frame_move_ref(picture, spare)
      isNew = picture.pointee.width > 0 && picture.pointee.height > 0
    }
    if isNew { hasPicture = true }
    return isNew
  }

  func forget() {
    hasPicture = false
    av_frame_unref(picture)
  }
}
