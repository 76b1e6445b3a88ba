package import Core

/// What a media section is about.
package enum SectionKind: Hashable, Sendable {
  case audio
  case video
  /// Data channels over SCTP (RFC 8841).
  case application
  /// Anything else: always refused.
  case other

  init(_ kind: String) {
    switch kind {
    case "audio": self = .audio
    case "video": self = .video
    case "application": self = .application
    default: self = .other
    }
  }

  var name: String {
    switch self {
    case .audio: "audio"
    case .video: "video"
    case .application, .other: "application"
    }
  }
}

/// A codec that we take or offer, with the number that it has in our own offers.
package struct CodecPolicy: Hashable, Sendable {
  /// As in `a=rtpmap`: `opus`, `red`, `VP8`, `VP9`, `H264`, `AV1`.
  package var encodingName: String
  /// Hertz.
  package var clockRate: Int
  package var channels: Int
  package var payloadType: PayloadType
  /// Of its retransmissions (RFC 4588); nil offers none. An offer's own are taken whatever is said here.
  package var retransmission: PayloadType?
  /// `a=fmtp`. Profiles in it (H.264, VP9, AV1) have to match the far end's.
  package var formatParameters: String
  /// `a=rtcp-fb` values: `nack`, `nack pli`, `ccm fir`, `goog-remb`, `transport-cc`.
  package var feedback: [String]

  package init(
    _ encodingName: String, clockRate: Int = 90_000, channels: Int = 1, payloadType: UInt8,
    retransmission: UInt8? = nil, formatParameters: String = "", feedback: [String] = []
  ) {
    self.encodingName = encodingName
    self.clockRate = clockRate
    self.channels = channels
    self.payloadType = PayloadType(payloadType)
    self.retransmission = retransmission.map { PayloadType($0) }
    self.formatParameters = formatParameters
    self.feedback = feedback
  }
}

/// A header extension that we take or offer (RFC 8285), with the number that it has in our own offers.
package struct ExtensionPolicy: Hashable, Sendable {
  package var uri: String
  /// 1…14.
  package var id: UInt8
  /// In our own offers, where we send. In answers each one is taken in every section: a client that finds the rid
  /// missing in a placeholder section cannot publish simulcast later.
  package var isOffered: Bool

  package init(_ uri: String, id: UInt8, isOffered: Bool = true) {
    self.uri = uri
    self.id = id
    self.isOffered = isOffered
  }
}

/// What the sections of a connection may carry.
package struct MediaPolicy: Hashable, Sendable {
  /// By preference in our own offers.
  package var audioCodecs: [CodecPolicy]
  package var videoCodecs: [CodecPolicy]
  package var audioExtensions: [ExtensionPolicy]
  package var videoExtensions: [ExtensionPolicy]
  /// Of an offer, and of what an offerer lets grow.
  package var maximumSections = 256
  /// Simulcast encodings taken of one track.
  package var maximumEncodings = 3
  /// SCTP over DTLS is taken where it is offered.
  package var acceptsDataChannels = true
  /// Bytes of one data channel message that we take.
  package var maximumMessageSize = 65_536
  /// As an answerer, senders may go into sections where the far end would send too.
  package var sendsOnBidirectionalSections = false
  /// Candidates stand in every section, not in the bundle's tagged one alone (RFC 8843 §7.1.3): some players look at the
  /// last section of a transport.
  package var repeatsCandidates = false

  package init(
    audioCodecs: [CodecPolicy], videoCodecs: [CodecPolicy], audioExtensions: [ExtensionPolicy],
    videoExtensions: [ExtensionPolicy]
  ) {
    self.audioCodecs = audioCodecs
    self.videoCodecs = videoCodecs
    self.audioExtensions = audioExtensions
    self.videoExtensions = videoExtensions
  }

  /// What a room forwards, with the numbers that browsers give.
  package static let room = MediaPolicy(
    audioCodecs: [
      CodecPolicy(
        "opus", clockRate: 48_000, channels: 2, payloadType: 111, formatParameters: "minptime=10;useinbandfec=1",
        feedback: ["nack", "transport-cc"]),
      CodecPolicy("red", clockRate: 48_000, channels: 2, payloadType: 63),
    ],
    videoCodecs: [
      video("VP8", 96),
      video("VP9", 98, "profile-id=0"),
      video("VP9", 100, "profile-id=2"),
      video("H264", 125, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
      video("H264", 108, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f"),
      video("H264", 102, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
      video("H264", 104, "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f"),
      video("H264", 123, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
      video("AV1", 35, "level-idx=5;profile=0;tier=0"),
    ],
    audioExtensions: [
      ExtensionPolicy(ExtensionURI.audioLevel, id: 1),
      ExtensionPolicy(ExtensionURI.absoluteSendTime, id: 2),
      ExtensionPolicy(ExtensionURI.transportWideCC, id: 3),
      ExtensionPolicy(ExtensionURI.mid, id: 4),
      ExtensionPolicy(ExtensionURI.absoluteCaptureTime, id: 9),
    ],
    videoExtensions: [
      ExtensionPolicy(ExtensionURI.absoluteSendTime, id: 2),
      ExtensionPolicy(ExtensionURI.transportWideCC, id: 3),
      ExtensionPolicy(ExtensionURI.mid, id: 4),
      ExtensionPolicy(ExtensionURI.playoutDelay, id: 5),
      ExtensionPolicy(ExtensionURI.absoluteCaptureTime, id: 9),
      ExtensionPolicy(ExtensionURI.rid, id: 10, isOffered: false),
      ExtensionPolicy(ExtensionURI.repairedRID, id: 11, isOffered: false),
      ExtensionPolicy(ExtensionURI.dependencyDescriptor, id: 12),
      ExtensionPolicy(ExtensionURI.videoOrientation, id: 13),
    ])

  private static func video(_ name: String, _ pt: UInt8, _ formatParameters: String = "") -> CodecPolicy {
    CodecPolicy(
      name, payloadType: pt, retransmission: pt + 1, formatParameters: formatParameters,
      feedback: ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"])
  }

  /// The same with those codecs only, by encoding name, case-insensitively.
  package func restricted(to encodingNames: [String]) -> MediaPolicy {
    let names = encodingNames.map { $0.lowercased() }
    var result = self
    result.audioCodecs.removeAll { !names.contains($0.encodingName.lowercased()) }
    result.videoCodecs.removeAll { !names.contains($0.encodingName.lowercased()) }
    return result
  }

  /// The same without that kind of feedback, say `transport-cc` where nobody will send it.
  package func removing(feedback: String) -> MediaPolicy {
    var result = self
    for i in result.audioCodecs.indices { result.audioCodecs[i].feedback.removeAll { $0 == feedback } }
    for i in result.videoCodecs.indices { result.videoCodecs[i].feedback.removeAll { $0 == feedback } }
    return result
  }

  func codecs(_ kind: SectionKind) -> [CodecPolicy] {
    switch kind {
    case .audio: audioCodecs
    case .video: videoCodecs
    case .application, .other: []
    }
  }

  func extensions(_ kind: SectionKind) -> [ExtensionPolicy] {
    switch kind {
    case .audio: audioExtensions
    case .video: videoExtensions
    case .application, .other: []
    }
  }
}

/// Names of the header extensions in `MediaPolicy.room`.
package enum ExtensionURI {
  package static let mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
  package static let rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
  package static let repairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
  package static let audioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
  package static let absoluteSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
  package static let transportWideCC =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
  package static let absoluteCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
  package static let videoOrientation = "urn:3gpp:video-orientation"
  package static let playoutDelay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
  package static let dependencyDescriptor =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
}
