import Audio
import Core
import RTP
import TestSupport
import Testing

@testable import Bridge

/// The mixer alone, fed through ports.
@Suite struct CrowdedConferenceTests {
  private func write(_ samples: [Int16], to ring: SampleRing) {
    var samples = samples
    samples.withUnsafeMutableBufferPointer { _ = ring.write($0) }
  }

  private func read(_ ring: SampleRing, count: Int) -> [Int16] {
    var samples = [Int16](repeating: 0, count: count)
    let taken = samples.withUnsafeMutableBufferPointer { ring.read(into: $0) }
    return Array(samples[..<taken])
  }

  @Test func tenLoudTalkersDoNotClip() throws {
    let mixer = ConferenceMixer(seed: 1)
    let tones = (0..<10).map { 300.0 + Double($0) * 270 }
    let voices = tones.map { Sound.sine($0, rate: 8_000, peak: 32_000) }
    let talkers = try tones.map { _ in try mixer.addPhone(ConferencePort(sampleRate: 8_000)) }
    let listeners = try [8_000, 16_000, 48_000].map { try mixer.addPhone(ConferencePort(sampleRate: $0)) }
    var heard: [[Int16]] = [[], [], []]
    var heardByTalker: [Int16] = []
    for tick in 0..<200 {
      for (talker, voice) in zip(talkers, voices) {
        write((0..<160).map { voice(tick * 160 + $0) }, to: talker.port.toConference)
      }
      mixer.tick(now: .zero + .milliseconds(Int64(tick) * 20))
      for (index, listener) in listeners.enumerated() {
        heard[index] += read(listener.port.fromConference, count: listener.port.samplesPerFrame)
      }
      heardByTalker += read(talkers[0].port.fromConference, count: 160)
    }
    #expect(mixer.talkerCount == 10)
    for (samples, listener) in zip(heard, listeners) {
      let rate = listener.port.sampleRate
      #expect(samples.allSatisfy { abs(Int($0)) < 32_701 }, "\(rate)")
      let settled = Array(samples[(rate * 2)...])
      #expect(settled.allSatisfy { abs(Int($0)) <= 29_300 }, "\(rate)")
      let shares = tones.map { Sound.share(of: $0, in: settled, rate: rate) }
      #expect(shares.reduce(0, +) > 0.97, "\(rate): \(shares.reduce(0, +))")
      #expect(shares.allSatisfy { $0 > 0.05 }, "\(rate): \(shares)")
      #expect(Sound.rms(settled) > 3_000)
    }
    let shares = tones.map { Sound.share(of: $0, in: heardByTalker[16_000...], rate: 8_000) }
    #expect(shares[0] < 0.0005, "\(shares[0])")
    #expect(shares.reduce(0, +) > 0.97)
  }

  /// Their own part is taken out through all of fading in and out.
  @Test func whoStartsAndStopsHearsNothingOfItself() throws {
    let mixer = ConferenceMixer(seed: 1)
    let phone = try mixer.addPhone(ConferencePort(sampleRate: 8_000))
    let voice = Sound.sine(1_000, rate: 8_000, peak: 10_000)
    var worst = 0
    for tick in 0..<400 {
      // A second of talk, then one of silence.
      let isTalking = tick / 50 % 2 == 0
      write((0..<160).map { isTalking ? voice(tick * 160 + $0) : 0 }, to: phone.port.toConference)
      mixer.tick(now: .zero + .milliseconds(Int64(tick) * 20))
      let heard = read(phone.port.fromConference, count: 160)
      worst = max(worst, heard.map { abs(Int($0)) }.max() ?? 0)
    }
    // Comfort noise of −66 dBov.
    #expect(worst < 100, "\(worst)")
  }

  @Test func whoOnlyListensHearsTheSameAsAllOthersAtTheRate() throws {
    let mixer = ConferenceMixer(seed: 1)
    let talker = try mixer.addPhone(ConferencePort(sampleRate: 16_000))
    let listeners = try (0..<5).map { _ in try mixer.addPhone(ConferencePort(sampleRate: 8_000)) }
    let voice = Sound.vowel(rate: 16_000)
    for tick in 0..<100 {
      write((0..<320).map { voice(tick * 320 + $0) }, to: talker.port.toConference)
      mixer.tick(now: .zero + .milliseconds(Int64(tick) * 20))
      let heard = listeners.map { read($0.port.fromConference, count: 160) }
      #expect(heard.allSatisfy { $0 == heard[0] && $0.count == 160 })
    }
  }

  @Test func aMixerThatStoodStillGoesOnWithTheTalkOfNow() throws {
    let mixer = ConferenceMixer(seed: 1)
    let phone = try mixer.addPhone(ConferencePort(sampleRate: 8_000))
    mixer.tick(now: .zero)
    // Two late frames are made up for, two seconds are not.
    mixer.tick(now: .zero + .milliseconds(60))
    #expect(phone.port.fromConference.count == 4 * 160)
    mixer.tick(now: .zero + .seconds(2))
    #expect(phone.port.fromConference.count == 5 * 160)
  }

  @Test func aRateGoesWithItsLastPhoneAndComesBack() throws {
    let mixer = ConferenceMixer(seed: 1)
    let talker = try mixer.addPhone(ConferencePort(sampleRate: 48_000))
    let voice = Sound.sine(500, rate: 48_000)
    for round in 0..<3 {
      let phone = try mixer.addPhone(ConferencePort(sampleRate: 16_000))
      var heard: [Int16] = []
      for tick in 0..<50 {
        let at = round * 50 + tick
        write((0..<960).map { voice(at * 960 + $0) }, to: talker.port.toConference)
        mixer.tick(now: .zero + .milliseconds(Int64(at) * 20))
        heard += read(phone.port.fromConference, count: 320)
      }
      #expect(Sound.share(of: 500, in: heard[3_200...], rate: 16_000) > 0.95)
      mixer.remove(phone)
    }
  }

  @Test func portsHaveTheRateOfTheirCodec() {
    #expect(ConferencePort.sampleRate(for: Peer.negotiated(.pcmu)) == 8_000)
    #expect(ConferencePort.sampleRate(for: Peer.negotiated(.pcma)) == 8_000)
    #expect(ConferencePort.sampleRate(for: Peer.negotiated(.g722)) == 16_000)
    #expect(ConferencePort.sampleRate(for: Peer.negotiated(.opus)) == 48_000)
    var narrow = Peer.negotiated(.opus)
    narrow.opus.maxPlaybackRate = 16_000
    #expect(ConferencePort.sampleRate(for: narrow) == 16_000)
    #expect(ConferencePort(sampleRate: 12_000).sampleRate == 16_000)
  }

  /// A re-INVITE brought another codec: the port stays.
  @Test func aLegWhoseCodecChangesStaysInTheConference() throws {
    let room = Conference()
    let changing = try Peer(.pcmu, id: 1)
    try room.addPhone(changing)
    let speaker = try Peer(.opus, id: 2)
    try room.addPhone(speaker, tone: 700)
    room.run(.seconds(1))
    var audio = Peer.negotiated(.g722)
    audio.receivePayloadTypes[PayloadType(0)] = .pcmu
    try changing.leg.configure(audio, now: room.now)
    changing.voice = Sound.sine(1_200, rate: 8_000, peak: 5_000)
    room.run(.seconds(2))
    #expect(room.phones[0].port.sampleRate == 8_000)
    let decoder = try FrameDecoder([.g722], sampleRate: 16_000)
    let playout = PlayoutBuffer(sampleRate: 16_000)
    var heard: [Int16] = []
    var frame = [Int16](repeating: 0, count: 320)
    for arrival in changing.heard.suffix(40) {
      #expect(arrival.header.payloadType == PayloadType(9))
      _ = arrival.payload.withUnsafeBytes { decoder.decode($0, codec: .g722, to: playout) }
      _ = frame.withUnsafeMutableBufferPointer { playout.take(into: $0) }
      heard += frame
    }
    #expect(Sound.share(of: 700, in: heard, rate: 16_000) > 0.9)
    #expect(Sound.shareInWindows(of: 1_200, in: try room.heard(by: 1), rate: 16_000) > 0.9)
  }

  /// The far end holds the call: it hears nothing, and what it plays is its own affair.
  @Test func aHeldLegNeitherSpeaksNorHearsAndComesBack() throws {
    let room = Conference()
    let holder = try Peer(.pcmu, id: 1)
    try room.addPhone(holder, tone: 440)
    try room.addPhone(Peer(.pcmu, id: 2), tone: 900)
    room.run(.seconds(1))
    var audio = Peer.negotiated(.pcmu)
    audio.sends = false
    audio.receives = false
    try holder.leg.configure(audio, now: room.now)
    room.run(.milliseconds(300))
    let before = holder.heard.count
    room.run(.seconds(1))
    #expect(holder.heard.count == before)
    #expect(Sound.rms(try room.heard(by: 1)) < 60)
    try holder.leg.configure(Peer.negotiated(.pcmu), now: room.now)
    room.run(.milliseconds(1_500))
    #expect(Sound.shareInWindows(of: 440, in: try room.heard(by: 1), rate: 8_000) > 0.9)
    #expect(Sound.shareInWindows(of: 900, in: try room.heard(by: 0), rate: 8_000) > 0.9)
  }
}
