import Core
import RTP

extension Consumer {
  /// Packets that may have overtaken the first one of a key frame.
  private static let maximumCatchUp: Int64 = 256

  /// Packets before a packet that its redundancy may carry.
  static let maximumRedundancy: Int64 = 4

  /// Forwards a packet of the producer, or not. The packet path: allocates nothing.
  func forward(_ packet: borrowing RoutedPacket, from stream: ProducerStream, now: Instant) {
    guard !isPaused else {
      forwarder.mustJoin = true
      return
    }
    guard payloadTypes.payloadType(packet.header.payloadType) != nil else {
      skip(packet.extendedSequence, from: stream, now: now)
      return
    }
    if kind == .audio, payloadTypes.stripsRedundancy(packet.header.payloadType) { recover(from: packet, now) }
    let outcome =
      kind == .audio
      ? forwarder.audio(packet, from: stream, of: producer, now: now)
      : forwarder.video(
        packet, from: stream, of: producer, keepsFrameNumbers: extensions.passesDependencyDescriptor(packet.codec),
        now: now)
    switch outcome {
    case .nothing: break
    case .hole(let sequence): fill(sequence, now: now)
    case .send(let sending):
      send(packet, sending, now)
      guard sending.isJoin else { return }
      if packet.isLate { catchUp(packet.extendedSequence, stream, now) }
      report()
    }
  }

  /// A number of the producer's that carries nothing to forward: padding, or media that nobody shall get.
  func skip(_ extendedSequence: Int64, from stream: ProducerStream, now: Instant) {
    if producer.isMuted, kind == .video {
      // What comes after it refers to what was left out.
      interrupt()
      return
    }
    if case .hole(let sequence) = forwarder.skip(extendedSequence, stream: stream.index) { fill(sequence, now: now) }
  }

  /// The first packet of a key frame came late: what came before it in time and belongs behind it follows now.
  private func catchUp(_ sequence: Int64, _ stream: ProducerStream, _ now: Instant) {
    for later in (sequence + 1)...(sequence + Self.maximumCatchUp) {
      guard let packet = stream.history.packet(later) else { continue }
      forward(packet, from: stream, now: now)
    }
  }

  /// Who takes plain Opus gets what a lost packet carried from the redundancy of this one, at once.
  private func recover(from packet: borrowing RoutedPacket, _ now: Instant) {
    let missing = forwarder.missing(before: packet)
    guard missing > 0 else { return }
    for distance in stride(from: Int(min(missing, Self.maximumRedundancy)), to: 0, by: -1) {
      guard
        let block = redundantBlock(distance, in: UnsafeRawBufferPointer(rebasing: packet.bytes[packet.header.payload])),
        let sending = forwarder.recover(distance, age: block.timestampOffset, from: packet, now: now)
      else { continue }
      send(packet, sending, now)
    }
  }

  private func send(_ packet: borrowing RoutedPacket, _ sending: Forwarder.Sending, _ now: Instant) {
    let packetKind: PacketKind = kind == .audio ? .audio : .video
    let sequence = UInt16(truncatingIfNeeded: sending.sequence)
    if sender.admits(packetKind, bytes: packet.bytes.count, now: now) {
      guard
        let built = build(packet, sending.entry, sending.run, sequence: sequence, into: sender.buffer, now: now)
      else { return }
      forwarder.counters.packets &+= 1
      forwarder.counters.octets &+= packet.header.payload.count
      sender.transmit(built, kind: packetKind, now: now)
    } else if !sender.enqueue(
      senderSlot, sequence: sequence, bytes: packet.bytes.count, kind: packetKind, now: now)
    {
      pacerDropped(now: now)
    }
  }
}
