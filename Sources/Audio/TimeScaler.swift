#if canImport(Glibc)
  import Glibc
#endif

/// Finds the pitch period and shortens or lengthens speech by one of it (waveform-similarity overlap-add): the
/// pitch stays, the joint is a cross-fade of two like waves.
package struct TimeScaler: Sendable {
  package let sampleRate: Int
  /// 2.5 ms: 400 Hz.
  package let shortestLag: Int
  /// 15 ms: 67 Hz.
  package let longestLag: Int
  /// The stretch that is compared, 10 ms.
  let window: Int
  /// The search runs on every n-th sample: at 8 kHz on each.
  private let stride: Int

  /// Below this similarity a joint would be heard; above -50 dBov that is.
  package static let similarityNeeded: Float = 0.85

  package init(sampleRate: Int) {
    self.sampleRate = sampleRate
    shortestLag = max(1, sampleRate / 400)
    longestLag = max(2, sampleRate * 15 / 1_000)
    window = max(1, sampleRate / 100)
    stride = max(1, sampleRate / 8_000)
  }

  /// Samples that `shorten` must be given at least: 30 ms.
  package var lengthToShorten: Int { 2 * longestLag }

  /// Takes one pitch period out, in place, of the `count` samples at `base`: the first two periods fade into one, the
  /// rest moves up. Returns the samples taken; 0 where no joint would be inaudible.
  package func shorten(
    _ base: UnsafeMutablePointer<Int16>, count: Int, similarity: Float = similarityNeeded
  ) -> Int {
    guard count >= lengthToShorten else { return 0 }
    guard let lag = lagToJoin(UnsafePointer(base), ahead: true, needed: similarity) else { return 0 }
    crossFade(UnsafePointer(base), UnsafePointer(base + lag), into: base, count: lag)
    (base + lag).update(from: base + 2 * lag, count: count - 2 * lag)
    return lag
  }

  /// Puts one pitch period in, in place, before the `count` samples at `base`, behind which there must be room for
  /// `longestLag` more. The `longestLag` samples before `base` must hold what was played before. Returns the samples
  /// put in; 0 where no joint would be inaudible.
  package func lengthen(
    _ base: UnsafeMutablePointer<Int16>, count: Int, similarity: Float = similarityNeeded
  ) -> Int {
    guard count >= longestLag else { return 0 }
    guard let lag = lagToJoin(UnsafePointer(base), ahead: false, needed: similarity) else { return 0 }
    (base + lag).update(from: base, count: count)
    // Begins as the new samples do (they follow what was played) and ends as what was played does (they follow it).
    crossFade(UnsafePointer(base + lag), UnsafePointer(base - lag), into: base, count: lag)
    return lag
  }

  /// The lag at which the signal at `base` is most like itself later (`ahead`) or earlier; nil if it is not like itself.
  private func lagToJoin(_ base: UnsafePointer<Int16>, ahead: Bool, needed: Float) -> Int? {
    let (lag, similarity, level) = bestLag(base, ahead: ahead, window: window)
    // -50 dBov: in near silence every joint is inaudible.
    if level < 100 { return lag }
    return similarity >= needed ? lag : nil
  }

  /// The lag of the greatest normalised correlation between `window` samples at `base` and those a lag later or
  /// earlier, that correlation (-1…1), and the root mean square at `base`.
  func bestLag(
    _ base: UnsafePointer<Int16>, ahead: Bool, window: Int
  ) -> (lag: Int, similarity: Float, level: Float) {
    var best = (lag: shortestLag, similarity: Float(-1))
    var energy: Float = 0
    for i in Swift.stride(from: 0, to: window, by: stride) {
      let value = Float(base[i])
      energy += value * value
    }
    var lag = shortestLag
    while lag <= longestLag {
      let similarity = correlation(base, ahead ? base + lag : base - lag, window, stride, energy)
      if similarity > best.similarity { best = (lag, similarity) }
      lag += stride
    }
    let level = (energy * Float(stride) / Float(window)).squareRoot()
    if stride > 1 {
      // Exact to the sample around the coarse find.
      var fine = (lag: best.lag, similarity: Float(-1))
      for lag in max(shortestLag, best.lag - stride)...min(longestLag, best.lag + stride) {
        let similarity = correlation(base, ahead ? base + lag : base - lag, window, stride, energy)
        if similarity > fine.similarity { fine = (lag, similarity) }
      }
      best = fine
    }
    return (best.lag, best.similarity, level)
  }

  @inline(__always)
  private func correlation(
    _ a: UnsafePointer<Int16>, _ b: UnsafePointer<Int16>, _ window: Int, _ stride: Int, _ energyOfA: Float
  ) -> Float {
    // Integer sums vectorise, float sums do not. 48 squares of 16 bits under 2³⁶: no overflow in 64.
    var cross: Int64 = 0
    var energy: Int64 = 0
    var i = 0
    while i < window {
      let (x, y) = (Int64(a[i]), Int64(b[i]))
      cross &+= x &* y
      energy &+= y &* y
      i += stride
    }
    let product = energyOfA * Float(energy)
    return product > 0 ? Float(cross) / product.squareRoot() : 0
  }
}

/// Goes from `old` over to `new` linearly; the target may be either of them. The two are alike, so levels add.
@inline(__always)
func crossFade(
  _ old: UnsafePointer<Int16>, _ new: UnsafePointer<Int16>, into target: UnsafeMutablePointer<Int16>, count: Int
) {
  let step = 1 / Float(count + 1)
  var weight: Float = 0
  for i in 0..<count {
    weight += step
    target[i] = clamped(Float(old[i]) * (1 - weight) + Float(new[i]) * weight)
  }
}
