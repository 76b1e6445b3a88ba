import Testing

@testable import Audio

@Suite struct CallProgressTests {
  @Test(arguments: CallProgressCountry.allCases)
  func eachToneHasItsFrequenciesAndItsRhythm(country: CallProgressCountry) {
    for kind in CallProgressTone.Kind.allCases {
      let tone = CallProgressTone(kind, country)
      var generator = CadencedTone(tone, sampleRate: 8_000)
      let total = tone.segments.map(\.milliseconds).reduce(0, +)
      #expect(tone.segments.allSatisfy { $0.milliseconds > 0 } || tone.segments.count == 1, "\(country) \(kind)")
      // Two rounds: the rhythm repeats.
      let out = [Int16].generated(max(8_000, total * 16)) { generator.generate(into: $0) }
      for round in 0..<(total == 0 ? 1 : 2) {
        var at = round * total * 8
        for segment in tone.segments {
          let length = segment.milliseconds == 0 ? 8_000 : segment.milliseconds * 8
          // Without the edges.
          let part = Array(out[(at + 80)..<(at + length - 80)])
          if segment.frequency == 0 {
            #expect(part.allSatisfy { $0 == 0 }, "\(country) \(kind) pause at \(at)")
          } else {
            let share =
              Signal.share(of: segment.frequency, in: part[...], rate: 8_000)
              + (segment.other > 0 ? Signal.share(of: segment.other, in: part[...], rate: 8_000) : 0)
            #expect(share > 0.7, "\(country) \(kind) \(segment.frequency) Hz has \(share)")
            #expect(abs(LevelMeterTests.level(part) + 22.2) < 1.5, "\(country) \(kind) \(LevelMeterTests.level(part))")
          }
          at += length
        }
      }
      // No edge is steeper than the tone itself.
      let steepest =
        tone.segments.map { segment in
          let peak = LineLevel.peak(dBm0: segment.other > 0 ? -19 : -16)
          return 2 * Double.pi * peak * (segment.frequency + segment.other) / 8_000
        }.max() ?? 0
      #expect(Double(Signal.largestStep(out)) < steepest * 1.1, "\(country) \(kind)")
    }
  }

  @Test func thereAreTheTonesOfManyCountries() {
    #expect(CallProgressCountry.allCases.count > 30)
    #expect(Set(CallProgressCountry.allCases.map(\.rawValue)).count == CallProgressCountry.allCases.count)
    #expect(CallProgressCountry.allCases.allSatisfy { $0 == .itu || $0.rawValue.utf8.count == 2 })
  }

  @Test func theInformationToneRisesInThreeSteps() {
    let segments = CallProgressTone(.information, .germany).segments
    #expect(segments.map(\.frequency) == [950, 1_400, 1_800, 0])
  }

  @Test func framesOfAnySizeMakeTheSameTone() {
    var a = CadencedTone(CallProgressTone(.information, .unitedStates), sampleRate: 16_000)
    var b = a
    let frames = [Int16].generated(40_000, frame: 37) { a.generate(into: $0) }
    let whole = [Int16].generated(40_000, frame: 40_000) { b.generate(into: $0) }
    #expect(frames == whole)
  }

  @Test func whatHasNoSegmentsIsSilent() {
    var generator = CadencedTone(segments: [], sampleRate: 8_000)
    #expect([Int16].generated(800) { generator.generate(into: $0) }.allSatisfy { $0 == 0 })
    generator = CadencedTone(segments: [.init(frequency: 0, other: 0, milliseconds: 0)], sampleRate: 8_000)
    #expect([Int16].generated(800) { generator.generate(into: $0) }.allSatisfy { $0 == 0 })
  }
}
