import Core
import RTP

/// One track on its way to one subscriber: chooses layers, renumbers, rewrites headers, answers NACKs, reports.
///
/// Keeps no bytes: packets are built from the producer's history, at once or when the pacer wants them. Confined to the
/// worker's thread.
final class Consumer: PacketSink, PacedConsumer {
  let id: ConsumerID
  /// Who receives it.
  let peer: PeerID
  private(set) var producer: Producer
  let sender: PeerSender
  let kind: MediaKind
  private(set) var parameters: ConsumerParameters
  /// Called when `layers` or `isPausedForBandwidth` changed. May not call back into the consumer.
  var onChange: ((Consumer) -> Void)?
  /// The participant is among the active speakers: counts for the allocator.
  var isSpeaking = false { didSet { if isSpeaking != oldValue { sender.demandChanged() } } }

  /// Set anew with every change of codecs or producer.
  var payloadTypes: PayloadTypeMap { didSet { takesRedundancy = true } }
  private var takesRedundancy = true
  var extensions: ExtensionPlan
  var forwarder: Forwarder
  var reports = ConsumerReports()
  var nextRetransmission: UInt16
  private var slot = -1
  private var target = LayerTarget.highest
  private var nextRequest: Instant?
  private var reported: (spatial: Int, temporal: Int)?
  private var reportedPaused = false

  /// Nil when publisher and subscriber have no codec in common.
  ///
  /// - Parameter seed: Where sequence numbers, timestamps and picture IDs begin.
  init?(
    id: ConsumerID, peer: PeerID, of producer: Producer, parameters: ConsumerParameters, sender: PeerSender,
    seed: UInt64, now: Instant
  ) {
    let types = PayloadTypeMap(publisher: producer.parameters.codecs, subscriber: parameters.codecs)
    guard !types.isEmpty else { return nil }
    self.id = id
    self.peer = peer
    self.producer = producer
    self.parameters = parameters
    self.sender = sender
    payloadTypes = types
    extensions = ExtensionPlan(mid: parameters.mid, map: parameters.extensions)
    var random = SeededRandom(seed: seed)
    let kind = producer.parameters.kind
    self.kind = kind
    forwarder = Forwarder(
      kind: kind,
      munger: Munger(
        firstSequence: .random(in: 0..<0x8000, using: &random), firstTimestamp: .random(in: 0 ... .max, using: &random),
        clockRate: kind == .audio ? 48_000 : 90_000),
      vp8: VP8Munger(firstPictureID: .random(in: 0...0x7FFF, using: &random)),
      selector: LayerSelector(
        isSimulcast: producer.isSimulcast, spatial: parameters.preferences.maximumSpatialLayer,
        temporal: parameters.preferences.maximumTemporalLayer),
      sent: SequenceMap(capacity: kind == .audio ? 64 : 512))
    nextRetransmission = .random(in: 0..<0x8000, using: &random)
    slot = sender.attach(self, now: now)
    producer.add(self)
    retarget(now: now)
  }

  /// Takes the consumer out of producer and sender.
  func close(now: Instant) {
    producer.remove(self)
    sender.detach(slot, now: now)
    onChange = nil
  }

  var counters: ConsumerCounters { forwarder.counters }
  var senderSlot: Int { slot }

  // MARK: What is wanted

  var preferences: ConsumerPreferences { parameters.preferences }

  func update(_ preferences: ConsumerPreferences, now: Instant) {
    guard preferences != parameters.preferences else { return }
    parameters.preferences = preferences
    sender.demandChanged()
    retarget(now: now)
  }

  /// A later negotiation changed payload types or extensions.
  ///
  /// - Returns: False, with nothing changed, when no codec is left in common.
  func update(codecs: [CodecParameters], extensions map: HeaderExtensionMap, mid: String) -> Bool {
    let types = PayloadTypeMap(publisher: producer.parameters.codecs, subscriber: codecs)
    guard !types.isEmpty else { return false }
    parameters.codecs = codecs
    parameters.extensions = map
    parameters.mid = mid
    payloadTypes = types
    extensions = ExtensionPlan(mid: mid, map: map)
    return true
  }

  /// Redundant audio is thinned to plain Opus while bandwidth is short.
  func setRedundancy(_ isAllowed: Bool) {
    guard kind == .audio, isAllowed != takesRedundancy else { return }
    let codecs = isAllowed ? parameters.codecs : parameters.codecs.filter { $0.codec != .red }
    let types = PayloadTypeMap(publisher: producer.parameters.codecs, subscriber: codecs)
    guard !types.isEmpty else { return }
    payloadTypes = types
    takesRedundancy = isAllowed
  }

  /// The allocator's word.
  func setTarget(_ target: LayerTarget, now: Instant) {
    guard target != self.target else { return }
    self.target = target
    retarget(now: now)
    report()
  }

  /// The allocator lets nothing through although the subscriber wants it.
  var isPausedForBandwidth: Bool { target == .paused && !preferences.isPaused }

  /// Nothing goes through.
  var isPaused: Bool { preferences.isPaused || target == .paused }

  /// The highest spatial layer that the subscriber wants, bandwidth aside: what dynacast asks for. Nil for none.
  var wantedSpatialLayer: Int? { preferences.isPaused ? nil : preferences.maximumSpatialLayer }

  /// Layers that go through now; nil for none. Audio has layer 0, 0.
  var layers: (spatial: Int, temporal: Int)? {
    guard kind == .video else { return forwarder.mustJoin ? nil : (0, 0) }
    guard let current = forwarder.selector.current, forwarder.selector.stream < producer.streams.count else {
      return nil
    }
    // No higher than what there is.
    let stream = producer.streams[forwarder.selector.stream]
    return (min(current.spatial, stream.highestSpatialLayer), min(current.temporal, stream.highestTemporalLayer))
  }

  private func retarget(now: Instant) {
    if isPaused {
      interrupt()
      return
    }
    guard kind == .video else { return }
    var spatial = preferences.maximumSpatialLayer
    var temporal = preferences.maximumTemporalLayer
    if case .layer(let spatialTarget, let temporalTarget) = target {
      spatial = min(spatial, spatialTarget)
      temporal = min(temporal, temporalTarget)
    }
    forwarder.selector.setTarget(spatial: spatial, temporal: temporal)
    nextRequest = nil
    advance(to: now)
  }

  /// Packets are withheld from here on, or were: what comes next goes on without a gap, video at a key frame. For pauses,
  /// and for who forwards the loudest only.
  func interrupt() {
    forwarder.interrupt()
  }

  /// Another track takes the place of this one in the same m-line: the subscriber sees one stream go on.
  ///
  /// - Returns: False, with nothing changed, when there is no codec in common.
  func replaceProducer(_ other: Producer, now: Instant) -> Bool {
    let types = PayloadTypeMap(publisher: other.parameters.codecs, subscriber: parameters.codecs)
    guard !types.isEmpty, other.parameters.kind == kind else { return false }
    producer.remove(self)
    producer = other
    other.add(self)
    payloadTypes = types
    forwarder.replaceSource(isSimulcast: other.isSimulcast)
    sender.demandChanged()
    retarget(now: now)
    return true
  }

  // MARK: Time

  func streamsChanged(now: Instant) {
    nextRequest = nil
    advance(to: now)
  }

  /// Notices layers that died or came back and asks for the key frames that are needed. Every 100 ms or so.
  func advance(to now: Instant) {
    guard kind == .video, !isPaused else { return }
    let needed = forwarder.selector.advance(producer.streams, now: now)
    report()
    guard let needed, nextRequest.map({ now >= $0 }) ?? true else { return }
    nextRequest = now + .milliseconds(500)
    producer.requestKeyFrame(spatialLayer: needed, now: now)
  }

  /// Tells about changes of `layers` and of the pause.
  func report() {
    guard let onChange else { return }
    let layers = layers
    guard
      layers?.spatial != reported?.spatial || layers?.temporal != reported?.temporal
        || isPausedForBandwidth != reportedPaused
    else { return }
    reported = layers
    reportedPaused = isPausedForBandwidth
    onChange(self)
  }

  /// The pacer gave up packets: what follows cannot be decoded before a key frame.
  func pacerDropped(now: Instant) {
    guard kind == .video else { return }
    interrupt()
    nextRequest = nil
    advance(to: now)
  }

  /// The subscriber cannot decode (PLI, FIR).
  func receivePictureLoss(now: Instant) {
    forwarder.counters.pictureLossIndications &+= 1
    guard kind == .video, !isPaused else { return }
    producer.requestKeyFrame(
      spatialLayer: forwarder.selector.isSimulcast
        ? (forwarder.selector.streamLayer < 0 ? forwarder.selector.aim : forwarder.selector.streamLayer) : 0,
      now: now)
  }

  // MARK: Bandwidth

  var demand: BandwidthDemand {
    var demand = BandwidthDemand(id: id, kind: kind)
    demand.isIdle = preferences.isPaused || producer.isMuted || producer.streams.isEmpty
    demand.isScreenShare = producer.parameters.isScreenShare
    demand.isSpeaking = isSpeaking
    demand.priority = preferences.priority
    demand.maximumSpatialLayer = preferences.maximumSpatialLayer
    demand.maximumTemporalLayer = preferences.maximumTemporalLayer
    for stream in producer.streams {
      guard kind == .video else {
        demand.bitrates[0, 0] = max(demand.bitrates[0, 0], Int(clamping: Int64(stream.rate.total)))
        continue
      }
      for temporal in 0..<LayerBitrates.temporalCount {
        var sum = 0.0
        for spatial in 0..<LayerBitrates.spatialCount {
          let own = stream.rate.bitrate(spatial: spatial, temporal: temporal)
          if forwarder.selector.isSimulcast {
            guard spatial == stream.spatialLayer else { continue }
            demand.bitrates[spatial, temporal] = max(demand.bitrates[spatial, temporal], Int(own))
          } else {
            guard own > 0 else { continue }
            sum += own
            demand.bitrates[spatial, temporal] = max(demand.bitrates[spatial, temporal], Int(sum))
          }
        }
      }
    }
    return demand
  }
}
