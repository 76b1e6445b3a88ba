import Audio
import Core
import Glibc
import RTP
import Testing

@testable import Recording

/// A party that sends a tone, packet by packet, with a clock of its own.
struct ToneSender {
  let codec: AudioCodec
  let payloadType: PayloadType
  let ssrc: SSRC
  /// Parts in a million by which its clocks run fast.
  var skew = 0.0
  /// Seconds of network delay: the least, and what comes on top of it at random.
  var delay = 0.020
  var jitter = 0.0
  var begins = 0.0
  private var tone: ToneGenerator
  private let opus: OpusEncoder?
  private var random = SeededRandom(seed: 5)
  private(set) var count = 0
  private let firstSequence: UInt16 = 65_500
  private let firstTimestamp: UInt32 = .max - 48_000

  init(_ codec: AudioCodec, hertz: Double, ssrc: UInt32) throws {
    self.codec = codec
    payloadType = codec.staticPayloadType ?? PayloadType(111)
    self.ssrc = SSRC(ssrc)
    tone = ToneGenerator(sampleRate: codec == .opus ? 48_000 : 8_000, frequency: hertz, level: -10)
    opus = codec == .opus ? try OpusEncoder(sampleRate: 48_000) : nil
  }

  /// The next 20 ms: the packet, when it was sent (by a true clock), and when it arrives.
  mutating func next() throws -> (packet: [UInt8], sent: Double, arrives: Double) {
    var samples = [Int16](repeating: 0, count: codec == .opus ? 960 : 160)
    var payload = [UInt8](repeating: 0, count: 1_500)
    var length = 0
    try samples.withUnsafeMutableBufferPointer { samples in
      tone.generate(into: samples)
      try payload.withUnsafeMutableBytes { room in
        length = try opus?.encode(samples, into: room) ?? G711.encode(.a, from: samples, into: room)
      }
    }
    let header = RTPHeader(
      payloadType: payloadType, sequence: firstSequence &+ UInt16(truncatingIfNeeded: count),
      timestamp: firstTimestamp &+ UInt32(truncatingIfNeeded: count * codec.clockRate / 50), ssrc: ssrc)
    let sent = begins + Double(count) * 0.02 / (1 + skew / 1e6)
    count += 1
    return (
      header.serialized(payload: Array(payload[0..<length])), sent,
      sent + delay + jitter * Double.random(in: 0...1, using: &random)
    )
  }

  /// The sender's report at a true time.
  func report(at time: Double, epoch: Double = 3_900_000_000) -> [UInt8] {
    let own = time * (1 + skew / 1e6)
    let media = (time - begins) * (1 + skew / 1e6) * Double(codec.clockRate)
    let ntp = UInt64((epoch + own) * 4_294_967_296)
    var out: [UInt8] = []
    RTCPPacket.senderReport(
      SenderReport(
        sender: ssrc, ntp: NTPTime(rawValue: ntp),
        rtpTimestamp: firstTimestamp &+ UInt32(truncatingIfNeeded: Int64(media)), packetCount: 0, octetCount: 0,
        blocks: [])
    ).append(to: &out)
    return out
  }
}

/// Writes spool files without rings and threads.
struct SpoolScript {
  var bytes: [UInt8]
  let began = Instant(nanoseconds: 1_000_000_000_000)

  init() {
    bytes = SpoolFormat.magic
    bytes.append(little: SpoolFormat.version)
    let header = SpoolHeader(id: "r", began: began, beganAt: WallTime(milliseconds: 0))
    SpoolFormat.append(.header, stream: 0, time: began, body: header.body, to: &bytes)
  }

  func instant(_ seconds: Double) -> Instant { began + .nanoseconds(Int64(seconds * 1e9)) }

  mutating func stream(_ id: UInt16, _ sender: ToneSender, channel: String) {
    let stream = SpoolStream(
      name: channel, media: .audio,
      codecs: [sender.payloadType: .init(name: sender.codec.rawValue, clockRate: sender.codec.clockRate)],
      attributes: ["channel": channel])
    add(.stream, id, 0, stream.body)
  }

  mutating func add(_ kind: SpoolRecord.Kind, _ stream: UInt16, _ seconds: Double, _ body: [UInt8]) {
    SpoolFormat.append(kind, stream: stream, time: instant(seconds), body: body, to: &bytes)
  }

  mutating func event(_ event: SpoolEvent, _ stream: UInt16 = 0, at seconds: Double) {
    add(.event, stream, seconds, Array(event.text.utf8))
  }

  func write(to path: String) throws {
    let file = try #require(fopen(path, "wb"))
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }
}

/// The power of one frequency in a stretch of samples, as a share of all of it, 0…1.
func share(of hertz: Double, in samples: ArraySlice<Int16>, rate: Int) -> Double {
  var real = 0.0
  var imaginary = 0.0
  var all = 0.0
  for (index, sample) in samples.enumerated() {
    let value = Double(sample)
    let angle = 2 * Double.pi * hertz * Double(index) / Double(rate)
    real += value * cos(angle)
    imaginary += value * sin(angle)
    all += value * value
  }
  guard all > 0 else { return 0 }
  return 2 * (real * real + imaginary * imaginary) / (Double(samples.count) * all)
}

/// Root of the mean square.
func level(_ samples: ArraySlice<Int16>) -> Double {
  (samples.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(max(1, samples.count))).squareRoot()
}

func decode(_ path: String, rate: Int = 8_000) throws -> [[Int16]] {
  let decoder = try OggOpusDecoder(path: path, sampleRate: rate)
  var channels = [[Int16]](repeating: [], count: decoder.reader.channels)
  while let piece = try decoder.next() { for index in piece.indices { channels[index] += piece[index] } }
  return channels
}

@Suite struct StereoCallRendererTests {
  let scratch = ScratchDirectory()

  private func render(_ script: SpoolScript) throws -> (RenderedAudio, [[Int16]]) {
    try script.write(to: scratch.path + "/a.spool")
    let rendered = try StereoCallRenderer.render(spool: scratch.path + "/a.spool", to: scratch.path + "/a.ogg")
    return (rendered, try decode(scratch.path + "/a.ogg"))
  }

  /// Both parties for some seconds; `keep` says which packets get into the file.
  private func script(
    _ left: ToneSender, _ right: ToneSender, seconds: Double, reports: Bool = true,
    keep: (Int, Double) -> Bool = { _, _ in true }
  ) throws -> SpoolScript {
    var script = SpoolScript()
    var senders = [left, right]
    script.stream(1, left, channel: "left")
    script.stream(2, right, channel: "right")
    var packets: [(Double, UInt16, [UInt8])] = []
    for index in senders.indices {
      var nextReport = 1.0
      while true {
        let (packet, sent, arrives) = try senders[index].next()
        if sent >= seconds { break }
        if keep(index, sent) { packets.append((arrives, UInt16(index + 1), packet)) }
        if reports, sent > nextReport {
          script.add(.rtcp, UInt16(index + 1), arrives, senders[index].report(at: sent))
          nextReport += 5
        }
      }
    }
    for (arrives, stream, packet) in packets.sorted(by: { $0.0 < $1.0 }) { script.add(.rtp, stream, arrives, packet) }
    script.add(.end, 0, seconds, Array("done".utf8))
    return script
  }

  @Test func `each side's tone is in its own channel, Opus untouched and A-law encoded once`() throws {
    let script = try script(
      ToneSender(.opus, hertz: 440, ssrc: 1), ToneSender(.pcma, hertz: 1_000, ssrc: 2), seconds: 4)
    let (rendered, channels) = try render(script)
    #expect(rendered.endReason == "done")
    #expect(abs(rendered.duration - 4) < 0.1)
    #expect(channels.count == 2)
    let middle = 8_000..<24_000
    #expect(share(of: 440, in: channels[0][middle], rate: 8_000) > 0.95)
    #expect(share(of: 1_000, in: channels[1][middle], rate: 8_000) > 0.95)
    #expect(share(of: 1_000, in: channels[0][middle], rate: 8_000) < 0.01)
    #expect(share(of: 440, in: channels[1][middle], rate: 8_000) < 0.01)
    #expect((195...201).contains(rendered.piecesCopied))
    #expect((195...201).contains(rendered.piecesEncoded))
    #expect(rendered.peaks[0][10] > 30 && rendered.peaks[1][10] > 30)
    #expect(rendered.peaks[0].count == rendered.peaks[1].count)
    #expect(abs(rendered.peaks[0].count - 40) <= 1)
  }

  @Test func `Opus packets go into the file byte for byte`() throws {
    var sender = try ToneSender(.opus, hertz: 440, ssrc: 1)
    var originals: [[UInt8]] = []
    for _ in 0..<50 {
      let packet = try sender.next().packet
      originals.append(Array(packet[12...]))
    }
    let script = try script(
      ToneSender(.opus, hertz: 440, ssrc: 1), ToneSender(.pcma, hertz: 1_000, ssrc: 2), seconds: 1)
    _ = try render(script)
    let reader = try OggOpusReader(path: scratch.path + "/a.ogg")
    var found: [[UInt8]] = []
    while let pieces = try reader.next() { found.append(pieces[0].packet(selfDelimited: false)) }
    // The first piece of the file may be the 20 ms on the way.
    let start = found.firstIndex(of: originals[0]) ?? 0
    #expect(start <= 2)
    #expect(Array(found[start..<(start + 49)]) == Array(originals[0..<49]))
  }

  @Test func `an hour with skewed clocks and jitter stays within 40 ms`() throws {
    for (reports, skew) in [(true, 150.0), (false, 150.0), (false, -150.0)] {
      var left = try ToneSender(.opus, hertz: 440, ssrc: 1)
      left.skew = skew
      left.jitter = 0.060
      var right = left
      right.skew = -skew / 3
      let (timelineError, placedError) = try drift(left, right, hours: 1, reports: reports)
      // What the timeline says against the true time of sending, but for the constant delay; without it 540 ms.
      #expect(timelineError < 0.010, "\(reports) \(skew)")
      #expect(placedError < 0.040, "\(reports) \(skew)")
    }
  }

  /// The greatest error of the timeline, and of the packets' places in the file, in seconds.
  private func drift(
    _ left: ToneSender, _ right: ToneSender, hours: Double, reports: Bool
  ) throws -> (timeline: Double, placed: Double) {
    let began = Instant(nanoseconds: 77)
    var builder = RecordingTimeline.Builder(began: began)
    var random = SeededRandom(seed: 11)
    var truth: [[(sent: Double, timestamp: UInt32, arrival: Instant)]] = [[], []]
    for (index, sender) in [left, right].enumerated() {
      let count = Int(hours * 3_600 * 50)
      for i in 0..<count {
        let sent = Double(i) * 0.02 / (1 + sender.skew / 1e6)
        let arrival =
          began
          + .nanoseconds(
            Int64((sent + sender.delay + sender.jitter * Double.random(in: 0...1, using: &random)) * 1e9))
        let timestamp = UInt32(truncatingIfNeeded: i * 960) &+ 4_294_900_000
        builder.add(stream: UInt16(index), ssrc: sender.ssrc, timestamp: timestamp, clockRate: 48_000, arrival: arrival)
        if reports, i % 250 == 249 {
          // Stamped to the packet, up to a packet late, as simple phones do.
          let late = Double.random(in: 0...0.02, using: &random)
          let own = (sent + late) * (1 + sender.skew / 1e6)
          let report = SenderReport(
            sender: sender.ssrc, ntp: NTPTime(rawValue: UInt64((3.9e9 + own) * 4_294_967_296)),
            rtpTimestamp: timestamp, packetCount: 0, octetCount: 0, blocks: [])
          builder.add(stream: UInt16(index), reports: [.senderReport(report)], arrival: arrival)
        }
        truth[index].append((sent, timestamp, arrival))
      }
    }
    let timeline = builder.build()
    var worst = 0.0
    var worstPlaced = 0.0
    for (index, sender) in [left, right].enumerated() {
      let track = try ChannelTrack()
      let silent: [UInt8] = [0xF8, 0xFF, 0xFE]
      for (number, packet) in truth[index].enumerated() {
        let position = try #require(
          timeline.position(
            stream: UInt16(index), ssrc: sender.ssrc, timestamp: packet.timestamp, arrival: packet.arrival))
        let right = packet.sent + sender.delay
        worst = max(worst, abs(position - right))
        // Every piece of a minute's end is looked at; placing costs a decoding.
        if number % 3_000 < 25 || number < 25 {
          try track.place(silent[...], codec: .opus, at: position)
          worstPlaced = max(worstPlaced, abs(Double(track.cursor) / 48_000 - 0.02 - right))
          _ = track.take(track.pieces.count)
        }
      }
    }
    return (worst, worstPlaced)
  }

  @Test func `a pause is silence of the same length in both channels`() throws {
    var script = try script(
      ToneSender(.opus, hertz: 440, ssrc: 1), ToneSender(.pcma, hertz: 1_000, ssrc: 2), seconds: 6,
      keep: { _, sent in !(2.0..<4.0).contains(sent) })
    script.event(.pause, at: 2.0)
    script.event(.resume, at: 4.0)
    let (rendered, channels) = try render(script)
    #expect(abs(rendered.duration - 6) < 0.1)
    for channel in channels {
      #expect(level(channel[16_800..<31_200]) < 1)
      #expect(level(channel[8_000..<15_000]) > 1_000)
      #expect(level(channel[34_000..<45_000]) > 1_000)
    }
  }

  @Test func `losses are bridged, long gaps are silent, and what follows is in its place`() throws {
    let script = try script(
      ToneSender(.opus, hertz: 440, ssrc: 1), ToneSender(.pcma, hertz: 1_000, ssrc: 2), seconds: 8,
      keep: { side, sent in !(3.0..<5.0).contains(sent) && Int(sent * 50) % 20 != 7 })
    let (rendered, channels) = try render(script)
    #expect(abs(rendered.duration - 8) < 0.1)
    for (channel, hertz) in zip(channels, [440.0, 1_000.0]) {
      #expect(level(channel[26_000..<39_000]) < 20)
      #expect(share(of: hertz, in: channel[44_000..<60_000], rate: 8_000) > 0.8)
      // From 5.02 s on.
      #expect(level(channel[38_000..<39_900]) < 20)
      #expect(level(channel[40_800..<41_500]) > 1_000)
    }
  }

  @Test func `a late joiner's channel is silent until then`() throws {
    var right = try ToneSender(.pcma, hertz: 1_000, ssrc: 2)
    right.begins = 2
    let (_, channels) = try render(script(ToneSender(.opus, hertz: 440, ssrc: 1), right, seconds: 4))
    #expect(level(channels[1][0..<16_000]) == 0)
    #expect(level(channels[1][16_800..<24_000]) > 1_000)
    #expect(level(channels[0][8_000..<15_000]) > 1_000)
  }

  @Test func `a spool without an end, cut anywhere, becomes a file of what is there`() throws {
    var script = try script(
      ToneSender(.opus, hertz: 440, ssrc: 1), ToneSender(.pcma, hertz: 1_000, ssrc: 2), seconds: 4)
    script.bytes.removeLast(script.bytes.count / 2)
    let (rendered, channels) = try render(script)
    #expect(rendered.endReason == nil)
    #expect((1.5...2.5).contains(rendered.duration))
    #expect(share(of: 440, in: channels[0][4_000..<12_000], rate: 8_000) > 0.9)
  }

  @Test func `an empty call is an empty file, not an error`() throws {
    var script = SpoolScript()
    script.add(.end, 0, 0.5, [])
    let (rendered, _) = try render(script)
    #expect(rendered.duration >= 0.5)
  }

  @Test func `packets of 60 ms are encoded anew, those of 10 ms are joined`() throws {
    let long = OpusFrames(configuration: 0x18, frames: [[1, 2, 3]])
    #expect(long.samples == 2_880 && long.pieces == nil)
    let short = OpusFrames(configuration: 0xF0, frames: [[1], [2, 2], [3], []])
    #expect(short.samples == 1_920)
    #expect(short.pieces?.map(\.frames) == [[[1], [2, 2]], [[3], []]])
  }

  @Test func `packets framed anew are parsed to the same frames`() {
    var random = SeededRandom(seed: 1)
    for _ in 0..<500 {
      let count = Int.random(in: 1...6, using: &random)
      let frames = OpusFrames(
        configuration: 0xF8,
        frames: (0..<count).map { _ in
          (0..<Int.random(in: 0...600, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        })
      #expect(OpusFrames(parsing: frames.packet(selfDelimited: false)[...]) == frames)
      var delimited = (frames.packet(selfDelimited: true) + [1, 2, 3])[...]
      #expect(OpusFrames(takingSelfDelimited: &delimited) == frames)
      #expect(Array(delimited) == [1, 2, 3])
    }
  }

  @Test func `random bytes are never taken for more than they hold`() {
    var random = SeededRandom(seed: 2)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if let frames = OpusFrames(parsing: bytes[...]) {
        #expect(frames.frames.reduce(0) { $0 + $1.count } <= bytes.count)
        #expect(frames.samples <= 5_760)
      }
      var rest = bytes[...]
      _ = OpusFrames(takingSelfDelimited: &rest)
    }
  }
}
