package import Audio
package import Core
import RTP

// What the far end hears, and how it is made.
extension MediaLeg {
  /// What the far end hears now. `silence` when the leg that was the source has gone.
  package var source: LegSource {
    switch sourceKind {
    case .silence: .silence
    case .leg: sourceLeg.map { .leg($0) } ?? .silence
    case .echo: .echo
    case .generated: generatedSource
    case .conference: conference.map { .conference($0.port) } ?? .silence
    }
  }

  /// Sets what the far end hears, without a click. A leg is heard by one other: the later takes it over.
  package func setSource(_ source: LegSource, now: Instant) throws(AudioError) {
    guard !isClosed else { return }
    detachSource()
    generator = nil
    generation &+= 1
    switch source {
    case .silence: sourceKind = .silence
    case .echo: sourceKind = .echo
    case .tone, .milliwatt, .holdMusic, .tones, .clip:
      sourceKind = .generated
      generatedSource = source
    case .conference(let port):
      sourceKind = .conference
      conference = ConferenceEnd(port)
      if conferenceFrame == nil { conferenceFrame = FrameMemory(count: 960) }
    case .leg(let leg):
      guard leg !== self else {
        sourceKind = .echo
        break
      }
      sourceKind = .leg
      sourceLeg = leg
      leg.listener?.lose(leg, now: now)
      leg.listener = self
    }
    try plan(now)
  }

  /// Ends what ties this leg to its source.
  func detachSource() {
    if let old = sourceLeg, old.listener === self {
      old.listener = nil
      // Keys that are down at this moment would never be released.
      old.digitsReceived.isRelaying = false
    }
    sourceLeg = nil
    conference = nil
    sourceKind = .silence
    relayedCodec = nil
  }

  /// The source was closed or taken over by another listener.
  func lose(_ leg: MediaLeg, now: Instant) {
    guard sourceLeg === leg else { return }
    sourceLeg = nil
    sourceKind = .silence
    relayedCodec = nil
    digits.removeAll()
    fadeOut(now)
  }

  /// Settles relaying, rates, encoder and decoder for the source and the codecs of the moment.
  func plan(_ now: Instant) throws(AudioError) {
    guard let negotiated, !isClosed else { return }
    let before = relayedCodec
    relayedCodec = nil
    switch sourceKind {
    case .silence: fadeOut(now)
    case .generated:
      try prepareEncoder(nativeRate: nil)
      if let encoder, generator == nil || generatorRate != encoder.sampleRate {
        generator = try SourceGenerator(generatedSource, sampleRate: encoder.sampleRate)
        generatorRate = encoder.sampleRate
      }
    case .conference: try planConference()
    case .leg, .echo:
      guard let leg = sourceKind == .echo ? self : sourceLeg, let theirs = leg.negotiated else { break }
      let codec = leg.receivingCodec
      // Comfort noise that the far end cannot take must be made into sound here.
      let noisePasses = theirs.comfortNoise == nil || negotiated.comfortNoise != nil
      if codec == negotiated.codec, leg.detector == nil, noisePasses {
        relayedCodec = codec
        leg.receiver = nil
        if before == nil { fadeOut(now) }
      } else {
        try prepareEncoder(nativeRate: codec.nativeSampleRate)
        if let encoder { try leg.prepareReceiver(sampleRate: encoder.sampleRate) }
      }
    }
    if relayedCodec != before { output.breakSource() }
    encoder?.setMusic(generator?.isMusic ?? false)
    digits.configure(negotiated.telephoneEvent, sampleRate: encoder?.sampleRate ?? 8_000)
  }

  /// Makes the encoder that audio of `nativeRate` needs; nil keeps the one that is there.
  func prepareEncoder(nativeRate: Int?) throws(AudioError) {
    guard let negotiated else { return }
    if let encoder, encoder.codec == negotiated.codec, nativeRate == nil { return fitFrame(encoder.sampleRate) }
    let rate = FrameEncoder.sampleRate(
      for: negotiated.codec, nativeRate: nativeRate ?? 16_000, parameters: negotiated.opus)
    if encoder?.codec != negotiated.codec || encoder?.sampleRate != rate {
      encoder = try FrameEncoder(negotiated.codec, sampleRate: rate, parameters: negotiated.opus)
    }
    fitFrame(rate)
  }

  private func fitFrame(_ rate: Int) {
    let count = rate * Int(packetTime.inMilliseconds) / 1_000
    guard frame.samples.count != count || seam.sampleRate != rate else { return }
    frame = FrameMemory(count: count)
    if seam.sampleRate != rate {
      seam = Seam(sampleRate: rate)
      lastFrame = .none
    }
    digits.configure(negotiated?.telephoneEvent, sampleRate: rate)
  }

  /// Makes the decoder that frames at `sampleRate` need.
  func prepareReceiver(sampleRate: Int) throws(AudioError) {
    guard let negotiated, receiver?.sampleRate != sampleRate else { return }
    receiver = try AudioReceiver(
      codecs: Set(negotiated.receivePayloadTypes.values), sampleRate: sampleRate, seed: UInt32(truncatingIfNeeded: seed)
    )
  }

  /// Whether this leg takes frames from its source's decoder.
  var isPulling: Bool {
    (sourceKind == .leg || sourceKind == .echo) && relayedCodec == nil && negotiated?.sends == true
  }
}
