import Testing

@testable import Audio

@Suite struct PlayoutBufferTests {
  func fill(_ buffer: PlayoutBuffer, _ samples: ArraySlice<Int16>) {
    buffer.append(samples.count) { room in
      for (i, s) in samples.enumerated() { room[i] = s }
      return samples.count
    }
  }

  func take(_ buffer: PlayoutBuffer, _ count: Int) -> [Int16] {
    var out = [Int16](repeating: 0, count: count)
    let got = out.withSamples { buffer.take(into: $0) }
    return Array(out[..<got])
  }

  /// Plays `signal` through a buffer that holds 40 ms, scaling time whenever `when` says so.
  func play(_ signal: [Int16], rate: Int, accelerate: Bool, every: Int) -> (out: [Int16], moved: Int) {
    let buffer = PlayoutBuffer(sampleRate: rate)
    let frame = rate / 50
    fill(buffer, signal[..<(2 * frame)])
    var out = take(buffer, frame)
    var moved = 0
    for (n, at) in stride(from: 2 * frame, through: signal.count - frame, by: frame).enumerated() {
      fill(buffer, signal[at..<(at + frame)])
      if n % every == 0 { moved += accelerate ? buffer.accelerate() : buffer.expand() }
      out += take(buffer, max(0, buffer.count - frame))
    }
    return (out, moved)
  }

  @Test(arguments: [8_000, 16_000, 48_000], [true, false])
  func timeScalingKeepsThePitchOfATone(rate: Int, accelerate: Bool) {
    let tone = Signal.sine(213, rate: rate, count: rate * 4)
    let (out, moved) = play(tone, rate: rate, accelerate: accelerate, every: 3)
    #expect(moved > rate / 5, "time moved by \(moved)")
    #expect(abs(Signal.frequency(of: out, rate: rate) - 213) < 1.5)
    #expect(abs((accelerate ? tone.count - moved : tone.count + moved) - out.count) <= rate / 25)
    // Its own steepest slope is 8,000·2π·213/rate.
    #expect(Double(Signal.largestStep(out)) < 8_000 * 2 * Double.pi * 213 / Double(rate) * 1.1)
  }

  @Test(arguments: [true, false])
  func timeScalingOfSpeechAddsNoStep(accelerate: Bool) {
    let speech = Signal.speech(rate: 8_000, seconds: 8)
    let (out, moved) = play(speech, rate: 8_000, accelerate: accelerate, every: 4)
    #expect(moved > 4_000, "time moved by \(moved)")
    #expect(Signal.largestStep(out) <= Signal.largestStep(speech) + 200)
    #expect(abs(LevelMeterTests.level(out) - LevelMeterTests.level(speech)) < 1)
  }

  @Test func noiseIsLeftAloneSilenceIsNot() {
    var random = SeededOctets(state: 5)
    var noise: [Int16] = []
    while noise.count < 16_000 { noise += random.packet().map { (Int16($0) - 128) * 100 } }
    #expect(play(noise, rate: 8_000, accelerate: true, every: 1).moved < 2_000)
    #expect(play([Int16](repeating: 0, count: 16_000), rate: 8_000, accelerate: true, every: 2).moved > 500)
  }

  @Test(arguments: [8_000, 16_000])
  func concealsALostFrameOfAToneInaudibly(rate: Int) {
    let frame = rate / 50
    let tone = Signal.sine(170, rate: rate, count: rate)
    let buffer = PlayoutBuffer(sampleRate: rate)
    var out: [Int16] = []
    for n in 0..<50 {
      if n % 10 == 7 { buffer.conceal(frame) } else { fill(buffer, tone[(n * frame)..<((n + 1) * frame)]) }
      out += take(buffer, frame)
    }
    #expect(out.count == rate)
    #expect(buffer.totalConcealed == 5 * frame)
    #expect(Double(Signal.largestStep(out)) < 8_000 * 2 * Double.pi * 170 / Double(rate) * 1.6)
    #expect(Signal.signalToNoise(tone, out) > 15)
  }

  @Test func aLongLossFadesToSilenceAndSpeechComesBackSoftly() {
    let speech = Signal.speech(rate: 8_000, seconds: 2)
    let buffer = PlayoutBuffer(sampleRate: 8_000)
    fill(buffer, speech[1_900..<3_100])
    for _ in 0..<10 { buffer.conceal(160) }
    fill(buffer, speech[7_000..<7_160])
    _ = take(buffer, 1_200)
    let concealed = take(buffer, 1_600)
    #expect(LevelMeterTests.level(Array(concealed[..<160])) > -50)
    #expect(concealed[500...].allSatisfy { $0 == 0 })
    #expect(!buffer.isConcealing)
    let back = take(buffer, 160)
    #expect(abs(Int(back[0])) < 600)
    #expect(back[100...] == speech[7_100..<7_160])
  }

  @Test func neverTakesMoreThanThereIsAndDropsTheOldestWhenNobodyPlays() {
    let buffer = PlayoutBuffer(sampleRate: 8_000, limitInMilliseconds: 200)
    #expect(take(buffer, 160).isEmpty)
    let ramp = (0..<16_000).map { Int16($0) }
    for n in 0..<100 { fill(buffer, ramp[(n * 160)..<((n + 1) * 160)]) }
    #expect(buffer.count <= 8_000)
    let all = take(buffer, 100_000)
    #expect(all.last == 15_999)
    for i in 1..<all.count { #expect(all[i] == all[i - 1] + 1) }
    buffer.clear()
    #expect(buffer.count == 0)
    #expect(buffer.accelerate() == 0)
    #expect(buffer.expand() == 0)
  }
}

@Suite struct ComfortNoiseTests {
  @Test func parsesAndWritesThePayload() throws {
    let payload: [UInt8] = [52, 200, 100, 127]
    let description = try #require(payload.withUnsafeBytes { ComfortNoiseDescription(parsing: $0) })
    #expect(description.level == 52 && description.order == 3)
    #expect(abs(description.reflection(at: 0) - 73 * 258 / 32_768) < 1e-6)
    #expect(description.reflection(at: 2) == 0)
    var out = [UInt8](repeating: 0, count: 16)
    #expect(out.withUnsafeMutableBytes { description.write(into: $0) } == 4)
    #expect(Array(out[..<4]) == payload)
    #expect([UInt8]().withUnsafeBytes { ComfortNoiseDescription(parsing: $0) } == nil)
    #expect([UInt8](repeating: 255, count: 200).withUnsafeBytes { ComfortNoiseDescription(parsing: $0) }?.order == 10)
  }

  @Test(arguments: [UInt8(30), 45, 60])
  func hasTheLevelThatIsAskedFor(level: UInt8) {
    var noise = ComfortNoise(seed: 1)
    var description = ComfortNoiseDescription(level: level)
    description.order = 2
    description.quantised[0] = 40
    description.quantised[1] = 170
    noise.update(description)
    let out = [Int16].generated(16_000) { noise.generate(into: $0) }
    #expect(abs(LevelMeterTests.level(Array(out[4_000...])) + Double(level)) < 1)
  }

  @Test func analysisDescribesTheSpectrum() {
    var noise = ComfortNoise(seed: 9)
    var wanted = ComfortNoiseDescription(level: 35)
    wanted.order = 2
    // Low-pass: strongly like its neighbour.
    wanted.quantised[0] = 20
    wanted.quantised[1] = 150
    noise.update(wanted)
    var out = Array([Int16].generated(32_000) { noise.generate(into: $0) }[8_000...])
    let found = out.withSamples { ComfortNoiseDescription(analysing: $0, order: 4) }
    #expect(abs(Int(found.level) - 35) <= 1)
    #expect(abs(found.reflection(at: 0) - wanted.reflection(at: 0)) < 0.05)
    #expect(abs(found.reflection(at: 1) - wanted.reflection(at: 1)) < 0.08)
    #expect(abs(found.reflection(at: 2)) < 0.08)
  }

  @Test func anyPayloadGivesBoundedNoise() {
    for value in [UInt8](0...255) {
      var noise = ComfortNoise(seed: 3)
      let payload = [UInt8](repeating: value, count: 11)
      guard let description = payload.withUnsafeBytes({ ComfortNoiseDescription(parsing: $0) }) else { continue }
      noise.update(description)
      _ = [Int16].generated(1_600) { noise.generate(into: $0) }
    }
  }
}
