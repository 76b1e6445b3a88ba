package import Core

/// A codec as a sender names it: by encoding name, and by profile where one matters.
package struct SenderCodec: Hashable, Sendable {
  /// `opus`, `red`, `VP8`, `H264`…
  package var encodingName: String
  /// The `a=fmtp` whose profile has to match; nil: any profile.
  package var formatParameters: String?

  package init(_ encodingName: String, formatParameters: String? = nil) {
    self.encodingName = encodingName
    self.formatParameters = formatParameters
  }

  func names(_ codec: CodecPolicy) -> Bool {
    encodingName.lowercased() == codec.encodingName.lowercased()
      && (formatParameters.map { codec.hasProfile(of: FormatParameters($0)) } ?? true)
  }

  /// Whether that payload type is this codec, in its profile.
  package func names(_ codec: SectionCodec) -> Bool {
    names(
      CodecPolicy(
        codec.encodingName, clockRate: codec.clockRate, payloadType: 0, formatParameters: codec.formatParameters))
  }
}

/// A track that we send.
package struct SenderDescription: Hashable, Sendable {
  package var kind: SectionKind
  /// First word of `a=msid`; LiveKit: `<PA_sid>|<stream>`.
  package var streamID: String
  /// Second word of `a=msid`; unique among what a connection sends. LiveKit: `TR_…`.
  package var trackID: String
  package var ssrc: SSRC
  /// Of retransmissions; nil sends none.
  package var retransmissionSSRC: SSRC?
  package var cname: String
  /// By preference; empty: all of the policy's.
  package var codecs: [SenderCodec]
  /// Opus in two channels: `sprop-stereo=1` (RFC 7587 §6.1).
  package var isStereo: Bool

  package init(
    kind: SectionKind, streamID: String, trackID: String, ssrc: SSRC, retransmissionSSRC: SSRC? = nil, cname: String,
    codecs: [SenderCodec] = [], isStereo: Bool = false
  ) {
    self.kind = kind
    self.streamID = streamID
    self.trackID = trackID
    self.ssrc = ssrc
    self.retransmissionSSRC = retransmissionSSRC
    self.cname = cname
    self.codecs = codecs
    self.isStereo = isStereo
  }

  /// Of the policy's codecs those that this sender names, in its order.
  func select(from policy: [CodecPolicy]) -> [CodecPolicy] {
    codecs.isEmpty ? policy : codecs.flatMap { wish in policy.filter { wish.names($0) } }
  }

  func select(from offered: [SectionCodec]) -> [SectionCodec] {
    codecs.isEmpty ? offered : codecs.flatMap { wish in offered.filter { wish.names($0) } }
  }
}

/// How we take a track of the far end.
package struct ReceiverPlan: Hashable, Sendable {
  /// By preference; nil: everything that both sides have, in the far end's order.
  package var codecs: [SenderCodec]?
  /// `usedtx=1`: silence need not be sent (RFC 7587 §6.1).
  package var opusDTX: Bool
  /// `stereo=1`.
  package var opusStereo: Bool
  /// `maxaveragebitrate`, bits a second.
  package var opusMaximumAverageBitrate: Int?
  /// `b=TIAS` and `b=AS`, bits a second.
  package var maximumBitrate: Int?

  package init(
    codecs: [SenderCodec]? = nil, opusDTX: Bool = true, opusStereo: Bool = false,
    opusMaximumAverageBitrate: Int? = nil, maximumBitrate: Int? = nil
  ) {
    self.codecs = codecs
    self.opusDTX = opusDTX
    self.opusStereo = opusStereo
    self.opusMaximumAverageBitrate = opusMaximumAverageBitrate
    self.maximumBitrate = maximumBitrate
  }
}

/// One media section as offer and answer settled it, seen from our side.
package struct SettledSection: Hashable, Sendable {
  package var mid: String
  package var kind: SectionKind
  /// Ours: `sends` where our sender is heard, `receives` where the far end sends.
  package var direction: Direction
  /// The far end's numbers, the preferred one first.
  package var codecs: [SectionCodec]
  package var extensions: [String: UInt8]
  /// What the far end sends; empty where we do not receive.
  package var encodings: [RemoteEncoding]
  /// What we send, if anything.
  package var sender: SenderDescription?
  package var dataChannels: DataChannelParameters?
  /// Answered with port 0.
  package var isRefused: Bool
  /// Bits a second that the far end takes.
  package var maximumBitrate: Int?
}
