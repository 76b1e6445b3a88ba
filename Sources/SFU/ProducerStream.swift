import Core
import RTP

/// One received RTP stream of a producer: an encoding with its own SSRC.
final class ProducerStream {
  /// Position in `Producer.streams`; what `RoutedPacket.streamIndex` says.
  let index: Int
  let ssrc: SSRC
  let rid: String?
  /// Of the encoding. With SVC the packets say more.
  let spatialLayer: Int
  /// Hertz.
  let clockRate: Int
  let history: PacketHistory

  /// Loss and jitter. Retransmissions on their own SSRC do not count (RFC 4588 §4).
  var statistics: ReceiveStatistics
  var rate = LayerBitrate()
  /// The time line that the timestamps follow.
  var timeline: MediaTimeline
  var nacks: NackGenerator
  var keyFrames: KeyFrameRequests
  var recognition = FrameRecognition()
  private var unwrapper = SequenceUnwrapper()

  /// Of the last packet that came in order.
  private(set) var codec: MediaCodec
  private(set) var lastTimestamp: UInt32?
  private(set) var lastArrival: Instant?
  /// False while nothing has come for a while: muted, or the layer is switched off.
  private(set) var isActive = false
  /// Highest layers seen since the stream began.
  private(set) var highestSpatialLayer = 0
  private(set) var highestTemporalLayer = 0
  private(set) var keyFramesReceived = 0
  private(set) var counters = Counters()
  /// Smoothed distance of frames; nil before the second.
  private var frameInterval: Duration?
  private var lastFrame: Instant?

  /// 0…1, by our last report block: before retransmissions.
  private(set) var fractionLost = 0.0
  /// The last sender report: the middle of its NTP time, and when it came.
  private(set) var lastReport: (middle: UInt32, at: Instant)?

  struct Counters {
    var duplicates = 0
    var tooLate = 0
    var malformed = 0
    var retransmissions = 0
  }

  /// AV1's template structure; nil before the first key frame.
  var dependencyStructure: DependencyStructure? { recognition.structure }

  init(
    index: Int, ssrc: SSRC, rid: String?, spatialLayer: Int, codec: MediaCodec, clock: RemoteClock = RemoteClock(),
    keyFrameInterval: Duration = .milliseconds(500)
  ) {
    self.index = index
    self.ssrc = ssrc
    self.rid = rid
    self.spatialLayer = spatialLayer
    self.codec = codec
    clockRate = codec.clockRate
    highestSpatialLayer = spatialLayer
    history = PacketHistory(kind: codec.kind)
    statistics = ReceiveStatistics(clockRate: codec.clockRate)
    timeline = MediaTimeline(clockRate: codec.clockRate, clock: clock)
    var limits = NackGenerator.Limits()
    if codec.kind == .audio {
      // A second of packets; later they are of no use.
      limits.maximumMissing = 64
      limits.maximumAge = .milliseconds(600)
    }
    nacks = NackGenerator(limits: limits)
    keyFrames = KeyFrameRequests(interval: keyFrameInterval)
  }

  /// The stream's timestamp of what is captured at `now` on the router's clock: by the publisher's sender reports once
  /// there are any, by the last packet's arrival before. Nil before the first packet.
  ///
  /// All streams of one publisher share one mapping of NTP time, so that `a.rtpTimestamp(at:)` and `b.rtpTimestamp(at:)`
  /// name the same instant of capture: what layer switches and sender reports need.
  func rtpTimestamp(at now: Instant) -> UInt32? { timeline.rtpTimestamp(at: now) }

  /// What became of a packet.
  enum Outcome {
    /// To be forwarded.
    case packet(RoutedPacket)
    /// Came, carries nothing to forward: its number shall leave no gap.
    case skip(Int64)
    /// A copy, too late, or too far from everything before it.
    case drop
    /// The numbering starts anew: the packet belongs to a new stream.
    case restart
  }

  /// Takes a packet of this stream, retransmissions unwrapped.
  ///
  /// - Parameters:
  ///   - bytes: The whole packet.
  ///   - isRetransmission: It came on the retransmission stream.
  ///   - isMuted: It is counted only.
  func ingest(
    _ bytes: UnsafeRawBufferPointer, _ header: RTPHeader, _ elements: ExtensionElements, codec: MediaCodec,
    isRetransmission: Bool, isMuted: Bool, now: Instant
  ) -> Outcome {
    if isRetransmission {
      counters.retransmissions &+= 1
      // It answers a NACK of ours, so it lies close behind.
      guard let highest = unwrapper.highest,
        Int16(bitPattern: header.sequence &- UInt16(truncatingIfNeeded: highest)) <= 0
      else { return .drop }
    } else {
      let isFirst = statistics.source == nil
      let verdict = statistics.receive(
        source: ssrc, sequence: header.sequence, timestamp: header.timestamp, payloadOctets: header.payload.count,
        now: now, measuresJitter: !header.payload.isEmpty)
      switch verdict {
      case .accepted: break
      case .suspicious: return .drop
      case .restarted: if !isFirst { return .restart }
      }
    }
    let highest = unwrapper.highest
    let sequence = unwrapper.unwrap(header.sequence)
    if let highest, sequence <= highest {
      guard !history.contains(sequence) else {
        counters.duplicates &+= 1
        return .drop
      }
      guard highest - sequence < 4_096 else {
        counters.tooLate &+= 1
        return .drop
      }
    }
    if nacks.receive(sequence, now: now) == .overflow, codec.kind == .video { keyFrames.want(now: now) }
    lastArrival = now
    // Nobody misses anything of a muted track.
    if isMuted { nacks.giveUp() }
    guard !isMuted, !header.payload.isEmpty else { return .skip(sequence) }
    return recognise(bytes, header, elements, codec, sequence, isLate: sequence <= highest ?? 0, now)
  }

  private func recognise(
    _ bytes: UnsafeRawBufferPointer, _ header: RTPHeader, _ elements: ExtensionElements, _ codec: MediaCodec,
    _ sequence: Int64, isLate: Bool, _ now: Instant
  ) -> Outcome {
    let isNext = !isLate && (lastSequence.map { $0 + 1 == sequence } ?? true)
    let previous = isNext ? lastTimestamp : history.timestamp(sequence - 1)
    guard
      let frame = recognition.read(
        codec, header: header, packet: bytes.bytes, dependency: elements[.dependencyDescriptor],
        previousTimestamp: previous)
    else {
      counters.malformed &+= 1
      return .skip(sequence)
    }
    if recognition.needsStructure { keyFrames.want(now: now) }
    let level = elements[.audioLevel].map { AudioLevel(byte: bytes[$0.lowerBound]) }
    let packet = history.insert(
      RoutedPacket(
        bytes: bytes, header: header, elements: elements, descriptor: frame.descriptor, arrival: now,
        extendedSequence: sequence, streamIndex: index, codec: codec,
        spatialLayer: frame.spatialLayer ?? spatialLayer, temporalLayer: frame.temporalLayer,
        startsFrame: frame.startsFrame, endsFrame: frame.endsFrame, isKeyFrame: frame.isKeyFrame,
        isSwitchPoint: frame.isSwitchPoint, isLate: isLate, audioLevel: level))
    note(packet, now)
    return .packet(packet)
  }

  private var lastSequence: Int64?

  private func note(_ packet: RoutedPacket, _ now: Instant) {
    isActive = true
    rate.add(spatial: packet.spatialLayer, temporal: packet.temporalLayer, octets: packet.bytes.count, now: now)
    highestSpatialLayer = max(highestSpatialLayer, packet.spatialLayer)
    highestTemporalLayer = max(highestTemporalLayer, packet.temporalLayer)
    if packet.isKeyFrame, packet.startsFrame {
      keyFramesReceived &+= 1
      keyFrames.keyFrameStarted()
    }
    guard !packet.isLate else { return }
    if packet.header.timestamp != lastTimestamp {
      if let lastFrame {
        let distance = now - lastFrame
        frameInterval = frameInterval.map { $0 * 7 / 8 + distance / 8 } ?? distance
      }
      lastFrame = now
      timeline.received(timestamp: packet.header.timestamp, at: now)
    }
    lastSequence = packet.extendedSequence
    lastTimestamp = packet.header.timestamp
    codec = packet.codec
  }

  func receive(_ report: SenderReport, now: Instant) {
    lastReport = (report.ntp.middle, now)
    timeline.received(report)
  }

  /// A report block (RFC 3550 §6.4.1) with the delay since the last sender report; starts a new interval.
  func makeReportBlock(now: Instant) -> ReportBlock? {
    let delay = lastReport.map { UInt32(clamping: Int64((now - $0.at).inSeconds * 65_536)) } ?? 0
    let block = statistics.makeReportBlock(lastSenderReport: lastReport?.middle ?? 0, delay: delay)
    if let block { fractionLost = Double(block.fractionLost) / 256 }
    return block
  }

  /// Notices that nothing comes any more: after eight frames' time, between 400 ms and 3 s.
  ///
  /// - Returns: True when `isActive` went false.
  func checkActivity(now: Instant) -> Bool {
    guard isActive, let lastArrival else { return false }
    let patience = min(max((frameInterval ?? .milliseconds(125)) * 8, .milliseconds(400)), .seconds(3))
    guard now - lastArrival > patience else { return false }
    deactivate()
    return true
  }

  /// Nothing more will come for now.
  func deactivate() {
    isActive = false
    nacks.giveUp()
    lastFrame = nil
  }
}
