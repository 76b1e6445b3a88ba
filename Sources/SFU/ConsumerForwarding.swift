import Core
import RTP

extension Consumer {
  /// Packets that may have overtaken the first one of a key frame.
  private static let maximumCatchUp: Int64 = 256

  /// Forwards a packet of the producer, or not. The packet path: allocates nothing.
  func forward(_ packet: borrowing RoutedPacket, from stream: ProducerStream, now: Instant) {
    guard !isPaused else {
      mustJoin = true
      return
    }
    if packet.codec.kind == .audio {
      forwardAudio(packet, stream, now)
    } else {
      forwardVideo(packet, stream, now)
    }
  }

  /// A number of the producer's that carries nothing to forward: padding, or media that nobody shall get.
  func skip(_ extendedSequence: Int64, from stream: ProducerStream, now: Instant) {
    guard !mustJoin else { return }
    if producer.isMuted, kind == .video {
      // What comes after it refers to what was left out.
      interrupt()
      return
    }
    guard stream.index == (kind == .audio ? audioStream : selector.stream) else { return }
    counters.dropped &+= 1
    if let hole = munger.drop(sequence: extendedSequence) { fill(hole, now: now) }
  }

  private func forwardAudio(_ packet: borrowing RoutedPacket, _ stream: ProducerStream, _ now: Instant) {
    guard payloadTypes.payloadType(packet.header.payloadType) != nil, !packet.header.payload.isEmpty else {
      if packet.streamIndex == audioStream { dropped(packet, now) }
      return
    }
    var marker = packet.header.marker
    let isOther = packet.streamIndex != audioStream
    if mustJoin || isOther {
      // A stream that came later replaces the one before: the publisher changed its SSRC.
      let isNewer = packet.streamIndex > audioStream
      guard !packet.isLate, mustJoin || isNewer else { return }
      join(packet, stream, now: now)
      audioStream = packet.streamIndex
      marker = true
    }
    send(packet, stream, marker: marker, pictureID: SequenceMap.Entry.noPicture, kind: .audio, now: now)
  }

  private func forwardVideo(_ packet: borrowing RoutedPacket, _ stream: ProducerStream, _ now: Instant) {
    guard payloadTypes.payloadType(packet.header.payloadType) != nil else { return }
    if packet.header.payload.isEmpty {
      // Padding of a publisher that probes.
      if packet.streamIndex == selector.stream { dropped(packet, now) }
      return
    }
    let isInOrder = packet.extendedSequence > munger.numbers.highestInput ?? .min
    var marker = packet.header.marker
    var isLateJoin = false
    switch selector.select(packet, from: stream, isInOrder: isInOrder, now: now) {
    case .ignore: return
    case .drop:
      if case .vp8(let descriptor) = packet.descriptor { vp8.drop(descriptor) }
      dropped(packet, now)
      return
    case .forward: break
    case .forwardMarked: marker = true
    case .join:
      counters.switches &+= 1
      join(packet, stream, now: now)
      if selector.isMarked(packet, from: stream) { marker = true }
      isLateJoin = packet.isLate
    }
    var pictureID = SequenceMap.Entry.noPicture
    if case .vp8(let descriptor) = packet.descriptor, descriptor.pictureID != nil || descriptor.tl0PictureIndex != nil {
      if let ours = vp8.forward(descriptor) {
        pictureID = ours
      } else if descriptor.pictureID != nil {
        dropped(packet, now)
        return
      }
    }
    send(packet, stream, marker: marker, pictureID: pictureID, kind: .video, now: now)
    if isLateJoin { catchUp(packet.extendedSequence, stream, now) }
  }

  /// The first packet of a key frame came late: what came before it in time and belongs behind it follows now.
  private func catchUp(_ sequence: Int64, _ stream: ProducerStream, _ now: Instant) {
    for later in (sequence + 1)...(sequence + Self.maximumCatchUp) {
      guard let packet = stream.history.packet(later) else { continue }
      forwardVideo(packet, stream, now)
    }
  }

  /// A packet is left out; one whose number was kept free is replaced by padding, so that nobody waits for it.
  private func dropped(_ packet: borrowing RoutedPacket, _ now: Instant) {
    counters.dropped &+= 1
    if let hole = munger.drop(sequence: packet.extendedSequence) { fill(hole, now: now) }
  }

  /// A source begins with this packet.
  private func join(_ packet: borrowing RoutedPacket, _ stream: ProducerStream, gap: Int64 = 0, now: Instant) {
    mustJoin = false
    let timestamp = packet.header.timestamp
    var aligned: UInt32?
    if runs.knowsSource {
      // The same instant on both streams' time lines.
      let index = kind == .audio ? audioStream : lastStream
      if index == packet.streamIndex {
        aligned = timestamp &+ munger.alignedOffset
      } else if index >= 0, index < producer.streams.count,
        let before = producer.streams[index].rtpTimestamp(at: now), let here = stream.rtpTimestamp(at: now)
      {
        aligned = timestamp &+ (before &+ munger.alignedOffset &- here)
      }
    }
    munger.join(sequence: packet.extendedSequence, timestamp: timestamp, aligned: aligned, gap: gap, now: now)
    lastStream = packet.streamIndex
    var run = ConsumerRun(first: munger.highestSequence + 1, timestampOffset: munger.timestampOffset)
    switch packet.descriptor {
    case .vp8(let descriptor):
      vp8.join(descriptor)
      run.tl0Offset = vp8.tl0Offset
      run.keyOffset = vp8.keyOffset
    case .vp9(let descriptor):
      if let pictureID = descriptor.pictureID { run.pictureIDOffset = runs.pictureIDOffset(joining: pictureID) }
      if let index = descriptor.tl0PictureIndex { run.tl0Offset = runs.tl0Offset(joining: index) }
    case .none, .h264, .dependency: break
    }
    if extensions.passesDependencyDescriptor(packet.codec), let number = frameNumber(packet) {
      run.frameNumberOffset = runs.frameNumberOffset(joining: number)
    }
    runs.begin(run)
    report()
  }

  /// Of the dependency descriptor, as it came.
  private func frameNumber(_ packet: borrowing RoutedPacket) -> UInt16? {
    guard let element = packet.elements[.dependencyDescriptor], element.count >= 3,
      element.upperBound <= packet.bytes.count
    else { return nil }
    return UInt16(packet.bytes[element.lowerBound + 1]) << 8 | UInt16(packet.bytes[element.lowerBound + 2])
  }

  private func send(
    _ packet: borrowing RoutedPacket, _ stream: ProducerStream, marker: Bool, pictureID: UInt16, kind: PacketKind,
    now: Instant
  ) {
    let stamp: Munger.Stamp
    switch munger.forward(sequence: packet.extendedSequence, timestamp: packet.header.timestamp, now: now) {
    case .stamp(let given): stamp = given
    case .repeated, .tooOld:
      counters.discarded &+= 1
      return
    case .discontinuity:
      // The publisher's numbers jumped. One stays free: the subscriber shall know that something is missing.
      join(packet, stream, gap: kind == .video ? 1 : 0, now: now)
      guard
        case .stamp(let given) = munger.forward(
          sequence: packet.extendedSequence, timestamp: packet.header.timestamp, now: now)
      else { return }
      stamp = given
    }
    if case .vp9(let descriptor) = packet.descriptor { runs.note(descriptor) }
    if extensions.passesDependencyDescriptor(packet.codec), let number = frameNumber(packet) {
      runs.note(frameNumber: number)
    }
    let entry = SequenceMap.Entry(
      stream: packet.streamIndex, input: packet.extendedSequence, run: runs.index, marker: marker, pictureID: pictureID)
    sent.record(stamp.sequence, entry)
    let sequence = UInt16(truncatingIfNeeded: stamp.sequence)
    if sender.admits(kind, bytes: packet.bytes.count, now: now) {
      guard let built = build(packet, entry, runs.current, sequence: sequence, into: sender.buffer, now: now) else {
        return
      }
      counters.packets &+= 1
      counters.octets &+= packet.header.payload.count
      sender.transmit(built, kind: kind, now: now)
    } else if !sender.enqueue(senderSlot, sequence: sequence, bytes: packet.bytes.count, kind: kind, now: now) {
      pacerDropped(now: now)
    }
  }
}
