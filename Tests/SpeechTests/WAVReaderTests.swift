import Audio
import Core
import Testing

@testable import Speech

@Suite struct WAVReaderTests {
  /// A file with the given format and samples.
  static func file(
    tag: UInt16 = 1, channels: UInt16 = 1, rate: UInt32 = 8_000, bits: UInt16 = 16, data: [UInt8],
    declared: UInt32? = nil, before: [UInt8] = []
  ) -> [UInt8] {
    func le16(_ v: UInt16) -> [UInt8] { [UInt8(v & 255), UInt8(v >> 8)] }
    func le32(_ v: UInt32) -> [UInt8] { le16(UInt16(v & 0xFFFF)) + le16(UInt16(v >> 16)) }
    var format = le16(tag) + le16(channels) + le32(rate)
    format += le32(rate &* UInt32(channels) &* UInt32(bits / 8)) + le16(channels &* (bits / 8)) + le16(bits)
    return Array("RIFF".utf8) + le32(UInt32(36 + data.count)) + Array("WAVEfmt ".utf8) + le32(16) + format + before
      + Array("data".utf8) + le32(declared ?? UInt32(data.count)) + data
  }

  @Test func whatIsWrittenIsReadAgain() throws {
    let clip = AudioClip(sampleRate: 22_050, samples: [0, 1, -1, 32_767, -32_768, 1_234])
    let again = try WAVReader.read(clip.wav)
    #expect(again.sampleRate == 22_050)
    #expect(again.samples == clip.samples)
  }

  @Test func everyEncodingIsRead() throws {
    #expect(try WAVReader.read(Self.file(bits: 8, data: [0, 128, 255])).samples == [-32_768, 0, 32_512])
    #expect(try WAVReader.read(Self.file(bits: 24, data: [9, 0x34, 0x12, 9, 0xFF, 0xFF])).samples == [0x1234, -1])
    #expect(try WAVReader.read(Self.file(bits: 32, data: [9, 9, 0x34, 0x12])).samples == [0x1234])
    // 0.5, not-a-number, 2, -infinity.
    let floats: [UInt8] = [0, 0, 0, 0x3F, 0, 0, 0xC0, 0x7F, 0, 0, 0, 0x40, 0, 0, 0x80, 0xFF]
    #expect(try WAVReader.read(Self.file(tag: 3, bits: 32, data: floats)).samples == [16_384, 0, 32_767, -32_768])
    #expect(try WAVReader.read(Self.file(tag: 6, bits: 8, data: [0xD5])).samples == [8])
    #expect(try WAVReader.read(Self.file(tag: 7, bits: 8, data: [0xFF, 0x00])).samples == [0, -32_124])
  }

  @Test func channelsBecomeTheirMean() throws {
    let stereo = Self.file(channels: 2, data: [100, 0, 44, 1, 0xFF, 0x7F, 0xFF, 0x7F])
    #expect(try WAVReader.read(stereo).samples == [200, 32_767])
  }

  @Test func chunksBeforeTheSamplesAreSkipped() throws {
    let list: [UInt8] = Array("LIST".utf8) + [3, 0, 0, 0] + [1, 2, 3, 0]
    #expect(try WAVReader.read(Self.file(data: [1, 0], before: list)).samples == [1])
  }

  @Test func aPipeThatKnowsNoLengthIsReadToItsEnd() throws {
    for declared: UInt32 in [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 5_000] {
      #expect(try WAVReader.read(Self.file(data: [1, 0, 2, 0], declared: declared)).samples == [1, 2])
    }
  }

  @Test func whatIsNoSoundIsRefusedByName() {
    #expect(throws: WAVError.notWAV) { try WAVReader.read([]) }
    #expect(throws: WAVError.notWAV) { try WAVReader.read(Array("<html>not found</html>".utf8)) }
    #expect(throws: WAVError.empty) { try WAVReader.read(Self.file(data: [])) }
    #expect(throws: WAVError.empty) { try WAVReader.read(Self.file(data: [1])) }
    #expect(throws: WAVError.badChannels(0)) { try WAVReader.read(Self.file(channels: 0, data: [1, 0])) }
    #expect(throws: WAVError.badChannels(65_535)) { try WAVReader.read(Self.file(channels: 65_535, data: [1, 0])) }
    #expect(throws: WAVError.badSampleRate(0)) { try WAVReader.read(Self.file(rate: 0, data: [1, 0])) }
    #expect(throws: WAVError.badSampleRate(4_294_967_295)) {
      try WAVReader.read(Self.file(rate: 0xFFFF_FFFF, data: [1, 0]))
    }
    #expect(throws: WAVError.unsupportedEncoding(tag: 2, bits: 4)) {
      try WAVReader.read(Self.file(tag: 2, bits: 4, data: [1, 0]))
    }
    #expect(throws: WAVError.missing(chunk: "data")) { try WAVReader.read(Array(Self.file(data: [1, 0]).prefix(36))) }
    #expect(throws: WAVError.tooLong(seconds: 2)) {
      try WAVReader.read(Self.file(data: [UInt8](repeating: 1, count: 32_000)), longest: 2)
    }
  }

  @Test func noBytesWhateverTrap() {
    var random = SeededRandom(seed: 7)
    let extensible: [UInt8] =
      Array("RIFF".utf8) + [0, 0, 0, 0] + Array("WAVEfmt ".utf8) + [40, 0, 0, 0] + [0xFE, 0xFF, 2, 0]
      + [UInt8](repeating: 0x40, count: 36) + Array("data".utf8) + [8, 0, 0, 0] + [1, 2, 3, 4, 5, 6, 7, 8]
    let seeds = [
      Self.file(data: [1, 0, 2, 0, 3, 0]),
      Self.file(tag: 3, channels: 2, bits: 32, data: .init(repeating: 7, count: 64)),
      Self.file(tag: 7, bits: 8, data: [1, 2, 3]), extensible,
    ]
    var read = 0
    for seed in seeds {
      for length in 0...seed.count { _ = try? WAVReader.read(Array(seed.prefix(length))) }
      for _ in 0..<4_000 {
        var bytes = seed
        for _ in 0..<Int.random(in: 1...6, using: &random) {
          let at = Int.random(in: 0..<bytes.count, using: &random)
          bytes[at] =
            [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random) ?? 0
        }
        if let clip = try? WAVReader.read(bytes) {
          read += 1
          #expect(!clip.samples.isEmpty && clip.samples.count <= bytes.count)
        }
      }
    }
    // The changes leave many files whole: the reader is not simply refusing everything.
    #expect(read > 1_000)
  }
}

@Suite struct ShapingTests {
  static func tone(_ frequency: Double, rate: Int, seconds: Double, level: Double = -16) -> [Int16] {
    var samples = [Int16](repeating: 0, count: Int(Double(rate) * seconds))
    var generator = ToneGenerator(sampleRate: rate, frequency: frequency, level: level)
    samples.withUnsafeMutableBufferPointer { generator.generate(into: $0) }
    return samples
  }

  /// Crossings of zero a second, halved: the frequency of a sine.
  static func frequency(of clip: AudioClip) -> Double {
    let crossings = zip(clip.samples, clip.samples.dropFirst()).count { ($0 < 0) != ($1 < 0) }
    return Double(crossings) / 2 / (Double(clip.samples.count) / Double(clip.sampleRate))
  }

  @Test(arguments: [8_000, 16_000, 48_000])
  func resamplingKeepsLengthPitchAndBeginning(rate: Int) throws {
    let clip = AudioClip(sampleRate: 22_050, samples: Self.tone(440, rate: 22_050, seconds: 1))
    let other = try clip.resampled(to: rate)
    #expect(other.sampleRate == rate)
    #expect(abs(other.samples.count - rate) <= 2)
    #expect(abs(Self.frequency(of: other) - 440) < 2)
    // The delay of the filter is gone: the tone is there in the first 2 ms, and it is to the last.
    #expect(other.samples.prefix(rate / 500).contains { abs(Int($0)) > 1_000 })
    #expect(other.samples.suffix(rate / 500).contains { abs(Int($0)) > 1_000 })
  }

  @Test func silenceAtTheEndsIsCutAndNothingElse() {
    let silence = [Int16](repeating: 3, count: 8_000)
    let clip = AudioClip(sampleRate: 8_000, samples: silence + Self.tone(440, rate: 8_000, seconds: 0.5) + silence)
    let trimmed = clip.trimmed(margin: .milliseconds(50))
    #expect(abs(trimmed.samples.count - 4_800) < 8)
    #expect(AudioClip(sampleRate: 8_000, samples: silence).trimmed().samples.isEmpty)
    #expect(AudioClip(sampleRate: 8_000, samples: []).trimmed().samples.isEmpty)
  }

  @Test func quietAndLoudSpeechComeToTheSameLevel() {
    for level in [-40.0, -30, -16, -4] {
      let clip = AudioClip(sampleRate: 8_000, samples: Self.tone(440, rate: 8_000, seconds: 0.5, level: level))
      var samples = clip.levelled().samples
      let out = samples.withUnsafeMutableBufferPointer { LevelMeter.level(of: $0) }
      #expect(abs(out + 20) < (level == -40 ? 9 : 1.1), "\(level) came out at \(out)")
    }
  }
}
