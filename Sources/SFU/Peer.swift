import Core
import RTP

/// One peer connection: takes what its transport delivers and sends RTCP back. Confined to the worker's thread.
final class Peer: PacketReceiver {
  let id: PeerID
  let transport: any PacketTransport
  let context: RouterContext
  /// What our RTCP to this peer is sent from.
  let ssrc: SSRC
  let cname: String
  let sender: PeerSender
  /// What the peer publishes.
  private(set) var producers: [Producer] = []
  /// Who receives through it, in order of joining.
  private(set) var consumers: [Consumer] = []
  private(set) var counters = Counters()
  private(set) var isClosed = false

  let remoteClock = RemoteClock()
  var extensions = ExtensionReader()
  var incoming = StreamDirectory<Route>()
  var outgoing = StreamDirectory<Consumer>()
  var feedback = TransportFeedbackGenerator()
  var receivedBandwidth = ReceivedBandwidth()
  var reports = ReportSchedule()
  private var budget: PacketBudget
  /// Compounds cost more than packets and are few.
  private var reportBudget = PacketBudget(rate: 1_000)
  /// Where numbers asked for are gathered: the array's memory is kept.
  var lost: [UInt16] = []

  /// What an SSRC carries.
  struct Route {
    let producer: Producer
    let stream: ProducerStream
    let isRetransmission: Bool
  }

  /// Packets that came and what was wrong with those that were dropped.
  struct Counters {
    var packets = 0
    var octets = 0
    /// RTCP compounds.
    var reports = 0
    /// Not RTP or RTCP, or too long.
    var malformed = 0
    /// Nothing says which track they belong to.
    var unknown = 0
    /// More than the peer may send.
    var flooded = 0
    /// Payload types that were not negotiated.
    var foreignPayload = 0
  }

  init(
    id: PeerID, transport: any PacketTransport, context: RouterContext, ssrc: SSRC, cname: String, now: Instant
  ) {
    self.id = id
    self.transport = transport
    self.context = context
    self.ssrc = ssrc
    self.cname = cname
    sender = PeerSender(transport: transport, buffer: context.sendBuffer, now: now)
    budget = PacketBudget(rate: context.configuration.maximumPacketRate)
  }

  /// Packets that still come are ignored.
  func close() {
    isClosed = true
    for producer in producers { producer.onKeyFrameWanted = nil }
    producers = []
    consumers = []
    incoming = StreamDirectory()
    outgoing = StreamDirectory()
  }

  func add(_ producer: Producer) {
    producers.append(producer)
    extensions.merge(producer.parameters.extensions)
    producer.onKeyFrameWanted = { [weak self] stream, now in
      self?.send(stream.keyFrames.request(now: now), about: stream)
    }
  }

  func update(_ producer: Producer) { extensions.merge(producer.parameters.extensions) }

  func remove(_ producer: Producer) {
    producer.onKeyFrameWanted = nil
    producers.removeAll { $0 === producer }
    incoming.removeAll { $1.producer === producer }
  }

  func add(_ consumer: Consumer) {
    consumers.append(consumer)
    outgoing.set(consumer, for: consumer.parameters.ssrc)
    if let retransmission = consumer.parameters.retransmissionSSRC { outgoing.set(consumer, for: retransmission) }
  }

  func remove(_ consumer: Consumer) {
    consumers.removeAll { $0 === consumer }
    outgoing.removeAll { $1 === consumer }
  }

  func admitsRTCP(now: Instant) -> Bool {
    counters.reports &+= 1
    guard reportBudget.admits(now: now) else {
      counters.flooded &+= 1
      return false
    }
    return true
  }

  func countMalformed() { counters.malformed &+= 1 }

  // MARK: RTP

  func receive(rtp packet: UnsafeRawBufferPointer, now: Instant) {
    guard !isClosed else { return }
    context.advance(to: now)
    counters.packets &+= 1
    counters.octets &+= packet.count
    guard budget.admits(now: now) else {
      counters.flooded &+= 1
      return
    }
    guard packet.count <= RouterContext.maximumPacket, let header = try? RTPHeader(parsing: packet) else {
      counters.malformed &+= 1
      return
    }
    let elements = extensions.read(header, packet.bytes)
    if let place = elements[.transportWideCC], place.count >= 2 {
      let number = UInt16(packet[place.lowerBound]) << 8 | UInt16(packet[place.lowerBound + 1])
      feedback.receive(number, media: header.ssrc, now: now)
    } else {
      receivedBandwidth.receive(octets: packet.count)
    }
    guard let route = incoming[header.ssrc] ?? learn(header, packet, elements, now: now) else {
      counters.unknown &+= 1
      return
    }
    if route.isRetransmission {
      receive(retransmission: packet, header, elements, route, now)
    } else if let codec = route.producer.payloads.codec(header.payloadType) {
      ingest(packet, header, elements, codec, route, isRetransmission: false, now)
    } else {
      counters.foreignPayload &+= 1
    }
  }

  private func receive(
    retransmission packet: UnsafeRawBufferPointer, _ header: RTPHeader, _ elements: ExtensionElements, _ route: Route,
    _ now: Instant
  ) {
    guard let payloadType = route.producer.payloads.original(header.payloadType),
      let codec = route.producer.payloads.codec(payloadType)
    else {
      counters.foreignPayload &+= 1
      return
    }
    let length = RTX.unwrap(
      packet, header: header, ssrc: route.stream.ssrc, payloadType: payloadType, into: context.scratch)
    // Padding that probes the path.
    guard length > 0 else { return }
    var original = header
    original.ssrc = route.stream.ssrc
    original.payloadType = payloadType
    original.sequence = UInt16(context.scratch[2]) << 8 | UInt16(context.scratch[3])
    original.payload = header.payload.lowerBound..<length
    original.padding = 0
    ingest(
      UnsafeRawBufferPointer(rebasing: context.scratch[..<length]), original, elements, codec, route,
      isRetransmission: true, now)
  }

  private func ingest(
    _ bytes: UnsafeRawBufferPointer, _ header: RTPHeader, _ elements: ExtensionElements, _ codec: MediaCodec,
    _ route: Route, isRetransmission: Bool, _ now: Instant
  ) {
    let (producer, stream) = (route.producer, route.stream)
    let outcome = stream.ingest(
      bytes, header, elements, codec: codec, isRetransmission: isRetransmission, isMuted: producer.isMuted, now: now)
    switch outcome {
    case .packet(let packet):
      producer.tap?.tap(rtp: packet.bytes, arrival: now)
      for pipe in producer.pipes { pipe.tap(rtp: packet.bytes, arrival: now) }
      if let event = producer.note(packet, threshold: context.configuration.speakerThreshold, now: now) {
        context.emit(event)
      }
      if let level = packet.audioLevel, context.loudest != nil,
        context.loudest?.admits(producer.id, &producer.talker, level: level, now: now) == false
      {
        producer.withhold()
        return
      }
      producer.forward(packet, from: stream, now: now)
    case .skip(let sequence):
      producer.tap?.tap(rtp: bytes, arrival: now)
      // Padding too: its number shall leave no gap there either.
      for pipe in producer.pipes { pipe.tap(rtp: bytes, arrival: now) }
      producer.skip(sequence, from: stream, now: now)
    case .drop: break
    case .restart:
      guard let fresh = restart(route, now) else {
        counters.unknown &+= 1
        return
      }
      ingest(bytes, header, elements, codec, fresh, isRetransmission: false, now)
    }
  }

  /// The same SSRC goes on with other numbers: a new stream in every respect.
  private func restart(_ route: Route, _ now: Instant) -> Route? {
    let old = route.stream
    let encoding = EncodingParameters(rid: old.rid, ssrc: old.ssrc, spatialLayer: old.spatialLayer)
    guard
      let stream = route.producer.addStream(
        ssrc: old.ssrc, encoding: encoding, codec: old.codec, clock: remoteClock,
        keyFrameInterval: context.configuration.keyFrameInterval, now: now)
    else { return nil }
    old.deactivate()
    let fresh = Route(producer: route.producer, stream: stream, isRetransmission: false)
    incoming.set(fresh, for: old.ssrc)
    var retransmissions: [SSRC] = []
    incoming.forEach { if $1.stream === old, $1.isRetransmission { retransmissions.append($0) } }
    for ssrc in retransmissions {
      incoming.set(Route(producer: route.producer, stream: stream, isRetransmission: true), for: ssrc)
    }
    return fresh
  }
}
