import Audio
import Core
import RTP
import TestSupport
import Testing

@testable import Bridge

@Suite struct TranscodeTests {
  static let pairs: [(AudioCodec, AudioCodec)] = AudioCodec.allCases.flatMap { a in
    AudioCodec.allCases.filter { $0 != a }.map { (a, $0) }
  }

  @Test(arguments: pairs)
  func everyPairOfCodecsHearsEachOther(first: AudioCodec, second: AudioCodec) throws {
    let a = try Peer(first, id: 1)
    let b = try Peer(second, id: 2)
    a.voice = Sound.sine(440, rate: a.rate)
    b.voice = Sound.sine(1_000, rate: b.rate)
    let call = try Call(a, b)
    #expect(call.bridge.isConnected && !call.bridge.isRelaying)
    call.run(.seconds(4))
    let (atA, atB) = (try a.audio(lastSeconds: 2, now: call.now), try b.audio(lastSeconds: 2, now: call.now))
    #expect(Sound.shareInWindows(of: 440, in: atB, rate: b.rate) > 0.97)
    #expect(Sound.shareInWindows(of: 1_000, in: atA, rate: a.rate) > 0.97)
    #expect(abs(Sound.rms(atB) / 5_657 - 1) < 0.2 && abs(Sound.rms(atA) / 5_657 - 1) < 0.2)
    // 50 packets a second, each one further.
    for peer in [a, b] {
      #expect(peer.heard.count > 190)
      let step = Int64(peer.codec.clockRate / 50)
      for (x, y) in zip(peer.heard, peer.heard.dropFirst()) {
        #expect(y.sequence == x.sequence + 1 && y.timestamp == x.timestamp + step && !y.header.marker)
        #expect(y.header.payloadType == peer.payloadType)
      }
    }
    #expect(a.leg.receiver?.samplesConcealed == 0 && b.leg.receiver?.samplesConcealed == 0)
  }

  @Test func theJitterBufferStartsAt20To40Milliseconds() throws {
    let a = try Peer(.opus, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b)
    call.run(.seconds(3))
    for delay in [a.leg.quality(now: call.now).playoutDelay, b.leg.quality(now: call.now).playoutDelay] {
      #expect((15...40).contains(delay), "\(delay) ms")
    }
    #expect(a.leg.quality(now: call.now).meanOpinionScore > 4.2)
  }

  @Test(arguments: [AudioCodec.opus, .pcma])
  func lossAndJitterLeaveAnUnbrokenStream(codec: AudioCodec) throws {
    let a = try Peer(codec, id: 1, seed: 5, jitter: .milliseconds(60), loss: 0.05, fec: true)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b)
    call.run(.seconds(60))
    let receiver = try #require(a.leg.receiver)
    // After the start: one packet a frame.
    for (x, y) in zip(b.heard, b.heard.dropFirst()) { #expect(y.sequence == x.sequence + 1) }
    #expect(b.heard.count > 2_990)
    let concealed = Double(receiver.samplesConcealed) / Double(receiver.samplesPulled)
    #expect(concealed > 0.03 && concealed < 0.10, "\(concealed)")
    #expect(receiver.packetsLate < 60, "\(receiver.packetsLate) late")
    #expect(receiver.currentDelay < 130, "\(receiver.currentDelay) ms")
    let audio = try b.audio(lastSeconds: 20, now: call.now)
    // No frame falls silent: the loss is covered.
    for at in stride(from: 0, to: audio.count - 160, by: 160) { #expect(Sound.rms(audio[at..<(at + 160)]) > 150) }
    #expect(a.leg.quality(now: call.now).lossFraction > 0.03)
  }

  @Test(arguments: [-200.0, 200.0], [AudioCodec.pcma, .g722])
  func driftIsAbsorbedForTenMinutes(ppm: Double, codec: AudioCodec) throws {
    let a = try Peer(codec, id: 1, ppm: ppm, jitter: .milliseconds(8))
    let b = try Peer(.pcmu, id: 2)
    a.keepsAll = false
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b)
    var highest = 0.0
    var lowest = 1_000.0
    try call.run(.seconds(600)) { now in
      guard now > .zero + .seconds(5) else { return }
      let delay = try #require(a.leg.receiver).currentDelay
      highest = max(highest, delay)
      lowest = min(lowest, delay)
      if b.heard.count > 2_000 { b.forgetHeard() }
    }
    let receiver = try #require(a.leg.receiver)
    // 120 ms of drift either way.
    #expect(highest < 70 && lowest > 5, "\(lowest)…\(highest) ms")
    #expect(Double(receiver.samplesConcealed) / Double(receiver.samplesPulled) < 0.002)
    #expect(Sound.rms(try b.audio(lastSeconds: 5, now: call.now)) > 1_000)
  }

  @Test(arguments: [AudioCodec.opus, .pcma])
  func theBufferShrinksAgainAfterABurst(codec: AudioCodec) throws {
    let a = try Peer(codec, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b)
    call.run(.seconds(3))
    let receiver = try #require(a.leg.receiver)
    let before = receiver.currentDelay
    // The network holds everything for 160 ms, then delivers at once.
    let end = call.now + .milliseconds(160)
    call.run(.milliseconds(160)) { a.uplink.delay = .milliseconds(10) + max(.zero, end - $0) }
    a.uplink.delay = .milliseconds(10)
    var peak = 0.0
    call.run(.milliseconds(200)) { _ in peak = max(peak, receiver.currentDelay) }
    #expect(peak > before + 60, "\(before) → \(peak) ms")
    call.run(.seconds(5))
    #expect(receiver.currentDelay < before + 25, "\(before) → \(peak) → \(receiver.currentDelay) ms")
    #expect(Sound.rms(try b.audio(lastSeconds: 2, now: call.now)) > 1_000)
  }

  @Test(arguments: [true, false])
  func aStallOfSecondsLeavesNoDelayBehind(deliversAtOnce: Bool) throws {
    let a = try Peer(.pcma, id: 1)
    let b = try Peer(.opus, id: 2)
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b)
    call.run(.seconds(2))
    let end = call.now + .milliseconds(1_490)
    // Either all comes at once at the end, or old and new packets come side by side for as long again.
    call.run(.milliseconds(1_490)) {
      a.uplink.delay = deliversAtOnce ? .milliseconds(10) + max(.zero, end - $0) : .milliseconds(1_500)
    }
    a.uplink.delay = .milliseconds(10)
    call.run(.seconds(4))
    let delay = try #require(a.leg.receiver).currentDelay
    #expect(delay < 60, "\(delay) ms")
    #expect(Sound.rms(try b.audio(lastSeconds: 1, now: call.now)) > 1_000)
  }

  @Test func opusDTXIsNoLossAndSpeechComesBack() throws {
    let a = try Peer(.opus, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b)
    call.run(.seconds(2))
    for _ in 0..<5 {
      a.isTalking = false
      // The last packet of a talkspurt: a TOC byte alone, SILK wideband 20 ms.
      a.emit(a.payloadType, [0x48], now: call.now)
      call.run(.seconds(2))
      a.isTalking = true
      call.run(.seconds(1))
    }
    let receiver = try #require(a.leg.receiver)
    #expect(Double(receiver.samplesConcealed) / Double(receiver.samplesPulled) < 0.01)
    #expect(b.heard.count > 800)
    #expect(Sound.rms(try b.audio(lastSeconds: 0.5, now: call.now)) > 1_000)
    #expect(receiver.currentDelay < 60)
  }

  @Test func comfortNoiseIsHeardAtItsLevel() throws {
    let a = try Peer(.pcmu, id: 1, comfortNoise: true)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b)
    // b cannot take comfort noise, so it is made here although the codecs agree.
    #expect(b.leg.relayedCodec == nil)
    call.run(.seconds(1))
    a.isTalking = false
    for _ in 0..<10 {
      a.emit(PayloadType(13), [50], now: call.now)
      call.run(.milliseconds(200))
    }
    let noise = try b.audio(lastSeconds: 1, now: call.now)
    // -50 dBov are 104.
    #expect(abs(Sound.rms(noise) - 104) < 25, "\(Sound.rms(noise))")
    a.isTalking = true
    call.run(.seconds(1))
    #expect(Sound.rms(try b.audio(lastSeconds: 0.5, now: call.now)) > 1_000)
  }

  @Test func aFarEndMaySwitchBetweenAnsweredCodecsAtAnyTime() throws {
    let a = try Peer(.opus, id: 1) { $0.receivePayloadTypes[PayloadType(0)] = .pcmu }
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b)
    call.run(.seconds(1))
    a.isTalking = false
    var octets: [UInt8] = []
    var tone = ToneGenerator(sampleRate: 8_000, frequency: 700, level: -6)
    var frame = [Int16](repeating: 0, count: 160)
    for n in 0..<100 {
      octets = [UInt8](repeating: 0, count: 160)
      frame.withUnsafeMutableBufferPointer { frame in
        tone.generate(into: frame)
        _ = octets.withUnsafeMutableBytes { G711.encode(.mu, from: frame, into: $0) }
      }
      a.emit(PayloadType(0), octets, timestamp: UInt32(n * 160), now: call.now)
      call.run(.milliseconds(20))
    }
    #expect(b.leg.relayedCodec == .pcmu)
    #expect(Sound.shareInWindows(of: 700, in: try b.audio(lastSeconds: 1, now: call.now), rate: 8_000) > 0.97)
    a.isTalking = true
    a.voice = Sound.sine(500, rate: a.rate)
    call.run(.seconds(2))
    #expect(Sound.shareInWindows(of: 500, in: try b.audio(lastSeconds: 1, now: call.now), rate: 8_000) > 0.97)
    for (x, y) in zip(b.heard, b.heard.dropFirst()) { #expect(y.sequence == x.sequence + 1) }
  }
}
