import Testing

@testable import Audio

@Suite struct CodecTests {
  /// Encodes and decodes `input` in frames of 20 ms; `drop` loses packets and `recover` uses the next one's FEC.
  func opus(
    _ input: [Int16], encodeAt rate: Int, decodeAt outRate: Int, settings: OpusEncoder.Settings = .init(),
    drop: (Int) -> Bool = { _ in false }, fec: Bool = false
  ) throws -> (samples: [Int16], octets: [Int]) {
    let encoder = try OpusEncoder(sampleRate: rate, settings: settings)
    let decoder = try OpusDecoder(sampleRate: outRate)
    var input = input
    let (frame, outFrame) = (rate / 50, outRate / 50)
    var packets: [[UInt8]] = []
    for at in stride(from: 0, through: input.count - frame, by: frame) {
      var packet = [UInt8](repeating: 0, count: 1_275)
      let length = try packet.withUnsafeMutableBytes { p in
        try input.withSamples { try encoder.encode($0.part(from: at, count: frame), into: p) }
      }
      packets.append(Array(packet[..<length]))
    }
    var out: [Int16] = []
    var pcm = [Int16](repeating: 0, count: outFrame)
    for (i, packet) in packets.enumerated() {
      let count: Int
      if !drop(i) {
        count = try packet.withUnsafeBytes { p in try pcm.withSamples { try decoder.decode(p, into: $0) } }
      } else if fec, i + 1 < packets.count, !drop(i + 1) {
        count = try packets[i + 1].withUnsafeBytes { p in try pcm.withSamples { try decoder.recover(from: p, into: $0) }
        }
      } else {
        count = try pcm.withSamples { try decoder.conceal(into: $0) }
      }
      #expect(count == outFrame)
      out += pcm
    }
    return (out, packets.map(\.count))
  }

  @Test(arguments: [8_000, 16_000, 48_000])
  func opusCarriesAToneAtEveryRate(rate: Int) throws {
    let tone = Signal.sine(440, rate: rate, count: rate)
    let out = try opus(tone, encodeAt: rate, decodeAt: rate).samples
    let tail = Array(out[(rate / 2)...])
    #expect(abs(Signal.frequency(of: tail, rate: rate) - 440) < 0.5)
    #expect(Signal.share(of: 440, in: tail, rate: rate) > 0.98)
    #expect(abs(LevelMeterTests.level(tail) - LevelMeterTests.level(tone)) < 1)
  }

  @Test(arguments: [(48_000, 8_000), (8_000, 48_000), (48_000, 16_000), (16_000, 8_000)])
  func opusDecodesStraightToAnotherRate(from: Int, to: Int) throws {
    let out = try opus(Signal.sine(1_000, rate: from, count: from), encodeAt: from, decodeAt: to).samples
    #expect(out.count == to)
    let tail = Array(out[(to / 2)...])
    #expect(abs(Signal.frequency(of: tail, rate: to) - 1_000) < 1)
  }

  @Test func forwardErrorCorrectionBeatsConcealment() throws {
    var settings = OpusEncoder.Settings()
    settings.inbandFEC = true
    settings.packetLossPercentage = 20
    let speech = Signal.speech(rate: 8_000, seconds: 6)
    let clean = try opus(speech, encodeAt: 8_000, decodeAt: 8_000, settings: settings).samples
    let lost: (Int) -> Bool = { $0 % 5 == 3 }
    let concealed = try opus(speech, encodeAt: 8_000, decodeAt: 8_000, settings: settings, drop: lost).samples
    let recovered = try opus(speech, encodeAt: 8_000, decodeAt: 8_000, settings: settings, drop: lost, fec: true)
      .samples
    let (without, with) = (Signal.signalToNoise(clean, concealed), Signal.signalToNoise(clean, recovered))
    #expect(with > without + 2, "\(without) → \(with) dB")
  }

  @Test func discontinuousTransmissionSendsNearlyNothingInSilence() throws {
    var settings = OpusEncoder.Settings()
    settings.discontinuousTransmission = true
    let octets = try opus([Int16](repeating: 0, count: 16_000), encodeAt: 8_000, decodeAt: 8_000, settings: settings)
      .octets
    #expect(octets[50...].filter { $0 <= 2 }.count > 40)
  }

  @Test func bitrateLimitsHold() throws {
    var settings = OpusEncoder.Settings()
    settings.bitrate = 12_000
    let octets = try opus(Signal.speech(rate: 8_000, seconds: 4), encodeAt: 8_000, decodeAt: 8_000, settings: settings)
      .octets
    let rate = octets.reduce(0, +) * 8 / 4
    #expect(rate < 13_500 && rate > 4_000, "\(rate) bit/s")
  }

  @Test func namesTheCFunctionAndCodeOfAFailure() throws {
    #expect(throws: AudioError(function: "opus_encoder_create", code: -1, name: "OPUS_BAD_ARG")) {
      try OpusEncoder(sampleRate: 44_100)
    }
    #expect(throws: AudioError(function: "opus_decoder_create", code: -1, name: "OPUS_BAD_ARG")) {
      try OpusDecoder(sampleRate: 11_025)
    }
    let decoder = try OpusDecoder(sampleRate: 8_000)
    var pcm = [Int16](repeating: 0, count: 160)
    // Code 3 with a frame count of zero is invalid (RFC 6716 §3.2.5).
    #expect(throws: AudioError(function: "opus_decode", code: -4, name: "OPUS_INVALID_PACKET")) {
      try [UInt8]([0x03, 0x00]).withUnsafeBytes { p in try pcm.withSamples { try decoder.decode(p, into: $0) } }
    }
    #expect(throws: AudioError.self) {
      try [UInt8]().withUnsafeBytes { p in try pcm.withSamples { try decoder.decode(p, into: $0) } }
    }
  }

  @Test func randomOctetsNeverTrapTheDecoders() throws {
    let opus = try OpusDecoder(sampleRate: 8_000)
    let g722 = try G722Decoder()
    var random = SeededOctets(state: 7)
    var pcm = [Int16](repeating: 0, count: 5_760)
    for _ in 0..<3_000 {
      let packet = random.packet()
      packet.withUnsafeBytes { p in
        pcm.withSamples { pcm in
          _ = try? opus.decode(p, into: pcm)
          _ = try? opus.recover(from: p, into: pcm.part(from: 0, count: 160))
          _ = g722.decode(p, into: pcm)
        }
      }
    }
  }

  @Test(arguments: [(16_000, 300.0), (16_000, 3_000.0), (16_000, 6_000.0), (8_000, 1_000.0)])
  func g722CarriesATone(rate: Int, frequency: Double) throws {
    var tone = Signal.sine(frequency, rate: rate, count: rate)
    let encoder = try G722Encoder(sampleRate: rate)
    let decoder = try G722Decoder(sampleRate: rate)
    var octets = [UInt8](repeating: 0, count: 8_000)
    let length = octets.withUnsafeMutableBytes { o in tone.withSamples { encoder.encode($0, into: o) } }
    #expect(length == 8_000)
    var out = [Int16](repeating: 0, count: rate)
    let count = octets.withUnsafeBytes { o in out.withSamples { decoder.decode(o, into: $0) } }
    #expect(count == rate)
    #expect(Signal.share(of: frequency, in: out[(rate / 2)...], rate: rate) > 0.97)
    #expect(abs(LevelMeterTests.level(out) - LevelMeterTests.level(tone)) < 1.5)
  }

  @Test func g722AtEightKilohertzIsTheLowerBandOfTheSameStream() throws {
    var tone = Signal.sine(1_000, rate: 16_000, count: 16_000)
    let encoder = try G722Encoder()
    let narrow = try G722Decoder(sampleRate: 8_000)
    var octets = [UInt8](repeating: 0, count: 8_000)
    _ = octets.withUnsafeMutableBytes { o in tone.withSamples { encoder.encode($0, into: o) } }
    var out = [Int16](repeating: 0, count: 8_000)
    #expect(octets.withUnsafeBytes { o in out.withSamples { narrow.decode(o, into: $0) } } == 8_000)
    #expect(Signal.share(of: 1_000, in: out[4_000...], rate: 8_000) > 0.98)
    #expect(abs(LevelMeterTests.level(out) - LevelMeterTests.level(tone)) < 1.5)
    // And the other way.
    var narrowTone = Signal.sine(700, rate: 8_000, count: 8_000)
    let narrowEncoder = try G722Encoder(sampleRate: 8_000)
    let wide = try G722Decoder()
    _ = octets.withUnsafeMutableBytes { o in narrowTone.withSamples { narrowEncoder.encode($0, into: o) } }
    var wideOut = [Int16](repeating: 0, count: 16_000)
    #expect(octets.withUnsafeBytes { o in wideOut.withSamples { wide.decode(o, into: $0) } } == 16_000)
    #expect(Signal.share(of: 700, in: wideOut[8_000...], rate: 16_000) > 0.98)
  }
}

struct SeededOctets {
  var state: UInt64
  mutating func packet() -> [UInt8] {
    state = state &* 6_364_136_223_846_793_005 &+ 1
    let count = Int(state >> 33) % 200
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1
      return UInt8(truncatingIfNeeded: state >> 40)
    }
  }
}
