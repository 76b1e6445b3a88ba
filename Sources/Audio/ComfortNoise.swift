#if canImport(Glibc)
  import Glibc
#endif

/// The payload of RFC 3389: a noise level and the spectrum as reflection coefficients.
///
///      0                   1
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |0|   level     |      N1       | N2 … NM
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
package struct ComfortNoiseDescription: Sendable, Equatable {
  /// More coefficients than this are ignored.
  package static let orderLimit = 10

  /// -dBov, 0 loudest … 127 silent (RFC 3389 §3.1).
  package var level: UInt8
  /// Quantised coefficients; the first `order` count.
  package var quantised = InlineArray<10, UInt8>(repeating: 127)
  package var order = 0

  package init(level: UInt8) { self.level = level & 0x7F }

  /// Nil for an empty payload. The spectrum is optional.
  package init?(parsing payload: UnsafeRawBufferPointer) {
    guard let first = payload.first else { return nil }
    self.init(level: first)
    order = min(Self.orderLimit, payload.count - 1)
    for i in 0..<order { quantised[i] = payload[i + 1] }
  }

  /// Writes the payload; returns its length, 0 if the room is too small.
  package func write(into payload: UnsafeMutableRawBufferPointer) -> Int {
    guard payload.count > order else { return 0 }
    payload[0] = level
    for i in 0..<order { payload[i + 1] = quantised[i] }
    return order + 1
  }

  /// The coefficient at `index`: 258·(N - 127)/32768 (RFC 3389 §3.2), kept inside the unit circle.
  package func reflection(at index: Int) -> Float {
    max(-0.99, min(0.99, Float(Int(quantised[index]) - 127) * 258 / 32_768))
  }

  /// Describes the noise in `samples` with `order` coefficients.
  package init(analysing samples: Samples, order: Int = 4) {
    self.init(level: LevelMeter.octet(of: samples))
    let order = max(0, min(Self.orderLimit, order))
    guard let base = samples.baseAddress, samples.count > order, level < 127 else { return }
    var correlation = InlineArray<11, Double>(repeating: 0)
    for lag in 0...order {
      var sum: Int64 = 0
      for i in lag..<samples.count { sum &+= Int64(base[i]) &* Int64(base[i - lag]) }
      correlation[lag] = Double(sum)
    }
    // A little white noise under it keeps the recursion stable.
    correlation[0] = correlation[0] * 1.0001 + 1
    var predictor = InlineArray<11, Double>(repeating: 0)
    var residual = correlation[0]
    for i in 1..<(order + 1) {
      var sum = correlation[i]
      for j in 1..<i { sum += predictor[j] * correlation[i - j] }
      let k = max(-0.99, min(0.99, -sum / residual))
      var next = predictor
      for j in 1..<i { next[j] = predictor[j] + k * predictor[i - j] }
      next[i] = k
      predictor = next
      residual *= 1 - k * k
      quantised[i - 1] = UInt8(max(0, min(254, (k * 32_768 / 258).rounded() + 127)))
    }
    self.order = order
  }

  package static func == (a: Self, b: Self) -> Bool {
    guard a.level == b.level, a.order == b.order else { return false }
    for i in 0..<a.order where a.quantised[i] != b.quantised[i] { return false }
    return true
  }
}

/// Makes the noise that a description asks for; level and spectrum glide to a new description within a few frames.
package struct ComfortNoise: Sendable {
  private var target = ComfortNoiseDescription(level: 127)
  private var reflection = InlineArray<10, Float>(repeating: 0)
  private var backward = InlineArray<11, Float>(repeating: 0)
  private var amplitude: Float = 0
  private var random: UInt32

  /// `seed` makes the noise repeatable; it has no other use.
  package init(seed: UInt32) { random = seed | 1 }

  /// What to sound like from now on.
  package mutating func update(_ description: ComfortNoiseDescription) { target = description }

  /// Fills the buffer.
  package mutating func generate(into samples: Samples) {
    guard let base = samples.baseAddress, samples.count > 0 else { return }
    let order = target.order
    var gain: Float = 1
    for i in 0..<ComfortNoiseDescription.orderLimit {
      let wanted = i < order ? target.reflection(at: i) : 0
      reflection[i] += (wanted - reflection[i]) * 0.5
      gain *= 1 - reflection[i] * reflection[i]
    }
    // RFC 3389 §3.1: the level is that of the noise itself; the filter raises white noise by 1/Π(1-k²).
    let rms = target.level >= 127 ? 0 : 32_768 * Float(pow(10, -Double(target.level) / 20))
    // A uniform variable in -1…1 has a root mean square of 1/√3.
    let wanted = rms * gain.squareRoot() * 1.732_050_8
    let step = (wanted - amplitude) / Float(samples.count)
    for n in 0..<samples.count {
      amplitude += step
      random = random &* 1_664_525 &+ 1_013_904_223
      var forward = Float(Int32(bitPattern: random)) * (1 / 2_147_483_648) * amplitude
      var i = ComfortNoiseDescription.orderLimit
      while i > 0 {
        let k = reflection[i - 1]
        forward -= k * backward[i - 1]
        backward[i] = backward[i - 1] + k * forward
        i -= 1
      }
      backward[0] = forward
      base[n] = clamped(forward)
    }
  }
}
