import Core
import RTP

extension Consumer {
  /// The packet as the subscriber gets it.
  ///
  /// - Returns: nil where it does not fit the buffer or cannot be read.
  func build(
    _ packet: borrowing RoutedPacket, _ entry: SequenceMap.Entry, _ run: ConsumerRun, sequence: UInt16,
    retransmission: UInt16? = nil, into buffer: UnsafeMutableRawBufferPointer, now: Instant
  ) -> BuiltPacket? {
    let publishers = packet.header.payloadType
    guard var type = payloadTypes.payloadType(publishers) else { return nil }
    var ssrc = parameters.ssrc
    if retransmission != nil {
      guard let own = parameters.retransmissionSSRC, let ownType = payloadTypes.retransmission(publishers) else {
        return nil
      }
      ssrc = own
      type = ownType
    }
    guard
      let head = extensions.write(
        packet.elements, of: packet.bytes, codec: packet.codec, frameNumberOffset: run.frameNumberOffset, into: buffer,
        now: now)
    else { return nil }
    var payload = packet.header.payload
    var timestamp = packet.header.timestamp &+ run.timestampOffset
    if payloadTypes.stripsRedundancy(publishers) {
      guard
        let block = redundantBlock(
          Int(entry.redundancy), in: UnsafeRawBufferPointer(rebasing: packet.bytes[payload]))
      else { return nil }
      timestamp = timestamp &- block.timestampOffset
      payload = (payload.lowerBound + block.data.lowerBound)..<(payload.lowerBound + block.data.upperBound)
    }
    var offset = head.end
    // Two bytes of the original number, one that a picture ID may grow by.
    guard payload.upperBound <= packet.bytes.count, buffer.count >= offset + payload.count + 3 else { return nil }
    buffer[0] = head.end > RTPHeader.fixedLength ? 0x90 : 0x80
    buffer[1] = type & 0x7F | (entry.marker ? 0x80 : 0)
    put(retransmission ?? sequence, 2, buffer)
    put(UInt16(truncatingIfNeeded: timestamp >> 16), 4, buffer)
    put(UInt16(truncatingIfNeeded: timestamp), 6, buffer)
    put(UInt16(truncatingIfNeeded: ssrc.rawValue >> 16), 8, buffer)
    put(UInt16(truncatingIfNeeded: ssrc.rawValue), 10, buffer)
    if retransmission != nil {
      put(sequence, offset, buffer)
      offset += RTX.headerLength
    }
    switch packet.descriptor {
    case .vp8(let descriptor):
      offset += writeVP8(descriptor, of: packet.bytes, &payload, entry, run, buffer, offset)
    case .vp9(let descriptor):
      copy(packet.bytes, payload, buffer, offset)
      rewriteVP9(descriptor, run, buffer, offset)
      return BuiltPacket(length: offset + payload.count, transportSequenceOffset: head.transportSequenceOffset)
    case .none, .h264, .dependency: break
    }
    copy(packet.bytes, payload, buffer, offset)
    if packet.codec == .red, payloadTypes.publisherOpus != payloadTypes.subscriberOpus,
      !payloadTypes.stripsRedundancy(publishers)
    {
      renameBlocks(buffer, offset..<(offset + payload.count))
    }
    return BuiltPacket(length: offset + payload.count, transportSequenceOffset: head.transportSequenceOffset)
  }

  @inline(__always)
  private func put(_ value: UInt16, _ offset: Int, _ buffer: UnsafeMutableRawBufferPointer) {
    buffer.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  @inline(__always)
  private func copy(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer, _ offset: Int
  ) {
    guard !range.isEmpty else { return }
    UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + range.count)])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
  }

  /// A block of redundant audio (RFC 2198) that holds something: 0 is the primary, n the n-th from the end of the others.
  func redundantBlock(_ distance: Int, in payload: UnsafeRawBufferPointer) -> RED.Block? {
    var count = 0
    RED.forEachBlock(in: payload.bytes) { _ in count += 1 }
    var found: RED.Block?
    var index = 0
    let isWhole = RED.forEachBlock(in: payload.bytes) { block in
      index += 1
      if index == count - distance { found = block }
    }
    guard isWhole, let found, !found.data.isEmpty, found.isPrimary == (distance == 0) else { return nil }
    return found
  }

  /// Writes the payload descriptor with our picture ID (always 15 bits: a picture that had a short one may get a high one)
  /// and indices. What follows the descriptor, which may be encrypted, is not looked at.
  ///
  /// - Returns: Bytes written; `payload` is left as what remains to be copied.
  private func writeVP8(
    _ descriptor: VP8Descriptor, of bytes: UnsafeRawBufferPointer, _ payload: inout Range<Int>,
    _ entry: SequenceMap.Entry, _ run: ConsumerRun, _ buffer: UnsafeMutableRawBufferPointer, _ offset: Int
  ) -> Int {
    let length = Int(descriptor.length)
    guard entry.pictureID != SequenceMap.Entry.noPicture || run.tl0Offset != 0 || run.keyOffset != 0,
      length <= payload.count
    else { return 0 }
    let start = payload.lowerBound
    var to = offset
    for from in 0..<length {
      var byte = bytes[start + from]
      if descriptor.pictureID != nil, from == Int(descriptor.pictureIDOffset) {
        put(entry.pictureID | 0x8000, to, buffer)
        to += 2
        continue
      }
      if descriptor.pictureIDIsLong, from == Int(descriptor.pictureIDOffset) + 1 { continue }
      if descriptor.tl0PictureIndex != nil, from == Int(descriptor.tl0PictureIndexOffset) {
        byte = byte &+ run.tl0Offset
      } else if descriptor.keyIndex != nil, from == Int(descriptor.layerByteOffset) {
        byte = byte & 0xE0 | (byte &+ run.keyOffset) & 0x1F
      }
      buffer[to] = byte
      to += 1
    }
    payload = (start + length)..<payload.upperBound
    return to - offset
  }

  /// In place, with the width that they have.
  private func rewriteVP9(
    _ descriptor: VP9Descriptor, _ run: ConsumerRun, _ buffer: UnsafeMutableRawBufferPointer, _ offset: Int
  ) {
    if run.pictureIDOffset != 0, let pictureID = descriptor.pictureID {
      let place = offset + Int(descriptor.pictureIDOffset)
      let ours = pictureID &+ run.pictureIDOffset
      if descriptor.pictureIDIsLong {
        put(ours & 0x7FFF | 0x8000, place, buffer)
      } else {
        buffer[place] = UInt8(truncatingIfNeeded: ours & 0x7F)
      }
    }
    if run.tl0Offset != 0, let index = descriptor.tl0PictureIndex {
      buffer[offset + Int(descriptor.tl0PictureIndexOffset)] = index &+ run.tl0Offset
    }
  }

  /// Redundant audio names its blocks by payload type (RFC 2198 §3): the subscriber's number for the publisher's.
  private func renameBlocks(_ buffer: UnsafeMutableRawBufferPointer, _ range: Range<Int>) {
    let span = UnsafeRawBufferPointer(rebasing: buffer[range])
    // End-to-end encrypted payload reads as anything: only what is well-formed throughout is touched.
    guard RED.primary(in: span) != nil else { return }
    var offset = range.lowerBound
    while offset < range.upperBound {
      let byte = buffer[offset]
      if byte & 0x7F == payloadTypes.publisherOpus { buffer[offset] = byte & 0x80 | payloadTypes.subscriberOpus }
      guard byte & 0x80 != 0 else { return }
      offset += 4
    }
  }

  // MARK: From the history

  func write(
    _ sequence: UInt16, isRetransmission: Bool, into buffer: UnsafeMutableRawBufferPointer, now: Instant
  ) -> BuiltPacket? {
    guard let extended = forwarder.sent.extend(sequence), let entry = forwarder.sent[extended] else { return nil }
    if entry.isFiller { return writeFiller(sequence, into: buffer) }
    guard let run = forwarder.runs.run(of: entry, sequence: extended), entry.streamIndex < producer.streams.count,
      let packet = producer.streams[entry.streamIndex].history.packet(entry.extendedSequence)
    else { return nil }
    guard isRetransmission else {
      guard let built = build(packet, entry, run, sequence: sequence, into: buffer, now: now) else { return nil }
      forwarder.counters.packets &+= 1
      forwarder.counters.octets &+= packet.header.payload.count
      return built
    }
    let hasOwn = parameters.retransmissionSSRC != nil && payloadTypes.retransmission(packet.header.payloadType) != nil
    let own = hasOwn ? nextRetransmission : nil
    guard
      let built = build(packet, entry, run, sequence: sequence, retransmission: own, into: buffer, now: now)
    else { return nil }
    if own != nil { nextRetransmission = nextRetransmission &+ 1 }
    forwarder.counters.retransmittedPackets &+= 1
    forwarder.counters.retransmittedOctets &+= packet.header.payload.count
    return built
  }

  /// An empty packet under a number that nothing else will fill: padding alone (RFC 3550 §5.1).
  func writeFiller(_ sequence: UInt16, into buffer: UnsafeMutableRawBufferPointer) -> BuiltPacket? {
    guard let type = producer.parameters.codecs.lazy.compactMap({ self.payloadTypes.payloadType($0.payloadType) }).first
    else { return nil }
    let header = RTPHeader(
      payloadType: PayloadType(type), sequence: sequence, timestamp: forwarder.munger.highestTimestamp,
      ssrc: parameters.ssrc)
    return writePadding(header, 4, into: buffer)
  }

  func writePadding(_ bytes: Int, into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> BuiltPacket? {
    guard let own = parameters.retransmissionSSRC, kind == .video else { return nil }
    // Something that was sent lately does some good; a packet that is much longer than wanted would lie to the prober.
    if bytes > 200, let highest = forwarder.sent.highest, let entry = forwarder.sent[highest], !entry.isFiller,
      entry.streamIndex < producer.streams.count,
      let packet = producer.streams[entry.streamIndex].history.packet(entry.extendedSequence),
      let run = forwarder.runs.run(of: entry, sequence: highest), packet.bytes.count <= bytes + 100,
      let built = build(
        packet, entry, run, sequence: UInt16(truncatingIfNeeded: highest), retransmission: nextRetransmission,
        into: buffer, now: now)
    {
      nextRetransmission = nextRetransmission &+ 1
      forwarder.counters.paddingPackets &+= 1
      forwarder.counters.paddingOctets &+= built.length
      return built
    }
    guard
      let type = producer.parameters.codecs.lazy
        .compactMap({ self.payloadTypes.retransmission($0.payloadType) }).first
    else { return nil }
    let header = RTPHeader(
      payloadType: PayloadType(type), sequence: nextRetransmission, timestamp: forwarder.munger.highestTimestamp,
      ssrc: own)
    guard buffer.count >= 400,
      let head = extensions.write(
        ExtensionElements(), of: UnsafeRawBufferPointer(start: nil, count: 0), codec: .vp8, frameNumberOffset: 0,
        into: buffer, now: now)
    else { return nil }
    let padding = min(max(bytes - head.end, 1), 255)
    header.write(into: buffer)
    buffer[0] = head.end > RTPHeader.fixedLength ? 0xB0 : 0xA0
    for index in 0..<padding { buffer[head.end + index] = 0 }
    buffer[head.end + padding - 1] = UInt8(truncatingIfNeeded: padding)
    nextRetransmission = nextRetransmission &+ 1
    forwarder.counters.paddingPackets &+= 1
    forwarder.counters.paddingOctets &+= head.end + padding
    return BuiltPacket(length: head.end + padding, transportSequenceOffset: head.transportSequenceOffset)
  }

  private func writePadding(
    _ header: RTPHeader, _ padding: Int, into buffer: UnsafeMutableRawBufferPointer
  ) -> BuiltPacket? {
    guard buffer.count >= RTPHeader.fixedLength + padding else { return nil }
    header.write(into: buffer)
    buffer[0] = 0xA0
    for index in 0..<padding { buffer[RTPHeader.fixedLength + index] = 0 }
    buffer[RTPHeader.fixedLength + padding - 1] = UInt8(truncatingIfNeeded: padding)
    return BuiltPacket(length: RTPHeader.fixedLength + padding)
  }
}
