#if canImport(Glibc)
  import Glibc
#endif

/// Levels of audio, relative to overload.
package enum LevelMeter {
  /// Root mean square in dBov: 0 is a full-scale square wave (RFC 6465 §1); silence is -127.
  package static func level(of samples: Samples) -> Double {
    let square = meanSquare(of: samples)
    guard square > 0 else { return -127 }
    return max(-127, min(0, 10 * log10(square / (32_768 * 32_768))))
  }

  /// The level as RFC 6464 sends it: 0 loudest … 127 silent.
  package static func octet(of samples: Samples) -> UInt8 { UInt8(-level(of: samples)) }

  /// Mean of the squares of the samples.
  package static func meanSquare(of samples: Samples) -> Double {
    guard samples.count > 0, let base = samples.baseAddress else { return 0 }
    var sum: Int64 = 0
    for i in 0..<samples.count {
      let value = Int64(base[i])
      sum &+= value &* value
    }
    return Double(sum) / Double(samples.count)
  }
}

/// Edges without clicks.
package enum Fade {
  /// From silence to the buffer's own level over its whole length.
  package static func rise(_ samples: Samples) { ramp(samples, from: 0, to: 1) }

  /// From the buffer's own level to silence over its whole length.
  package static func fall(_ samples: Samples) { ramp(samples, from: 1, to: 0) }

  /// A linear gain over the buffer.
  package static func ramp(_ samples: Samples, from start: Float, to end: Float) {
    guard let base = samples.baseAddress, samples.count > 0 else { return }
    let step = (end - start) / Float(samples.count)
    var gain = start
    for i in 0..<samples.count {
      gain += step
      base[i] = clamped(Float(base[i]) * gain)
    }
  }

  /// Goes from `old` over to what `samples` hold, with a raised cosine, over the shorter of the two.
  package static func cross(from old: Samples, into samples: Samples) {
    let count = min(old.count, samples.count)
    guard count > 0, let new = samples.baseAddress, let old = old.baseAddress else { return }
    // A quarter more than half a turn of the table would overshoot: the step covers half a turn in `count` samples.
    var phase = Oscillator(frequency: 0.5, sampleRate: count + 1)
    phase.phase = UInt32(1) << 30
    Oscillator.withTable { table in
      for i in 0..<count {
        // cos falls from 1 to -1.
        let weight = 0.5 - 0.5 * phase.next(table)
        new[i] = clamped(Float(old[i]) * (1 - weight) + Float(new[i]) * weight)
      }
    }
  }
}

/// Joins one signal to another of which only the new one goes on: the last milliseconds of the old are played backwards
/// under a fall, which keeps the value continuous.
package struct Seam: Sendable {
  /// The last 10 ms of what was sent, oldest first.
  private var tail: [Int16]
  private var reversed: [Int16]
  package let sampleRate: Int

  package init(sampleRate: Int) {
    self.sampleRate = sampleRate
    tail = [Int16](repeating: 0, count: max(1, sampleRate / 100))
    reversed = tail
  }

  /// Remembers the end of a frame that went out.
  package mutating func remember(_ samples: Samples) {
    let count = tail.count
    guard samples.count >= count, let base = samples.baseAddress else { return }
    let from = base + (samples.count - count)
    tail.withUnsafeMutableBufferPointer { $0.baseAddress?.update(from: from, count: count) }
  }

  /// Nothing was sent for a while: the next frame rises from silence.
  package mutating func forget() {
    tail.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
  }

  /// Lets `samples` begin where the remembered frame ended.
  package mutating func join(into samples: Samples) {
    let count = tail.count
    tail.withUnsafeMutableBufferPointer { tail in
      reversed.withUnsafeMutableBufferPointer { reversed in
        for i in 0..<count { reversed[i] = tail[count - 1 - i] }
        Fade.cross(from: reversed, into: samples)
      }
    }
  }
}
