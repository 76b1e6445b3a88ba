#if canImport(Glibc)
  import Glibc
#endif

/// Brings a talker to a common loudness: quiet telephones up, loud ones down, slowly enough that speech keeps its life.
/// What is not speech by its level (pauses, line noise) moves nothing.
package struct GainControl: Sendable {
  /// The level that speech is brought to, in dBov.
  package static let target = -23.0
  /// In dB.
  package static let bounds = -9.0...12.0
  /// Quieter than that is no speech: dBov.
  private static let floor = -50.0
  /// Frames whose peak would pass that are turned down at once.
  private static let ceiling: Float = 30_000

  /// The level of the talker's speech so far.
  private var speech = GainControl.target
  private var decibels = 0.0
  /// Linear, at the end of the last frame.
  package private(set) var gain: Float = 1

  package init() {}

  /// Applies the gain to a frame of 20 ms; returns its level afterwards as RFC 6464 has it: 0 loudest … 127 silent.
  package mutating func apply(to samples: Samples) -> UInt8 {
    guard let base = samples.baseAddress, samples.count > 0 else { return 127 }
    let level = LevelMeter.level(of: samples)
    guard level > -127 else { return 127 }
    if level > Self.floor, level > speech - 18 {
      speech += (level - speech) * (level > speech ? 0.1 : 0.02)
    } else if level > Self.floor {
      // Somebody far quieter took over, in the end.
      speech -= 0.1
    }
    let wanted = max(Self.bounds.lowerBound, min(Self.bounds.upperBound, Self.target - speech))
    // 3 dB a second up, 15 down.
    decibels += max(-0.3, min(0.06, wanted - decibels))
    var peak: Int32 = 0
    for i in 0..<samples.count { peak = max(peak, abs(Int32(base[i]))) }
    var next = Float(pow(10, decibels / 20))
    if Float(peak) * next > Self.ceiling {
      next = min(next, max(Self.ceiling / Float(peak), 0.35))
      decibels = Double(20 * log10(next))
    }
    if next != 1 || gain != 1 { Fade.ramp(samples, from: gain, to: next) }
    gain = next
    return UInt8(max(0, min(127, -(level + decibels).rounded())))
  }
}
