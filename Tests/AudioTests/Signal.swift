import Core
import Glibc

@testable import Audio

/// Signals and measurements for the tests.
enum Signal {
  /// A sine with its peak in 16-bit units.
  static func sine(_ frequency: Double, rate: Int, count: Int, peak: Double = 8_000, phase: Double = 0) -> [Int16] {
    var oscillator = Oscillator(frequency: frequency, sampleRate: rate)
    oscillator.phase = UInt32(phase * 4_294_967_295)
    return Oscillator.withTable { table in (0..<count).map { _ in Int16(Double(oscillator.next(table)) * peak) } }
  }

  /// Something like speech: a pitch that glides between 95 and 220 Hz under moving formants, in syllables.
  static func speech(rate: Int, seconds: Double, seed: UInt64 = 1) -> [Int16] {
    var random = SeededRandom(seed: seed)
    var out: [Int16] = []
    var phase = 0.0
    var (y1, y2, z1, z2) = (0.0, 0.0, 0.0, 0.0)
    var pitch = 120.0
    var target = 140.0
    var formants = (600.0, 1_400.0)
    var voiced = true
    let syllable = rate / 5
    for n in 0..<Int(seconds * Double(rate)) {
      if n % syllable == 0 {
        target = Double.random(in: 95...220, using: &random)
        formants = (Double.random(in: 300...800, using: &random), Double.random(in: 1_000...2_300, using: &random))
        voiced = Double.random(in: 0..<1, using: &random) < 0.8
      }
      pitch += (target - pitch) * 20 / Double(rate)
      phase += pitch / Double(rate)
      var excitation = Double.random(in: -0.05...0.05, using: &random)
      if phase >= 1 {
        phase -= 1
        if voiced { excitation += 1 }
      }
      if !voiced { excitation *= 3 }
      func resonate(_ x: Double, _ f: Double, _ a: inout Double, _ b: inout Double) -> Double {
        let r = 0.97
        let y = x + 2 * r * cos(2 * Double.pi * f / Double(rate)) * a - r * r * b
        b = a
        a = y
        return y
      }
      let one = resonate(excitation, formants.0, &y1, &y2)
      let two = resonate(one, formants.1, &z1, &z2)
      let position = Double(n % syllable) / Double(syllable)
      let envelope = min(1, min(position, 1 - position) * 8)
      out.append(Int16(max(-32_000, min(32_000, two * 500 * envelope))))
    }
    return out
  }

  /// Power of one frequency relative to the whole, 0…1 (Goertzel).
  static func share(of frequency: Double, in samples: some Collection<Int16>, rate: Int) -> Double {
    var total = 0.0
    for s in samples { total += Double(s) * Double(s) }
    guard total > 0 else { return 0 }
    return 2 * power(of: frequency, in: samples, rate: rate) / total / Double(samples.count)
  }

  /// |X(f)|² by Goertzel's recursion.
  static func power(of frequency: Double, in samples: some Collection<Int16>, rate: Int) -> Double {
    let cosine = cos(2 * Double.pi * frequency / Double(rate))
    var (s1, s2) = (0.0, 0.0)
    for x in samples { (s1, s2) = (Double(x) + 2 * cosine * s1 - s2, s1) }
    return s1 * s1 + s2 * s2 - 2 * cosine * s1 * s2
  }

  /// The frequency of a sine by its rising zero crossings, interpolated.
  static func frequency(of samples: [Int16], rate: Int) -> Double {
    var crossings: [Double] = []
    for i in 1..<samples.count where samples[i - 1] < 0 && samples[i] >= 0 {
      let (a, b) = (Double(samples[i - 1]), Double(samples[i]))
      crossings.append(Double(i - 1) - a / (b - a))
    }
    guard let first = crossings.first, let last = crossings.last, crossings.count > 1 else { return 0 }
    return Double(crossings.count - 1) * Double(rate) / (last - first)
  }

  /// Signal to noise in dB after the best gain and a delay of up to `maxDelay` samples.
  static func signalToNoise(_ reference: [Int16], _ heard: [Int16], maxDelay: Int = 0) -> Double {
    var best = -100.0
    for delay in 0...maxDelay {
      let count = min(reference.count, heard.count - delay)
      var (xy, xx, yy) = (0.0, 0.0, 0.0)
      for i in 0..<count {
        let (x, y) = (Double(reference[i]), Double(heard[i + delay]))
        xy += x * y
        xx += x * x
        yy += y * y
      }
      guard xx > 0, xy > 0 else { continue }
      let signal = xy * xy / xx
      best = max(best, decibels(signal / max(1e-9, yy - signal)))
    }
    return best
  }

  /// The greatest step between neighbours.
  static func largestStep(_ samples: some Collection<Int16>) -> Int {
    var previous: Int16?
    var largest = 0
    for s in samples {
      if let previous { largest = max(largest, abs(Int(s) - Int(previous))) }
      previous = s
    }
    return largest
  }

  /// 10·log₁₀.
  static func decibels(_ ratio: Double) -> Double { ratio > 0 ? 10 * log10(ratio) : -1_000 }
}

extension Array where Element == Int16 {
  /// The array's memory as `Samples`.
  mutating func withSamples<R>(_ body: (Samples) throws -> R) rethrows -> R {
    try withUnsafeMutableBufferPointer { try body($0) }
  }

  /// What a generator writes into `count` samples.
  static func generated(_ count: Int, frame: Int = 160, _ body: (Samples) -> Void) -> [Int16] {
    var out = [Int16](repeating: 0, count: count)
    out.withUnsafeMutableBufferPointer { all in
      var at = 0
      while at < count {
        body(all.part(from: at, count: frame))
        at += frame
      }
    }
    return out
  }
}
