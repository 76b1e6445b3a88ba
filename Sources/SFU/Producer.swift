import Core
import RTP

/// One published track: its streams (one, or one a simulcast layer) and who takes their packets.
final class Producer {
  let id: ProducerID
  /// Who publishes it.
  let peer: PeerID
  private(set) var parameters: ProducerParameters
  /// Sees its packets: repaired, once each, muted or not.
  var tap: (any PacketTap)?
  /// The ways to other routers of the room.
  var pipes: [any ProducerPipe] = []
  private(set) var payloads: PayloadTable
  /// In order of appearance; found by `RoutedPacket.streamIndex`. Streams are never removed, but a stream may be followed
  /// by another of the same layer when the publisher changes its SSRC or its numbering.
  private(set) var streams: [ProducerStream] = []
  /// The consumers.
  private(set) var sinks: [any PacketSink] = []
  /// Asks the publisher for a key frame; set by the peer, which sends it.
  var onKeyFrameWanted: ((ProducerStream, Instant) -> Void)?

  var talker = LoudestSelector.Talker()
  var observation = ActiveSpeakers.Observation()
  private var lastAudioTimestamp: UInt32?
  private(set) var hasStarted = false
  private(set) var isStalled = false
  private(set) var lastArrival: Instant?
  private(set) var layersSeen: UInt8 = 0
  /// Layers that anybody wants; see `RouterEvent.wantedLayers`.
  var dynacast = Dynacast()
  /// Packets that were not forwarded because others were louder.
  private(set) var packetsUnheard = 0
  private var isHeard = true

  /// Without a packet for so long a track that is not muted counts as stalled.
  static let patience = Duration.seconds(5)
  /// SSRCs that one track may go through.
  static let maximumStreams = 32

  init(id: ProducerID, peer: PeerID, parameters: ProducerParameters) {
    self.id = id
    self.peer = peer
    self.parameters = parameters
    payloads = PayloadTable(parameters.codecs)
  }

  var isMuted: Bool { parameters.muted }
  /// More than one encoding was negotiated.
  var isSimulcast: Bool { parameters.encodings.count > 1 }

  /// The latest stream of a simulcast layer; the latest of all where there is no simulcast.
  func stream(spatialLayer: Int) -> ProducerStream? {
    isSimulcast ? streams.last { $0.spatialLayer == spatialLayer } : streams.last
  }

  /// Asks for a key frame of a layer, throttled (500 ms a layer) and coalesced over all consumers.
  func requestKeyFrame(spatialLayer: Int, now: Instant) {
    guard parameters.kind == .video, !isMuted, let stream = stream(spatialLayer: spatialLayer) else { return }
    onKeyFrameWanted?(stream, now)
  }

  func add(_ sink: any PacketSink) { sinks.append(sink) }

  func remove(_ sink: any PacketSink) { sinks.removeAll { $0 === sink } }

  func update(_ parameters: ProducerParameters) {
    self.parameters = parameters
    payloads = PayloadTable(parameters.codecs)
  }

  func setMuted(_ muted: Bool) {
    parameters.muted = muted
    observation = ActiveSpeakers.Observation()
    // Silence that was asked for is no stall, and the time to the first packet afterwards is not either.
    lastArrival = nil
    guard muted else { return }
    for stream in streams { stream.deactivate() }
  }

  /// Nil when the track has gone through too many.
  func addStream(
    ssrc: SSRC, encoding: EncodingParameters?, codec: MediaCodec, clock: RemoteClock, keyFrameInterval: Duration,
    now: Instant
  ) -> ProducerStream? {
    guard streams.count < Self.maximumStreams else { return nil }
    let stream = ProducerStream(
      index: streams.count, ssrc: ssrc, rid: encoding?.rid, spatialLayer: encoding?.spatialLayer ?? 0, codec: codec,
      clock: clock, keyFrameInterval: keyFrameInterval)
    streams.append(stream)
    for sink in sinks { sink.streamsChanged(now: now) }
    return stream
  }

  /// Hands a packet to everybody.
  func forward(_ packet: borrowing RoutedPacket, from stream: ProducerStream, now: Instant) {
    isHeard = true
    for sink in sinks { sink.forward(packet, from: stream, now: now) }
  }

  /// A packet of somebody who is not among the loudest: the consumers learn it once.
  func withhold() {
    packetsUnheard &+= 1
    guard isHeard else { return }
    isHeard = false
    for sink in sinks { sink.interrupt() }
  }

  func skip(_ sequence: Int64, from stream: ProducerStream, now: Instant) {
    for sink in sinks { sink.skip(sequence, from: stream, now: now) }
  }

  /// Keeps books over a packet with media.
  ///
  /// - Returns: What the control plane should know.
  func note(_ packet: borrowing RoutedPacket, threshold: UInt8, now: Instant) -> RouterEvent? {
    lastArrival = now
    if let level = packet.audioLevel {
      observation.add(level, threshold: threshold, duration: audioDuration(packet.header.timestamp))
    }
    let bit = UInt8(1) << UInt8(min(max(packet.spatialLayer, 0), 7))
    let isNewLayer = layersSeen & bit == 0
    layersSeen |= bit
    if !hasStarted {
      hasStarted = true
      return .producerStarted(id)
    }
    if isStalled {
      isStalled = false
      return .producerResumed(id)
    }
    return isNewLayer ? .layersSeen(id, spatialLayers: layersSeen) : nil
  }

  /// Microseconds of audio in a packet, by the distance of timestamps; 20 ms after a pause.
  private func audioDuration(_ timestamp: UInt32) -> Int {
    let distance = lastAudioTimestamp.map { timestamp &- $0 } ?? 960
    lastAudioTimestamp = timestamp
    return (120...5_760).contains(distance) ? Int(distance) * 1_000 / 48 : 20_000
  }

  /// Whether the track has just fallen silent.
  func checkStall(now: Instant) -> RouterEvent? {
    guard hasStarted, !isStalled, !isMuted, let lastArrival, now - lastArrival > Self.patience else { return nil }
    // Nobody watches, so the publisher was told to stop.
    guard dynacast.announced != nil || parameters.kind == .audio else { return nil }
    isStalled = true
    return .producerStalled(id)
  }

  /// Refreshes rates and finds layers that have stopped.
  func refresh(now: Instant) {
    var changed = false
    for stream in streams {
      stream.rate.update(now: now)
      if stream.checkActivity(now: now) { changed = true }
    }
    guard changed else { return }
    for sink in sinks { sink.streamsChanged(now: now) }
  }
}
