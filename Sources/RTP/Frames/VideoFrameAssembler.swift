import Core

/// Puts the packets of one video stream together to frames, and withholds those that no decoder could use.
///
/// Takes packets in order (`PacketSorter`). A frame counts as whole when no sequence number is missing from its first to
/// its last packet and its format says that it begins with the first. Behind a frame that is not whole, everything up to
/// the next key frame is dropped: later frames refer to it.
package struct VideoFrameAssembler: Sendable {
  package let payload: VideoPayload
  /// Frames that lacked a packet or did not parse.
  package private(set) var damaged = 0
  /// Whole frames dropped because one before them was not.
  package private(set) var undecodable = 0
  package private(set) var keyFrames = 0

  private var packets: [StoredPacket] = []
  private var lastSequence: Int64?
  private var isBroken = false
  private var needsKeyFrame = true
  /// Of the latest frame that began; nil where the format has none.
  private var lastPictureID: UInt16?
  private var size = (width: 0, height: 0)
  /// Packets of one frame; more is no picture.
  private static let maximumPackets = 8192

  package init(_ payload: VideoPayload) { self.payload = payload }

  /// - Returns: the frames that are complete now: none or one, seldom two.
  package mutating func push(_ packet: StoredPacket) -> [EncodedFrame] {
    var frames: [EncodedFrame] = []
    let isContiguous = lastSequence.map { packet.sequence == $0 + 1 } ?? false
    let isFirst = lastSequence == nil
    lastSequence = packet.sequence
    if let first = packets.first, first.timestamp != packet.timestamp {
      // No marker: the last packet is missing, or the sender sets none.
      frames += complete(isWhole: isContiguous)
    }
    if packets.isEmpty {
      isBroken = false
      let pictureID = pictureID(of: packet)
      if !isContiguous, !isFirst, !needsKeyFrame, !follows(pictureID) {
        // Whole frames are missing, which this one refers to.
        damaged += 1
        needsKeyFrame = true
      }
      if pictureID != nil { lastPictureID = pictureID }
    } else if !isContiguous {
      isBroken = true
    }
    // Padding alone: keeps the numbers going.
    if packet.payload.isEmpty {
      if packet.marker, !packets.isEmpty { frames += complete(isWhole: true) }
      return frames
    }
    if packets.isEmpty, !isContiguous, !begins(packet) { isBroken = true }
    packets.append(packet)
    if packet.marker || packets.count >= Self.maximumPackets { frames += complete(isWhole: packet.marker) }
    return frames
  }

  /// The stream is at its end.
  package mutating func finish() -> [EncodedFrame] { packets.isEmpty ? [] : complete(isWhole: false) }

  private func pictureID(of packet: StoredPacket) -> UInt16? {
    packet.payload.withUnsafeBytes { bytes in
      switch payload {
      case .vp8: VP8Descriptor(parsing: bytes)?.pictureID
      case .vp9: VP9Descriptor(parsing: bytes)?.pictureID
      case .h264, .av1: nil
      }
    }
  }

  /// Behind a gap: whether only padding is missing. Picture IDs have 7 or 15 bits.
  private func follows(_ pictureID: UInt16?) -> Bool {
    guard let pictureID, let lastPictureID else { return false }
    let distance = pictureID &- lastPictureID
    return distance & 0x7FFF == 1 || pictureID == 0 && lastPictureID == 127
  }

  /// Whether a packet can be the first of a frame.
  private func begins(_ packet: StoredPacket) -> Bool {
    packet.payload.withUnsafeBytes { bytes in
      switch payload {
      case .vp8: VP8Descriptor(parsing: bytes)?.startsFrame ?? false
      case .vp9: VP9Descriptor(parsing: bytes).map { $0.startsFrame && ($0.spatialLayer ?? 0) == 0 } ?? false
      case .h264: H264Descriptor(parsing: bytes)?.startsUnit ?? false
      case .av1: bytes.first.map { $0 & 0x80 == 0 } ?? false
      }
    }
  }

  private mutating func complete(isWhole: Bool) -> [EncodedFrame] {
    let parts = packets
    packets.removeAll(keepingCapacity: true)
    guard let first = parts.first else { return [] }
    let picture = isWhole && !isBroken ? assemble(parts) : nil
    isBroken = false
    guard let picture else {
      damaged += 1
      needsKeyFrame = true
      return []
    }
    if picture.isKeyFrame {
      keyFrames += 1
      needsKeyFrame = false
      if picture.width > 0, picture.height > 0 { size = (picture.width, picture.height) }
    }
    guard !needsKeyFrame else {
      undecodable += 1
      return []
    }
    return [
      EncodedFrame(
        timestamp: first.timestamp, arrival: first.arrival, isKeyFrame: picture.isKeyFrame, width: size.width,
        height: size.height, bytes: picture.bytes)
    ]
  }

  /// Bytes of a frame without their place in time.
  struct Picture {
    var bytes: [UInt8] = []
    var isKeyFrame = false
    var width = 0
    var height = 0
  }

  private func assemble(_ parts: [StoredPacket]) -> Picture? {
    switch payload {
    case .vp8: assembleVP8(parts)
    case .vp9: assembleVP9(parts)
    case .h264: H264Assembly.assemble(parts)
    case .av1: AV1Assembly.assemble(parts)
    }
  }

  private func assembleVP8(_ parts: [StoredPacket]) -> Picture? {
    var picture = Picture()
    for (index, part) in parts.enumerated() {
      guard let descriptor = part.payload.withUnsafeBytes({ VP8Descriptor(parsing: $0) }) else { return nil }
      guard descriptor.startsFrame == (index == 0) else { return nil }
      if index == 0 {
        picture.isKeyFrame = descriptor.isKeyFrame
        picture.width = Int(descriptor.width)
        picture.height = Int(descriptor.height)
      }
      picture.bytes += part.payload[Int(descriptor.length)...]
    }
    return picture
  }

  /// All spatial layers of one picture. Several are joined to a superframe (VP9 bitstream specification, annex B).
  private func assembleVP9(_ parts: [StoredPacket]) -> Picture? {
    var picture = Picture()
    var sizes: [Int] = []
    for (index, part) in parts.enumerated() {
      guard let descriptor = part.payload.withUnsafeBytes({ VP9Descriptor(parsing: $0) }) else { return nil }
      if index == 0 {
        guard descriptor.startsFrame else { return nil }
        picture.isKeyFrame = descriptor.isKeyFrame
      }
      if descriptor.width > 0 { (picture.width, picture.height) = (Int(descriptor.width), Int(descriptor.height)) }
      if descriptor.startsFrame { sizes.append(0) }
      let bytes = part.payload[Int(descriptor.length)...]
      guard !sizes.isEmpty else { return nil }
      sizes[sizes.count - 1] += bytes.count
      picture.bytes += bytes
    }
    guard parts.last.flatMap({ $0.payload.withUnsafeBytes { VP9Descriptor(parsing: $0) } })?.endsFrame == true else {
      return nil
    }
    if picture.isKeyFrame, picture.width == 0, let size = VP9Assembly.size(of: picture.bytes) {
      (picture.width, picture.height) = size
    }
    if sizes.count > 1 {
      guard sizes.count <= 8, !sizes.contains(0) else { return nil }
      picture.bytes += VP9Assembly.superframeIndex(sizes)
    }
    return picture
  }
}
