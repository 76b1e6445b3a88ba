import Audio
import Core
import RTP
import TestSupport
import Testing

@testable import Bridge

@Suite struct ConferenceTimingTests {
  /// A burst of 200 ms in every second.
  private func bursts(rate: Int) -> (Int) -> Int16 {
    let tone = Sound.sine(800, rate: rate, peak: 8_000)
    return { n in n % rate < rate / 5 ? tone(n) : 0 }
  }

  /// When each burst is heard, in milliseconds after the second it belongs to.
  private func onsets(_ arrivals: [Arrival], of peer: Peer, from start: Instant) throws -> [Double] {
    var onsets: [Double] = []
    var isQuiet = true
    let decoder = try FrameDecoder([peer.codec], sampleRate: peer.rate)
    let playout = PlayoutBuffer(sampleRate: peer.rate)
    var samples = [Int16](repeating: 0, count: peer.rate / 50)
    for arrival in arrivals.sorted(by: { $0.sequence < $1.sequence }) where arrival.at > start {
      _ = arrival.payload.withUnsafeBytes { decoder.decode($0, codec: peer.codec, to: playout) }
      _ = samples.withUnsafeMutableBufferPointer { playout.take(into: $0) }
      guard let first = samples.firstIndex(where: { abs(Int($0)) > 1_500 }) else {
        isQuiet = true
        continue
      }
      if isQuiet {
        // A packet is played from its arrival on.
        let at = Double(arrival.at.nanoseconds) / 1e6 + Double(first) * 1_000 / Double(peer.rate)
        onsets.append(at.truncatingRemainder(dividingBy: 1_000))
      }
      isQuiet = false
    }
    return onsets
  }

  @Test(arguments: [AudioCodec.pcmu, .g722, .opus])
  func fromMouthToEarTakesLessThanATenthOfASecond(_ codec: AudioCodec) throws {
    let room = Conference()
    let speaker = try Peer(codec, id: 1, delay: .milliseconds(1))
    speaker.voice = bursts(rate: speaker.rate)
    try room.addPhone(speaker)
    try room.addPhone(Peer(codec, id: 2, delay: .milliseconds(1)))
    room.run(.seconds(8))
    let onsets = try onsets(room.peers[1].heard, of: room.peers[1], from: .zero + .seconds(3))
    #expect(onsets.count >= 4)
    // The frame that says the first sample is sent at once here, a real one after its 20 ms; the far end's link takes 10.
    let worst = (onsets.max() ?? 1_000) + 20
    #expect(worst < 100, "\(onsets)")
  }

  @Test func aLateAndLossyMemberDelaysNobodyElse() throws {
    func measure(withBadMember: Bool) throws -> [Double] {
      let room = Conference()
      let speaker = try Peer(.pcmu, id: 1, delay: .milliseconds(1))
      speaker.voice = bursts(rate: speaker.rate)
      try room.addPhone(speaker)
      try room.addPhone(Peer(.pcmu, id: 2, delay: .milliseconds(1)))
      if withBadMember {
        let bad = try Peer(.pcmu, id: 3, delay: .milliseconds(200), jitter: .milliseconds(150), loss: 0.2)
        bad.voice = Sound.sine(2_000, rate: 8_000, peak: 60)
        try room.addPhone(bad)
        try room.addMicrophone(tone: 2_500, jitter: .milliseconds(200), loss: 0.3, peak: 60)
      }
      room.run(.seconds(8))
      return try onsets(room.peers[1].heard, of: room.peers[1], from: .zero + .seconds(3))
    }
    let alone = try measure(withBadMember: false)
    let together = try measure(withBadMember: true)
    #expect(alone.count >= 4 && together.count >= 4)
    #expect(abs((alone.max() ?? 0) - (together.max() ?? 1_000)) < 10, "\(alone) \(together)")
  }

  @Test func fullAndEmptyPortsAreCounted() throws {
    let port = ConferencePort(sampleRate: 8_000)
    var frame = [Int16](repeating: 100, count: 160)
    var written = 0
    for _ in 0..<50 {
      if frame.withUnsafeMutableBufferPointer({ port.toConference.write($0) }) { written += 1 }
    }
    // A quarter of a second fits, rounded up to a power of two.
    #expect(written == 12)
    #expect(port.overflow == (38 * 160, 0))
    let mixer = ConferenceMixer(seed: 1)
    let phone = try mixer.addPhone(port)
    var now = Instant.zero
    for _ in 0..<20 {
      mixer.tick(now: now)
      now = now + .milliseconds(20)
    }
    #expect(phone.underflows == 1)
    // Nobody reads what the phone hears.
    #expect(port.overflow.fromConference == 8 * 160)
  }

  @Test(arguments: [-500.0, 500])
  func clocksThatDifferAreFollowed(_ partsPerMillion: Double) throws {
    let port = ConferencePort(sampleRate: 8_000)
    let reader = PortReader(port.toConference, sampleRate: 8_000)
    let tone = Sound.sine(500, rate: 8_000)
    var random = SeededRandom(seed: 4)
    var frame = [Int16](repeating: 0, count: 160)
    var heard: [Int16] = []
    var written = 0
    var longest = 0
    // Ten minutes; both ticks come up to 3 ms late.
    var nextWrite = 0.0
    var nextRead = 10.0
    while nextRead < 600_000 {
      let writeAt = nextWrite + Double.random(in: 0..<3, using: &random)
      let readAt = nextRead + Double.random(in: 0..<3, using: &random)
      if writeAt <= readAt {
        for i in 0..<160 { frame[i] = tone(written + i) }
        written += 160
        frame.withUnsafeMutableBufferPointer { _ = port.toConference.write($0) }
        nextWrite += 20 / (1 + partsPerMillion / 1e6)
      } else {
        #expect(frame.withUnsafeMutableBufferPointer { reader.pull($0) } || nextRead < 100)
        heard += frame
        nextRead += 20
        longest = max(longest, reader.waiting)
      }
    }
    // 500 ppm of ten minutes are 15 frames.
    #expect(reader.underflows <= 40, "\(reader.underflows)")
    #expect(reader.samplesDropped == 0)
    #expect(port.overflow == (0, 0))
    #expect(longest <= 8_000 * 60 / 1_000, "\(longest)")
    #expect(Sound.shareInWindows(of: 500, in: heard, rate: 8_000) > 0.97)
  }

  @Test func aWorkerThatStoodStillDoesNotPlayTheOldTalk() throws {
    let port = ConferencePort(sampleRate: 16_000)
    let reader = PortReader(port.fromConference, sampleRate: 16_000)
    var frame = [Int16](repeating: 50, count: 320)
    for _ in 0..<12 { frame.withUnsafeMutableBufferPointer { _ = port.fromConference.write($0) } }
    #expect(frame.withUnsafeMutableBufferPointer { reader.pull($0) })
    #expect(reader.waiting <= 16_000 / 10)
    #expect(reader.samplesDropped > 0)
  }

  @Test func twoThreadsShareARing() async {
    let ring = SampleRing(minimumCapacity: 1_000)
    let total = 200_000
    async let writer: Void = Task.detached {
      var next = 0
      var frame = [Int16](repeating: 0, count: 160)
      while next < total {
        for i in 0..<160 { frame[i] = Int16(truncatingIfNeeded: next + i) }
        if frame.withUnsafeMutableBufferPointer({ ring.count <= 700 && ring.write($0) }) {
          next += 160
        } else {
          await Task.yield()
        }
      }
    }.value
    async let isInOrder: Bool = Task.detached {
      var expected = 0
      var frame = [Int16](repeating: 0, count: 77)
      while expected < total {
        let count = frame.withUnsafeMutableBufferPointer { ring.read(into: $0) }
        for i in 0..<count {
          if frame[i] != Int16(truncatingIfNeeded: expected + i) { return false }
        }
        expected += count
        if count == 0 { await Task.yield() }
      }
      return true
    }.value
    await writer
    #expect(await isInOrder)
  }
}
