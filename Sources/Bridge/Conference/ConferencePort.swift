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

  /// - Parameter sampleRate: Others than 8,000, 16,000 and 48,000 Hz are rounded up to the next of them.
  package init(sampleRate: Int) {
    let rate =
      switch sampleRate {
      case ...8_000: 8_000
      case ...16_000: 16_000
      default: 48_000
      }
    self.sampleRate = rate
    // A quarter of a second: a worker that stands still longer has lost the talk anyway.
    toConference = SampleRing(minimumCapacity: rate / 4)
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

  /// Samples a tick of 20 ms.
  package var samplesPerFrame: Int { sampleRate / 50 }

  /// Samples that found no room, since the other side had not read: towards the conference, and towards the phone.
  package var overflow: (toConference: Int, fromConference: Int) { (toConference.overflow, fromConference.overflow) }
}
