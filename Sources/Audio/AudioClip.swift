/// Mono 16-bit linear samples that are played as they are: a prompt, an announcement, a melody. Never changed once made,
/// so that any number of legs and rooms play the same one at once.
package final class AudioClip: Sendable {
  /// In hertz.
  package let sampleRate: Int
  package let samples: [Int16]

  package init(sampleRate: Int, samples: [Int16]) {
    self.sampleRate = max(1, sampleRate)
    self.samples = samples
  }

  /// How long it takes to play it once.
  package var duration: Duration { .microseconds(Int64(samples.count) * 1_000_000 / Int64(sampleRate)) }
}
