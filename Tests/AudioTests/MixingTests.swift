import Core
import Glibc
import Testing

@testable import Audio

@Suite struct MixingTests {
  private func floats(_ samples: [Int16], gain: Float = 1) -> [Float] { samples.map { Float($0) * gain } }

  private func limited(_ samples: [Float], by limiter: inout Limiter) -> [Int16] {
    var out: [Int16] = []
    var frame = [Int16](repeating: 0, count: 960)
    for at in stride(from: 0, to: samples.count - 959, by: 960) {
      samples[at..<(at + 960)].withUnsafeBufferPointer { input in
        frame.withSamples { _ = limiter.process(input, into: $0) }
      }
      out += frame
    }
    return out
  }

  @Test func whatFitsPassesUnchanged() {
    var limiter = Limiter()
    let tone = Signal.sine(440, rate: 48_000, count: 9_600, peak: 29_000)
    #expect(limited(floats(tone), by: &limiter) == tone)
    #expect(limiter.gain == 1)
  }

  @Test(arguments: [1.2, 3, 10] as [Float])
  func whatDoesNotFitIsTurnedDownWithoutDistortion(_ overload: Float) {
    var limiter = Limiter()
    let tone = floats(Signal.sine(440, rate: 48_000, count: 48_000, peak: 30_000), gain: overload)
    let out = limited(tone, by: &limiter)
    #expect(out.allSatisfy { abs(Int($0)) < 32_701 })
    // After the first frame, which could not be seen coming.
    let settled = Array(out[960...])
    #expect(settled.allSatisfy { abs(Int($0)) <= 29_300 })
    #expect(Signal.share(of: 440, in: settled[..<46_080], rate: 48_000) > 0.999)
    #expect(20 * log10(Signal.power(of: 440, in: settled[..<46_080], rate: 48_000)) > 0)
  }

  @Test func theGainComesBackWithinHalfASecond() {
    var limiter = Limiter()
    let loud = floats(Signal.sine(440, rate: 48_000, count: 4_800, peak: 30_000), gain: 4)
    let quiet = floats(Signal.sine(440, rate: 48_000, count: 48_000, peak: 1_000))
    _ = limited(loud, by: &limiter)
    #expect(limiter.gain < 0.3)
    _ = limited(Array(quiet[..<24_000]), by: &limiter)
    #expect(limiter.gain > 0.9)
    _ = limited(quiet, by: &limiter)
    #expect(limiter.gain == 1)
  }

  @Test func quietTalkersAreRaisedAndLoudOnesLowered() {
    func settled(peak: Double) -> Double {
      var control = GainControl()
      var speech = Signal.speech(rate: 16_000, seconds: 20)
      let top = Double(speech.map { abs(Int($0)) }.max() ?? 1)
      for i in speech.indices { speech[i] = Int16(Double(speech[i]) * peak / top) }
      for at in stride(from: 0, to: speech.count - 319, by: 320) {
        speech.withSamples { _ = control.apply(to: $0.part(from: at, count: 320)) }
      }
      return speech[(speech.count - 80_000)...].withContiguousStorageIfAvailable { tail in
        LevelMeter.level(of: Samples(mutating: tail))
      } ?? 0
    }
    let quiet = settled(peak: 4_000)
    let usual = settled(peak: 10_000)
    let loud = settled(peak: 30_000)
    #expect(abs(quiet - usual) < 5, "\(quiet) \(usual)")
    #expect(abs(loud - usual) < 5, "\(loud) \(usual)")
  }

  @Test func noiseIsNotRaised() {
    var control = GainControl()
    var random = SeededRandom(seed: 3)
    for _ in 0..<500 {
      // About −58 dBov.
      var frame = (0..<320).map { _ in Int16.random(in: -70...70, using: &random) }
      _ = frame.withSamples { control.apply(to: $0) }
    }
    #expect(control.gain == 1)
  }

  @Test func aPeakIsTurnedDownAtOnce() {
    var control = GainControl()
    var quiet = Signal.sine(300, rate: 8_000, count: 160, peak: 1_200)
    for _ in 0..<500 {
      quiet = Signal.sine(300, rate: 8_000, count: 160, peak: 1_200)
      _ = quiet.withSamples { control.apply(to: $0) }
    }
    #expect(control.gain > 2)
    var loud = Signal.sine(300, rate: 8_000, count: 160, peak: 32_000)
    _ = loud.withSamples { control.apply(to: $0) }
    #expect(control.gain < 1)
  }

  /// What a mix takes out of itself must be what was put in.
  @Test(arguments: [8_000, 16_000])
  func resamplingIsLinear(_ rate: Int) throws {
    let down = try (0..<3).map { _ in try Resampler(from: 48_000, to: rate) }
    let a = floats(Signal.speech(rate: 48_000, seconds: 2, seed: 1))
    let b = floats(Signal.speech(rate: 48_000, seconds: 2, seed: 2), gain: 2)
    var worst: Float = 0
    let count = rate / 50
    var out = (0..<3).map { _ in [Float](repeating: 0, count: count) }
    for at in stride(from: 0, to: 95_040, by: 960) {
      let parts = [Array(a[at..<(at + 960)]), Array(b[at..<(at + 960)])]
      let sum = zip(parts[0], parts[1]).map { $0 + $1 }
      for (index, input) in (parts + [sum]).enumerated() {
        let made = input.withUnsafeBufferPointer { source in
          out[index].withUnsafeMutableBufferPointer { down[index].process(source, into: $0).made }
        }
        #expect(made == count)
      }
      for i in 0..<count { worst = max(worst, abs(out[2][i] - out[0][i] - out[1][i])) }
    }
    #expect(worst < 0.05, "\(worst)")
  }

  @Test func impossibleRatesAreRefused() {
    #expect(throws: AudioError.self) { try Resampler(from: 8_000, to: 16_000, quality: 99) }
  }
}
