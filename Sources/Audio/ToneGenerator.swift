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

/// A tone that goes on and off in a rhythm, with soft edges: ringback, busy, congestion (ITU-T E.180).
package struct CadencedTone: Sendable {
  private var tone: ToneGenerator
  /// Alternately on and off, in samples; empty is always on.
  private let cadence: [Int]
  private var step = 0
  private var left: Int
  private var gain: Float = 0

  /// `cadence` alternates on and off, beginning with on.
  package init(tone: ToneGenerator, cadence: [Duration]) {
    self.tone = tone
    self.cadence = cadence.map { duration in
      let (seconds, attoseconds) = duration.components
      return max(
        1, Int(Double(seconds) * Double(tone.sampleRate) + Double(attoseconds) / 1e18 * Double(tone.sampleRate)))
    }
    left = self.cadence.first ?? Int.max
  }

  /// Fills the buffer.
  package mutating func generate(into samples: Samples) {
    // 4 ms from silence to full level: no click.
    let ramp = 250 / Float(tone.sampleRate)
    var at = 0
    while at < samples.count {
      let run = min(left, samples.count - at)
      let isOn = step & 1 == 0
      gain = tone.generate(into: samples.part(from: at, count: run), gain: gain, gainStep: isOn ? ramp : -ramp)
      at += run
      guard !cadence.isEmpty else { continue }
      left -= run
      if left == 0 {
        step = (step + 1) % (cadence.count + cadence.count % 2)
        left = step < cadence.count ? cadence[step] : 1
      }
    }
  }

  /// Ringback as in North America: 440 and 480 Hz, 2 s on, 4 s off.
  package static func ringbackNorthAmerica(sampleRate: Int) -> CadencedTone {
    CadencedTone(tone: ToneGenerator(sampleRate: sampleRate, 440, -19, 480, -19), cadence: [.seconds(2), .seconds(4)])
  }

  /// Ringback as in most of Europe (ETSI TR 101 041): 425 Hz, 1 s on, 4 s off.
  package static func ringbackEurope(sampleRate: Int) -> CadencedTone {
    CadencedTone(
      tone: ToneGenerator(sampleRate: sampleRate, frequency: 425, level: -16), cadence: [.seconds(1), .seconds(4)])
  }

  /// Ringback as in the United Kingdom: 400 and 450 Hz, 0.4 s on, 0.2 off, 0.4 on, 2 off.
  package static func ringbackUnitedKingdom(sampleRate: Int) -> CadencedTone {
    CadencedTone(
      tone: ToneGenerator(sampleRate: sampleRate, 400, -19, 450, -19),
      cadence: [.milliseconds(400), .milliseconds(200), .milliseconds(400), .seconds(2)])
  }
}
