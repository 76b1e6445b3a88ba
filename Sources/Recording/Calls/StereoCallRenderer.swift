import Audio
import Core
import RTP

/// What rendering made.
package struct RenderedAudio: Sendable, Hashable {
  /// Seconds.
  package var duration: Double
  /// For each channel the loudest sample of every 100 ms, 0…255.
  package var peaks: [[UInt8]]
  /// Pieces of 20 ms, of both channels: taken over as they came, and encoded.
  package var piecesCopied: Int
  package var piecesEncoded: Int
  /// Why the spool ended; nil where its writer was killed.
  package var endReason: String?
}

/// Makes a call's spool a stereo file: the agent left, the caller right.
///
/// A stream goes to the channel that its attribute `channel` names (`left`, `right`), else the first to the left. The
/// spool is read twice, first for the timeline and then for the packets; memory does not grow with the call's length.
package enum StereoCallRenderer {
  /// Progress is told about a hundred times, from 0 to 1.
  package static func render(
    spool path: String, to output: String, tags: [(String, String)] = [], progress: (Double) -> Void = { _ in }
  ) throws(RecordingError) -> RenderedAudio {
    let plan = try Plan(path)
    let reader = try SpoolReader(path: path)
    let writer = try OggOpusWriter(path: output, channels: 2, tags: tags)
    do {
      var work = try Work(plan: plan, writer: writer)
      var told = 0.0
      while let record = try reader.next() {
        try work.take(record, streams: reader.streams)
        let share = plan.size > 0 ? Double(reader.position) / Double(plan.size) : 1
        if share - told > 0.01 {
          told = share
          progress(min(1, share))
        }
      }
      let result = try work.finish()
      try writer.finish()
      progress(1)
      return RenderedAudio(
        duration: Double(writer.packets) / 50, peaks: result.peaks, piecesCopied: result.copied,
        piecesEncoded: result.encoded, endReason: plan.endReason)
    } catch let error as RecordingError {
      throw error
    } catch {
      throw .codec("\(error)")
    }
  }

  /// What the first pass finds.
  struct Plan {
    var timeline: RecordingTimeline
    /// Seconds from the beginning.
    var end = 0.0
    /// Nothing is heard: of the whole recording (0), or of a stream.
    var silences: [UInt16: [Range<Double>]] = [:]
    var endReason: String?
    var size = 0
    let began: Instant

    init(_ path: String) throws(RecordingError) {
      let reader = try SpoolReader(path: path)
      began = reader.header.began
      var builder = RecordingTimeline.Builder(began: began)
      var open: [UInt16: Double] = [:]
      var last = began
      while let record = try reader.next() {
        if record.time > last { last = record.time }
        let at = (record.time - began).inSeconds
        switch record.content {
        case .stream(let stream): builder.setClock(stream.clock, of: stream.id)
        case .rtp(let bytes):
          guard let header = try? RTPHeader(parsing: bytes),
            let codec = reader.streams[record.stream]?.codecs[header.payloadType], AudioCodec(codec) != nil
          else { continue }
          builder.add(
            stream: record.stream, ssrc: header.ssrc, timestamp: header.timestamp, clockRate: codec.clockRate,
            arrival: record.time)
        case .rtcp(let bytes):
          guard let packets = try? RTCPCompound.parse(bytes) else { continue }
          builder.add(stream: record.stream, reports: packets, arrival: record.time)
        case .event(.pause), .event(.mute):
          if open[record.stream] == nil { open[record.stream] = at }
        case .event(.resume), .event(.unmute):
          if let from = open.removeValue(forKey: record.stream), from < at {
            silences[record.stream, default: []].append(from..<at)
          }
        case .end(let reason): endReason = reason
        case .event, .gap, .streamEnd: break
        }
      }
      end = (last - began).inSeconds
      for (stream, from) in open { silences[stream, default: []].append(from..<max(from, end) + 1) }
      timeline = builder.build()
      size = reader.position
    }
  }

  /// The second pass.
  struct Work {
    private let plan: Plan
    private let writer: OggOpusWriter
    private let channels: [ChannelTrack]
    private var orders: [UInt16: PacketOrder] = [:]
    private var sides: [UInt16: Int] = [:]
    private var codecs: [UInt16: [PayloadType: AudioCodec]] = [:]
    private var peaks: [[UInt8]] = [[], []]
    private var newest = 0.0

    /// A channel without packets for so long, in seconds, is silent: the ring may have held them back until then.
    private static let patience = 60.0

    init(plan: Plan, writer: OggOpusWriter) throws(RecordingError) {
      self.plan = plan
      self.writer = writer
      do {
        channels = [try ChannelTrack(), try ChannelTrack()]
      } catch {
        throw .codec("\(error)")
      }
      for channel in channels { channel.silences = plan.silences[0] ?? [] }
    }

    mutating func take(_ record: SpoolRecord, streams: [UInt16: SpoolStream]) throws {
      newest = max(newest, (record.time - plan.began).inSeconds)
      switch record.content {
      case .stream(let stream): declare(stream)
      case .rtp(let bytes):
        for packet in orders[record.stream, default: PacketOrder()].add(bytes, arrival: record.time) {
          try place(packet, stream: record.stream)
        }
        try write()
      case .rtcp, .gap, .event, .streamEnd, .end: break
      }
    }

    private mutating func declare(_ stream: SpoolStream) {
      codecs[stream.id] = stream.codecs.compactMapValues { AudioCodec($0) }
      guard sides[stream.id] == nil else { return }
      let side: Int =
        switch stream.attributes["channel"] {
        case "left": 0
        case "right": 1
        default: sides.isEmpty ? 0 : 1
        }
      sides[stream.id] = side
      channels[side].silences += plan.silences[stream.id] ?? []
    }

    private func place(_ packet: OrderedPacket, stream: UInt16) throws {
      guard let side = sides[stream], let codec = codecs[stream]?[packet.header.payloadType],
        let position = plan.timeline.position(
          stream: stream, ssrc: packet.header.ssrc, timestamp: packet.header.timestamp, arrival: packet.arrival)
      else { return }
      try channels[side].place(packet.payload, codec: codec, at: position)
    }

    /// Writes what both channels have.
    private mutating func write() throws {
      for channel in channels where Double(channel.cursor) / 48_000 < newest - Self.patience {
        try channel.fill(to: newest - Self.patience)
      }
      let count = channels.map(\.pieces.count).min() ?? 0
      guard count >= 50 else { return }
      try write(count)
    }

    private mutating func write(_ count: Int) throws {
      let rows = channels.map { $0.take(count) }
      for index in 0..<count {
        try writer.write(rows.map { $0[index].frames })
        let isNew = (Int(writer.packets) - 1) % 5 == 0
        for (channel, row) in rows.enumerated() {
          if isNew {
            peaks[channel].append(row[index].peak)
          } else if let last = peaks[channel].last {
            peaks[channel][peaks[channel].count - 1] = max(last, row[index].peak)
          }
        }
      }
    }

    mutating func finish() throws -> (peaks: [[UInt8]], copied: Int, encoded: Int) {
      for (stream, var order) in orders {
        for packet in order.flush() { try place(packet, stream: stream) }
      }
      let end = max(plan.end, channels.map { Double($0.cursor) / 48_000 }.max() ?? 0)
      for channel in channels { try channel.fill(to: end) }
      try write(channels.map(\.pieces.count).min() ?? 0)
      return (peaks, channels.reduce(0) { $0 + $1.piecesCopied }, channels.reduce(0) { $0 + $1.piecesEncoded })
    }
  }
}

extension AudioCodec {
  /// Nil for telephone events, comfort noise and what Parley does not decode.
  init?(_ codec: SpoolStream.Codec) { self.init(encodingName: codec.name) }
}
