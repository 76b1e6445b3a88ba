package import Core

/// A payload type of one section, as both sides know it.
package struct SectionCodec: Hashable, Sendable {
  /// As in `MediaPolicy`: `opus`, `red`, `VP8`…
  package var encodingName: String
  /// Hertz.
  package var clockRate: Int
  package var channels: Int
  package var payloadType: PayloadType
  /// Of its retransmissions (RFC 4588); nil where there are none.
  package var retransmission: PayloadType?
  /// The text of the far end's `a=fmtp`; empty where there is none.
  package var formatParameters: String
  /// `a=rtcp-fb` values that both sides have.
  package var feedback: [String]

  package init(
    encodingName: String, clockRate: Int, channels: Int = 1, payloadType: PayloadType,
    retransmission: PayloadType? = nil, formatParameters: String = "", feedback: [String] = []
  ) {
    self.encodingName = encodingName
    self.clockRate = clockRate
    self.channels = channels
    self.payloadType = payloadType
    self.retransmission = retransmission
    self.formatParameters = formatParameters
    self.feedback = feedback
  }
}

/// One stream of a track that the far end sends.
package struct RemoteEncoding: Hashable, Sendable {
  /// RFC 8851; nil where the far end names none.
  package var rid: String?
  /// From `a=ssrc`; nil where it has to be learned from the packets.
  package var ssrc: SSRC?
  /// From an `FID` group (RFC 5576 §4.2).
  package var retransmissionSSRC: SSRC?
  /// `~` before the rid: not sent for now (RFC 8853 §5.1).
  package var isPaused = false
  /// `pt=` of the rid; empty: all of the section's.
  package var payloadTypes: [PayloadType] = []
  /// The other restrictions of the rid, as `max-width=1280;max-fps=30`; kept for the answer.
  package var restrictions = ""

  package init(rid: String? = nil, ssrc: SSRC? = nil, retransmissionSSRC: SSRC? = nil) {
    self.rid = rid
    self.ssrc = ssrc
    self.retransmissionSSRC = retransmissionSSRC
  }
}

/// What an `m=application` section says (RFC 8841).
package struct DataChannelParameters: Hashable, Sendable {
  package var port: UInt16
  /// Bytes that the author takes in one message; 0: any number.
  package var maximumMessageSize: Int

  package init(port: UInt16 = 5000, maximumMessageSize: Int) {
    self.port = port
    self.maximumMessageSize = maximumMessageSize
  }
}

/// One media section of the far end's description.
package struct RemoteSection: Hashable, Sendable {
  package var mid: String
  package var kind: SectionKind
  /// From the far end's viewpoint.
  package var direction: Direction
  /// Port 0, outside the bundle, without multiplexed RTCP, or with no codec that we know: answered with port 0.
  package var isUnusable: Bool
  /// First word of `a=msid`, or of `a=ssrc:… msid:`; `-` stands for no stream (RFC 8830).
  package var streamID: String?
  /// Its second word. LiveKit's clients put the `cid` of their track there.
  package var trackID: String?
  package var cname: String?
  /// Of a section with video or audio at least one. Simulcast: in the order of `a=simulcast`, or of the `SIM` group.
  package var encodings: [RemoteEncoding]
  /// `a=simulcast` is there with a `send` list, or a `SIM` group.
  package var isSimulcast: Bool
  /// Those that the policy has too, in the far end's order.
  package var codecs: [SectionCodec]
  /// By URI; those that the policy has too.
  package var extensions: [String: UInt8]
  package var dataChannels: DataChannelParameters?
  /// Bits a second that the far end takes, from `b=TIAS` or `b=AS`.
  package var maximumBitrate: Int?

  // What only the answer needs.
  var kindName: String
  var `protocol`: String
  var formats: [String]
  var hasMid: Bool
  var reducedSizeRTCP: Bool
  /// `DTLS/SCTP` with `a=sctpmap`, before RFC 8841.
  var isOldSCTP: Bool
  /// `a=simulcast` with a send list was there.
  var hasSimulcastLine: Bool
}

/// The far end's offer.
package struct RemoteOffer: Hashable, Sendable {
  /// Of the bundle's tagged section (RFC 8843 §9.2).
  package var transport: TransportParameters
  /// It will send further candidates.
  package var trickles: Bool
  /// Its ICE credentials differ from those of its description before (RFC 8839 §4.4.1.1.1). New ones of ours are due
  /// before the answer: `MultiplexedSession.updateTransport`.
  package var iceRestarted: Bool
  package var sections: [RemoteSection]
}
