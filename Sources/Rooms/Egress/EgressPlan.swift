package import Core
package import LiveKitProtocol

/// A request of the Egress API, understood: what is recorded, what is made of it, and where that goes.
package struct EgressPlan: Sendable {
  package var room: String
  package var part: RecordedPart
  package var kind: RecordingRecord.Kind
  package var render: RenderPlan
  package var destination: RecordingDestination
  /// With the request, without its secrets.
  package var info: Livekit_EgressInfo

  // MARK: Requests

  package init(_ request: Livekit_RoomCompositeEgressRequest) throws(RoomError) {
    guard request.customBaseURL.isEmpty else { throw Self.unserved("custom_base_url: it needs a browser") }
    try Self.refuse(
      streams: request.streamOutputs, segments: request.segmentOutputs, images: request.imageOutputs)
    var file = request.fileOutputs.first
    switch request.output {
    case .file(let old): file = file ?? old
    case .stream: throw Self.unserved("streams")
    case .segments: throw Self.unserved("segments")
    case nil: break
    }
    guard request.fileOutputs.count <= 1 else { throw Self.unserved("several files of one egress") }
    room = request.roomName
    part = .room(audio: !request.videoOnly, video: !request.audioOnly)
    kind = .room
    render = RenderPlan(keepsTracks: false)
    render.audio = !request.videoOnly
    render.video = !request.audioOnly
    guard render.audio || render.video else { throw RoomError(.invalidArgument, "neither audio nor video is wanted") }
    render.layout = try Self.layout(request.layout)
    switch request.options {
    case .preset(let preset): render.apply(preset)
    case .advanced(let options): try render.apply(options)
    case nil: break
    }
    destination = RecordingDestination(path: "")
    info = Livekit_EgressInfo()
    var shown = request
    shown.redact()
    info.roomComposite = shown
    try finish(file)
  }

  package init(_ request: Livekit_ParticipantEgressRequest) throws(RoomError) {
    try Self.refuse(
      streams: request.streamOutputs, segments: request.segmentOutputs, images: request.imageOutputs)
    guard request.fileOutputs.count <= 1 else { throw Self.unserved("several files of one egress") }
    guard !request.identity.isEmpty else { throw RoomError(.invalidArgument, "identity is missing") }
    room = request.roomName
    part = .participant(identity: request.identity, screenShare: request.screenShare)
    kind = .participant
    render = RenderPlan(keepsTracks: true)
    render.layout = .single
    switch request.options {
    case .preset(let preset): render.apply(preset)
    case .advanced(let options): try render.apply(options)
    case nil: break
    }
    destination = RecordingDestination(path: "")
    info = Livekit_EgressInfo()
    var shown = request
    for index in shown.fileOutputs.indices { shown.fileOutputs[index].redact() }
    info.participant = shown
    try finish(request.fileOutputs.first)
  }

  package init(_ request: Livekit_TrackCompositeEgressRequest) throws(RoomError) {
    try Self.refuse(
      streams: request.streamOutputs, segments: request.segmentOutputs, images: request.imageOutputs)
    var file = request.fileOutputs.first
    switch request.output {
    case .file(let old): file = file ?? old
    case .stream: throw Self.unserved("streams")
    case .segments: throw Self.unserved("segments")
    case nil: break
    }
    guard request.fileOutputs.count <= 1 else { throw Self.unserved("several files of one egress") }
    let sids = [request.audioTrackID, request.videoTrackID].filter { !$0.isEmpty }
    guard !sids.isEmpty else { throw RoomError(.invalidArgument, "audio_track_id and video_track_id are missing") }
    room = request.roomName
    part = .tracks(sids)
    kind = .track
    render = RenderPlan(keepsTracks: true)
    render.layout = .single
    render.audio = !request.audioTrackID.isEmpty
    render.video = !request.videoTrackID.isEmpty
    switch request.options {
    case .preset(let preset): render.apply(preset)
    case .advanced(let options): try render.apply(options)
    case nil: break
    }
    destination = RecordingDestination(path: "")
    info = Livekit_EgressInfo()
    var shown = request
    shown.redact()
    info.trackComposite = shown
    try finish(file)
  }

  package init(_ request: Livekit_TrackEgressRequest) throws(RoomError) {
    guard !request.trackID.isEmpty else { throw RoomError(.invalidArgument, "track_id is missing") }
    room = request.roomName
    part = .tracks([request.trackID])
    kind = .track
    render = RenderPlan(keepsTracks: true)
    render.layout = .single
    destination = RecordingDestination(path: "")
    info = Livekit_EgressInfo()
    var shown = request
    var output: Livekit_EncodedFileOutput?
    switch request.output {
    case .websocketURL: throw Self.unserved("websockets")
    case .file(let direct):
      var encoded = Livekit_EncodedFileOutput()
      encoded.filepath = direct.filepath
      switch direct.output {
      case .s3(let s3): encoded.s3 = s3
      case nil: break
      default: throw Self.unserved("storage other than S3")
      }
      output = encoded
      var hidden = direct
      if case .s3(var s3) = hidden.output {
        s3.redact()
        hidden.s3 = s3
      }
      shown.file = hidden
    case nil: break
    }
    info.track = shown
    try finish(output)
  }

  // MARK: Parts

  private mutating func finish(_ file: Livekit_EncodedFileOutput?) throws(RoomError) {
    guard !room.isEmpty else { throw RoomError(.invalidArgument, "room_name is missing") }
    info.roomName = room
    info.sourceType = .sdk
    info.status = .egressStarting
    let file = file ?? Livekit_EncodedFileOutput()
    guard file.filepath.utf8.count <= 1024 else { throw RoomError(.invalidArgument, "filepath is too long") }
    guard !file.filepath.split(separator: "/").contains("..") else {
      throw RoomError(.invalidArgument, "filepath leaves its directory")
    }
    switch file.fileType {
    case .defaultFiletype, .UNRECOGNIZED: break
    case .mp4: render.container = "mp4"
    case .ogg: render.container = "ogg"
    case .mp3: throw Self.unserved("MP3")
    }
    if render.container == nil {
      let name = file.filepath.lowercased()
      for (suffix, container) in [(".webm", "webm"), (".mp4", "mp4"), (".ogg", "ogg"), (".mkv", "matroska")]
      where name.hasSuffix(suffix) { render.container = container }
    }
    if render.container == "ogg" {
      guard render.audio else { throw RoomError(.invalidArgument, "an OGG file holds no video") }
      if !render.keepsTracks { render.video = false }
    }
    if let codec = render.videoCodec, let container = render.container, render.video {
      let fits = codec == .vp8 ? container != "mp4" : container != "webm"
      guard fits else { throw RoomError(.invalidArgument, "\(codec.rawValue) cannot be in a \(container) file") }
    }
    destination.path = file.filepath
    switch file.output {
    case .s3(let s3):
      guard !s3.bucket.isEmpty else { throw RoomError(.invalidArgument, "the S3 output has no bucket") }
      guard s3.assumeRoleArn.isEmpty else { throw Self.unserved("assume_role_arn") }
      guard !s3.hasProxy else { throw Self.unserved("proxies") }
      guard !s3.accessKey.isEmpty, !s3.secret.isEmpty else {
        throw RoomError(.invalidArgument, "the S3 output has no access_key or secret")
      }
      var bucket = BucketDestination(
        bucket: s3.bucket, region: s3.region.isEmpty ? "us-east-1" : s3.region,
        endpoint: s3.endpoint.isEmpty ? nil : s3.endpoint, accessKey: s3.accessKey, secret: s3.secret,
        sessionToken: s3.sessionToken.isEmpty ? nil : s3.sessionToken, forcePathStyle: s3.forcePathStyle)
      bucket.metadata = s3.metadata
      bucket.tagging = s3.tagging
      bucket.contentDisposition = s3.contentDisposition
      destination.bucket = bucket
    case nil: break
    default: throw Self.unserved("storage other than S3")
    }
  }

  /// `grid`, `speaker` or `single`; a theme behind it changes nothing.
  package static func layout(_ name: String) throws(RoomError) -> RenderPlan.Layout {
    if name.isEmpty { return .grid }
    let base = name.split(separator: "-").first.map(String.init) ?? name
    switch base {
    case "single": return .single
    default:
      guard let layout = RenderPlan.Layout(rawValue: base) else {
        throw RoomError(.invalidArgument, "unknown layout \(name.prefix(64)): grid, speaker or single")
      }
      return layout
    }
  }

  private static func unserved(_ what: String) -> RoomError { RoomError(.unimplemented, "not served: \(what)") }

  private static func refuse(
    streams: [Livekit_StreamOutput], segments: [Livekit_SegmentedFileOutput], images: [Livekit_ImageOutput]
  ) throws(RoomError) {
    guard streams.isEmpty else { throw unserved("streams") }
    guard segments.isEmpty else { throw unserved("segments") }
    guard images.isEmpty else { throw unserved("images") }
  }
}

extension RenderPlan {
  fileprivate mutating func apply(_ preset: Livekit_EncodingOptionsPreset) {
    let large = [Livekit_EncodingOptionsPreset.h2641080P30, .h2641080P60, .portraitH2641080P30, .portraitH2641080P60]
    let fast = [Livekit_EncodingOptionsPreset.h264720P60, .h2641080P60, .portraitH264720P60, .portraitH2641080P60]
    let upright = [
      Livekit_EncodingOptionsPreset.portraitH264720P30, .portraitH264720P60, .portraitH2641080P30,
      .portraitH2641080P60,
    ]
    (width, height) = large.contains(preset) ? (1920, 1080) : (1280, 720)
    if upright.contains(preset) { (width, height) = (height, width) }
    framerate = fast.contains(preset) ? 60 : 30
    videoBitrate = large.contains(preset) ? 4_500 : 2_500
  }

  fileprivate mutating func apply(_ options: Livekit_EncodingOptions) throws(RoomError) {
    if options.width > 0 { width = Int(options.width) & ~1 }
    if options.height > 0 { height = Int(options.height) & ~1 }
    if options.framerate > 0 { framerate = Int(options.framerate) }
    if options.videoBitrate > 0 { videoBitrate = Int(options.videoBitrate) }
    if options.audioBitrate > 0 { audioBitrate = Int(options.audioBitrate) }
    if options.keyFrameInterval > 0 { keyFrameInterval = options.keyFrameInterval }
    guard (16...3_840).contains(width), (16...3_840).contains(height), (1...60).contains(framerate),
      (10...50_000).contains(videoBitrate), (6...510).contains(audioBitrate), (0.1...600).contains(keyFrameInterval)
    else { throw RoomError(.invalidArgument, "encoding options out of range") }
    switch options.videoCodec {
    case .defaultVc, .UNRECOGNIZED: break
    case .vp8: videoCodec = .vp8
    case .h264Baseline, .h264Main, .h264High: videoCodec = .h264
    }
    switch options.audioCodec {
    case .defaultAc, .opus, .UNRECOGNIZED: break
    case .aac, .acMp3: throw RoomError(.unimplemented, "not served: audio other than Opus")
    }
  }
}

// What requests keep to themselves.
extension Livekit_S3Upload {
  fileprivate mutating func redact() {
    if !accessKey.isEmpty { accessKey = "{access_key}" }
    if !secret.isEmpty { secret = "{secret}" }
    if !sessionToken.isEmpty { sessionToken = "{session_token}" }
  }
}

extension Livekit_EncodedFileOutput {
  fileprivate mutating func redact() {
    guard case .s3(var s3) = output else { return }
    s3.redact()
    self.s3 = s3
  }
}

extension Livekit_RoomCompositeEgressRequest {
  fileprivate mutating func redact() {
    for index in fileOutputs.indices { fileOutputs[index].redact() }
    if case .file(var file) = output {
      file.redact()
      self.file = file
    }
  }
}

extension Livekit_TrackCompositeEgressRequest {
  fileprivate mutating func redact() {
    for index in fileOutputs.indices { fileOutputs[index].redact() }
    if case .file(var file) = output {
      file.redact()
      self.file = file
    }
  }
}
