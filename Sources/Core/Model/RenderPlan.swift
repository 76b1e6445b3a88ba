/// What is to be made of a room's recording once it is over. Kept in the spool, so that a restart can go on with it.
package struct RenderPlan: Sendable, Hashable, Codable {
  package enum Layout: String, Sendable, Hashable, Codable, CaseIterable {
    /// Everybody in tiles of one size; beside a screen, smaller.
    case grid
    /// Who speaks, large; the others in a strip.
    case speaker
    /// Who speaks, alone.
    case single
  }

  package enum VideoCodec: String, Sendable, Hashable, Codable {
    case vp8 = "VP8"
    case h264 = "H264"
  }

  /// True: the tracks as they came, without another encoding, where the container can hold them.
  package var keepsTracks: Bool
  package var audio = true
  package var video = true
  package var layout = Layout.grid
  /// `webm`, `mp4`, `ogg`, `matroska`; nil: by what was recorded.
  package var container: String?
  /// Nil: by the container.
  package var videoCodec: VideoCodec?
  /// Pixels.
  package var width = 1280
  package var height = 720
  /// A second.
  package var framerate = 30
  /// Kilobits a second.
  package var videoBitrate = 2_500
  package var audioBitrate = 64
  /// Seconds.
  package var keyFrameInterval = 4.0

  package init(keepsTracks: Bool) { self.keepsTracks = keepsTracks }
}

/// Where a recording's file goes.
package struct RecordingDestination: Sendable, Hashable, Codable {
  /// A path below the directory of recordings, or a key in the bucket, with its placeholders replaced.
  package var path: String
  /// Nil: the configured storage.
  package var bucket: BucketDestination?

  package init(path: String, bucket: BucketDestination? = nil) {
    self.path = path
    self.bucket = bucket
  }
}

/// A bucket of S3 or of something that speaks like it.
package struct BucketDestination: Sendable, Hashable, Codable {
  package var bucket: String
  package var region: String
  /// `https://host[:port]`; nil: Amazon's of the region.
  package var endpoint: String?
  package var accessKey: String
  package var secret: String
  package var sessionToken: String?
  /// The bucket in the path instead of the host's name.
  package var forcePathStyle: Bool
  package var metadata: [String: String] = [:]
  package var tagging = ""
  package var contentDisposition = ""

  package init(
    bucket: String, region: String, endpoint: String? = nil, accessKey: String, secret: String,
    sessionToken: String? = nil, forcePathStyle: Bool = false
  ) {
    self.bucket = bucket
    self.region = region
    self.endpoint = endpoint
    self.accessKey = accessKey
    self.secret = secret
    self.sessionToken = sessionToken
    self.forcePathStyle = forcePathStyle
  }
}
