package import Audio

/// What both sides hear when their call begins to be recorded.
package enum RecordingNotice: Sendable {
  case none
  /// A short beep of 1,400 Hz.
  case beep
  case announcement(AudioClip)

  var clip: AudioClip? {
    switch self {
    case .none: nil
    case .beep: Self.beepClip
    case .announcement(let clip): clip
    }
  }

  private static let beepClip: AudioClip = {
    var samples = [Int16](repeating: 0, count: 16_000 / 4)
    var tone = ToneGenerator(sampleRate: 16_000, frequency: 1_400, level: -18)
    samples.withUnsafeMutableBufferPointer { all in
      tone.generate(into: all)
      let edge = 160
      Fade.rise(Samples(rebasing: all[0..<edge]))
      Fade.fall(Samples(rebasing: all[(all.count - edge)...]))
    }
    return AudioClip(sampleRate: 16_000, samples: samples)
  }()
}
