import COpus

/// Owns one libopus encoder: mono, 20 ms frames as the caller cuts them, application VOIP. Used on one thread.
package final class OpusEncoder {
  /// The settings that a far end and an operator may ask for.
  package struct Settings: Sendable, Hashable {
    /// 0…10. At 8 kHz on one core of 2.6 GHz: 1.1 ms CPU a call-second at 0, 2.4 at 5, 4.5 at 10.
    package var complexity = 5
    /// Bits a second, 500…512,000. Nil: 24,000 at 8 and 16 kHz, 32,000 at 48 kHz.
    package var bitrate: Int?
    /// In-band forward error correction: each packet carries a coarse copy of the one before.
    package var inbandFEC = false
    /// Expected loss in percent, 0…100: how much the encoder spends on the copy.
    package var packetLossPercentage = 0
    /// Discontinuous transmission: packets of one or two octets in silence.
    package var discontinuousTransmission = false
    /// Encode as music (hold music), not as voice.
    package var isMusic = false

    package init() {}
  }

  /// 8,000, 12,000, 16,000, 24,000 or 48,000 Hz.
  package let sampleRate: Int
  package private(set) var settings: Settings
  // An `OpusEncoder *`, owned: made in init, destroyed in deinit.
  private let encoder: OpaquePointer

  package init(sampleRate: Int, settings: Settings = Settings()) throws(AudioError) {
    var code: Int32 = 0
    guard
      let encoder = opus_encoder_create(Int32(clamping: sampleRate), 1, OPUS_APPLICATION_VOIP, &code), code == OPUS_OK
    else { throw AudioError(opus: "opus_encoder_create", code) }
    self.encoder = encoder
    self.sampleRate = sampleRate
    self.settings = settings
    try apply(settings)
  }

  deinit { opus_encoder_destroy(encoder) }

  /// Changes the settings without a break in the signal.
  package func apply(_ settings: Settings) throws(AudioError) {
    let bitrate = settings.bitrate ?? (sampleRate > 16_000 ? 32_000 : 24_000)
    try set("OPUS_SET_COMPLEXITY", OPUS_SET_COMPLEXITY_REQUEST, max(0, min(10, settings.complexity)))
    try set("OPUS_SET_BITRATE", OPUS_SET_BITRATE_REQUEST, max(500, min(512_000, bitrate)))
    try set("OPUS_SET_INBAND_FEC", OPUS_SET_INBAND_FEC_REQUEST, settings.inbandFEC ? 1 : 0)
    try set(
      "OPUS_SET_PACKET_LOSS_PERC", OPUS_SET_PACKET_LOSS_PERC_REQUEST, max(0, min(100, settings.packetLossPercentage)))
    try set("OPUS_SET_DTX", OPUS_SET_DTX_REQUEST, settings.discontinuousTransmission ? 1 : 0)
    try set(
      "OPUS_SET_SIGNAL", OPUS_SET_SIGNAL_REQUEST, Int(settings.isMusic ? OPUS_SIGNAL_MUSIC : OPUS_SIGNAL_VOICE))
    self.settings = settings
  }

  /// Tells the encoder what share of its packets the far end lost; with FEC on it protects accordingly.
  package func setPacketLoss(percentage: Int) {
    let value = max(0, min(100, percentage))
    guard value != settings.packetLossPercentage else { return }
    settings.packetLossPercentage = value
    // Cannot fail: the value is inside the documented range.
    _ = copus_encoder_set(encoder, OPUS_SET_PACKET_LOSS_PERC_REQUEST, Int32(value))
  }

  /// Encodes one frame of 2.5, 5, 10, 20, 40 or 60 ms. Returns the packet's length in octets; 1 or 2 means that
  /// with DTX nothing needs sending.
  package func encode(_ samples: Samples, into packet: UnsafeMutableRawBufferPointer) throws(AudioError) -> Int {
    guard let source = samples.baseAddress, let target = packet.baseAddress else {
      throw AudioError(opus: "opus_encode", OPUS_BAD_ARG)
    }
    let length = opus_encode(
      encoder, source, Int32(clamping: samples.count), target.assumingMemoryBound(to: UInt8.self),
      Int32(clamping: packet.count))
    guard length >= 0 else { throw AudioError(opus: "opus_encode", length) }
    return Int(length)
  }

  /// Forgets the past, as for a new stream.
  package func reset() { _ = copus_encoder_reset(encoder) }

  private func set(_ name: String, _ request: Int32, _ value: Int) throws(AudioError) {
    let code = copus_encoder_set(encoder, request, Int32(clamping: value))
    guard code == OPUS_OK else { throw AudioError(opus: "opus_encoder_ctl(\(name))", code) }
  }
}

extension AudioError {
  /// With the name of libopus' header.
  init(opus function: String, _ code: Int32) {
    let name =
      switch code {
      case OPUS_OK: "OPUS_OK"
      case OPUS_BAD_ARG: "OPUS_BAD_ARG"
      case OPUS_BUFFER_TOO_SMALL: "OPUS_BUFFER_TOO_SMALL"
      case OPUS_INTERNAL_ERROR: "OPUS_INTERNAL_ERROR"
      case OPUS_INVALID_PACKET: "OPUS_INVALID_PACKET"
      case OPUS_UNIMPLEMENTED: "OPUS_UNIMPLEMENTED"
      case OPUS_INVALID_STATE: "OPUS_INVALID_STATE"
      case OPUS_ALLOC_FAIL: "OPUS_ALLOC_FAIL"
      default: "unknown"
      }
    self.init(function: function, code: code, name: name)
  }
}
