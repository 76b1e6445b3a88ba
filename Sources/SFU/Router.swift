package import Core
import RTP

/// Forwards the packets of one room between its peers. Confined to one worker's thread; reads no clock.
///
/// Drive it with what the transports receive (through the object that `addPeer` returns) and with `tick` every 5 ms.
/// Changes act from the moment of the last packet or tick on.
package final class Router {
  package let configuration: RouterConfiguration
  /// Called from within `receive`, `tick` and the changes below; may not call back into the router.
  package var onEvent: ((RouterEvent) -> Void)? {
    get { context.onEvent }
    set { context.onEvent = newValue }
  }

  let context: RouterContext
  private(set) var peers: [PeerID: Peer] = [:]
  private(set) var producers: [ProducerID: Producer] = [:]
  private(set) var consumers: [ConsumerID: Consumer] = [:]
  /// In order of joining: dictionaries have none, and runs shall be repeatable.
  private(set) var peerList: [Peer] = []
  private(set) var producerList: [Producer] = []
  /// Of peers, producers and consumers that are gone.
  private(set) var past = RouterTotals()
  var speakers: ActiveSpeakers
  var schedule = TickSchedule()

  /// - Parameter seed: For SSRCs, first sequence numbers and the times of reports.
  package init(seed: UInt64, configuration: RouterConfiguration = RouterConfiguration()) {
    self.configuration = configuration
    context = RouterContext(configuration: configuration, seed: seed)
    speakers = ActiveSpeakers(interval: configuration.speakerInterval, threshold: configuration.speakerThreshold)
  }

  deinit {
    // Peers, consumers and producers know each other: taken apart, they let go.
    context.onEvent = nil
    for peer in peerList { removePeer(peer.id) }
  }

  // MARK: Peers

  /// - Returns: What the transport of the peer delivers to. It ignores what comes after `removePeer`.
  package func addPeer(_ id: PeerID, transport: any PacketTransport, now: Instant) -> any PacketReceiver {
    context.advance(to: now)
    removePeer(id)
    let peer = Peer(
      id: id, transport: transport, context: context,
      ssrc: SSRC(UInt32.random(in: 1 ... .max, using: &context.random)),
      cname: RandomToken.hex(bytes: 8, using: &context.random), now: now)
    peers[id] = peer
    peerList.append(peer)
    return peer
  }

  /// What offer and answer settled for the packets that we send to the peer.
  package func configurePeer(_ id: PeerID, bandwidth: BandwidthMode) {
    peers[id]?.sender.configure(mode: bandwidth, now: context.now)
  }

  /// Removes the peer with its producers, their consumers elsewhere, and its own consumers.
  package func removePeer(_ id: PeerID) {
    guard let peer = peers.removeValue(forKey: id) else { return }
    for consumer in peer.consumers { removeConsumer(consumer.id) }
    for producer in peer.producers { removeProducer(producer.id) }
    past.add(peer)
    peer.close()
    peerList.removeAll { $0 === peer }
  }

  // MARK: Producers

  /// A track that the peer publishes. Packets that came before are lost; an unknown peer is ignored.
  package func addProducer(_ id: ProducerID, peer peerID: PeerID, parameters: ProducerParameters) {
    guard let peer = peers[peerID] else { return }
    removeProducer(id)
    let producer = Producer(id: id, peer: peerID, parameters: parameters)
    producers[id] = producer
    producerList.append(producer)
    peer.add(producer)
    // Nobody watches yet: the clock of dynacast runs from here.
    updateDynacast(producer, now: context.now)
  }

  /// A later negotiation changed codecs, extensions or encodings.
  package func updateProducer(_ id: ProducerID, parameters: ProducerParameters) {
    guard let producer = producers[id] else { return }
    let wasMuted = producer.isMuted
    producer.update(parameters)
    peers[producer.peer]?.update(producer)
    if parameters.muted != wasMuted { setProducer(id, muted: parameters.muted) } else { tellPipes(producer) }
  }

  /// Muted tracks are not forwarded, whatever their publisher sends.
  package func setProducer(_ id: ProducerID, muted: Bool) {
    guard let producer = producers[id] else { return }
    producer.setMuted(muted)
    if muted { context.loudest?.remove(id) }
    tellPipes(producer)
    for sink in producer.sinks { sink.streamsChanged(now: context.now) }
    demandChanged(of: producer)
    if !muted { requestKeyFrame(id) }
  }

  /// Shows a tap the packets of every layer of the track from now on, repaired and once each, whether it is muted or not,
  /// and the compounds with its sender reports. Nil ends it.
  package func setTap(_ id: ProducerID, _ tap: (any PacketTap)?) {
    guard let producer = producers[id] else { return }
    producer.tap = tap
    updateDynacast(producer, now: context.now)
  }

  /// Whether anybody takes the packets of the track: a publisher on this machine need not make them else.
  package func isWanted(_ id: ProducerID) -> Bool {
    guard let producer = producers[id] else { return false }
    return producer.tap != nil || !producer.isMuted && !(producer.sinks.isEmpty && producer.pipes.isEmpty)
  }

  /// How loud a track is whose packets nobody takes, so that its speaker is told all the same.
  ///
  /// - Parameters:
  ///   - attenuation: −dBov.
  ///   - milliseconds: Of what was that loud.
  package func noteLevel(of id: ProducerID, attenuation: UInt8, milliseconds: Int) {
    guard let producer = producers[id], !producer.isMuted else { return }
    producer.observation.add(
      AudioLevel(byte: min(attenuation, 127)), threshold: configuration.speakerThreshold,
      duration: milliseconds * 1_000)
  }

  /// Removes the track and its consumers.
  package func removeProducer(_ id: ProducerID) {
    guard let producer = producers.removeValue(forKey: id) else { return }
    past.add(producer)
    for consumer in producer.sinks.compactMap({ $0 as? Consumer }) { removeConsumer(consumer.id) }
    peers[producer.peer]?.remove(producer)
    context.loudest?.remove(id)
    producerList.removeAll { $0 === producer }
    for pipe in producer.pipes { pipe.ended() }
    producer.pipes = []
  }

  /// Asks for a key frame of every layer, as often as the throttle lets through.
  package func requestKeyFrame(_ id: ProducerID) {
    guard let producer = producers[id] else { return }
    for stream in producer.streams where producer.stream(spatialLayer: stream.spatialLayer) === stream {
      producer.requestKeyFrame(spatialLayer: stream.spatialLayer, now: context.now)
    }
  }

  // MARK: Consumers

  /// Sends a track to a peer.
  ///
  /// - Returns: False, with nothing changed, when publisher and subscriber have no codec in common or either is unknown.
  package func addConsumer(
    _ id: ConsumerID, of producerID: ProducerID, peer peerID: PeerID, parameters: ConsumerParameters
  ) -> Bool {
    guard let producer = producers[producerID], let peer = peers[peerID] else { return false }
    removeConsumer(id)
    guard
      let consumer = Consumer(
        id: id, peer: peerID, of: producer, parameters: parameters, sender: peer.sender,
        seed: context.random.next(), now: context.now)
    else { return false }
    consumers[id] = consumer
    peer.add(consumer)
    consumer.onChange = { [context] consumer in
      context.emit(.consumerState(consumer.id, isPausedForBandwidth: consumer.isPausedForBandwidth))
      if let layers = consumer.layers {
        context.emit(.currentLayer(consumer.id, spatial: layers.spatial, temporal: layers.temporal))
      }
    }
    consumer.isSpeaking = isSpeaking(producer)
    updateDynacast(producer, now: context.now)
    return true
  }

  /// What the subscriber wants of the track changed.
  package func updateConsumer(_ id: ConsumerID, preferences: ConsumerPreferences) {
    guard let consumer = consumers[id] else { return }
    consumer.update(preferences, now: context.now)
    updateDynacast(consumer.producer, now: context.now)
  }

  /// A later negotiation changed what the subscriber takes.
  ///
  /// - Returns: False, with nothing changed, when no codec is left in common.
  @discardableResult
  package func updateConsumer(
    _ id: ConsumerID, codecs: [CodecParameters], extensions: HeaderExtensionMap, mid: String
  ) -> Bool {
    consumers[id]?.update(codecs: codecs, extensions: extensions, mid: mid) ?? false
  }

  package func removeConsumer(_ id: ConsumerID) {
    guard let consumer = consumers.removeValue(forKey: id) else { return }
    let producer = consumer.producer
    past.add(consumer)
    consumer.close(now: context.now)
    peers[consumer.peer]?.remove(consumer)
    if producers[producer.id] === producer { updateDynacast(producer, now: context.now) }
  }

  private func demandChanged(of producer: Producer) {
    for sink in producer.sinks { (sink as? Consumer)?.sender.demandChanged() }
  }

  /// Tells the publisher which layers are watched.
  func updateDynacast(_ producer: Producer, now: Instant) {
    guard producer.parameters.kind == .video else { return }
    // A recording takes the best that there is.
    var wanted: Int? = producer.tap == nil ? nil : 2
    for sink in producer.sinks {
      guard let layer = (sink as? Consumer)?.wantedSpatialLayer else { continue }
      wanted = max(wanted ?? 0, layer)
    }
    if producer.dynacast.update(wanted: wanted, now: now) {
      context.emit(.wantedLayers(producer.id, maximumSpatialLayer: producer.dynacast.announced))
    }
  }

  /// Whether the participant behind a track speaks.
  private func isSpeaking(_ producer: Producer) -> Bool {
    peers[producer.peer]?.producers.contains { speakers.isActive($0.id) } ?? false
  }
}
