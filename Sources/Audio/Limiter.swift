/// Keeps a sum of voices within 16 bits without a click or a flat top: the gain falls before a peak comes, over 2.5 ms, and
/// rises again within half a second. A peak right at the beginning of a frame, which cannot be seen before it is there, is
/// bent instead of cut.
package struct Limiter: Sendable {
  /// Peaks are brought under that: −1 dBov.
  package static let ceiling: Float = 29_200
  /// What nothing passes.
  private static let top: Float = 32_700
  private static let blocks = 8
  /// A block, in linear gain: 12 dB in half a second.
  private static let release: Float = 1.007

  /// Linear, at the end of the last frame.
  package private(set) var gain: Float = 1

  package init() {}

  /// Goes on where another limiter is, so that a listener who changes over hears nothing of it.
  package mutating func follow(_ other: Limiter) { gain = other.gain }

  /// Limits a frame; returns the highest peak that came in. `output` is as long as `input`.
  @discardableResult
  package mutating func process(_ input: UnsafeBufferPointer<Float>, into output: Samples) -> Float {
    let count = min(input.count, output.count)
    guard let source = input.baseAddress, let target = output.baseAddress, count > 0 else { return 0 }
    var peaks = InlineArray<8, Float>(repeating: 0)
    let length = (count + Self.blocks - 1) / Self.blocks
    var highest: Float = 0
    for block in 0..<Self.blocks {
      var peak: Float = 0
      for i in min(count, block * length)..<min(count, (block + 1) * length) { peak = max(peak, abs(source[i])) }
      peaks[block] = peak
      highest = max(highest, peak)
    }
    if gain == 1, highest <= Self.ceiling {
      for i in 0..<count { target[i] = clamped(source[i]) }
      return highest
    }
    for block in 0..<Self.blocks {
      let range = min(count, block * length)..<min(count, (block + 1) * length)
      guard !range.isEmpty else { continue }
      let here = Self.needed(peaks[block])
      let ahead = block + 1 < Self.blocks ? Self.needed(peaks[block + 1]) : here
      let end = min(here, ahead, min(1, gain * Self.release))
      let step = (end - gain) / Float(range.count)
      var current = gain
      for i in range {
        current += step
        target[i] = clamped(Self.bent(source[i] * current))
      }
      gain = end
    }
    return highest
  }

  private static func needed(_ peak: Float) -> Float { peak > ceiling ? ceiling / peak : 1 }

  /// As it is up to the ceiling, from there on ever closer to the top.
  @inline(__always)
  private static func bent(_ value: Float) -> Float {
    let magnitude = abs(value)
    guard magnitude > ceiling else { return value }
    let room = top - ceiling
    let beyond = magnitude - ceiling
    let result = ceiling + room * beyond / (beyond + room)
    return value < 0 ? -result : result
  }
}
