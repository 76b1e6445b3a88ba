/// Music on hold, made as it plays: slow broken chords on soft bells over a quiet bass, about -24 dBm0, all of it below
/// 1.6 kHz so that a telephone carries it. Written for this program; nobody else's rights are in it.
package struct HoldMusic: Sendable {
  package let sampleRate: Int

  private struct Voice: Sendable {
    var fundamental: Oscillator
    var octave: Oscillator
    var level: Float = 0
    var attack: Float = 0
  }

  private var voices: [Voice]
  private var nextVoice = 0
  private var step = 0
  private var untilStep = 0
  private let samplesPerStep: Int
  private let decay: Float
  private let attackStep: Float
  private let peak: Float

  package init(sampleRate: Int) {
    self.sampleRate = sampleRate
    // Four chords of eight steps of 0.4 s: the round lasts 12.8 s and has a second, turned part.
    samplesPerStep = sampleRate * 2 / 5
    // A bell loses 60 dB in about 3 s.
    decay = 1 - 6.9 / (3 * Float(sampleRate))
    // 12 ms of attack.
    attackStep = 1 / (0.012 * Float(sampleRate))
    peak = Float(LineLevel.peak(dBm0: -18))
    let rest = Voice(
      fundamental: Oscillator(frequency: 0, sampleRate: sampleRate),
      octave: Oscillator(frequency: 0, sampleRate: sampleRate))
    voices = [Voice](repeating: rest, count: 6)
  }

  /// The strings of each chord from the bass up, in semitones from A3 (220 Hz): C, A minor, F, G with colour notes.
  private static let chords: [[Int]] = [
    [-9, 3, 7, 10, 14, 15], [-12, 0, 3, 7, 10, 15], [-4, 3, 8, 12, 15, 19], [-2, 5, 10, 12, 14, 17],
    [-9, 3, 7, 12, 15, 19], [-12, 3, 7, 10, 12, 19], [-7, 5, 8, 12, 15, 17], [-2, 5, 7, 10, 14, 17],
  ]
  /// Which string each of the eight steps of a chord plucks; -1 rests.
  private static let patterns: [[Int]] = [[0, 2, 3, 4, 5, 4, 3, 2], [0, 3, 5, 2, 4, 3, -1, 4]]
  /// 220 Hz · 2^(n/12) for n from -12 to 24.
  private static let pitches: [Double] = {
    var all = [Double](repeating: 110, count: 37)
    for i in 1..<37 { all[i] = all[i - 1] * 1.059_463_094_359_295 }
    return all
  }()

  /// Fills the buffer; the music goes on in the next call.
  package mutating func generate(into samples: Samples) {
    var at = 0
    while at < samples.count {
      if untilStep == 0 {
        pluck()
        untilStep = samplesPerStep
      }
      let run = min(untilStep, samples.count - at)
      render(samples.part(from: at, count: run))
      at += run
      untilStep -= run
    }
  }

  private mutating func pluck() {
    let chord = Self.chords[step / 8 % Self.chords.count]
    let string = Self.patterns[step / 32 % Self.patterns.count][step % 8]
    step = (step + 1) % 64
    guard string >= 0 else { return }
    let frequency = Self.pitches[chord[string] + 12]
    // Phases start at zero with the attack, so a plucked voice that still sounded would click: the oldest of six is
    // 2.4 s old, 48 dB down.
    var voice = voices[nextVoice]
    let carried = voice.level * voice.attack
    voice.fundamental = Oscillator(frequency: frequency, sampleRate: sampleRate)
    voice.octave = Oscillator(frequency: 2 * frequency, sampleRate: sampleRate)
    voice.level = string == 0 ? 1.2 : max(0.8, carried)
    voice.attack = 0
    voices[nextVoice] = voice
    nextVoice = (nextVoice + 1) % voices.count
  }

  private mutating func render(_ samples: Samples) {
    guard let base = samples.baseAddress else { return }
    samples.update(repeating: 0)
    let (peak, decay, attackStep) = (peak, decay, attackStep)
    voices.withUnsafeMutableBufferPointer { voices in
      Oscillator.withTable { table in
        for index in 0..<voices.count {
          var voice = voices[index]
          guard voice.level > 0.000_5 else { continue }
          for i in 0..<samples.count {
            voice.attack = min(1, voice.attack + attackStep)
            voice.level *= decay
            let value = voice.fundamental.next(table) + 0.2 * voice.octave.next(table)
            base[i] = clamped(Float(base[i]) + value * voice.level * voice.attack * peak)
          }
          voices[index] = voice
        }
      }
    }
  }
}
