import Core
import RTP

/// Something of a recording at its place in time.
struct PlaybackItem {
  enum Content {
    case video(EncodedFrame, SSRC)
    /// One Opus packet and its length at 48 kHz.
    case audio([UInt8], samples: Int)
    case event(SpoolEvent)
    case streamBegan
    case streamEnded
  }

  /// Nanoseconds since the recording's beginning.
  var time: Int64
  var stream: UInt16
  var content: Content
}

/// How a playback went.
package struct PlaybackLosses: Hashable, Sendable {
  /// Packets that never came.
  package var packetsLost = 0
  /// Pictures that lacked some.
  package var framesDamaged = 0
  /// Pictures dropped because one before them was not whole.
  package var framesUndecodable = 0
}

/// A second reading of a spool: frames in the order of their times. Used on one thread.
final class SpoolPlayback {
  private struct Source {
    var sorter = PacketSorter()
    var assembler: VideoFrameAssembler?
    /// The latest timestamp that was given out, of audio.
    var lastTimestamp: Int64?
    var stream: UInt16
  }

  private let scan: SpoolScan
  private let wanted: Set<UInt16>?
  private var sources: [SSRC: Source] = [:]
  private var muted: Set<UInt16> = []
  private var isPaused = false
  /// In order of time.
  private var waiting: [PlaybackItem] = []
  private(set) var losses = PlaybackLosses()
  /// What is given out may be as much older than what was read last: for retransmissions and for delays of a network.
  private static let horizon: Int64 = 4_000_000_000

  /// - Parameter streams: Those to be read; nil: all.
  init(_ scan: SpoolScan, streams: Set<UInt16>? = nil) {
    self.scan = scan
    wanted = streams
  }

  /// - Parameters:
  ///   - progress: Called now and then, 0…1; false ends the playback.
  ///   - body: Items by rising time; those of one instant in the order of the file.
  func run(progress: (Double) -> Bool, _ body: (PlaybackItem) throws(RecordingError) -> Void) throws(RecordingError) {
    let reader = try SpoolReader(path: scan.path)
    var records = 0
    while let record = try reader.next() {
      if record.time > scan.ended { break }
      take(record)
      records += 1
      if records & 0xFF == 0 {
        let now = (record.time - scan.header.began).nanoseconds
        try release(upTo: now - Self.horizon, body)
        if records & 0xFFF == 0, reader.size > 0,
          !progress(min(1, Double(reader.position) / Double(reader.size)))
        {
          throw .container("rendering was ended")
        }
      }
    }
    for ssrc in Array(sources.keys) { finish(ssrc) }
    try release(upTo: .max, body)
    _ = progress(1)
  }

  private func release(
    upTo time: Int64, _ body: (PlaybackItem) throws(RecordingError) -> Void
  ) throws(RecordingError) {
    var count = 0
    while count < waiting.count, waiting[count].time <= time { count += 1 }
    guard count > 0 else { return }
    let ready = waiting[..<count]
    for item in ready { try body(item) }
    waiting.removeFirst(count)
  }

  /// Nearly always at the end.
  private func add(_ time: Int64, _ stream: UInt16, _ content: PlaybackItem.Content) {
    var index = waiting.count
    while index > 0, waiting[index - 1].time > time { index -= 1 }
    waiting.insert(PlaybackItem(time: time, stream: stream, content: content), at: index)
  }

  private func take(_ record: SpoolRecord) {
    let now = (record.time - scan.header.began).nanoseconds
    switch record.content {
    case .stream:
      guard isWanted(record.stream) else { return }
      add(now, record.stream, .streamBegan)
    case .streamEnd:
      guard isWanted(record.stream) else { return }
      for (ssrc, source) in sources where source.stream == record.stream { finish(ssrc) }
      add(now, record.stream, .streamEnded)
    case .event(let event):
      switch event {
      case .mute, .hold: muted.insert(record.stream)
      case .unmute, .unhold: muted.remove(record.stream)
      case .pause: isPaused = true
      case .resume: isPaused = false
      case .note: break
      }
      if record.stream == 0 || isWanted(record.stream) { add(now, record.stream, .event(event)) }
    case .rtp(let packet):
      guard isWanted(record.stream), !isPaused else { return }
      take(packet, record)
    case .rtcp, .gap, .end: break
    }
  }

  private func isWanted(_ stream: UInt16) -> Bool { wanted?.contains(stream) ?? true }

  private func take(_ packet: [UInt8], _ record: SpoolRecord) {
    // Padding alone keeps the numbers going.
    guard let header = try? RTPHeader(parsing: packet), let stream = scan.streams[record.stream],
      let known = stream.sources[header.ssrc],
      let codec = stream.description.codecs[header.payloadType]
    else { return }
    let name = codec.name.lowercased()
    let payload = stream.isVideo ? VideoPayload(encodingName: codec.name) : nil
    guard stream.isVideo ? payload == known.payload && payload != nil : name == "opus" || name == "red" else { return }
    var source =
      sources[header.ssrc] ?? Source(assembler: payload.map { VideoFrameAssembler($0) }, stream: record.stream)
    let isMuted = muted.contains(record.stream)
    let isRED = name == "red"
    var ready: [StoredPacket] = []
    source.sorter.push(header, payload: Array(packet[header.payload]), arrival: record.time) { ready.append($0) }
    for stored in ready { deliver(stored, header.ssrc, &source, isRED: isRED, isMuted: isMuted) }
    sources[header.ssrc] = source
  }

  private func finish(_ ssrc: SSRC) {
    guard var source = sources[ssrc] else { return }
    let isMuted = muted.contains(source.stream)
    let isRED =
      scan.streams[source.stream]?.description.codecs.values.contains { $0.name.lowercased() == "red" } ?? false
    var ready: [StoredPacket] = []
    source.sorter.finish { ready.append($0) }
    for stored in ready { deliver(stored, ssrc, &source, isRED: isRED, isMuted: isMuted) }
    if let assembler = source.assembler {
      losses.framesDamaged += assembler.damaged
      losses.framesUndecodable += assembler.undecodable
    }
    losses.packetsLost += source.sorter.lost
    sources[ssrc] = nil
  }

  private func deliver(_ packet: StoredPacket, _ ssrc: SSRC, _ source: inout Source, isRED: Bool, isMuted: Bool) {
    if source.assembler != nil {
      for frame in source.assembler?.push(packet) ?? [] {
        // Frames that others refer to are needed even if they are not to be seen: muted ones end with a key frame anyway.
        guard !isMuted else { continue }
        let time = scan.time(of: frame.timestamp, arrival: frame.arrival, source: ssrc, stream: source.stream)
        add(max(0, time), source.stream, .video(frame, ssrc))
      }
      return
    }
    if isRED {
      deliver(redundant: packet, ssrc, &source, isMuted: isMuted)
    } else {
      deliver(opus: packet.payload, packet.timestamp, packet.arrival, ssrc, &source, isMuted: isMuted)
    }
  }

  /// RFC 2198: what was lost may be in what came after it.
  private func deliver(redundant packet: StoredPacket, _ ssrc: SSRC, _ source: inout Source, isMuted: Bool) {
    var blocks: [RED.Block] = []
    let isWhole = RED.forEachBlock(in: packet.payload.span.bytes) { blocks.append($0) }
    guard isWhole else { return }
    for block in blocks where !block.data.isEmpty {
      let timestamp = packet.timestamp - Int64(block.timestampOffset)
      // Nothing from before the first packet: it was not recorded.
      guard block.isPrimary || source.lastTimestamp.map({ timestamp > $0 }) == true else { continue }
      deliver(opus: Array(packet.payload[block.data]), timestamp, packet.arrival, ssrc, &source, isMuted: isMuted)
    }
  }

  private func deliver(
    opus bytes: [UInt8], _ timestamp: Int64, _ arrival: Instant, _ ssrc: SSRC, _ source: inout Source, isMuted: Bool
  ) {
    source.lastTimestamp = max(source.lastTimestamp ?? timestamp, timestamp)
    guard !isMuted, let samples = OpusPacket.samples(in: bytes) else { return }
    let time = scan.time(of: timestamp, arrival: arrival, source: ssrc, stream: source.stream)
    guard time >= 0 else { return }
    add(time, source.stream, .audio(bytes, samples: samples))
  }
}

/// What a container has to know of an Opus packet (RFC 6716 §3).
package enum OpusPacket {
  /// 20 ms of silence for a decoder in any state: a CELT frame, full band, mono, that codes nothing.
  package static let silence: [UInt8] = [0xF8, 0xFF, 0xFE]

  /// Its length at 48 kHz; nil for bytes that are no packet.
  package static func samples(in packet: [UInt8]) -> Int? {
    guard let toc = packet.first else { return nil }
    let configuration = Int(toc >> 3)
    let frame: Int
    switch configuration {
    case 0..<12: frame = [480, 960, 1_920, 2_880][configuration & 3]
    case 12..<16: frame = [480, 960][configuration & 1]
    default: frame = [120, 240, 480, 960][configuration & 3]
    }
    let count: Int
    switch toc & 3 {
    case 0: count = 1
    case 1, 2: count = 2
    default:
      guard packet.count >= 2 else { return nil }
      count = Int(packet[1] & 0x3F)
    }
    let samples = frame * count
    return samples > 0 && samples <= 5_760 ? samples : nil
  }
}
