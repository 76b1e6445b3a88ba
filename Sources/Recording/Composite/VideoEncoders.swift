import CAVFormat
import CVPX
import Core
import RTP

/// Encodes canvases to one video track. Used on one thread.
protocol VideoEncoder: AnyObject {
  var payload: VideoPayload { get }
  /// For the container's header.
  var configuration: [UInt8] { get }
  /// - Parameter milliseconds: Rising.
  func encode(_ canvas: Canvas, at milliseconds: Int64, forcesKeyFrame: Bool) throws(RecordingError)
    -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)]
  func finish() throws(RecordingError) -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)]
}

/// VP8 by libvpx.
final class VP8Encoder: VideoEncoder {
  let payload = VideoPayload.vp8
  let configuration: [UInt8] = []
  private let context: UnsafeMutablePointer<vpx_codec_ctx_t>
  private let isOpen: Bool

  init(_ plan: RenderPlan) throws(RecordingError) {
    context = .allocate(capacity: 1)
    context.initialize(to: vpx_codec_ctx_t())
    var settings = vpx_codec_enc_cfg_t()
    let codec = vpx_codec_vp8_cx()
    guard vpx_codec_enc_config_default(codec, &settings, 0) == VPX_CODEC_OK else {
      isOpen = false
      throw .codec("libvpx has no settings for VP8")
    }
    settings.g_w = UInt32(plan.width & ~1)
    settings.g_h = UInt32(plan.height & ~1)
    settings.g_timebase.num = 1
    settings.g_timebase.den = 1_000
    settings.g_threads = 1
    settings.g_lag_in_frames = 0
    settings.rc_target_bitrate = UInt32(plan.videoBitrate)
    settings.rc_end_usage = VPX_VBR
    settings.kf_mode = VPX_KF_AUTO
    settings.kf_max_dist = UInt32(max(1, plan.keyFrameInterval * Double(plan.framerate)))
    isOpen = cvpx_encoder_init(context, codec, &settings) == VPX_CODEC_OK
    guard isOpen else { throw .codec("libvpx cannot encode \(plan.width)x\(plan.height)") }
    _ = cvpx_set_cpu_used(context, 6)
  }

  deinit {
    if isOpen { vpx_codec_destroy(context) }
    context.deallocate()
  }

  func encode(
    _ canvas: Canvas, at milliseconds: Int64, forcesKeyFrame: Bool
  ) throws(RecordingError) -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] {
    var image = vpx_image_t()
    guard
      vpx_img_wrap(&image, VPX_IMG_FMT_I420, UInt32(canvas.width), UInt32(canvas.height), 1, canvas.memory) != nil
    else { throw .codec("libvpx takes no such picture") }
    let flags = forcesKeyFrame ? Int(VPX_EFLAG_FORCE_KF) : 0
    guard vpx_codec_encode(context, &image, milliseconds, 1, flags, UInt(VPX_DL_REALTIME)) == VPX_CODEC_OK else {
      throw .codec("libvpx: \(vpx_codec_error(context).map { String(cString: $0) } ?? "")")
    }
    return packets()
  }

  func finish() throws(RecordingError) -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] {
    _ = vpx_codec_encode(context, nil, 0, 1, 0, UInt(VPX_DL_REALTIME))
    return packets()
  }

  private func packets() -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] {
    var result: [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] = []
    var iterator: vpx_codec_iter_t?
    while let packet = vpx_codec_get_cx_data(context, &iterator) {
      guard packet.pointee.kind == VPX_CODEC_CX_FRAME_PKT else { continue }
      let frame = packet.pointee.data.frame
      guard let start = frame.buf else { continue }
      result.append(
        (
          Array(UnsafeRawBufferPointer(start: start, count: frame.sz)), frame.pts,
          frame.flags & UInt32(VPX_FRAME_IS_KEY) != 0
        ))
    }
    return result
  }
}

/// H.264 by whatever encoder libavcodec was built with.
final class H264Encoder: VideoEncoder {
  let payload = VideoPayload.h264
  private(set) var configuration: [UInt8] = []
  private let context: UnsafeMutablePointer<AVCodecContext>
  private let packet: UnsafeMutablePointer<AVPacket>
  private let frame: UnsafeMutablePointer<AVFrame>

  init(_ plan: RenderPlan) throws(RecordingError) {
    guard let codec = avcodec_find_encoder_by_name("libopenh264") ?? avcodec_find_encoder_by_name("libx264") else {
      throw .codec("this libavcodec encodes no H.264: neither libopenh264 nor libx264 is built in")
    }
    guard let context = avcodec_alloc_context3(codec), let packet = av_packet_alloc(), let frame = av_frame_alloc()
    else { throw .codec("out of memory") }
    (self.context, self.packet, self.frame) = (context, packet, frame)
    context.pointee.width = Int32(plan.width & ~1)
    context.pointee.height = Int32(plan.height & ~1)
    context.pointee.pix_fmt = AV_PIX_FMT_YUV420P
    context.pointee.time_base = AVRational(num: 1, den: 1_000)
    context.pointee.framerate = AVRational(num: Int32(plan.framerate), den: 1)
    context.pointee.bit_rate = Int64(plan.videoBitrate) * 1_000
    context.pointee.gop_size = Int32(max(1, plan.keyFrameInterval * Double(plan.framerate)))
    context.pointee.max_b_frames = 0
    context.pointee.thread_count = 1
    context.pointee.flags |= AV_CODEC_FLAG_GLOBAL_HEADER
    var options: OpaquePointer?
    av_dict_set(&options, "preset", "veryfast", 0)
    let code = avcodec_open2(context, codec, &options)
    av_dict_free(&options)
    guard code >= 0 else { throw .codec("H.264 encoder", code) }
    if let extra = context.pointee.extradata, context.pointee.extradata_size > 0 {
      configuration = Array(UnsafeBufferPointer(start: extra, count: Int(context.pointee.extradata_size)))
    }
  }

  deinit {
    var context: UnsafeMutablePointer<AVCodecContext>? = context
    avcodec_free_context(&context)
    var packet: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&packet)
    var frame: UnsafeMutablePointer<AVFrame>? = frame
    av_frame_free(&frame)
  }

  func encode(
    _ canvas: Canvas, at milliseconds: Int64, forcesKeyFrame: Bool
  ) throws(RecordingError) -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] {
    av_frame_unref(frame)
    frame.pointee.format = AV_PIX_FMT_YUV420P.rawValue
    frame.pointee.width = Int32(canvas.width)
    frame.pointee.height = Int32(canvas.height)
    guard av_frame_get_buffer(frame, 0) >= 0 else { throw .codec("out of memory") }
    copy(canvas.memory, canvas.width, canvas.height, frame.pointee.data.0, frame.pointee.linesize.0)
    copy(canvas.u, canvas.width / 2, canvas.height / 2, frame.pointee.data.1, frame.pointee.linesize.1)
    copy(canvas.v, canvas.width / 2, canvas.height / 2, frame.pointee.data.2, frame.pointee.linesize.2)
    frame.pointee.pts = milliseconds
    frame.pointee.pict_type = forcesKeyFrame ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE
    let code = avcodec_send_frame(context, frame)
    guard code >= 0 else { throw .codec("H.264 encoder", code) }
    return packets()
  }

  private func copy(
    _ source: UnsafeMutablePointer<UInt8>, _ width: Int, _ height: Int, _ target: UnsafeMutablePointer<UInt8>?,
    _ stride: Int32
  ) {
    guard let target else { return }
    for row in 0..<height { (target + row * Int(stride)).update(from: source + row * width, count: width) }
  }

  func finish() throws(RecordingError) -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] {
    _ = avcodec_send_frame(context, nil)
    return packets()
  }

  private func packets() -> [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] {
    var result: [(bytes: [UInt8], milliseconds: Int64, isKeyFrame: Bool)] = []
    while avcodec_receive_packet(context, packet) >= 0 {
      if let data = packet.pointee.data {
        result.append(
          (
            Array(UnsafeBufferPointer(start: data, count: Int(packet.pointee.size))), packet.pointee.pts,
            packet.pointee.flags & AV_PKT_FLAG_KEY != 0
          ))
      }
      av_packet_unref(packet)
    }
    return result
  }
}
