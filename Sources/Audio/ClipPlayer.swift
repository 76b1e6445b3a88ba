/// Plays a clip at the rate that is wanted, a buffer at a time. A value; used on one thread, as the resampler in it.
package struct ClipPlayer {
  package let clip: AudioClip
  package let loops: Bool
  private let resampler: Resampler?
  private var position = 0
  /// Samples of silence that still push the rest out of the resampler.
  private var flush: Int
  /// The clip was played to its end. Never with a clip that loops.
  package private(set) var hasEnded = false

  /// - Parameter sampleRate: Of the buffers, in hertz.
  package init(_ clip: AudioClip, loops: Bool = false, sampleRate: Int) throws(AudioError) {
    self.clip = clip
    self.loops = loops && !clip.samples.isEmpty
    resampler = clip.sampleRate == sampleRate ? nil : try Resampler(from: clip.sampleRate, to: sampleRate)
    flush = resampler.map { $0.latency } ?? 0
    hasEnded = clip.samples.isEmpty
  }

  /// Fills the buffer; after the end with silence.
  package mutating func generate(into samples: Samples) {
    var made = 0
    while made < samples.count, !hasEnded {
      let room = samples.part(from: made, count: samples.count - made)
      made += position < clip.samples.count ? play(into: room) : drain(into: room)
      guard position >= clip.samples.count else { continue }
      if loops { position = 0 } else if flush <= 0 { hasEnded = true }
    }
    samples.part(from: made, count: samples.count - made).update(repeating: 0)
  }

  private mutating func play(into room: Samples) -> Int {
    clip.samples.withUnsafeBufferPointer { all in
      let rest = UnsafeBufferPointer(rebasing: all[position...])
      guard let resampler else {
        let count = min(rest.count, room.count)
        if let source = rest.baseAddress { room.baseAddress?.update(from: source, count: count) }
        position += count
        return count
      }
      let (taken, made) = resampler.process(rest, into: room)
      // A library that takes nothing and gives nothing must not hold the worker up.
      position += taken == 0 && made == 0 ? rest.count : taken
      return made
    }
  }

  /// Silence pushes out what the resampler still holds.
  private mutating func drain(into room: Samples) -> Int {
    guard let resampler, flush > 0 else { return 0 }
    return withUnsafeTemporaryAllocation(of: Int16.self, capacity: flush) { zeros in
      zeros.initialize(repeating: 0)
      let (taken, made) = resampler.process(UnsafeBufferPointer(zeros), into: room)
      flush = taken == 0 && made == 0 ? 0 : flush - taken
      return made
    }
  }
}
