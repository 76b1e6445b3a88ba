import Audio
import Core
import RTP
import Testing

@testable import Recording

@Suite struct RoomRendererTests {
  let scratch = ScratchDirectory()

  private func render(_ script: SpoolScript, _ plan: RenderPlan) throws -> RenderedMedia {
    try script.write(to: scratch.path + "/r.spool")
    return try RoomRenderer.render(spool: scratch.path + "/r.spool", plan: plan, stem: scratch.path + "/r")
  }

  private func add(
    _ sender: ColourSender, to script: inout SpoolScript, _ id: UInt16, frames: Int, from: Double = 0,
    luma: (Int) -> UInt8, keep: (Int, Int) -> Bool = { _, _ in true }
  ) throws {
    for frame in 0..<frames {
      let (time, packets) = try sender.next(luma: luma(frame), isKey: frame % 20 == 0)
      for (index, packet) in packets.enumerated() where keep(frame, index) {
        script.add(.rtp, id, from + time + 0.02 + Double(index) * 0.0001, packet)
      }
    }
  }

  @Test func keepsATrackOfPicturesAsItIs() throws {
    var script = SpoolScript()
    script.video(1, name: "ann")
    try add(ColourSender(ssrc: 7), to: &script, 1, frames: 30) { $0 < 15 ? 60 : 200 }
    let file = try render(script, RenderPlan(keepsTracks: true))
    #expect(file.container == .webm && file.path.hasSuffix("r.webm"))
    #expect(try Probe.streams(file.path) == ["vp8,320,180"])
    let times = try Probe.times(file.path, "v")
    #expect(times.count == 30)
    #expect(abs(times[10] - 1) < 0.01, "\(times)")
    #expect(try abs(Probe.luma(file.path, at: 0.7) - 60) < 12)
    #expect(try abs(Probe.luma(file.path, at: 2) - 200) < 12)
    #expect(file.losses == PlaybackLosses())
  }

  @Test func dropsWhatALostPacketSpoilsUpToTheNextKeyFrame() throws {
    var script = SpoolScript()
    script.video(1, name: "ann")
    // Key frames are 0, 20 and 40; frame 25 loses its first packet.
    try add(ColourSender(ssrc: 7), to: &script, 1, frames: 50, luma: { UInt8(50 + $0 * 3) }) { !($0 == 25 && $1 == 0) }
    let file = try render(script, RenderPlan(keepsTracks: true))
    let times = try Probe.times(file.path, "v")
    #expect(times.count == 25 + 10, "\(times)")
    #expect(file.losses.packetsLost == 1)
    #expect(file.losses.framesUndecodable == 14 || file.losses.framesUndecodable == 13, "\(file.losses)")
    #expect(abs(times[25] - 4) < 0.01, "\(times)")
  }

  @Test func takesTheLargestLayerAndFallsBackWhenItEnds() throws {
    var script = SpoolScript()
    script.video(1, name: "ann")
    let small = try ColourSender(ssrc: 1, width: 160, height: 90)
    let large = try ColourSender(ssrc: 2, width: 320, height: 180)
    for frame in 0..<60 {
      let (time, packets) = try small.next(luma: 60, isKey: frame % 10 == 0)
      for packet in packets { script.add(.rtp, 1, time + 0.02, packet) }
      let (_, others) = try large.next(luma: 200, isKey: frame % 10 == 0)
      if (10..<30).contains(frame) { for packet in others { script.add(.rtp, 1, time + 0.021, packet) } }
    }
    let file = try render(script, RenderPlan(keepsTracks: true))
    #expect(file.width == 320)
    #expect(try abs(Probe.luma(file.path, at: 0.5) - 60) < 15)
    #expect(try abs(Probe.luma(file.path, at: 2) - 200) < 15)
    #expect(try abs(Probe.luma(file.path, at: 5.5) - 60) < 15)
    let times = try Probe.times(file.path, "v")
    #expect(zip(times, times.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test func showsTwoPeopleSideBySideAndMixesThem() throws {
    var script = SpoolScript()
    script.video(1, name: "ann")
    script.audio(2, name: "ann")
    try add(ColourSender(ssrc: 7), to: &script, 1, frames: 40) { _ in 80 }
    var tone = try ToneSender(.opus, hertz: 440, ssrc: 8)
    for _ in 0..<200 {
      let (packet, _, arrives) = try tone.next()
      script.add(.rtp, 2, arrives, packet)
    }
    script.video(3, name: "bob", at: 2)
    script.audio(4, name: "bob", at: 2)
    try add(ColourSender(ssrc: 9, firstTimestamp: 5), to: &script, 3, frames: 20, from: 2) { _ in 180 }
    var other = try ToneSender(.opus, hertz: 1_000, ssrc: 10)
    for _ in 0..<100 {
      let (packet, _, arrives) = try other.next()
      script.add(.rtp, 4, 2 + arrives, packet)
    }
    script.add(.end, 0, 4.1, Array("stopped".utf8))
    var plan = RenderPlan(keepsTracks: false)
    (plan.width, plan.height, plan.framerate, plan.videoBitrate) = (640, 360, 10, 1_000)
    let file = try render(script, plan)
    #expect(try Probe.streams(file.path) == ["vp8,640,360", "opus"])
    #expect(abs(file.duration.inSeconds - 4.1) < 0.01)
    // Alone, then beside each other, above the names.
    #expect(try abs(Probe.luma(file.path, at: 1.5, crop: "400:200:120:20") - 80) < 12)
    #expect(try abs(Probe.luma(file.path, at: 3.5, crop: "200:100:60:110") - 80) < 12)
    #expect(try abs(Probe.luma(file.path, at: 3.5, crop: "200:100:380:110") - 180) < 12)
    let samples = try Probe.samples(file.path)
    #expect(abs(Double(samples.count) / 8_000 - 4.1) < 0.1)
    #expect(share(of: 440, in: samples[4_000..<12_000], rate: 8_000) > 0.9)
    let both = samples[20_000..<28_000]
    #expect(share(of: 440, in: both, rate: 8_000) > 0.3 && share(of: 1_000, in: both, rate: 8_000) > 0.3)
  }

  @Test func leavesMutedStretchesOut() throws {
    var script = SpoolScript()
    script.audio(1, name: "ann")
    var tone = try ToneSender(.opus, hertz: 440, ssrc: 8)
    for index in 0..<250 {
      let (packet, _, arrives) = try tone.next()
      if index == 100 { script.event(.mute, 1, at: arrives - 0.001) }
      if index == 150 { script.event(.unmute, 1, at: arrives - 0.001) }
      script.add(.rtp, 1, arrives, packet)
    }
    let file = try render(script, RenderPlan(keepsTracks: true))
    #expect(file.container == .ogg)
    let samples = try Probe.samples(file.path)
    #expect(abs(file.duration.inSeconds - 5) < 0.03)
    #expect(level(samples[17_500..<23_000]) < 100, "\(level(samples[17_500..<23_000]))")
    #expect(level(samples[26_000..<38_000]) > 2_000)
  }

  @Test func readsWhatAKilledProcessLeft() throws {
    var script = SpoolScript()
    script.video(1, name: "ann")
    try add(ColourSender(ssrc: 7), to: &script, 1, frames: 30) { _ in 90 }
    script.bytes.removeLast(100)
    let file = try render(script, RenderPlan(keepsTracks: true))
    #expect(try Probe.times(file.path, "v").count >= 28)
  }

  @Test func saysSoWhereNothingCame() throws {
    var script = SpoolScript()
    script.video(1, name: "ann")
    #expect(throws: RecordingError.self) { try render(script, RenderPlan(keepsTracks: true)) }
    #expect(!exists(scratch.path + "/r.webm") && !exists(scratch.path + "/r.webm.part"))
  }

  private func exists(_ path: String) -> Bool { (try? UploadFile(path: path)) != nil }
}

@Suite struct SourceTimelineTests {
  /// An hour of a sender whose clock runs fast, over a network that delays by up to 60 ms.
  @Test(arguments: [true, false], [80.0, -80.0])
  func staysWithinFortyMillisecondsForAnHour(reports: Bool, skew: Double) {
    var random = SeededRandom(seed: 3)
    var timeline = SourceTimeline(clockRate: 48_000)
    var clock = SenderClock()
    let first: UInt32 = .max - 9_000
    let rate = 1 + skew / 1e6
    func arrival(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64((seconds + 1_000) * 1e9)) }
    var frames: [(timestamp: Int64, sent: Double, arrival: Instant)] = []
    var unwrapper = TimestampUnwrapper()
    var nextReport = 1.0
    for index in 0..<(3_600 * 10) {
      let sent = Double(index) * 0.1
      let timestamp = first &+ UInt32(truncatingIfNeeded: Int64(sent * rate * 48_000))
      let came = arrival(sent + 0.02 + Double.random(in: 0...0.06, using: &random))
      timeline.note(timestamp: timestamp, arrival: came)
      frames.append((unwrapper.unwrap(timestamp), sent, came))
      if reports, sent >= nextReport {
        nextReport += 5
        let ntp = 3_900_000_000 + sent * rate
        timeline.note(
          report: SenderReport(
            sender: SSRC(1), ntp: NTPTime(rawValue: UInt64(ntp * 4_294_967_296)), rtpTimestamp: timestamp,
            packetCount: 0, octetCount: 0, blocks: []))
        clock.note(ntp: ntp, arrival: SourceTimeline.seconds(came))
      }
    }
    var worst = 0.0
    for frame in frames {
      let time = timeline.time(of: frame.timestamp, arrival: frame.arrival, clock: reports ? clock : nil)
      // Less the delay that every packet has.
      worst = max(worst, abs(time - 1_000 - frame.sent - 0.03))
    }
    #expect(worst < 0.04, "\(worst)")
  }

  @Test func keepsTwoStreamsOfOneSenderTogetherWhateverTheirDelays() {
    var clock = SenderClock()
    var audio = SourceTimeline(clockRate: 48_000)
    var video = SourceTimeline(clockRate: 90_000)
    func arrival(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
    for index in 0..<500 {
      let sent = 100 + Double(index) * 0.02
      audio.note(timestamp: UInt32(index * 960), arrival: arrival(sent + 0.02))
      // Pictures take 150 ms longer.
      video.note(timestamp: UInt32(index * 1_800), arrival: arrival(sent + 0.17))
      if index % 50 == 0 {
        let ntp = 5_000 + sent
        let raw = NTPTime(rawValue: UInt64(ntp * 4_294_967_296))
        audio.note(
          report: SenderReport(
            sender: SSRC(1), ntp: raw, rtpTimestamp: UInt32(index * 960), packetCount: 0, octetCount: 0, blocks: []))
        video.note(
          report: SenderReport(
            sender: SSRC(2), ntp: raw, rtpTimestamp: UInt32(index * 1_800), packetCount: 0, octetCount: 0, blocks: []))
        clock.note(ntp: ntp, arrival: sent + 0.02)
      }
    }
    // As `TimestampUnwrapper` counts.
    let base: Int64 = 1 << 32
    let heard = audio.time(of: base + 300 * 960, arrival: arrival(106.02), clock: clock)
    let seen = video.time(of: base + 300 * 1_800, arrival: arrival(106.17), clock: clock)
    #expect(abs(heard - seen) < 0.002, "\(heard) \(seen)")
  }

  @Test func followsATimestampThatJumps() {
    var timeline = SourceTimeline(clockRate: 48_000)
    func arrival(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
    var unwrapper = TimestampUnwrapper()
    var last: Int64 = 0
    for index in 0..<100 {
      // After two seconds the sender begins another count.
      let timestamp = UInt32(index * 960) &+ (index >= 50 ? 3_000_000_000 : 0)
      let came = arrival(50 + Double(index) * 0.02 + (index >= 50 ? 5 : 0))
      timeline.note(timestamp: timestamp, arrival: came)
      last = unwrapper.unwrap(timestamp)
    }
    let came = arrival(50 + 99 * 0.02 + 5)
    #expect(abs(timeline.time(of: last, arrival: came, clock: nil) - SourceTimeline.seconds(came)) < 0.01)
  }
}
