import Core
import RTP

/// Which track a new SSRC belongs to (RFC 8843 §9.2): by `a=ssrc`, by the MID with RID or repaired RID, by a payload type
/// that only one track has.
extension Peer {
  /// Remembers what the packet says of its SSRC. Rare: once a stream, or once a packet of a stranger.
  ///
  /// - Returns: nil where nothing fits, or the peer has as many streams as it may.
  func learn(
    _ header: RTPHeader, _ packet: UnsafeRawBufferPointer, _ elements: ExtensionElements, now: Instant
  ) -> Route? {
    guard incoming.count < context.configuration.maximumStreams else { return nil }
    guard let (producer, encoding, isRetransmission) = identify(header, packet, elements) else { return nil }
    if isRetransmission {
      // Whose retransmissions these are is known once the stream itself has come.
      guard let stream = producer.streams.last(where: { isStream($0, of: encoding, in: producer) }) else { return nil }
      let route = Route(producer: producer, stream: stream, isRetransmission: true)
      incoming.set(route, for: header.ssrc)
      return route
    }
    guard let codec = producer.payloads.codec(header.payloadType),
      let stream = producer.addStream(
        ssrc: header.ssrc, encoding: encoding, codec: codec, clock: remoteClock,
        keyFrameInterval: context.configuration.keyFrameInterval, now: now)
    else { return nil }
    let route = Route(producer: producer, stream: stream, isRetransmission: false)
    incoming.set(route, for: header.ssrc)
    moveRetransmissions(of: producer, encoding, to: stream)
    // A first report at once: clients send their RID until the stream is acknowledged.
    reports.hasten(now: now)
    return route
  }

  private typealias Identity = (Producer, EncodingParameters?, isRetransmission: Bool)

  private func identify(
    _ header: RTPHeader, _ packet: UnsafeRawBufferPointer, _ elements: ExtensionElements
  ) -> Identity? {
    for producer in producers {
      for encoding in producer.parameters.encodings {
        if encoding.ssrc == header.ssrc { return (producer, encoding, false) }
        if encoding.retransmissionSSRC == header.ssrc { return (producer, encoding, true) }
      }
    }
    func element(_ kind: HeaderExtension) -> UnsafeRawBufferPointer? {
      elements[kind].map { UnsafeRawBufferPointer(rebasing: packet[$0]) }
    }
    if let mid = element(.mid) {
      guard let producer = producers.first(where: { Self.equal($0.parameters.mid, mid) }) else { return nil }
      return identify(header, within: producer, rid: element(.rid), repaired: element(.repairedRID))
    }
    // Without a MID the payload type must be one track's alone.
    var found: Producer?
    for producer in producers where isKnown(header.payloadType, to: producer) {
      guard found == nil else { return nil }
      found = producer
    }
    return found.flatMap {
      identify(header, within: $0, rid: element(.rid), repaired: element(.repairedRID))
    }
  }

  private func identify(
    _ header: RTPHeader, within producer: Producer, rid: UnsafeRawBufferPointer?, repaired: UnsafeRawBufferPointer?
  ) -> Identity? {
    guard isKnown(header.payloadType, to: producer) else { return nil }
    let isRetransmission = producer.payloads.original(header.payloadType) != nil
    let encodings = producer.parameters.encodings
    if let name = isRetransmission ? repaired ?? rid : rid {
      if let encoding = encodings.first(where: { $0.rid.map { Self.equal($0, name) } ?? false }) {
        return (producer, encoding, isRetransmission)
      }
      // A single stream with a RID that nobody negotiated is still the track's only stream.
      guard encodings.count <= 1 else { return nil }
    } else if encodings.count > 1 {
      return nil
    }
    return (producer, encodings.first, isRetransmission)
  }

  private func isKnown(_ payloadType: PayloadType, to producer: Producer) -> Bool {
    producer.payloads.codec(payloadType) != nil || producer.payloads.original(payloadType) != nil
  }

  private func isStream(_ stream: ProducerStream, of encoding: EncodingParameters?, in producer: Producer) -> Bool {
    !producer.isSimulcast || stream.spatialLayer == encoding?.spatialLayer
  }

  /// A layer goes on under another SSRC: retransmissions that keep theirs mend the new stream.
  private func moveRetransmissions(of producer: Producer, _ encoding: EncodingParameters?, to stream: ProducerStream) {
    var moved: [SSRC] = []
    incoming.forEach { ssrc, route in
      guard route.isRetransmission, route.producer === producer, isStream(route.stream, of: encoding, in: producer)
      else { return }
      moved.append(ssrc)
    }
    for ssrc in moved {
      incoming.set(Route(producer: producer, stream: stream, isRetransmission: true), for: ssrc)
    }
  }

  private static func equal(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
    text.utf8.elementsEqual(bytes)
  }
}
