package import Audio
package import Core
import RTP

/// What a leg tells its owner, inside `receive` or `tick`.
package enum MediaLegEvent: Sendable, Hashable {
  /// The far end's first RTP packet.
  case firstPacket
  /// A key of the far end, told once when it is released, whichever way it came: RFC 4733, tones or INFO.
  case dtmf(digit: Character, durationMilliseconds: Int)
  /// Neither RTP nor RTCP came for `mediaTimeout` although the far end may send.
  case mediaTimeout
  /// Something came after a timeout.
  case mediaResumed
  /// The far end's RTCP said BYE.
  case goodbye
  /// A clip that does not loop was played to its end.
  case clipEnded
}

/// One party's audio: takes its packets, makes the packets that it hears. Used on one media worker only.
///
/// What the far end hears is the leg's `source`. Packets of a source leg that already are what this leg sends are passed on
/// as they come, under this leg's own SSRC, numbers and times; everything else is made on `tick`, a frame at a time. All
/// packets come from one `OutputSequence`, so hold, switches of source or codec and the wrap stay invisible to the far end.
///
/// No packet and no tick allocates, once a source has been set and the codecs settled.
package final class MediaLeg: PacketReceiver {
  package let ssrc: SSRC
  /// Where packets go; nil drops them. `close` lets it go.
  package var transport: (any PacketTransport)?
  /// Called inside `receive` and `tick`.
  package var onEvent: ((MediaLegEvent) -> Void)?
  /// Silence of RTP and RTCP that is told as `mediaTimeout`; nil never. A far end that may not send is not expected to.
  package var mediaTimeout: Duration?
  /// Sees what the far end sends, packets of unknown payload types left out; `close` lets it go.
  package var tap: (any PacketTap)?
  /// What offer and answer settled; nil before the first `configure`.
  package internal(set) var negotiated: NegotiatedAudio?

  var output: OutputSequence
  var reporter: RTCPReporter
  let startedAt: Instant
  let startedAtWall: WallTime
  let seed: UInt64
  var isClosed = false

  // MARK: Receiving
  /// By payload type: what it carries.
  var kinds = [PayloadKind](repeating: .unknown, count: 128)
  /// The codec of the last audio packet; before one, that of the answer.
  var receivingCodec = AudioCodec.pcmu
  var codecChangedAt: Instant?
  var receiver: AudioReceiver?
  var telephoneEvents = TelephoneEventReceiver(clockRate: 8_000)
  var detector: InbandDTMFDetector?
  var detectorFrame: FrameMemory?
  var wantsDetection = false
  var digitsReceived = ReceivedDigits()
  var hasReceived = false
  var lastHeard: Instant
  var hasTimedOut = false
  var packetsRejected = 0
  /// The leg that hears this one.
  weak var listener: MediaLeg?

  // MARK: Sending
  var sourceKind = SourceKind.silence
  weak var sourceLeg: MediaLeg?
  /// Packets of the source that may pass as they are: their codec.
  var relayedCodec: AudioCodec?
  var generator: SourceGenerator?
  var generatorRate = 0
  var generatedSource = LegSource.silence
  var encoder: FrameEncoder?
  var packetTime = Duration.milliseconds(20)
  var frame: FrameMemory
  var conference: ConferenceEnd?
  /// What the far end says, on its way there.
  var conferenceFrame: FrameMemory?
  var seam = Seam(sampleRate: 8_000)
  var lastFrame = FrameKind.none
  var generation = 0
  var digits = DigitSender(sampleRate: 8_000)
  var nextFrameAt: Instant?
  /// One packet, header included.
  let packet: UnsafeMutableRawBufferPointer

  enum PayloadKind: Equatable {
    case unknown, comfortNoise
    case audio(AudioCodec)
    case event(clockRate: Int)
  }

  enum SourceKind: Equatable { case silence, leg, echo, generated, conference }

  /// What the last frame was, to know where a seam is needed.
  enum FrameKind: Equatable {
    case none, tone
    /// Of the source with this number.
    case source(Int)
  }

  /// - Parameters:
  ///   - firstSequence: Random; below 2^15 spares old SRTP receivers a roll-over in the first packets.
  ///   - firstTimestamp: Random.
  ///   - seed: For the distances of RTCP reports and for comfort noise.
  ///   - wall: The wall-clock time of `now`, for the NTP times of sender reports.
  package init(
    ssrc: SSRC, cname: String, firstSequence: UInt16, firstTimestamp: UInt32, seed: UInt64, now: Instant,
    wall: WallTime = WallTime(milliseconds: 0)
  ) {
    self.ssrc = ssrc
    self.seed = seed
    startedAt = now
    startedAtWall = wall
    lastHeard = now
    output = OutputSequence(
      ssrc: ssrc, firstSequence: firstSequence, firstTimestamp: firstTimestamp, clockRate: 8_000)
    reporter = RTCPReporter(ssrc: ssrc, cname: cname, clockRate: 8_000, seed: seed, now: now)
    frame = FrameMemory(count: 160)
    packet = .allocate(byteCount: 2_048, alignment: 8)
  }

  deinit { packet.deallocate() }

  /// Takes what offer and answer settled, at first and after each re-INVITE. SSRC, sequence numbers and timestamps go on.
  /// A throw leaves a leg that neither sends nor receives audio.
  package func configure(_ audio: NegotiatedAudio, now: Instant) throws(AudioError) {
    guard !isClosed else { return }
    let before = negotiated
    negotiated = audio
    for i in 0..<kinds.count { kinds[i] = .unknown }
    for (type, codec) in audio.receivePayloadTypes { kinds[Int(type.rawValue)] = .audio(codec) }
    for (type, format) in audio.receiveTelephoneEvents {
      kinds[Int(type.rawValue)] = .event(clockRate: max(1_000, format.clockRate))
    }
    if let type = audio.comfortNoise, kinds[Int(type.rawValue)] == .unknown {
      kinds[Int(type.rawValue)] = .comfortNoise
    }

    let codecs = Set(audio.receivePayloadTypes.values)
    if before == nil || !codecs.contains(receivingCodec) || before?.codec != audio.codec {
      receivingCodec =
        codecs.contains(audio.codec) || codecs.isEmpty ? audio.codec : codecs.sorted { $0.rawValue < $1.rawValue }[0]
    }
    if let receiver, receiver.codecs != codecs { self.receiver = nil }
    packetTime = Self.frameTime(audio)
    output.setClockRate(audio.codec.clockRate)
    reporter.setClockRate(sending: audio.codec.clockRate, receiving: receivingCodec.clockRate)
    if encoder?.codec != audio.codec { encoder = nil } else { try encoder?.apply(audio.opus) }
    // The far end was not listened to on hold: its silence begins to count now.
    if audio.receives, before?.receives != true { lastHeard = now }
    if !audio.receives { hasTimedOut = false }
    if !audio.sends { nextFrameAt = nil }
    try updateDetection()
    try plan(now)
    try listener?.plan(now)
  }

  /// The length of our frames: what the far end asked for, within what all codecs can.
  private static func frameTime(_ audio: NegotiatedAudio) -> Duration {
    switch audio.packetTime.inMilliseconds {
    case ..<15: .milliseconds(10)
    case ..<35: .milliseconds(20)
    case ..<55: .milliseconds(40)
    default: .milliseconds(60)
    }
  }

  /// The leg's counters so far. What the transport rejected is the transport's to add.
  package var counters: MediaCounters {
    var counters = reporter.counters
    counters.packetsRejected += packetsRejected
    return counters
  }

  /// How the leg is doing.
  package func quality(now: Instant) -> MediaQuality {
    let counters = counters
    var quality = MediaQuality()
    quality.jitter = counters.jitter
    quality.roundTrip = counters.roundTrip
    let expected = counters.packetsReceived + max(0, counters.packetsLost)
    quality.lossFraction = expected > 0 ? Double(max(0, counters.packetsLost)) / Double(expected) : 0
    quality.remoteLossFraction = reporter.remoteReport.map { Double($0.fractionLost) / 256 } ?? 0
    if let receiver {
      quality.playoutDelay = receiver.currentDelay
      if receiver.samplesPulled > 0 {
        quality.concealedFraction = min(1, Double(receiver.samplesConcealed) / Double(receiver.samplesPulled))
      }
    }
    // G.113: G.711 with concealment 25.1; Opus repairs better with its copies.
    let robustness = receivingCodec == .opus ? 30 : 25.1
    quality.meanOpinionScore = MediaQuality.meanOpinionScore(
      delay: (quality.roundTrip ?? 0) / 2 + quality.playoutDelay + 20,
      loss: max(quality.lossFraction, quality.concealedFraction), equipment: 0, robustness: robustness)
    return quality
  }

  /// Says goodbye and lets the transport go. Everything after is dropped.
  package func close(now: Instant) {
    guard !isClosed else { return }
    if negotiated != nil, let transport {
      reporter.makeGoodbye(now: now, wall: wall(now)).withUnsafeBytes { transport.send(rtcp: $0) }
    }
    isClosed = true
    detachSource()
    listener?.lose(self, now: now)
    listener = nil
    transport = nil
    tap = nil
    onEvent = nil
    receiver = nil
    encoder = nil
    generator = nil
    conference = nil
    detector = nil
  }

  func wall(_ now: Instant) -> WallTime {
    WallTime(milliseconds: startedAtWall.milliseconds &+ (now - startedAt).nanoseconds / 1_000_000)
  }
}

/// Owned memory for one frame.
struct FrameMemory: ~Copyable {
  let samples: Samples

  init(count: Int) {
    samples = .allocate(capacity: max(1, count))
    samples.initialize(repeating: 0)
  }

  deinit { samples.deallocate() }
}
