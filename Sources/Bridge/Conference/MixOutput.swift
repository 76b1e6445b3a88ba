import Audio

/// Owned memory for one frame of sums.
struct MixMemory: ~Copyable {
  let samples: UnsafeMutableBufferPointer<Float>

  init(count: Int) {
    samples = .allocate(capacity: max(1, count))
    samples.initialize(repeating: 0)
  }

  deinit { samples.deallocate() }
}

/// The last stage before a listener: limiter, and comfort noise where nobody talks.
struct MixOutput {
  private(set) var limiter = Limiter()
  /// 0…1: how much of the noise is heard.
  private var noise: Float = 0
  /// Below that peak there is nobody: −54 dBov.
  private static let silence: Float = 65

  /// - Parameter comfort: Noise for the frame; made only where it is needed.
  mutating func render(_ mix: UnsafeBufferPointer<Float>, into frame: Samples, comfort: () -> Samples) {
    let peak = limiter.process(mix, into: frame)
    let wanted: Float = peak < Self.silence ? 1 : 0
    guard wanted > 0 || noise > 0 else { return }
    let source = comfort()
    // In and out over 100 ms.
    let next = max(0, min(1, noise + (wanted > noise ? 0.2 : -0.2)))
    let count = min(source.count, frame.count)
    let step = (next - noise) / Float(max(1, count))
    var gain = noise
    for i in 0..<count {
      gain += step
      let sum = Int32(frame[i]) + Int32((Float(source[i]) * gain).rounded())
      frame[i] = Int16(truncatingIfNeeded: max(-32_768, min(32_767, sum)))
    }
    noise = next
  }

  /// Goes on as another output does.
  mutating func follow(_ other: MixOutput) { self = other }

  /// Whether a listener can change over to the other output unheard.
  func isLike(_ other: MixOutput) -> Bool {
    abs(limiter.gain - other.limiter.gain) < 0.02 && abs(noise - other.noise) < 0.05
  }
}

/// The mix at the rate of some phones, made once for all of them.
final class RateMix {
  let sampleRate: Int
  /// The sum, before limiting.
  let sum: MixMemory
  /// What listeners hear who say nothing themselves.
  let shared: FrameMemory
  private(set) var output = MixOutput()
  private let down: Resampler?
  private let noiseFrame: FrameMemory
  private var noise: ComfortNoise
  private var hasNoise = false
  /// Phones at this rate.
  var listeners = 0

  /// - Parameter comfortNoise: −dBov.
  init(sampleRate: Int, comfortNoise: UInt8, seed: UInt32) throws(AudioError) {
    self.sampleRate = sampleRate
    let count = sampleRate / 50
    sum = MixMemory(count: count)
    shared = FrameMemory(count: count)
    noiseFrame = FrameMemory(count: count)
    noise = ComfortNoise(seed: seed)
    // Darker than white, as a room is: one pole below 1 kHz (RFC 3389 §3.2: k = 258·(N − 127)/32768).
    var description = ComfortNoiseDescription(level: comfortNoise)
    description.order = 1
    description.quantised[0] =
      switch sampleRate {
      case ...8_000: 63
      case ...16_000: 38
      default: 13
      }
    noise.update(description)
    down = sampleRate == 48_000 ? nil : try Resampler(from: 48_000, to: sampleRate)
  }

  /// Takes the mix of this tick.
  func render(_ wide: UnsafeBufferPointer<Float>) {
    hasNoise = false
    if let down {
      down.process(wide, into: sum.samples)
    } else if let source = wide.baseAddress {
      sum.samples.baseAddress?.update(from: source, count: min(wide.count, sum.samples.count))
    }
    output.render(UnsafeBufferPointer(sum.samples), into: shared.samples) { comfort() }
  }

  /// The noise of this tick.
  func comfort() -> Samples {
    if !hasNoise {
      noise.generate(into: noiseFrame.samples)
      hasNoise = true
    }
    return noiseFrame.samples
  }
}
