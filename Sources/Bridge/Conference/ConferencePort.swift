import Audio
package import Core

/// One phone's place in a mix: linear audio in both directions between a leg and a conference, each on a media worker of
/// its own choosing. Two bounded rings, no lock; each end is used by one thread at a time.
///
/// Hand the same port to the leg (`LegSource.conference`) and to the conference; each keeps its own end.
package final class ConferencePort: Sendable {
  /// Hertz: 8,000, 16,000 or 48,000.
  package let sampleRate: Int
  /// What the phone says.
  let toConference: SampleRing
  /// What the phone hears.
  let fromConference: SampleRing

  /// - Parameters:
  ///   - sampleRate: Others than 8,000, 16,000 and 48,000 Hz are rounded up to the next of them.
  ///   - milliseconds: What each direction holds. A worker that stands still for a quarter of a second has lost the talk
  ///     anyway; a port that nobody reads keeps the beginning of it.
  package init(sampleRate: Int, milliseconds: Int = 250) {
    let rate =
      switch sampleRate {
      case ...8_000: 8_000
      case ...16_000: 16_000
      default: 48_000
      }
    self.sampleRate = rate
    let capacity = rate / 1_000 * max(20, min(60_000, milliseconds))
    toConference = SampleRing(minimumCapacity: capacity)
    fromConference = SampleRing(minimumCapacity: rate / 4)
  }

  /// A port at the rate that the leg's codec carries, so that a wideband phone hears wideband.
  package convenience init(for audio: NegotiatedAudio) {
    self.init(sampleRate: ConferencePort.sampleRate(for: audio))
  }

  /// 8,000 Hz for G.711, 16,000 for G.722, for Opus what the far end plays up to 48,000. A leg whose codec changes later
  /// keeps its port: it resamples.
  package static func sampleRate(for audio: NegotiatedAudio) -> Int {
    FrameEncoder.sampleRate(
      for: audio.codec, nativeRate: audio.codec.nativeSampleRate, parameters: audio.opus)
  }

  /// What the phone has said since, for a port without a conference: takes the conference's place as the reader.
  package func takeSpeech() -> [Int16] {
    var samples: [Int16] = []
    let block = FrameMemory(count: samplesPerFrame)
    while true {
      let count = toConference.read(into: block.samples)
      if count == 0 { return samples }
      samples.append(contentsOf: block.samples.prefix(count))
    }
  }

  /// Samples a tick of 20 ms.
  package var samplesPerFrame: Int { sampleRate / 50 }

  /// Samples that found no room, since the other side had not read: towards the conference, and towards the phone.
  package var overflow: (toConference: Int, fromConference: Int) { (toConference.overflow, fromConference.overflow) }
}
