#if canImport(Glibc)
  import Glibc
#endif

/// Low-pass filters and thins out by a whole factor, for detectors that want 8,000 Hz. State carries over calls.
struct Decimator {
  let factor: Int
  /// Windowed sinc, 3.4 kHz at 8 kHz out.
  private let taps: [Float]
  /// The last `taps.count` inputs, twice, so that a window is always contiguous.
  private var history: [Float]
  private var at = 0
  private var phase = 0
  private var output: [Int16]

  init(factor: Int) {
    self.factor = max(1, factor)
    let length = self.factor == 1 ? 1 : 16 * self.factor + 1
    let cutoff = 0.45 / Double(self.factor)
    var taps = (0..<length).map { index -> Double in
      let x = Double(index) - Double(length - 1) / 2
      let sinc = x == 0 ? 2 * cutoff : sin(2 * Double.pi * cutoff * x) / (Double.pi * x)
      return sinc * (0.54 - 0.46 * cos(2 * Double.pi * Double(index) / Double(max(1, length - 1))))
    }
    let sum = taps.reduce(0, +)
    if sum != 0 { taps = taps.map { $0 / sum } }
    self.taps = self.factor == 1 ? [1] : taps.map { Float($0) }
    history = [Float](repeating: 0, count: 2 * length)
    output = [Int16](repeating: 0, count: 1_024)
  }

  /// The thinned samples; valid until the next call. Factor 1 gives the input back.
  mutating func decimate(_ samples: Samples) -> Samples {
    guard factor > 1 else { return samples }
    let length = taps.count
    var produced = 0
    let capacity = output.count
    taps.withUnsafeBufferPointer { taps in
      history.withUnsafeMutableBufferPointer { history in
        output.withUnsafeMutableBufferPointer { output in
          for sample in samples {
            history[at] = Float(sample)
            history[at + length] = Float(sample)
            at = at + 1 == length ? 0 : at + 1
            phase += 1
            guard phase == factor else { continue }
            phase = 0
            guard produced < capacity else { continue }
            var sum: Float = 0
            for k in 0..<length { sum += taps[k] * history[at + k] }
            output[produced] = clamped(sum)
            produced += 1
          }
        }
      }
    }
    return output.withUnsafeMutableBufferPointer { Samples(start: $0.baseAddress, count: produced) }
  }
}
