import Core
import RTP
import Testing

@testable import SFU

/// The far end: puts the packets in order, restores retransmissions, asks for what is missing, and checks.
struct Subscriber {
  struct Received {
    var header: RTPHeader
    /// Without what the payload format puts in front.
    var body: ModelBody?
    var payload: [UInt8]
    var bytes: [UInt8]
    var order: Int
    var time: Int
    var vp8: VP8Descriptor?
    /// Frame number of the dependency descriptor.
    var frameNumber: UInt16?
    var vp9: VP9Descriptor?
  }

  let codec: MediaCodec
  /// By extended sequence number. Fillers have no body.
  private(set) var packets: [Int64: Received] = [:]
  private var lowest = Int64.max
  private var highest = Int64.min
  private(set) var duplicates = 0
  private(set) var retransmissions = 0
  private(set) var paddings = 0
  private var unwrapper = SequenceUnwrapper()
  private(set) var retransmissionSequences: [UInt16] = []

  init(codec: MediaCodec) { self.codec = codec }

  /// Of a packet of the publisher or of ours.
  static func body(_ packet: [UInt8], _ codec: MediaCodec) -> ModelBody? {
    guard let header = try? RTPHeader(parsing: packet), header.padding == 0 else { return nil }
    return body(payload: Array(packet[header.payload]), codec)
  }

  static func body(payload: [UInt8], _ codec: MediaCodec) -> ModelBody? {
    guard let length = prefix(payload, codec), length <= payload.count else { return nil }
    return ModelBody(payload[length...])
  }

  /// Bytes in front of the body.
  static func prefix(_ payload: [UInt8], _ codec: MediaCodec) -> Int? {
    switch codec {
    case .vp8: payload.withUnsafeBytes { VP8Descriptor(parsing: $0) }.map { Int($0.length) + 1 }
    case .vp9: payload.withUnsafeBytes { VP9Descriptor(parsing: $0) }.map { Int($0.length) }
    default: 1
    }
  }

  mutating func take(_ queue: inout [[UInt8]], now: Int) {
    for bytes in queue {
      guard var header = try? RTPHeader(parsing: bytes) else {
        Issue.record("not RTP")
        continue
      }
      var payload = Array(bytes[header.payload])
      if header.ssrc == Stage.retransmissionSSRC {
        #expect(header.payloadType.rawValue == 121)
        retransmissionSequences.append(header.sequence)
        guard payload.count > 2 else { continue }
        header.sequence = UInt16(payload[0]) << 8 | UInt16(payload[1])
        payload.removeFirst(2)
        retransmissions += 1
      } else {
        #expect(header.payloadType.rawValue == 120)
      }
      let sequence = unwrapper.unwrap(header.sequence)
      let isPadding = payload.isEmpty
      if isPadding { paddings += 1 }
      if let before = packets[sequence] {
        // A number is given out once; what comes again must be the same.
        #expect(before.payload == payload && before.header.timestamp == header.timestamp || isPadding)
        duplicates += 1
        continue
      }
      var received = Received(
        header: header, body: isPadding ? nil : Self.body(payload: payload, codec), payload: payload, bytes: bytes,
        order: packets.count, time: now)
      if codec == .vp8 { received.vp8 = payload.withUnsafeBytes { VP8Descriptor(parsing: $0) } }
      if codec == .vp9 { received.vp9 = payload.withUnsafeBytes { VP9Descriptor(parsing: $0) } }
      header.forEachExtensionElement(in: bytes.span.bytes) { id, range in
        if id == 5 {
          received.frameNumber = UInt16(bytes[range.lowerBound + 1]) << 8 | UInt16(bytes[range.lowerBound + 2])
        }
      }
      packets[sequence] = received
      lowest = min(lowest, sequence)
      highest = max(highest, sequence)
    }
    queue.removeAll(keepingCapacity: true)
  }

  /// Numbers between the first and the last that did not come.
  func gaps() -> [Int64] {
    packets.isEmpty ? [] : (lowest...highest).filter { packets[$0] == nil }
  }

  /// What it would ask for: the recent ones.
  func missing() -> [UInt16] {
    guard !packets.isEmpty else { return [] }
    return (max(lowest, highest - 400)...highest).filter { packets[$0] == nil }.map { UInt16(truncatingIfNeeded: $0) }
  }

  /// In the order of their numbers, without padding.
  var inOrder: [Received] { packets.sorted { $0.key < $1.key }.map(\.value).filter { !$0.payload.isEmpty } }

  /// Frames in the order of their first packets.
  var frames: [(id: UInt32, packets: [Received])] {
    var result: [(id: UInt32, packets: [Received])] = []
    var place: [UInt32: Int] = [:]
    for packet in inOrder {
      guard let body = packet.body else { continue }
      if let index = place[body.frame] {
        result[index].packets.append(packet)
      } else {
        place[body.frame] = result.count
        result.append((body.frame, [packet]))
      }
    }
    return result
  }
}

extension Stage {
  /// Every frame that came refers to frames that came, or that were hit by losses before us; and comes whole.
  ///
  /// - Returns: Frames checked.
  @discardableResult
  func checkReferences(_ location: SourceLocation = #_sourceLocation) -> Int {
    let frames = subscriber.frames
    let came = Set(frames.map(\.id))
    let hit = Set(lost.map(\.frame))
    for (place, (id, packets)) in frames.enumerated() {
      guard let frame = film.frames[id] else {
        Issue.record("no such frame", sourceLocation: location)
        continue
      }
      for reference in frame.references where !came.contains(reference) && !hit.contains(reference) {
        let other = film.frames[reference]
        Issue.record(
          """
          frame \(id) (S\(frame.spatial)T\(frame.temporal)) at \(frame.captured) refers to \(reference) \
          (S\(other?.spatial ?? -1)T\(other?.temporal ?? -1)) at \(other?.captured ?? -1), which was not forwarded
          """, sourceLocation: location)
      }
      // The last frames before another stream takes over, or a pause, may be cut: a key frame follows.
      let followers = frames[(place + 1)...].prefix(9)
      let isCut = followers.count < 9 || followers.contains { film.frames[$0.id]?.isKey == true }
      let indices = Set(packets.compactMap { $0.body?.index })
      for index in 0..<frame.packets where !indices.contains(index) && !isCut {
        let body = ModelBody(frame: id, index: index, count: frame.packets)
        #expect(lost.contains(body) || !delivered.contains(body), "frame \(id) came in part", sourceLocation: location)
      }
    }
    return frames.count
  }

  /// Timestamps of the frames rise; packets of a frame share one.
  func checkTimestamps(_ location: SourceLocation = #_sourceLocation) {
    var last: UInt32?
    var lastCaptured = -1
    for (id, packets) in subscriber.frames {
      let timestamp = packets[0].header.timestamp
      #expect(packets.allSatisfy { $0.header.timestamp == timestamp }, sourceLocation: location)
      let captured = film.frames[id]?.captured ?? 0
      if let last {
        let step = Int32(bitPattern: timestamp &- last)
        // Layers of one picture share the timestamp, unless a stream took over in between.
        #expect(
          captured == lastCaptured ? step >= 0 : step > 0, "step \(step) at frame \(id)", sourceLocation: location)
      }
      last = timestamp
      lastCaptured = captured
    }
  }
}
