import Testing

@testable import Audio

@Suite struct G711Tests {
  func decode(_ law: G711.Law, _ octets: [UInt8]) -> [Int16] {
    var out = [Int16](repeating: 0, count: octets.count)
    _ = octets.withUnsafeBytes { octets in out.withSamples { G711.decode(law, from: octets, into: $0) } }
    return out
  }

  func encode(_ law: G711.Law, _ samples: [Int16]) -> [UInt8] {
    var samples = samples
    var out = [UInt8](repeating: 0, count: samples.count)
    _ = out.withUnsafeMutableBytes { out in samples.withSamples { G711.encode(law, from: $0, into: out) } }
    return out
  }

  /// Published values: the ends of each µ-law segment (G.711 table 2a, left-aligned).
  @Test func expandsTheSegmentEndsOfMuLaw() {
    #expect(
      decode(.mu, [0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0, 0xFF, 0x00, 0x7F])
        == [32124, 16764, 15996, 8316, 7932, 3900, 1884, 876, 372, 120, 0, -32124, 0])
  }

  /// Published values (G.711 table 1a, left-aligned).
  @Test func expandsTheSegmentEndsOfALaw() {
    #expect(
      decode(.a, [0xAA, 0xA5, 0xBA, 0x80, 0x90, 0xE0, 0xF0, 0xC0, 0xD5, 0x55, 0x2A])
        == [32256, 16896, 16128, 5504, 2752, 1376, 688, 344, 8, -8, -32256])
  }

  @Test(arguments: [G711.Law.mu, .a])
  func everyOctetSurvivesTheRoundTrip(law: G711.Law) {
    let octets = (0...255).map(UInt8.init)
    let back = encode(law, decode(law, octets))
    for octet in octets {
      // µ-law has two zeros; the negative one comes back as the positive one.
      let expected: UInt8 = law == .mu && octet == 0x7F ? 0xFF : octet
      #expect(back[Int(octet)] == expected, "octet \(octet)")
    }
  }

  @Test(arguments: [G711.Law.mu, .a])
  func everySampleIsWithinHalfAStepOfItself(law: G711.Law) {
    let samples = (-32_768...32_767).map { Int16($0) }
    let back = decode(law, encode(law, samples))
    for (sample, value) in zip(samples, back) {
      let magnitude = abs(Int(sample))
      // A step is 1/16 of its segment; overload above the last decision value.
      let tolerance = law == .mu ? max(8, (magnitude + 132) / 32 + 4) : max(16, magnitude / 32 + 16)
      let limit = law == .mu ? 32_635 : 32_767
      if magnitude <= limit { #expect(abs(Int(value) - Int(sample)) <= tolerance, "\(sample) → \(value)") }
    }
    for i in 1..<back.count { #expect(back[i] >= back[i - 1]) }
  }

  @Test func theDigitalMilliwattIsZeroDBm0() {
    // The periodic sequences of G.711 tables 5 and 6: a 1 kHz sine of 0 dBm0.
    let mu = decode(.mu, [0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E])
    let rms = (mu.reduce(0.0) { $0 + Double($1) * Double($1) } / 8).squareRoot()
    let ours = LineLevel.peakOfZeroDBm0 / 2.0.squareRoot()
    #expect(abs(Signal.decibels(rms * rms / (ours * ours))) < 0.05)
  }

  @Test(arguments: [G711.Law.mu, .a])
  func speechKeeps35Decibels(law: G711.Law) {
    let speech = Signal.speech(rate: 8_000, seconds: 3)
    #expect(Signal.signalToNoise(speech, decode(law, encode(law, speech))) > 35)
  }

  @Test func silenceIsTheIdleOctet() {
    #expect(encode(.mu, [0]) == [G711.silence(.mu)])
    #expect(encode(.a, [0]) == [G711.silence(.a)])
  }

  @Test func emptyAndUnequalBuffersAreHarmless() {
    #expect(decode(.mu, []).isEmpty)
    var three: [Int16] = [1, 2, 3]
    let count = [UInt8](repeating: 0, count: 9).withUnsafeBytes { o in
      three.withSamples { G711.decode(.a, from: o, into: $0) }
    }
    #expect(count == 3)
  }
}
