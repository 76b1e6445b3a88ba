import Testing

@testable import Audio

@Suite struct ToneTests {
  @Test(arguments: [8_000, 16_000, 48_000])
  func theMilliwattIs1004HertzAtZeroDBm0(rate: Int) {
    var tone = ToneGenerator.milliwatt(sampleRate: rate)
    let out = [Int16].generated(rate * 2, frame: rate / 50) { tone.generate(into: $0) }
    #expect(abs(Signal.frequency(of: out, rate: rate) - 1_004) < 0.01)
    #expect(Signal.share(of: 1_004, in: out[..<rate], rate: rate) > 0.999_9)
    #expect(abs(LevelMeterTests.level(out) - (-6.22)) < 0.05)
  }

  @Test func framesJoinWithoutAStep() {
    // Odd frame sizes against one long call.
    var a = ToneGenerator(sampleRate: 8_000, 440, -10, 480, -10)
    var b = a
    let frames = [Int16].generated(8_000, frame: 37) { a.generate(into: $0) }
    let whole = [Int16].generated(8_000, frame: 8_000) { b.generate(into: $0) }
    #expect(frames == whole)
  }

  @Test func levelsBeyondOverloadAndOddFrequenciesAreHarmless() {
    for frequency in [0, -5, 4_000, 9_000, 1e12, Double.nan] {
      var tone = ToneGenerator(sampleRate: 8_000, frequency: frequency.isNaN ? 0 : frequency, level: 90)
      _ = [Int16].generated(400) { tone.generate(into: $0) }
    }
  }

  @Test func ringbackFollowsItsCadenceWithoutClicks() {
    var ringback = CadencedTone.ringbackEurope(sampleRate: 8_000)
    let out = [Int16].generated(8_000 * 11) { ringback.generate(into: $0) }
    func loud(_ from: Double, _ to: Double) -> Bool {
      LevelMeterTests.level(Array(out[Int(from * 8_000)..<Int(to * 8_000)])) > -40
    }
    #expect(loud(0.1, 0.9) && loud(5.1, 5.9) && loud(10.1, 10.9))
    #expect(LevelMeterTests.level(Array(out[8_100..<39_900])) == -127)
    // The steepest slope of the sine itself: no edge exceeds it.
    let steepest = LineLevel.peak(dBm0: -16) * 2 * Double.pi * 425 / 8_000
    #expect(Double(Signal.largestStep(out)) < steepest * 1.05)
  }

  @Test(arguments: [8_000, 16_000, 48_000])
  func holdMusicIsQuietPleasantAndEndless(rate: Int) {
    var music = HoldMusic(sampleRate: rate)
    let out = [Int16].generated(rate * 60, frame: rate / 50) { music.generate(into: $0) }
    let level = LevelMeterTests.level(out)
    #expect(level > -36 && level < -24, "\(level) dBov")
    #expect(out.allSatisfy { abs(Int($0)) < 16_000 })
    // Never silent for a second, never a step that its highest partial could not make.
    for second in 1..<60 {
      #expect(LevelMeterTests.level(Array(out[second * rate..<(second + 1) * rate])) > -48, "\(second)")
    }
    #expect(Signal.largestStep(out) < 8_000 * 4_000 / rate)
    #expect(Signal.largestStep(out) > 0)
  }

  @Test func holdMusicSoundsTheSameAtEveryRate() {
    var narrow = HoldMusic(sampleRate: 8_000)
    var wide = HoldMusic(sampleRate: 48_000)
    let a = [Int16].generated(8_000 * 3) { narrow.generate(into: $0) }
    let b = [Int16].generated(48_000 * 3, frame: 960) { wide.generate(into: $0) }
    #expect(abs(LevelMeterTests.level(a) - LevelMeterTests.level(b)) < 0.5)
  }
}

@Suite struct LevelMeterTests {
  static func level(_ samples: [Int16]) -> Double {
    var samples = samples
    return samples.withSamples { LevelMeter.level(of: $0) }
  }

  @Test func fullScaleSquareIsZeroAndSilenceMinus127() {
    #expect(abs(Self.level([32_767, -32_768, 32_767, -32_768])) < 0.01)
    #expect(Self.level([0, 0, 0]) == -127)
    #expect(Self.level([]) == -127)
    var sine = Signal.sine(1_000, rate: 8_000, count: 8_000, peak: 3_276.8)
    #expect(abs(Self.level(sine) + 23.01) < 0.05)
    #expect(sine.withSamples { LevelMeter.octet(of: $0) } == 23)
  }

  @Test func crossFadeBeginsAsTheOldAndEndsAsTheNew() {
    var old = [Int16](repeating: 1_000, count: 80)
    var new = [Int16](repeating: -1_000, count: 160)
    new.withSamples { new in old.withSamples { Fade.cross(from: $0, into: new) } }
    #expect(new[0] > 990 && new[79] < -990 && new[80] == -1_000)
    for i in 1..<80 { #expect(new[i] <= new[i - 1]) }
  }

  @Test func aSeamJoinsAnyTwoSignalsWithoutAStep() {
    var seam = Seam(sampleRate: 8_000)
    for phase in [0.0, 0.2, 0.37, 0.5, 0.8] {
      var old = Signal.sine(500, rate: 8_000, count: 160, phase: phase)
      var new = Signal.sine(310, rate: 8_000, count: 160, phase: 1 - phase)
      old.withSamples { seam.remember($0) }
      new.withSamples { seam.join(into: $0) }
      // The sine of 500 Hz alone makes steps of 3,140.
      #expect(Signal.largestStep(old + new) < 4_200)
    }
    seam.forget()
    var new = [Int16](repeating: 9_000, count: 160)
    new.withSamples { seam.join(into: $0) }
    #expect(abs(new[0]) < 40 && new[159] == 9_000 && Signal.largestStep(new) < 300)
  }
}
