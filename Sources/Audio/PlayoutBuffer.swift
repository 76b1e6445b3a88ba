/// Decoded audio on its way to be played: what was played lately, then what is still to be played. Decoders append,
/// the player takes; in between the audio can be made shorter, longer, or up where it is missing.
///
/// One block of memory for its whole life; used on one thread.
package final class PlayoutBuffer {
  package let sampleRate: Int
  package let scaler: TimeScaler
  // Owned: `capacity` samples, allocated in init, freed in deinit.
  private let storage: UnsafeMutablePointer<Int16>
  private let capacity: Int
  /// Played samples that stay readable: 40 ms, enough for two of the longest pitch periods.
  private let historyLength: Int
  private var readIndex: Int
  private var writeIndex: Int
  // Owned: one period of made-up speech.
  private let period: UnsafeMutablePointer<Int16>
  private var periodLength = 0
  private var periodPosition = 0
  private var concealedSamples = 0
  private var offset: Float = 0
  private var offsetStep: Float = 0
  // Owned: the made-up speech goes on under the first good samples.
  private let overlap: UnsafeMutablePointer<Int16>

  /// Samples made up by `conceal` since the start.
  package private(set) var totalConcealed = 0
  /// Samples taken out by `accelerate` since the start.
  package private(set) var totalRemoved = 0
  /// Samples put in by `expand` since the start.
  package private(set) var totalInserted = 0

  /// Room for `limit` of audio still to be played.
  package init(sampleRate: Int, limitInMilliseconds limit: Int = 240) {
    self.sampleRate = max(8_000, min(48_000, sampleRate))
    scaler = TimeScaler(sampleRate: self.sampleRate)
    historyLength = self.sampleRate / 25
    capacity = historyLength + self.sampleRate * max(120, limit) / 1_000 + self.sampleRate / 5
    storage = .allocate(capacity: capacity)
    storage.initialize(repeating: 0, count: capacity)
    period = .allocate(capacity: scaler.longestLag)
    period.initialize(repeating: 0, count: scaler.longestLag)
    overlap = .allocate(capacity: self.sampleRate / 100)
    overlap.initialize(repeating: 0, count: self.sampleRate / 100)
    readIndex = historyLength
    writeIndex = historyLength
  }

  deinit {
    storage.deallocate()
    period.deallocate()
    overlap.deallocate()
  }

  /// Samples still to be played.
  package var count: Int { writeIndex - readIndex }

  /// Whether the newest samples are made up.
  package var isConcealing: Bool { concealedSamples > 0 }

  /// Gives `decode` room for up to `limit` samples and takes as many as it returns. Returns that number.
  /// Audio that is never played is dropped from its oldest end.
  @discardableResult
  package func append<E: Error>(_ limit: Int, decode: (Samples) throws(E) -> Int) throws(E) -> Int {
    let limit = min(limit, capacity - historyLength)
    makeRoom(limit)
    let room = Samples(start: storage + writeIndex, count: limit)
    let count = max(0, min(limit, try decode(room)))
    if concealedSamples > 0, count > 0 { finishConcealment(Samples(start: storage + writeIndex, count: count)) }
    writeIndex += count
    return count
  }

  /// Takes samples into `samples`; returns how many there were. The rest is left alone.
  package func take(into samples: Samples) -> Int {
    let count = min(samples.count, self.count)
    guard count > 0, let target = samples.baseAddress else { return 0 }
    target.update(from: storage + readIndex, count: count)
    readIndex += count
    return count
  }

  /// Forgets everything.
  package func clear() {
    storage.update(repeating: 0, count: capacity)
    readIndex = historyLength
    writeIndex = historyLength
    concealedSamples = 0
  }

  /// Takes one pitch period out of what is still to be played; returns the samples gained, 0 if it would be heard.
  package func accelerate(similarity: Float = TimeScaler.similarityNeeded) -> Int {
    let removed = scaler.shorten(storage + readIndex, count: count, similarity: similarity)
    writeIndex -= removed
    totalRemoved &+= removed
    return removed
  }

  /// Puts one pitch period in front of what is still to be played; returns the samples put in, 0 if it would be heard.
  package func expand(similarity: Float = TimeScaler.similarityNeeded) -> Int {
    makeRoom(scaler.longestLag)
    let inserted = scaler.lengthen(storage + readIndex, count: count, similarity: similarity)
    writeIndex += inserted
    totalInserted &+= inserted
    return inserted
  }

  private func makeRoom(_ samples: Int) {
    guard writeIndex + samples > capacity else { return }
    let keepFrom = max(0, readIndex - historyLength)
    storage.update(from: storage + keepFrom, count: writeIndex - keepFrom)
    readIndex -= keepFrom
    writeIndex -= keepFrom
    let excess = writeIndex + samples - capacity
    guard excess > 0 else { return }
    // Nobody plays: the oldest audio goes.
    storage.update(from: storage + excess, count: writeIndex - excess)
    writeIndex -= excess
    readIndex = max(min(historyLength, writeIndex), readIndex - excess)
  }
}

// MARK: Concealment of lost packets for codecs that have none of their own (in the manner of G.711 Appendix I)

extension PlayoutBuffer {
  /// Appends made-up audio in place of what was lost: the last pitch period over and over, fading from 10 ms on and
  /// silent after 60 ms.
  package func conceal(_ samples: Int) {
    let samples = min(samples, capacity - historyLength)
    makeRoom(samples)
    if concealedSamples == 0 { findPeriod() }
    makeUp(storage + writeIndex, count: samples)
    writeIndex += samples
    concealedSamples += samples
    totalConcealed &+= samples
  }

  private func findPeriod() {
    // The window and the longest lag before it lie in the 40 ms of history.
    let end = UnsafePointer(storage + writeIndex)
    let window = sampleRate / 100
    let lag = scaler.bestLag(end - window, ahead: false, window: window).lag
    let source = storage + (writeIndex - lag)
    period.update(from: source, count: lag)
    // The joint from the period's end to its beginning: its last quarter goes over to what came before its beginning.
    let joint = lag / 4
    crossFade(
      UnsafePointer(source + lag - joint), UnsafePointer(source - joint), into: period + (lag - joint), count: joint)
    // The real samples stand as they are; what is made up starts at their value and loses the difference within the joint.
    offset = Float(storage[writeIndex - 1]) - Float(source[-1])
    offsetStep = offset / Float(max(1, joint))
    periodLength = lag
    periodPosition = 0
  }

  private func makeUp(_ target: UnsafeMutablePointer<Int16>, count: Int) {
    let hold = sampleRate / 100
    let silentFrom = sampleRate * 60 / 1_000
    let slope = 1 / Float(silentFrom - hold)
    for i in 0..<count {
      let age = concealedSamples + i
      let gain = age <= hold ? 1 : max(0, 1 - Float(age - hold) * slope)
      if offset != 0 { offset = abs(offset) > abs(offsetStep) ? offset - offsetStep : 0 }
      target[i] = clamped((Float(period[periodPosition]) + offset) * gain)
      periodPosition = periodPosition + 1 == periodLength ? 0 : periodPosition + 1
    }
  }

  /// The first good samples after a loss: what was made up goes on under them for up to 10 ms.
  private func finishConcealment(_ fresh: Samples) {
    let count = min(sampleRate / 100, fresh.count)
    makeUp(overlap, count: count)
    if let base = fresh.baseAddress { crossFade(UnsafePointer(overlap), UnsafePointer(base), into: base, count: count) }
    concealedSamples = 0
  }
}
