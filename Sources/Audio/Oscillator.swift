#if canImport(Glibc)
  import Glibc
#endif

/// A sine by phase accumulation: continuous over any number of calls, exact to 2 µHz at 8 kHz.
struct Oscillator: Sendable {
  /// In turns of 2⁻³².
  var phase: UInt32 = 0
  var step: UInt32

  init(frequency: Double, sampleRate: Int) {
    let turns = max(0, min(0.5, frequency / Double(max(1, sampleRate))))
    step = UInt32(turns * 4_294_967_296)
  }

  /// One full turn in 4,096 steps, and its first value again for the interpolation (error under -110 dB).
  static let table: [Float] = (0...4_096).map { Float(sin(2 * Double.pi * Double($0) / 4_096)) }

  /// The next value, -1…1. `table` is `Oscillator.table`'s memory.
  @inline(__always)
  mutating func next(_ table: UnsafePointer<Float>) -> Float {
    let index = Int(phase >> 20)
    let fraction = Float(phase & 0xF_FFFF) * (1 / 1_048_576)
    phase &+= step
    let low = table[index]
    return low + (table[index + 1] - low) * fraction
  }

  /// Calls `body` with the table's memory.
  @inline(__always)
  static func withTable<R>(_ body: (UnsafePointer<Float>) -> R) -> R {
    // The table has 4,097 entries, so its memory exists.
    table.withUnsafeBufferPointer { body($0.baseAddress.unsafelyUnwrapped) }
  }
}

/// Levels on a telephone line.
package enum LineLevel {
  /// The peak of a sine of 0 dBm0 in 16-bit samples: 3.17 dB under the overload point of µ-law (G.711 §4).
  package static let peakOfZeroDBm0 = 22_657.0

  /// The peak of a sine of `level` dBm0.
  package static func peak(dBm0 level: Double) -> Double { peakOfZeroDBm0 * pow(10, level / 20) }
}
