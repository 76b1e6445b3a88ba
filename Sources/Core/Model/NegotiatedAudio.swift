/// An audio codec that Parley encodes and decodes.
package enum AudioCodec: String, Sendable, Hashable, Codable, CaseIterable {
  case opus
  case pcmu = "PCMU"
  case pcma = "PCMA"
  case g722 = "G722"

  /// The RTP timestamp rate in hertz. G.722 counts at 8,000 although it samples at 16,000 (RFC 3551 §4.5.2).
  package var clockRate: Int { self == .opus ? 48_000 : 8_000 }

  /// The name in `a=rtpmap` (RFC 3551, RFC 7587).
  package var encodingName: String { rawValue }

  /// The static payload type of RFC 3551; Opus has none.
  package var staticPayloadType: PayloadType? {
    switch self {
    case .pcmu: PayloadType(0)
    case .pcma: PayloadType(8)
    case .g722: PayloadType(9)
    case .opus: nil
    }
  }

  /// By the name of `a=rtpmap`, case-insensitively.
  package init?(encodingName: String) {
    guard let codec = AudioCodec.allCases.first(where: { $0.rawValue.lowercased() == encodingName.lowercased() }) else {
      return nil
    }
    self = codec
  }
}

/// What the far end asks of our Opus encoder (RFC 7587 §6.1).
package struct OpusParameters: Sendable, Hashable {
  /// The far end can use in-band forward error correction.
  package var useInbandFEC = false
  /// The far end prefers discontinuous transmission.
  package var useDTX = false
  /// The far end prefers two channels.
  package var stereo = false
  /// Bits a second, if the far end limits them.
  package var maxAverageBitrate: Int?
  /// Hertz; the highest rate worth sending.
  package var maxPlaybackRate = 48_000
  /// How hard our encoder works, 0…10. Ours to choose, not negotiated.
  package var complexity = 5

  package init() {}
}

/// One audio stream as offer and answer settled it, seen from our side.
package struct NegotiatedAudio: Sendable, Hashable {
  /// The codec that we send.
  package var codec: AudioCodec
  /// The payload type that we send it with.
  package var payloadType: PayloadType
  /// What may arrive.
  package var receivePayloadTypes: [PayloadType: AudioCodec]
  /// The payload type and clock rate of RFC 4733 events that we send; nil where the far end takes none.
  package var telephoneEvent: TelephoneEventFormat?
  /// RFC 4733 payload types that may arrive.
  package var receiveTelephoneEvents: [PayloadType: TelephoneEventFormat]
  /// The payload type of RFC 3389 comfort noise at 8,000 Hz, if both sides have it.
  package var comfortNoise: PayloadType?
  /// Audio in each packet that we send.
  package var packetTime: Duration
  package var opus: OpusParameters
  /// We may send: our direction is sendrecv or sendonly.
  package var sends: Bool
  /// The far end may send: our direction is sendrecv or recvonly.
  package var receives: Bool

  package init(
    codec: AudioCodec, payloadType: PayloadType, receivePayloadTypes: [PayloadType: AudioCodec],
    telephoneEvent: TelephoneEventFormat? = nil,
    receiveTelephoneEvents: [PayloadType: TelephoneEventFormat] = [:], comfortNoise: PayloadType? = nil,
    packetTime: Duration = .milliseconds(20), opus: OpusParameters = OpusParameters(), sends: Bool = true,
    receives: Bool = true
  ) {
    self.codec = codec
    self.payloadType = payloadType
    self.receivePayloadTypes = receivePayloadTypes
    self.telephoneEvent = telephoneEvent
    self.receiveTelephoneEvents = receiveTelephoneEvents
    self.comfortNoise = comfortNoise
    self.packetTime = packetTime
    self.opus = opus
    self.sends = sends
    self.receives = receives
  }
}

/// The payload type and timestamp rate of RFC 4733 telephone events.
package struct TelephoneEventFormat: Sendable, Hashable {
  package var payloadType: PayloadType
  /// Hertz: 8,000 beside G.711 and G.722, 48,000 beside Opus.
  package var clockRate: Int

  package init(payloadType: PayloadType, clockRate: Int) {
    self.payloadType = payloadType
    self.clockRate = clockRate
  }
}
