package import Core
package import RTP

/// What a first reading of a spool tells: its streams and where their timestamps lie.
package struct SpoolScan: Sendable {
  /// One SSRC of a stream.
  struct Source: Sendable {
    var timeline: SourceTimeline
    /// Of video; nil for audio.
    var payload: VideoPayload?
    var packets = 0
    /// From the first key frame that is whole.
    var start: Start?
    var firstArrival: Instant
  }

  /// What a container wants to know before the first frame.
  struct Start: Sendable {
    var width: Int
    var height: Int
    var configuration: [UInt8]
  }

  package struct Stream: Sendable {
    package var description: SpoolStream
    package var began: Instant
    package var ended: Instant?
    var sources: [SSRC: Source] = [:]

    package var packets: Int { sources.values.reduce(0) { $0 + $1.packets } }
    package var isVideo: Bool { description.media == .video }
    /// The codec of its pictures; nil for audio, and where nothing came.
    package var payload: VideoPayload? {
      sources.values.max { $0.packets < $1.packets }?.payload
    }
    /// At least one key frame came whole, or a packet of audio.
    package var isUsable: Bool { isVideo ? sources.values.contains { $0.start != nil } : packets > 0 }
  }

  package let path: String
  package let header: SpoolHeader
  package private(set) var streams: [UInt16: Stream] = [:]
  package private(set) var events: [(time: Instant, stream: UInt16, event: SpoolEvent)] = []
  /// The last record's time.
  package private(set) var ended: Instant
  /// Nil: the writer was killed, or goes on.
  package private(set) var endReason: String?
  private(set) var clocks: [String: SenderClock] = [:]
  /// Packets that the writer could not take.
  package private(set) var packetsMissed = 0

  package init(path: String) throws(RecordingError) {
    self.path = path
    let reader = try SpoolReader(path: path)
    header = reader.header
    ended = reader.header.began
    var probes: [SSRC: (PacketSorter, VideoFrameAssembler)] = [:]
    while let record = try reader.next() {
      ended = max(ended, record.time)
      switch record.content {
      case .stream(let description):
        if streams[record.stream] == nil {
          streams[record.stream] = Stream(description: description, began: record.time)
        } else {
          streams[record.stream]?.description = description
        }
      case .streamEnd: streams[record.stream]?.ended = record.time
      case .rtp(let packet): note(packet, record, &probes)
      case .rtcp(let compound): note(reports: compound, record)
      case .gap(let packets, _): packetsMissed += packets
      case .event(let event): events.append((record.time, record.stream, event))
      case .end(let reason): endReason = reason
      }
    }
  }

  /// From the beginning to the last record.
  package var duration: Duration { ended - header.began }

  private mutating func note(
    _ packet: [UInt8], _ record: SpoolRecord, _ probes: inout [SSRC: (PacketSorter, VideoFrameAssembler)]
  ) {
    guard let header = try? RTPHeader(parsing: packet), !header.payload.isEmpty,
      let codec = streams[record.stream]?.description.codecs[header.payloadType]
    else { return }
    let isVideo = streams[record.stream]?.isVideo == true
    let payload = isVideo ? VideoPayload(encodingName: codec.name) : nil
    guard isVideo == (payload != nil), isVideo || ["opus", "red"].contains(codec.name.lowercased()) else { return }
    var source =
      streams[record.stream]?.sources[header.ssrc]
      ?? Source(
        timeline: SourceTimeline(clockRate: codec.clockRate), payload: payload, firstArrival: record.time)
    source.timeline.note(timestamp: header.timestamp, arrival: record.time)
    source.packets += 1
    if let payload, source.start == nil {
      // Until the first key frame only.
      var (sorter, assembler) = probes[header.ssrc] ?? (PacketSorter(), VideoFrameAssembler(payload))
      sorter.push(header, payload: Array(packet[header.payload]), arrival: record.time) { stored in
        for frame in assembler.push(stored) where frame.isKeyFrame && source.start == nil && frame.width > 0 {
          source.start = Start(
            width: frame.width, height: frame.height, configuration: payload.configuration(from: frame.bytes))
        }
      }
      probes[header.ssrc] = source.start == nil ? (sorter, assembler) : nil
    }
    streams[record.stream]?.sources[header.ssrc] = source
  }

  private mutating func note(reports compound: [UInt8], _ record: SpoolRecord) {
    guard let packets = try? RTCPCompound.parse(compound), let stream = streams[record.stream] else { return }
    for case .senderReport(let report) in packets {
      guard report.ntp.rawValue != 0, stream.sources[report.sender] != nil else { continue }
      streams[record.stream]?.sources[report.sender]?.timeline.note(report: report)
      clocks[clockName(stream), default: SenderClock()].note(
        ntp: SourceTimeline.seconds(report.ntp), arrival: SourceTimeline.seconds(record.time))
    }
  }

  private func clockName(_ stream: Stream) -> String {
    stream.description.clock.isEmpty ? "\u{0}\(stream.description.id)" : stream.description.clock
  }

  /// Nanoseconds since the recording's beginning.
  func time(of timestamp: Int64, arrival: Instant, source: SSRC, stream: UInt16) -> Int64 {
    guard let found = streams[stream], let timeline = found.sources[source]?.timeline else {
      return (arrival - header.began).nanoseconds
    }
    let seconds = timeline.time(of: timestamp, arrival: arrival, clock: clocks[clockName(found)])
    return Int64(((seconds - SourceTimeline.seconds(header.began)) * 1e9).rounded())
  }
}
