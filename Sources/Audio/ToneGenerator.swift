/// One or two sines, phase-continuous over calls.
package struct ToneGenerator: Sendable {
  package let sampleRate: Int
  private var first: Oscillator
  private var second: Oscillator
  private var amplitude: Float
  private var secondAmplitude: Float

  /// A single frequency in hertz at `level` dBm0.
  package init(sampleRate: Int, frequency: Double, level: Double = 0) {
    self.init(sampleRate: sampleRate, frequency, level, 0, -200)
  }

  /// Two frequencies in hertz, each at its own level in dBm0.
  package init(sampleRate: Int, _ frequency: Double, _ level: Double, _ other: Double, _ otherLevel: Double) {
    self.sampleRate = sampleRate
    first = Oscillator(frequency: frequency, sampleRate: sampleRate)
    second = Oscillator(frequency: other, sampleRate: sampleRate)
    amplitude = Float(LineLevel.peak(dBm0: min(3.17, level)))
    secondAmplitude = other > 0 ? Float(LineLevel.peak(dBm0: min(3.17, otherLevel))) : 0
  }

  /// The milliwatt: 1,004 Hz at 0 dBm0, the test tone of telephone networks.
  package static func milliwatt(sampleRate: Int) -> ToneGenerator {
    ToneGenerator(sampleRate: sampleRate, frequency: 1_004, level: 0)
  }

  /// Fills the buffer.
  package mutating func generate(into samples: Samples) {
    generate(into: samples, gain: 1, gainStep: 0)
  }

  /// Fills the buffer with a gain that moves by `gainStep` each sample and stays within 0…1; returns where it ended.
  @discardableResult
  mutating func generate(into samples: Samples, gain: Float, gainStep: Float) -> Float {
    guard let target = samples.baseAddress else { return gain }
    var gain = gain
    // Copies of the state, so that the loop keeps it in registers.
    var (one, two) = (first, second)
    let (a, b) = (amplitude, secondAmplitude)
    Oscillator.withTable { table in
      if b == 0 {
        for i in 0..<samples.count {
          gain = max(0, min(1, gain + gainStep))
          target[i] = clamped(one.next(table) * a * gain)
        }
      } else {
        for i in 0..<samples.count {
          gain = max(0, min(1, gain + gainStep))
          target[i] = clamped((one.next(table) * a + two.next(table) * b) * gain)
        }
      }
    }
    (first, second) = (one, two)
    return gain
  }
}

/// Tones that go on and off in a rhythm, with soft edges: ringback, busy, congestion (ITU-T E.180).
package struct CadencedTone: Sendable {
  /// How long what can be heard; a tone of -1 is a pause.
  private struct Step: Sendable {
    var tone: Int
    var samples: Int
  }

  private var tones: [ToneGenerator]
  /// Repeated. None at all is silence.
  private let steps: [Step]
  private let sampleRate: Int
  private var step = 0
  private var left: Int
  private var gain: Float = 0
  /// What can be heard, or fades out.
  private var sounding = 0

  /// `cadence` alternates on and off, beginning with on; without one the tone is always on.
  package init(tone: ToneGenerator, cadence: [Duration]) {
    var steps = cadence.enumerated().map { index, duration in
      Step(tone: index & 1 == 0 ? 0 : -1, samples: Self.samples(duration, tone.sampleRate))
    }
    if steps.isEmpty { steps = [Step(tone: 0, samples: Int.max)] }
    self.init(tones: [tone], steps: steps, sampleRate: tone.sampleRate)
  }

  init(segments: [CallProgressTone.Segment], sampleRate: Int) {
    var tones: [ToneGenerator] = []
    var known: [[Double]: Int] = [:]
    var steps: [Step] = []
    for segment in segments {
      var samples = segment.milliseconds == 0 ? Int.max : Self.samples(.milliseconds(segment.milliseconds), sampleRate)
      guard segment.frequency > 0 else {
        steps.append(Step(tone: -1, samples: samples))
        continue
      }
      let key = [segment.frequency, segment.other]
      let tone = known[key] ?? tones.count
      if known[key] == nil {
        known[key] = tone
        let level: Double = segment.other > 0 ? -19 : -16
        tones.append(ToneGenerator(sampleRate: sampleRate, segment.frequency, level, segment.other, level))
      }
      // One tone after another without a pause: 4 ms of it, in which the first one fades.
      let fade = Self.samples(.milliseconds(4), sampleRate)
      if let last = steps.last, last.tone >= 0, last.tone != tone, samples > fade {
        steps.append(Step(tone: -1, samples: fade))
        if samples < Int.max { samples -= fade }
      }
      steps.append(Step(tone: tone, samples: samples))
    }
    self.init(tones: tones, steps: steps, sampleRate: sampleRate)
  }

  private init(tones: [ToneGenerator], steps: [Step], sampleRate: Int) {
    self.tones = tones
    self.steps = tones.isEmpty ? [] : steps
    self.sampleRate = sampleRate
    left = steps.first?.samples ?? Int.max
    sounding = max(0, steps.first?.tone ?? 0)
  }

  private static func samples(_ duration: Duration, _ sampleRate: Int) -> Int {
    let (seconds, attoseconds) = duration.components
    return max(1, Int(Double(seconds) * Double(sampleRate) + Double(attoseconds) / 1e18 * Double(sampleRate)))
  }

  /// Fills the buffer.
  package mutating func generate(into samples: Samples) {
    guard !steps.isEmpty else { return samples.update(repeating: 0) }
    // 4 ms from silence to full level: no click.
    let ramp = 250 / Float(sampleRate)
    var at = 0
    while at < samples.count {
      let run = min(left, samples.count - at)
      let isOn = steps[step].tone >= 0
      if isOn { sounding = steps[step].tone }
      gain = tones[sounding].generate(
        into: samples.part(from: at, count: run), gain: gain, gainStep: isOn ? ramp : -ramp)
      at += run
      guard left < Int.max else { continue }
      left -= run
      if left == 0 {
        step = (step + 1) % steps.count
        left = steps[step].samples
      }
    }
  }

  /// Ringback as in North America: 440 and 480 Hz, 2 s on, 4 s off.
  package static func ringbackNorthAmerica(sampleRate: Int) -> CadencedTone {
    CadencedTone(CallProgressTone(.ringback, .unitedStates), sampleRate: sampleRate)
  }

  /// Ringback as in most of Europe (ETSI TR 101 041): 425 Hz, 1 s on, 4 s off.
  package static func ringbackEurope(sampleRate: Int) -> CadencedTone {
    CadencedTone(CallProgressTone(.ringback, .itu), sampleRate: sampleRate)
  }

  /// Ringback as in the United Kingdom: 400 and 450 Hz, 0.4 s on, 0.2 off, 0.4 on, 2 off.
  package static func ringbackUnitedKingdom(sampleRate: Int) -> CadencedTone {
    CadencedTone(CallProgressTone(.ringback, .unitedKingdom), sampleRate: sampleRate)
  }
}
