package import Audio

/// Why bytes are no sound that can be played.
package enum WAVError: Error, Hashable, Sendable, CustomStringConvertible {
  case notWAV
  /// Ends before the chunk that begins at this offset does.
  case truncated(offset: Int)
  case missing(chunk: String)
  /// Format tag, bits a sample.
  case unsupportedEncoding(tag: UInt16, bits: UInt16)
  case badChannels(Int)
  case badSampleRate(Int)
  case tooLong(seconds: Int)
  case empty

  package var description: String {
    switch self {
    case .notWAV: "not a RIFF WAVE file"
    case .truncated(let offset): "the chunk at \(offset) ends behind the end of the file"
    case .missing(let chunk): "there is no \(chunk) chunk"
    case .unsupportedEncoding(let tag, let bits): "encoding \(tag) with \(bits) bits is not read"
    case .badChannels(let count): "\(count) channels; 1 to 8 are read"
    case .badSampleRate(let rate): "\(rate) Hz; 4,000 to 192,000 are read"
    case .tooLong(let seconds): "longer than \(seconds) s"
    case .empty: "there are no samples in it"
    }
  }
}

/// Reads RIFF WAVE files: linear PCM of 8, 16, 24 and 32 bits, 32-bit floating point, A-law and µ-law, any number of
/// channels up to 8, mixed to one. Every length in the file is taken for a lie until it fits.
///
///     "RIFF" size "WAVE"  { id(4) size(4, little endian) body, padded to even }…
///     "fmt ": tag(2) channels(2) rate(4) bytes a second(4) block(2) bits(2) [extension size(2) valid bits(2) mask(4) GUID(16)]
///     "data": samples
package struct WAVReader {
  /// - Parameter longest: in seconds; more is refused.
  /// - Throws: for anything that is not such a file. A last chunk that is cut off is read as far as it goes when it is
  ///   the samples: writers to a pipe put 0 or 0xFFFFFFFF there.
  package static func read(_ bytes: [UInt8], longest: Int = 600) throws(WAVError) -> AudioClip {
    guard bytes.count >= 12, tag(bytes, 0) == "RIFF", tag(bytes, 8) == "WAVE" else { throw .notWAV }
    var format: Format?
    var data: Range<Int>?
    var at = 12
    while at + 8 <= bytes.count, data == nil {
      let id = tag(bytes, at)
      let size = Int(little32(bytes, at + 4))
      let body = at + 8
      let rest = bytes.count - body
      switch id {
      case "fmt ":
        guard size >= 16, size <= rest else { throw .truncated(offset: at) }
        format = try Format(bytes, at: body, size: size)
      case "data":
        let isStreamed = size == 0 || size == 0xFFFF_FFFF || size == 0x7FFF_FFFF
        data = body..<(body + (isStreamed ? rest : min(size, rest)))
      default:
        guard size <= rest else { throw .truncated(offset: at) }
      }
      // At most 2³² + what is in memory: no overflow.
      at = body + size + size % 2
    }
    guard let format else { throw .missing(chunk: "fmt") }
    guard let data else { throw .missing(chunk: "data") }
    let frames = data.count / format.bytesPerFrame
    guard frames > 0 else { throw .empty }
    guard frames / format.sampleRate < longest else { throw .tooLong(seconds: longest) }
    return AudioClip(
      sampleRate: format.sampleRate, samples: format.decode(bytes, from: data.lowerBound, frames: frames))
  }

  private enum Encoding {
    case unsigned8, linear16, linear24, linear32, float32, aLaw, muLaw
    var bytes: Int {
      switch self {
      case .unsigned8, .aLaw, .muLaw: 1
      case .linear16: 2
      case .linear24: 3
      case .linear32, .float32: 4
      }
    }
  }

  private struct Format {
    let encoding: Encoding
    let channels: Int
    let sampleRate: Int
    var bytesPerFrame: Int { encoding.bytes * channels }

    init(_ bytes: [UInt8], at: Int, size: Int) throws(WAVError) {
      var tag = little16(bytes, at)
      let bits = little16(bytes, at + 14)
      // WAVE_FORMAT_EXTENSIBLE: the first two bytes of the GUID are the tag.
      if tag == 0xFFFE, size >= 40 { tag = little16(bytes, at + 24) }
      switch (tag, bits) {
      case (1, 8): encoding = .unsigned8
      case (1, 16): encoding = .linear16
      case (1, 24): encoding = .linear24
      case (1, 32): encoding = .linear32
      case (3, 32): encoding = .float32
      case (6, 8): encoding = .aLaw
      case (7, 8): encoding = .muLaw
      default: throw .unsupportedEncoding(tag: tag, bits: bits)
      }
      channels = Int(little16(bytes, at + 2))
      guard (1...8).contains(channels) else { throw .badChannels(channels) }
      sampleRate = Int(little32(bytes, at + 4))
      guard (4_000...192_000).contains(sampleRate) else { throw .badSampleRate(sampleRate) }
    }

    func decode(_ bytes: [UInt8], from start: Int, frames: Int) -> [Int16] {
      let width = encoding.bytes
      var samples = [Int16](repeating: 0, count: frames)
      for frame in 0..<frames {
        var sum = 0
        for channel in 0..<channels {
          sum += Int(value(bytes, start + (frame * channels + channel) * width))
        }
        // The mean of 16-bit values is one.
        samples[frame] = Int16(sum / channels)
      }
      return samples
    }

    private static let aLaw = expansion(.a)
    private static let muLaw = expansion(.mu)

    private static func expansion(_ law: G711.Law) -> [Int16] {
      var samples = [Int16](repeating: 0, count: 256)
      let octets = (0..<256).map { UInt8($0) }
      octets.withUnsafeBytes { octets in
        samples.withUnsafeMutableBufferPointer { _ = G711.decode(law, from: octets, into: $0) }
      }
      return samples
    }

    private func value(_ bytes: [UInt8], _ at: Int) -> Int16 {
      switch encoding {
      case .unsigned8: return Int16(Int(bytes[at]) - 128) &* 256
      case .linear16: return Int16(bitPattern: little16(bytes, at))
      case .linear24: return Int16(bitPattern: little16(bytes, at + 1))
      case .linear32: return Int16(bitPattern: little16(bytes, at + 2))
      case .float32:
        let value = Float(bitPattern: little32(bytes, at)) * 32_768
        return value >= 32_767 ? 32_767 : value <= -32_768 ? -32_768 : value == value ? Int16(value) : 0
      case .aLaw: return Self.aLaw[Int(bytes[at])]
      case .muLaw: return Self.muLaw[Int(bytes[at])]
      }
    }
  }

  private static func tag(_ bytes: [UInt8], _ at: Int) -> String {
    String(decoding: bytes[at..<at + 4], as: UTF8.self)
  }
}

private func little16(_ bytes: [UInt8], _ at: Int) -> UInt16 { UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8 }
private func little32(_ bytes: [UInt8], _ at: Int) -> UInt32 {
  UInt32(little16(bytes, at)) | UInt32(little16(bytes, at + 2)) << 16
}

extension AudioClip {
  /// As a RIFF WAVE file of 16-bit linear PCM.
  package var wav: [UInt8] {
    var out: [UInt8] = []
    let size = UInt32(clamping: samples.count * 2)
    out.reserveCapacity(44 + samples.count * 2)
    func put32(_ value: UInt32) {
      for shift in [0, 8, 16, 24] { out.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    func put16(_ value: UInt16) { for shift in [0, 8] { out.append(UInt8(truncatingIfNeeded: value >> shift)) } }
    out += "RIFF".utf8
    put32(size &+ 36)
    out += "WAVEfmt ".utf8
    put32(16)
    put16(1)
    put16(1)
    put32(UInt32(clamping: sampleRate))
    put32(UInt32(clamping: sampleRate * 2))
    put16(2)
    put16(16)
    out += "data".utf8
    put32(size)
    for sample in samples { put16(UInt16(bitPattern: sample)) }
    return out
  }
}
