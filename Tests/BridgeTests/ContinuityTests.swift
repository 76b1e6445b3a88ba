import Audio
import Core
import RTP
import Testing
import TestSupport

@testable import Bridge

@Suite struct ContinuityTests {
  /// 22 minutes are 66,000 packets: the sequence numbers wrap, and hold and loss lie across it. What the far end sees is
  /// one stream: numbers never repeat or go back, the clock keeps to the time that passed, and audio comes back.
  @Test(arguments: [true, false])
  func aCallOf22MinutesSurvivesHoldAndLossAcrossTheWrap(relayed: Bool) throws {
    let a = try Peer(
      relayed ? .pcmu : .pcma, id: 1, seed: 3, jitter: .milliseconds(15), loss: 0.02, firstSequence: 65_000)
    let b = try Peer(.pcmu, id: 2, seed: 4, legSequence: 1_500)
    a.keepsAll = false
    b.keepsAll = false
    a.voice = Sound.sine(440, rate: 8_000)
    let call = try Call(a, b)
    #expect(call.bridge.isRelaying == relayed)
    // b's stream wraps 64,036 packets in: at 21 min 20 s.
    call.run(.seconds(8 * 60))
    try hold(call, a, b, for: .seconds(90))
    call.run(.seconds(11 * 60))
    #expect(Sound.shareInWindows(of: 440, in: try b.audio(lastSeconds: 1, now: call.now), rate: 8_000) > 0.9)
    // Hold across the wrap itself, and one-way silence of the far end before it.
    a.isTalking = false
    call.run(.seconds(20))
    a.isTalking = true
    call.run(.seconds(10))
    try hold(call, a, b, for: .seconds(40))
    call.run(.seconds(80))

    #expect(try #require(b.heard.last).sequence - 1_500 - 65_536 > 0)
    var seen = Set<Int64>()
    for arrival in b.heard { #expect(seen.insert(arrival.sequence).inserted) }
    let ordered = b.heard.sorted { $0.sequence < $1.sequence }
    let first = ordered[0]
    for (x, y) in zip(ordered, ordered.dropFirst()) {
      #expect(y.timestamp > x.timestamp)
      // Only single packets are missing, and only where the source's loss shows through.
      #expect(y.sequence - x.sequence <= (relayed ? 6 : 1), "\(x.sequence) → \(y.sequence)")
    }
    for arrival in ordered {
      let byClock = Int64(((arrival.at - first.at).inSeconds * 8_000).rounded())
      #expect(abs(arrival.timestamp - first.timestamp - byClock) < 8_000 / 4, "\(arrival.sequence)")
    }
    #expect(Sound.shareInWindows(of: 440, in: try b.audio(lastSeconds: 1, now: call.now), rate: 8_000) > 0.9)
    // Heard all along: in each minute most packets came.
    #expect(b.heard.count > 60_000)
  }

  /// `a` hears music and may not send, as on a re-INVITE with sendonly; then all is as before.
  private func hold(_ call: Call, _ a: Peer, _ b: Peer, for time: Duration) throws {
    var held = try #require(a.leg.negotiated)
    held.receives = false
    try a.leg.configure(held, now: call.now)
    try b.leg.setSource(.holdMusic, now: call.now)
    let before = b.heard.count
    call.run(time)
    #expect(b.heard.count - before > Int(time.inSeconds * 49))
    held.receives = true
    try a.leg.configure(held, now: call.now)
    try b.leg.setSource(.leg(a.leg), now: call.now)
  }

  @Test func aCodecChangeKeepsSSRCAndNumbers() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.sine(440, rate: 8_000)
    let call = try Call(a, b)
    call.run(.seconds(1))
    #expect(call.bridge.isRelaying)
    try b.leg.configure(Peer.negotiated(.opus), now: call.now)
    #expect(!call.bridge.isRelaying)
    call.run(.seconds(1))
    try b.leg.configure(Peer.negotiated(.pcma), now: call.now)
    call.run(.seconds(1))
    #expect(Set(b.heard.map(\.header.payloadType.rawValue)) == [0, 111, 8])
    #expect(Set(b.heard.map(\.header.ssrc)) == [SSRC(2)])
    for (x, y) in zip(b.heard, b.heard.dropFirst()) {
      #expect(y.sequence == x.sequence + 1)
      #expect(y.timestamp > x.timestamp)
      if x.header.payloadType != y.header.payloadType { #expect(y.header.marker) }
    }
  }

  @Test func reconfiguringTheSameKeepsTheAudioRunning() throws {
    let a = try Peer(.opus, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.sine(440, rate: a.rate)
    let call = try Call(a, b)
    call.run(.seconds(2))
    let receiver = a.leg.receiver
    let encoder = b.leg.encoder
    try a.leg.configure(try #require(a.leg.negotiated), now: call.now)
    try b.leg.configure(try #require(b.leg.negotiated), now: call.now)
    #expect(a.leg.receiver === receiver && b.leg.encoder === encoder)
    call.run(.seconds(1))
    #expect(Sound.share(of: 440, in: try b.audio(lastSeconds: 1.5, now: call.now), rate: 8_000) > 0.98)
  }

  @Test func switchesBetweenSourcesAreInaudible() throws {
    let a = try Peer(.pcma, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.sine(200, rate: 8_000)
    let call = try Call(a, b)
    call.run(.seconds(1))
    let sources: [LegSource] = [
      .holdMusic, .leg(a.leg), .tone(frequency: 300, level: -8), .silence, .leg(a.leg),
      .tones(CallProgressTone(.ringback, .germany)),
      .tone(frequency: 250, level: -8),
    ]
    for source in sources {
      try b.leg.setSource(source, now: call.now)
      call.run(.milliseconds(730))
    }
    let audio = try b.audio(b.heard)
    // The steepest of these sines: 300 Hz at -8 dBm0 moves 2,100 a sample, 8,000 peak at 200 Hz 1,250.
    #expect(Sound.largestStep(audio) < 2_900, "\(Sound.largestStep(audio))")
    #expect(audio.count > 8_000 * 5)
  }

  @Test func silenceSendsNothingButReports() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b, connected: false)
    call.run(.seconds(30))
    #expect(a.heard.isEmpty && b.heard.isEmpty)
    #expect(b.reports.count >= 4)
  }

  @Test(arguments: [AudioCodec.pcmu, .opus, .g722])
  func theMilliwattArrivesAt1004Hertz(codec: AudioCodec) throws {
    let a = try Peer(codec, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b, connected: false)
    try a.leg.setSource(.milliwatt, now: .zero)
    call.run(.seconds(2))
    // A decoder needs its start: it is left out behind it.
    let audio = try a.audio(a.heard).suffix(a.rate)
    #expect(Sound.share(of: 1_004, in: audio, rate: a.rate) > 0.98)
    #expect(abs(Sound.rms(audio) / 16_020 - 1) < 0.12, "\(Sound.rms(audio))")
  }
}
