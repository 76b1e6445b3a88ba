import Audio
import Core

/// Encodes frames of linear audio for one leg. Made at configuration, never per frame.
final class FrameEncoder {
  let codec: AudioCodec
  /// The rate in hertz at which frames are given.
  let sampleRate: Int
  private(set) var isMusic = false
  private let opus: OpusEncoder?
  private let g722: G722Encoder?
  private var recentLoss = 0.0
  /// Frames that the library refused: not sent, counted.
  private(set) var failures = 0

  /// The rate at which a leg of `codec` is best encoded when the audio is at home at `nativeRate`.
  static func sampleRate(for codec: AudioCodec, nativeRate: Int, parameters: OpusParameters) -> Int {
    switch codec {
    case .pcmu, .pcma: 8_000
    case .g722: nativeRate >= 16_000 ? 16_000 : 8_000
    case .opus:
      switch min(nativeRate, max(8_000, parameters.maxPlaybackRate)) {
      case ..<16_000: 8_000
      case ..<48_000: 16_000
      default: 48_000
      }
    }
  }

  init(_ codec: AudioCodec, sampleRate: Int, parameters: OpusParameters) throws(AudioError) {
    self.codec = codec
    self.sampleRate = sampleRate
    switch codec {
    case .pcmu, .pcma: (opus, g722) = (nil, nil)
    case .g722: (opus, g722) = (nil, try G722Encoder(sampleRate: sampleRate))
    case .opus: (opus, g722) = (try OpusEncoder(sampleRate: sampleRate, settings: Self.settings(parameters)), nil)
    }
  }

  private static func settings(_ parameters: OpusParameters) -> OpusEncoder.Settings {
    var settings = OpusEncoder.Settings()
    settings.complexity = parameters.complexity
    settings.inbandFEC = parameters.useInbandFEC
    settings.discontinuousTransmission = parameters.useDTX
    settings.bitrate = parameters.maxAverageBitrate.map { min($0, 64_000) }
    return settings
  }

  /// New wishes of the far end, without a break in the signal.
  func apply(_ parameters: OpusParameters) throws(AudioError) {
    guard let opus else { return }
    var settings = Self.settings(parameters)
    settings.isMusic = isMusic
    settings.packetLossPercentage = settings.inbandFEC ? opus.settings.packetLossPercentage : 0
    try opus.apply(settings)
  }

  /// Hold music and speech want different coding.
  func setMusic(_ music: Bool) {
    guard music != isMusic, let opus else { return }
    isMusic = music
    var settings = opus.settings
    settings.isMusic = music
    // Cannot fail: the settings were accepted before, and both kinds of signal are in the documented range.
    try? opus.apply(settings)
  }

  /// What share of our packets the far end lost lately, 0…1, by its receiver reports. As long as that is nothing the
  /// copies of forward error correction are left out: they cost a fifth of the encoder's time and bits that the
  /// packets themselves need.
  func setPacketLoss(_ fraction: Double) {
    guard let opus, opus.settings.inbandFEC, fraction.isFinite else { return }
    // Bursts come again: what was lost is remembered over some reports.
    recentLoss = max(fraction, recentLoss * 0.7)
    opus.setPacketLoss(percentage: recentLoss < 0.005 ? 0 : max(5, min(30, Int(recentLoss * 100))))
  }

  /// The loss in percent that the encoder reckons with.
  var expectedLoss: Int { opus?.settings.packetLossPercentage ?? 0 }

  /// Returns the payload's length; 0 when nothing is to be sent.
  func encode(_ frame: Samples, into payload: UnsafeMutableRawBufferPointer) -> Int {
    if let law = codec.law { return G711.encode(law, from: frame, into: payload) }
    if let g722 { return g722.encode(frame, into: payload) }
    guard let opus else { return 0 }
    do {
      return try opus.encode(frame, into: payload)
    } catch {
      failures += 1
      return 0
    }
  }
}

/// Decodes the payloads of one leg to linear audio at one rate, whatever codec they are in. A codec's state is made at
/// configuration, never per packet.
final class FrameDecoder {
  /// Hertz, of what comes out.
  let sampleRate: Int
  private let opus: OpusDecoder?
  private let g722: G722Decoder?

  /// `codecs`: what may arrive.
  init(_ codecs: some Sequence<AudioCodec>, sampleRate: Int) throws(AudioError) {
    self.sampleRate = sampleRate
    let all = Set(codecs)
    opus = all.contains(.opus) ? try OpusDecoder(sampleRate: sampleRate) : nil
    g722 = all.contains(.g722) && sampleRate <= 16_000 ? try G722Decoder(sampleRate: sampleRate) : nil
  }

  /// Forgets the past, as for a new stream. G.722 settles by itself.
  func reset() { opus?.reset() }

  /// Samples at `sampleRate` in a payload; nil if it cannot be decoded.
  func samples(in payload: UnsafeRawBufferPointer, codec: AudioCodec) -> Int? {
    guard payload.count > 0 else { return nil }
    switch codec {
    case .pcmu, .pcma: return sampleRate == 8_000 ? payload.count : nil
    case .g722: return g722 == nil ? nil : payload.count * G722.samplesPerOctet(sampleRate: sampleRate)
    case .opus: return OpusDecoder.samples(in: payload, sampleRate: sampleRate)
    }
  }

  /// Appends the audio of a payload; returns its samples, nil if the library refused it.
  func decode(_ payload: UnsafeRawBufferPointer, codec: AudioCodec, to playout: PlayoutBuffer) -> Int? {
    guard let count = samples(in: payload, codec: codec) else { return nil }
    if let law = codec.law { return playout.append(count) { G711.decode(law, from: payload, into: $0) } }
    if codec == .g722, let g722 { return playout.append(count) { g722.decode(payload, into: $0) } }
    guard let opus else { return nil }
    do {
      return try playout.append(count) { room throws(AudioError) in try opus.decode(payload, into: room) }
    } catch {
      return nil
    }
  }

  /// Fills `samples` in place of a lost packet. `next` is the payload behind it, if it is there: with Opus it may hold
  /// a copy.
  func conceal(_ samples: Int, codec: AudioCodec, next: UnsafeRawBufferPointer?, to playout: PlayoutBuffer) {
    guard codec == .opus, let opus else { return playout.conceal(samples) }
    // libopus wants multiples of 2.5 ms.
    let unit = max(1, sampleRate / 400)
    let length = max(unit, (samples + unit - 1) / unit * unit)
    do {
      _ = try playout.append(length) { room throws(AudioError) in
        if let next { return try opus.recover(from: next, into: room) }
        return try opus.conceal(into: room)
      }
    } catch {
      playout.conceal(samples)
    }
  }
}
