package import Core

package enum MediaKind: Hashable, Sendable {
  case audio
  case video
}

/// What a payload is, as far as forwarding has to know.
package enum MediaCodec: String, Hashable, Sendable, CaseIterable {
  case opus
  /// Redundant audio around Opus (RFC 2198).
  case red
  case vp8 = "VP8"
  case vp9 = "VP9"
  case h264 = "H264"
  case av1 = "AV1"

  package var kind: MediaKind {
    switch self {
    case .opus, .red: .audio
    case .vp8, .vp9, .h264, .av1: .video
    }
  }

  /// Hertz.
  package var clockRate: Int { kind == .audio ? 48_000 : 90_000 }

  /// By the name of `a=rtpmap`, case-insensitively.
  package init?(encodingName: String) {
    let name = encodingName.lowercased()
    guard let codec = MediaCodec.allCases.first(where: { $0.rawValue.lowercased() == name }) else { return nil }
    self = codec
  }
}

/// One payload type of one m-line.
package struct CodecParameters: Hashable, Sendable {
  package var codec: MediaCodec
  package var payloadType: PayloadType
  /// Of its retransmissions (RFC 4588); nil where none were negotiated.
  package var retransmission: PayloadType?
  /// The text of `a=fmtp`.
  package var formatParameters: String

  package init(
    codec: MediaCodec, payloadType: PayloadType, retransmission: PayloadType? = nil, formatParameters: String = ""
  ) {
    self.codec = codec
    self.payloadType = payloadType
    self.retransmission = retransmission
    self.formatParameters = formatParameters
  }
}

/// RTP header extensions that the SFU reads or writes.
package enum HeaderExtension: Int, Hashable, Sendable, CaseIterable {
  case mid, rid, repairedRID, audioLevel, absoluteSendTime, transportWideCC, absoluteCaptureTime, videoOrientation,
    playoutDelay, dependencyDescriptor

  package var uri: String {
    switch self {
    case .mid: "urn:ietf:params:rtp-hdrext:sdes:mid"
    case .rid: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    case .repairedRID: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
    case .audioLevel: "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    case .absoluteSendTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    case .transportWideCC: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    case .absoluteCaptureTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
    case .videoOrientation: "urn:3gpp:video-orientation"
    case .playoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    case .dependencyDescriptor:
      "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
    }
  }

  package init?(uri: String) {
    guard let known = HeaderExtension.allCases.first(where: { $0.uri == uri }) else { return nil }
    self = known
  }
}

/// The identifiers that offer and answer gave to header extensions (RFC 8285 §5). Cheap to copy and to look up.
package struct HeaderExtensionMap: Hashable, Sendable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  package init() {}

  /// 1…255; nil where the extension was not negotiated.
  package subscript(_ kind: HeaderExtension) -> UInt8? {
    get {
      let word = kind.rawValue < 8 ? low : high
      let id = UInt8(truncatingIfNeeded: word >> UInt64((kind.rawValue & 7) * 8))
      return id == 0 ? nil : id
    }
    set {
      let shift = UInt64((kind.rawValue & 7) * 8)
      let mask = ~(UInt64(0xFF) << shift)
      let value = UInt64(newValue ?? 0) << shift
      if kind.rawValue < 8 { low = low & mask | value } else { high = high & mask | value }
    }
  }
}

/// One encoding of a published track.
package struct EncodingParameters: Hashable, Sendable {
  /// `q`, `h`, `f` with LiveKit's clients; nil for a track that is no simulcast.
  package var rid: String?
  /// Known from `a=ssrc`, or learned from the first packets.
  package var ssrc: SSRC?
  package var retransmissionSSRC: SSRC?
  /// 0 is the smallest picture.
  package var spatialLayer: Int

  package init(rid: String? = nil, ssrc: SSRC? = nil, retransmissionSSRC: SSRC? = nil, spatialLayer: Int = 0) {
    self.rid = rid
    self.ssrc = ssrc
    self.retransmissionSSRC = retransmissionSSRC
    self.spatialLayer = spatialLayer
  }
}

/// A track that a peer sends us, as offer and answer settled it.
package struct ProducerParameters: Sendable {
  package var kind: MediaKind
  /// `a=mid` of its m-line on the publisher's connection.
  package var mid: String
  /// In the order of the answer.
  package var codecs: [CodecParameters]
  package var extensions: HeaderExtensionMap
  /// By rising `spatialLayer`.
  package var encodings: [EncodingParameters]
  package var muted: Bool
  /// Screen shares and cameras are spent differently by the allocator.
  package var isScreenShare: Bool

  package init(
    kind: MediaKind, mid: String, codecs: [CodecParameters], extensions: HeaderExtensionMap,
    encodings: [EncodingParameters], muted: Bool = false, isScreenShare: Bool = false
  ) {
    self.kind = kind
    self.mid = mid
    self.codecs = codecs
    self.extensions = extensions
    self.encodings = encodings
    self.muted = muted
    self.isScreenShare = isScreenShare
  }
}

/// What a subscriber wants of a track.
package struct ConsumerPreferences: Hashable, Sendable {
  /// Nothing is forwarded; the m-line stays.
  package var isPaused: Bool
  /// 0…2; higher layers are never forwarded.
  package var maximumSpatialLayer: Int
  /// 0…3.
  package var maximumTemporalLayer: Int
  /// 0 is unset, 1 the highest; LiveKit's `priority`.
  package var priority: Int

  package init(
    isPaused: Bool = false, maximumSpatialLayer: Int = 2, maximumTemporalLayer: Int = 3, priority: Int = 0
  ) {
    self.isPaused = isPaused
    self.maximumSpatialLayer = maximumSpatialLayer
    self.maximumTemporalLayer = maximumTemporalLayer
    self.priority = priority
  }
}

/// A track on its way to one subscriber, as offer and answer settled it.
package struct ConsumerParameters: Sendable {
  package var mid: String
  package var ssrc: SSRC
  package var retransmissionSSRC: SSRC?
  /// What the subscriber takes: packets of other codecs are not forwarded.
  package var codecs: [CodecParameters]
  package var extensions: HeaderExtensionMap
  package var cname: String
  package var preferences: ConsumerPreferences

  package init(
    mid: String, ssrc: SSRC, retransmissionSSRC: SSRC?, codecs: [CodecParameters], extensions: HeaderExtensionMap,
    cname: String, preferences: ConsumerPreferences = ConsumerPreferences()
  ) {
    self.mid = mid
    self.ssrc = ssrc
    self.retransmissionSSRC = retransmissionSSRC
    self.codecs = codecs
    self.extensions = extensions
    self.cname = cname
    self.preferences = preferences
  }
}
