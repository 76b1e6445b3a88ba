package import Core

/// How a video track is packed into RTP.
package enum VideoPayload: String, Hashable, Sendable, Codable, CaseIterable {
  case vp8 = "VP8"
  case vp9 = "VP9"
  case h264 = "H264"
  case av1 = "AV1"

  /// By the name of `a=rtpmap`, case-insensitively.
  package init?(encodingName: String) {
    let name = encodingName.uppercased()
    guard let payload = VideoPayload(rawValue: name) else { return nil }
    self = payload
  }
}

/// One picture as its encoder made it, put together from packets.
package struct EncodedFrame: Hashable, Sendable {
  /// In units of the media clock, without wraps.
  package var timestamp: Int64
  /// When its first packet came.
  package var arrival: Instant
  package var isKeyFrame: Bool
  /// Pixels, as of the last key frame; 0 while unknown.
  package var width: Int
  package var height: Int
  /// VP8 and VP9: the frame. H.264: NAL units with start codes (Annex B). AV1: OBUs with sizes, no temporal delimiter.
  package var bytes: [UInt8]

  package init(timestamp: Int64, arrival: Instant, isKeyFrame: Bool, width: Int, height: Int, bytes: [UInt8]) {
    self.timestamp = timestamp
    self.arrival = arrival
    self.isKeyFrame = isKeyFrame
    self.width = width
    self.height = height
    self.bytes = bytes
  }
}

/// One packet of a stream that is read back.
package struct StoredPacket: Hashable, Sendable {
  /// Without wraps.
  package var sequence: Int64
  /// Without wraps.
  package var timestamp: Int64
  package var marker: Bool
  package var arrival: Instant
  /// Without padding.
  package var payload: [UInt8]

  package init(sequence: Int64, timestamp: Int64, marker: Bool, arrival: Instant, payload: [UInt8]) {
    self.sequence = sequence
    self.timestamp = timestamp
    self.marker = marker
    self.arrival = arrival
    self.payload = payload
  }
}

/// Puts the packets of one stream back into order: retransmissions come late. What is missing for too long is given up.
package struct PacketSorter: Sendable {
  private var waiting: [Int64: StoredPacket] = [:]
  private var next: Int64?
  private let patience: Duration
  private let capacity: Int
  private var sequences = SequenceUnwrapper()
  private var timestamps = TimestampUnwrapper()
  /// Sequence numbers that never came.
  package private(set) var lost = 0
  /// Packets that came twice, or too late.
  package private(set) var superfluous = 0

  /// - Parameters:
  ///   - patience: How long a gap may hold up what came behind it.
  ///   - capacity: How many packets it may hold up.
  package init(patience: Duration = .seconds(2), capacity: Int = 4096) {
    self.patience = patience
    self.capacity = max(1, capacity)
  }

  /// Takes one packet as it arrived; calls `body` with those that are next in order.
  package mutating func push(
    _ header: RTPHeader, payload: [UInt8], arrival: Instant, _ body: (StoredPacket) -> Void
  ) {
    // A jump over more than the window of RFC 3550 §A.1 is a new numbering.
    if let highest = sequences.highest {
      let distance = Int16(bitPattern: header.sequence &- UInt16(truncatingIfNeeded: highest))
      if abs(Int(distance)) > 3000 { restart(body) }
    }
    let packet = StoredPacket(
      sequence: sequences.unwrap(header.sequence), timestamp: timestamps.unwrap(header.timestamp),
      marker: header.marker, arrival: arrival, payload: payload)
    let first = next ?? packet.sequence
    guard packet.sequence >= first, waiting[packet.sequence] == nil else {
      superfluous += 1
      return
    }
    next = first
    waiting[packet.sequence] = packet
    drain(body)
    while let oldest = waiting.values.map(\.arrival).min(),
      arrival - oldest > patience || waiting.count > capacity
    {
      skipGap()
      drain(body)
    }
  }

  /// The stream is at its end: what waits goes out.
  package mutating func finish(_ body: (StoredPacket) -> Void) {
    while !waiting.isEmpty {
      skipGap()
      drain(body)
    }
  }

  private mutating func drain(_ body: (StoredPacket) -> Void) {
    while let sequence = next, let packet = waiting.removeValue(forKey: sequence) {
      next = sequence + 1
      body(packet)
    }
  }

  private mutating func skipGap() {
    guard let sequence = next, let following = waiting.keys.min() else { return }
    lost += Int(following - sequence)
    next = following
  }

  private mutating func restart(_ body: (StoredPacket) -> Void) {
    finish(body)
    sequences = SequenceUnwrapper()
    next = nil
  }
}
