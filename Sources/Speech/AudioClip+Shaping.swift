package import Audio

extension AudioClip {
  /// The same at another rate; for prompts, off the media path.
  package func resampled(to rate: Int) throws(AudioError) -> AudioClip {
    guard rate != sampleRate, rate > 0, !samples.isEmpty else {
      return rate == sampleRate ? self : AudioClip(sampleRate: rate, samples: [])
    }
    let resampler = try Resampler(from: sampleRate, to: rate, quality: 8)
    // What the filter's delay holds back comes out behind as much silence, and goes away in front.
    let input = samples + [Int16](repeating: 0, count: resampler.latency)
    let lead = resampler.latency * rate / sampleRate
    let wanted = samples.count * rate / sampleRate
    var output = [Int16](repeating: 0, count: lead + wanted + 64)
    var (taken, made) = (0, 0)
    input.withUnsafeBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        while taken < input.count, made < output.count {
          let step = resampler.process(
            UnsafeBufferPointer(rebasing: input[taken...]), into: output.part(from: made, count: output.count - made))
          guard step.taken > 0 || step.made > 0 else { break }
          taken += step.taken
          made += step.made
        }
      }
    }
    return AudioClip(sampleRate: rate, samples: Array(output[min(lead, made)..<min(made, lead + wanted)]))
  }

  /// Without the silence at both ends, but for `margin` of it: synthesizers leave half a second, which a menu of five
  /// phrases would make two and a half.
  package func trimmed(margin: Duration = .milliseconds(60), threshold: Int16 = 64) -> AudioClip {
    let isLoud: (Int16) -> Bool = { $0 > threshold || $0 < -threshold }
    guard let first = samples.firstIndex(where: isLoud), let last = samples.lastIndex(where: isLoud) else {
      return AudioClip(sampleRate: sampleRate, samples: [])
    }
    let slack = Int(margin / .milliseconds(1)) * sampleRate / 1_000
    let range = max(0, first - slack)..<min(samples.count, last + 1 + slack)
    return AudioClip(sampleRate: sampleRate, samples: Array(samples[range]))
  }

  /// With its loudest part where prompts should be: the root mean square of what is not silence at about -20 dBov, and no
  /// peak beyond -3 dBov.
  package func levelled() -> AudioClip {
    var (sum, count, peak) = (0.0, 0, 1.0)
    for sample in samples {
      let value = abs(Double(sample))
      peak = max(peak, value)
      // About -50 dBov.
      guard value > 100 else { continue }
      sum += value * value
      count += 1
    }
    guard count > 0 else { return self }
    let gain = min(3_277 / (sum / Double(count)).squareRoot(), 23_197 / peak, 8)
    // Within a decibel it stays as it is.
    guard gain < 0.89 || gain > 1.12 else { return self }
    return AudioClip(sampleRate: sampleRate, samples: samples.map { Int16(Double($0) * gain) })
  }

  /// A short tone: what is played where nothing can be said.
  package static func attention(sampleRate: Int) -> AudioClip {
    var samples = [Int16](repeating: 0, count: sampleRate * 3 / 10)
    var tone = CadencedTone(
      tone: ToneGenerator(sampleRate: sampleRate, frequency: 480, level: -16),
      cadence: [.milliseconds(280), .seconds(1)])
    samples.withUnsafeMutableBufferPointer { tone.generate(into: $0) }
    return AudioClip(sampleRate: sampleRate, samples: samples)
  }
}
