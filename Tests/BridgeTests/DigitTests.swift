import Audio
import Core
import RTP
import Testing
import TestSupport

@testable import Bridge

@Suite struct DigitTests {
  static let all = Array("0123456789*#ABCD")

  /// How a far end presses keys, and how the other one takes them.
  enum Way: CaseIterable, Sendable {
    case events8000, events48000, tones, info

    var codec: AudioCodec { self == .events48000 ? .opus : .pcmu }
    var rate: Int? { self == .events8000 ? 8_000 : self == .events48000 ? 48_000 : nil }
  }

  /// Presses a key for `milliseconds`, in the way of the leg, and lets 100 ms pass.
  func press(_ digit: Character, _ peer: Peer, _ way: Way, _ call: Call, milliseconds: Int = 120) {
    guard let event = DTMF.eventCode(of: digit) else { return }
    switch way {
    case .info:
      peer.leg.receiveInfo(digit: digit, durationMilliseconds: milliseconds, now: call.now)
      call.run(.milliseconds(milliseconds))
    case .tones:
      var tone = DTMFToneGenerator(sampleRate: 8_000)
      tone.start(event: event)
      var samples = [Int16](repeating: 0, count: 8 * milliseconds)
      samples.withUnsafeMutableBufferPointer { tone.generate(into: $0) }
      var n = 0
      var base: Int?
      peer.voice = { index in
        let start = base ?? index
        base = start
        n = index - start
        return n < samples.count ? samples[n] : 0
      }
      call.run(.milliseconds(milliseconds))
    case .events8000, .events48000:
      let rate = way.rate ?? 8_000
      let type = PayloadType(rate == 8_000 ? 101 : 110)
      peer.isTalking = false
      let timestamp = peer.timestamp
      let frames = milliseconds / 20
      for n in 1...(frames + 2) {
        let payload = TelephoneEventPayload(
          event: event, isEnd: n >= frames, volume: 10, duration: UInt16(min(n, frames) * rate / 50))
        peer.emit(type, payload.bytes, timestamp: timestamp, marker: n == 1, now: call.now)
        call.run(.milliseconds(20))
      }
      peer.isTalking = true
    }
    call.run(.milliseconds(140))
  }

  @Test(arguments: Way.allCases, [Way.events8000, .events48000, .tones])
  func everyDigitArrivesOnceHoweverItCameAndGoes(from: Way, to: Way) throws {
    let a = try Peer(from.codec, events: from.rate, id: 1, jitter: .milliseconds(3))
    let b = try Peer(to.codec, events: to.rate, id: 2)
    let call = try Call(a, b)
    if from == .tones { try a.leg.setInbandDTMFDetection(true, now: call.now) }
    call.run(.milliseconds(500))
    for digit in Self.all { press(digit, a, from, call) }
    call.run(.seconds(3))
    #expect(a.digitsTold == Self.all)
    if to == .tones {
      #expect(try tones(b, call) == Self.all)
      #expect(b.heard.allSatisfy { $0.header.payloadType == b.payloadType })
    } else {
      #expect(b.digits == Self.all)
      for length in b.digitDurations { #expect(abs(length - 120) <= (from == .tones ? 45 : 25), "\(length) ms") }
    }
    for (x, y) in zip(b.heard, b.heard.dropFirst()) {
      #expect(y.sequence == x.sequence + 1 && y.timestamp >= x.timestamp)
    }
    for case .dtmf(_, let length) in a.events { #expect(abs(length - 120) < 40, "\(length) ms") }
  }

  /// The digits in the audio that a far end heard.
  func tones(_ peer: Peer, _ call: Call) throws -> [Character] {
    let detector = try InbandDTMFDetector(sampleRate: peer.rate)
    var audio = try peer.audio(peer.heard)
    var found: [Character] = []
    audio.withUnsafeMutableBufferPointer { all in
      for at in stride(from: 0, to: all.count, by: peer.rate / 50) {
        detector.detect(in: all.part(from: at, count: peer.rate / 50)) {
          if case .began(let event) = $0, let digit = DTMF.digit(ofEvent: event) { found.append(digit) }
        }
      }
    }
    return found
  }

  @Test func eventsSurviveLossOfTheirPacketsOnceEach() throws {
    let a = try Peer(.pcmu, events: 8_000, id: 1, seed: 12, jitter: .milliseconds(30), loss: 0.2)
    let b = try Peer(.pcma, events: 8_000, id: 2)
    let call = try Call(a, b)
    call.run(.milliseconds(500))
    for digit in Self.all + Self.all { press(digit, a, .events8000, call, milliseconds: 200) }
    call.run(.seconds(2))
    #expect(b.digits == Self.all + Self.all)
    #expect(a.digitsTold == Self.all + Self.all)
  }

  @Test func aDigitThatComesInThreeWaysCountsOnce() throws {
    let a = try Peer(.pcmu, events: 8_000, id: 1)
    let b = try Peer(.pcma, events: 8_000, id: 2)
    let call = try Call(a, b)
    try a.leg.setInbandDTMFDetection(true, now: call.now)
    call.run(.milliseconds(500))
    for digit in "135" {
      press(digit, a, .events8000, call)
      a.leg.receiveInfo(digit: digit, now: call.now)
      press(digit, a, .tones, call)
      call.run(.seconds(1))
    }
    #expect(a.digitsTold == Array("135"))
    #expect(b.digits == Array("135"))
  }

  @Test func theSameDigitTwiceIsTwoDigits() throws {
    let a = try Peer(.pcmu, events: 8_000, id: 1)
    let b = try Peer(.opus, events: 48_000, id: 2)
    let call = try Call(a, b)
    call.run(.milliseconds(500))
    for digit in "1122##" { press(digit, a, .events8000, call, milliseconds: 60) }
    call.run(.seconds(1))
    #expect(b.digits == Array("1122##"))
  }

  @Test func aLongPressIsOneEventOfItsLength() throws {
    let a = try Peer(.opus, events: 48_000, id: 1)
    let b = try Peer(.pcmu, events: 8_000, id: 2)
    let call = try Call(a, b)
    call.run(.milliseconds(500))
    press("7", a, .events48000, call, milliseconds: 1_200)
    call.run(.seconds(1))
    #expect(b.digits == ["7"])
    #expect(abs((b.digitDurations.first ?? 0) - 1_200) <= 25, "\(b.digitDurations)")
  }

  @Test func audioGoesOnAfterADigitWithoutAStep() throws {
    let a = try Peer(.pcma, events: 8_000, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.sine(300, rate: 8_000)
    let call = try Call(a, b)
    call.run(.seconds(1))
    press("5", a, .events8000, call)
    call.run(.seconds(1))
    #expect(Sound.share(of: 300, in: try b.audio(lastSeconds: 0.5, now: call.now), rate: 8_000) > 0.95)
    // 1,336 Hz at -6 dBm0 and 770 at -8 make steps of up to 17,000 together; the rest must stay under that.
    #expect(Sound.largestStep(try b.audio(b.heard)) < 17_500)
  }

  @Test(arguments: [AudioCodec.pcmu, .opus])
  func queuedDigitsAreSentInEitherForm(codec: AudioCodec) throws {
    for events in [nil, codec == .opus ? 48_000 : 8_000] as [Int?] {
      let a = try Peer(codec, events: events, id: 1)
      let b = try Peer(.pcmu, id: 2)
      let call = try Call(a, b, connected: false)
      a.leg.sendDTMF("12 3x#A", now: .zero)
      call.run(.seconds(3))
      #expect((events == nil ? try tones(a, call) : a.digits) == Array("123#A"))
    }
  }

  @Test func keysAreToldThoughNobodyListens() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b, connected: false)
    try a.leg.setInbandDTMFDetection(true, now: .zero)
    call.run(.milliseconds(300))
    for digit in "42" { press(digit, a, .tones, call) }
    call.run(.seconds(1))
    #expect(a.digitsTold == Array("42"))
  }
}
