import Core
import Testing

@testable import Audio

@Suite struct DTMFTests {
  /// Plays digits as tones with pauses and returns what the detector reports.
  func detect(
    _ digits: [UInt8], rate: Int, on: Int = 80, off: Int = 80, law: G711.Law? = nil, noise: [Int16] = []
  ) throws -> [InbandDTMFDetector.Event] {
    var generator = DTMFToneGenerator(sampleRate: rate)
    var signal = [Int16](repeating: 0, count: rate / 10)
    for digit in digits {
      generator.start(event: digit)
      signal += [Int16].generated(rate * on / 1_000, frame: rate / 50) { generator.generate(into: $0) }
      generator.stop()
      signal += [Int16].generated(rate * off / 1_000, frame: rate / 50) { generator.generate(into: $0) }
    }
    for i in 0..<min(noise.count, signal.count) { signal[i] = Int16(clamping: Int(signal[i]) + Int(noise[i])) }
    if let law {
      var octets = [UInt8](repeating: 0, count: signal.count)
      octets.withUnsafeMutableBytes { o in
        signal.withSamples {
          G711.encode(law, from: $0, into: o)
          G711.decode(law, from: UnsafeRawBufferPointer(o), into: $0)
        }
      }
    }
    return try events(in: signal, rate: rate)
  }

  func events(in signal: [Int16], rate: Int) throws -> [InbandDTMFDetector.Event] {
    let detector = try InbandDTMFDetector(sampleRate: rate)
    var signal = signal
    var events: [InbandDTMFDetector.Event] = []
    signal.withSamples { all in
      for at in stride(from: 0, to: all.count, by: rate / 50) {
        detector.detect(in: all.part(from: at, count: rate / 50)) { events.append($0) }
      }
    }
    return events
  }

  func began(_ events: [InbandDTMFDetector.Event]) -> [UInt8] {
    events.compactMap { if case .began(let event) = $0 { event } else { nil } }
  }

  @Test(arguments: [8_000, 16_000, 48_000])
  func findsAllSixteenDigitsOnceEach(rate: Int) throws {
    let all = [UInt8](0..<16)
    let events = try detect(all, rate: rate)
    #expect(began(events) == all)
    #expect(events.count == 32)
    for case .ended(_, let milliseconds) in events { #expect(abs(milliseconds - 80) <= 26, "\(milliseconds) ms") }
  }

  @Test(arguments: [G711.Law.mu, .a])
  func findsRepeatedDigitsThroughG711(law: G711.Law) throws {
    let events = try detect([1, 1, 1, 0, 0, 11], rate: 8_000, on: 60, off: 60, law: law)
    #expect(began(events) == [1, 1, 1, 0, 0, 11])
  }

  @Test func measuresALongPress() throws {
    let events = try detect([5], rate: 8_000, on: 1_000)
    #expect(events.count == 2)
    for case .ended(let event, let milliseconds) in events {
      #expect(event == 5)
      #expect(abs(milliseconds - 1_000) < 30)
    }
  }

  @Test func hearsNothingInSpeechNoiseMusicOrTones() throws {
    #expect(try events(in: Signal.speech(rate: 8_000, seconds: 60, seed: 3), rate: 8_000).isEmpty)
    var random = SeededRandom(seed: 4)
    let noise = (0..<8_000 * 30).map { _ in Int16.random(in: -12_000...12_000, using: &random) }
    #expect(try events(in: noise, rate: 8_000).isEmpty)
    var music = HoldMusic(sampleRate: 8_000)
    #expect(try events(in: .generated(8_000 * 60) { music.generate(into: $0) }, rate: 8_000).isEmpty)
    #expect(try events(in: Signal.sine(697, rate: 8_000, count: 8_000), rate: 8_000).isEmpty)
  }

  @Test func mapsDigitsToTheirEventCodesAndBack() {
    for (code, digit) in DTMF.digits.enumerated() {
      #expect(DTMF.eventCode(of: digit) == UInt8(code))
      #expect(DTMF.digit(ofEvent: UInt8(code)) == digit)
    }
    #expect(DTMF.eventCode(of: "d") == 15)
    for odd in ["x", "é", "٣", " "] as [Character] { #expect(DTMF.eventCode(of: odd) == nil) }
    #expect(DTMF.digit(ofEvent: 16) == nil && DTMF.frequencies(ofEvent: 255) == nil)
  }
}
