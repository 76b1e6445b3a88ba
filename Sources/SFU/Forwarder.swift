import Core
import RTP

/// What one consumer decides about each packet: whether it goes, and under which numbers. A value that is touched once a
/// packet; it sends nothing.
struct Forwarder: Sendable {
  enum Outcome: Sendable {
    case nothing
    /// A number that was kept free and that nothing will fill.
    case hole(Int64)
    case send(Sending)
  }

  struct Sending: Sendable {
    var sequence: Int64
    var entry: SequenceMap.Entry
    var run: ConsumerRun
    /// A source has taken over with this packet.
    var isJoin = false
  }

  let kind: MediaKind
  var munger: Munger
  var vp8: VP8Munger
  var selector: LayerSelector
  var sent: SequenceMap
  var runs = ConsumerRuns()
  var counters = ConsumerCounters()
  /// The next packet that may joins on without a gap: something was withheld.
  var mustJoin = true
  /// Index of the stream that went through last, of this producer; −1 for none.
  var lastStream = -1

  /// The stream that goes through; −1 for none.
  var stream: Int { kind == .audio ? (mustJoin ? -1 : lastStream) : selector.stream }

  /// Packets are withheld.
  mutating func interrupt() {
    mustJoin = true
    selector.stop()
  }

  /// Another track takes the place: nothing of this one can be built again.
  mutating func replaceSource(isSimulcast: Bool) {
    selector = LayerSelector(
      isSimulcast: isSimulcast, spatial: selector.targetSpatial, temporal: selector.targetTemporal)
    sent.removeAll()
    lastStream = -1
    mustJoin = true
    runs.forgetSource()
  }

  /// A number of the producer's that carries nothing to forward.
  mutating func skip(_ sequence: Int64, stream index: Int) -> Outcome {
    guard !mustJoin, index == stream else { return .nothing }
    return drop(sequence)
  }

  private mutating func drop(_ sequence: Int64) -> Outcome {
    counters.dropped &+= 1
    return munger.drop(sequence: sequence).map { .hole($0) } ?? .nothing
  }

  mutating func audio(
    _ packet: borrowing RoutedPacket, from stream: ProducerStream, of producer: Producer, now: Instant
  )
    -> Outcome
  {
    if packet.header.payload.isEmpty { return skip(packet.extendedSequence, stream: packet.streamIndex) }
    var marker = packet.header.marker
    let isNewer = packet.streamIndex > lastStream
    let isOther = packet.streamIndex != lastStream
    let joins = mustJoin || isOther
    if joins {
      // A stream that came later replaces the one before: the publisher changed its SSRC.
      guard !packet.isLate, mustJoin || isNewer else { return .nothing }
      join(packet, stream, producer, keepsFrameNumbers: false, now: now)
      marker = true
    }
    return number(
      packet, stream, producer, marker: marker, pictureID: SequenceMap.Entry.noPicture, keepsFrameNumbers: false,
      isJoin: joins, now: now)
  }

  /// How many packets are missing just before this one; 0 where they would not be of its source.
  func missing(before packet: borrowing RoutedPacket) -> Int64 {
    guard !mustJoin, packet.streamIndex == lastStream, let highest = munger.numbers.highestInput else { return 0 }
    return packet.extendedSequence - highest - 1
  }

  /// A missing packet whose audio a later one carries too.
  ///
  /// - Parameters:
  ///   - distance: How many packets before the carrier it was sent.
  ///   - age: How much older it is, in timestamp units.
  mutating func recover(_ distance: Int, age: UInt32, from carrier: borrowing RoutedPacket, now: Instant) -> Sending? {
    let timestamp = carrier.header.timestamp &- age
    guard Int32(bitPattern: timestamp &+ munger.timestampOffset &- munger.highestTimestamp) > 0,
      case .stamp(let stamp) = munger.forward(
        sequence: carrier.extendedSequence - Int64(distance), timestamp: timestamp, now: now)
    else { return nil }
    var entry = SequenceMap.Entry(
      stream: carrier.streamIndex, input: carrier.extendedSequence, run: runs.index, marker: false)
    entry.redundancy = UInt8(clamping: distance)
    sent.record(stamp.sequence, entry)
    counters.recovered &+= 1
    return Sending(sequence: stamp.sequence, entry: entry, run: runs.current)
  }

  /// - Parameter keepsFrameNumbers: The packet keeps its dependency descriptor.
  mutating func video(
    _ packet: borrowing RoutedPacket, from stream: ProducerStream, of producer: Producer, keepsFrameNumbers: Bool,
    now: Instant
  ) -> Outcome {
    // Padding of a publisher that probes.
    if packet.header.payload.isEmpty { return skip(packet.extendedSequence, stream: packet.streamIndex) }
    let isInOrder = packet.extendedSequence > munger.numbers.highestInput ?? .min
    var marker = packet.header.marker
    var isJoin = false
    switch selector.select(packet, from: stream, isInOrder: isInOrder, now: now) {
    case .ignore: return .nothing
    case .drop:
      if case .vp8(let descriptor) = packet.descriptor { vp8.drop(descriptor) }
      return drop(packet.extendedSequence)
    case .forward: break
    case .forwardMarked: marker = true
    case .join:
      isJoin = true
      counters.switches &+= 1
      join(packet, stream, producer, keepsFrameNumbers: keepsFrameNumbers, now: now)
      if selector.isMarked(packet, from: stream) { marker = true }
    }
    var pictureID = SequenceMap.Entry.noPicture
    if case .vp8(let descriptor) = packet.descriptor, descriptor.pictureID != nil || descriptor.tl0PictureIndex != nil {
      if let ours = vp8.forward(descriptor) {
        pictureID = ours
      } else if descriptor.pictureID != nil {
        return drop(packet.extendedSequence)
      }
    }
    return number(
      packet, stream, producer, marker: marker, pictureID: pictureID, keepsFrameNumbers: keepsFrameNumbers,
      isJoin: isJoin, now: now)
  }

  /// A source begins with this packet.
  private mutating func join(
    _ packet: borrowing RoutedPacket, _ stream: ProducerStream, _ producer: Producer, keepsFrameNumbers: Bool,
    gap: Int64 = 0, now: Instant
  ) {
    mustJoin = false
    let timestamp = packet.header.timestamp
    var aligned: UInt32?
    if runs.knowsSource {
      // The same instant on both streams' time lines.
      if lastStream == packet.streamIndex {
        aligned = timestamp &+ munger.alignedOffset
      } else if lastStream >= 0, lastStream < producer.streams.count,
        let before = producer.streams[lastStream].rtpTimestamp(at: now), let here = stream.rtpTimestamp(at: now)
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
    if keepsFrameNumbers, let number = frameNumber(packet) {
      run.frameNumberOffset = runs.frameNumberOffset(joining: number)
    }
    runs.begin(run)
  }

  /// Of the dependency descriptor, as it came.
  private func frameNumber(_ packet: borrowing RoutedPacket) -> UInt16? {
    guard let element = packet.elements[.dependencyDescriptor], element.count >= 3,
      element.upperBound <= packet.bytes.count
    else { return nil }
    return UInt16(packet.bytes[element.lowerBound + 1]) << 8 | UInt16(packet.bytes[element.lowerBound + 2])
  }

  private mutating func number(
    _ packet: borrowing RoutedPacket, _ stream: ProducerStream, _ producer: Producer, marker: Bool, pictureID: UInt16,
    keepsFrameNumbers: Bool, isJoin: Bool, now: Instant
  ) -> Outcome {
    let stamp: Munger.Stamp
    switch munger.forward(sequence: packet.extendedSequence, timestamp: packet.header.timestamp, now: now) {
    case .stamp(let given): stamp = given
    case .repeated, .tooOld:
      counters.discarded &+= 1
      return .nothing
    case .discontinuity:
      // The publisher's numbers jumped. One stays free: the subscriber shall know that something is missing.
      join(packet, stream, producer, keepsFrameNumbers: keepsFrameNumbers, gap: kind == .video ? 1 : 0, now: now)
      guard
        case .stamp(let given) = munger.forward(
          sequence: packet.extendedSequence, timestamp: packet.header.timestamp, now: now)
      else { return .nothing }
      stamp = given
    }
    if case .vp9(let descriptor) = packet.descriptor { runs.note(descriptor) }
    if keepsFrameNumbers, let number = frameNumber(packet) { runs.note(frameNumber: number) }
    let entry = SequenceMap.Entry(
      stream: packet.streamIndex, input: packet.extendedSequence, run: runs.index, marker: marker, pictureID: pictureID)
    sent.record(stamp.sequence, entry)
    return .send(Sending(sequence: stamp.sequence, entry: entry, run: runs.current, isJoin: isJoin))
  }
}
