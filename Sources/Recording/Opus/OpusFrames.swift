/// The frames of an Opus packet (RFC 6716 §3), undecoded: packets can be cut, joined and framed anew without touching
/// the sound.
package struct OpusFrames: Sendable, Hashable {
  /// Mode, bandwidth and frame size, and the stereo flag; the two bits of the frame count are zero.
  package var configuration: UInt8
  package var frames: [[UInt8]]

  package init(configuration: UInt8, frames: [[UInt8]]) {
    self.configuration = configuration & 0xFC
    self.frames = frames
  }

  /// A frame of 20 ms of silence, mono, as libopus' encoder makes it of zeroes in CELT mode.
  package static let silence = OpusFrames(configuration: 0xF8, frames: [[0xFF, 0xFE]])

  /// Samples at 48 kHz of each frame (RFC 6716 §3.1, table 2).
  package var samplesPerFrame: Int { Self.samplesPerFrame(configuration) }

  package var samples: Int { samplesPerFrame * frames.count }

  static func samplesPerFrame(_ toc: UInt8) -> Int {
    let number = Int(toc >> 3)
    switch number {
    // SILK: 10, 20, 40, 60 ms.
    case 0..<12: return [480, 960, 1_920, 2_880][number & 3]
    // Hybrid: 10, 20 ms.
    case 12..<16: return [480, 960][number & 1]
    // CELT: 2.5, 5, 10, 20 ms.
    default: return 120 << (number & 3)
    }
  }

  /// Nil for what is no valid packet, or longer than 120 ms.
  package init?(parsing packet: ArraySlice<UInt8>) {
    guard let toc = packet.first else { return nil }
    configuration = toc & 0xFC
    frames = []
    var rest = packet.dropFirst()
    switch toc & 3 {
    case 0: frames = [Array(rest)]
    case 1:
      guard rest.count % 2 == 0 else { return nil }
      let half = rest.count / 2
      frames = [Array(rest.prefix(half)), Array(rest.suffix(half))]
    case 2:
      guard let first = Self.length(&rest), first <= rest.count else { return nil }
      frames = [Array(rest.prefix(first)), Array(rest.dropFirst(first))]
    default:
      guard let count = Self.many(&rest) else { return nil }
      frames = count
    }
    guard frames.allSatisfy({ $0.count <= 1_275 }), samples <= 5_760 else { return nil }
  }

  /// Takes one packet with all its lengths (RFC 6716 appendix B) from the front of `bytes`, as the first streams of an
  /// Ogg packet lie there. Nil for what is none.
  package init?(takingSelfDelimited bytes: inout ArraySlice<UInt8>) {
    guard let toc = bytes.popFirst() else { return nil }
    configuration = toc & 0xFC
    var sizes: [Int] = []
    var padding = 0
    switch toc & 3 {
    case 0, 1:
      guard let size = Self.length(&bytes) else { return nil }
      sizes = Array(repeating: size, count: toc & 3 == 0 ? 1 : 2)
    case 2:
      guard let first = Self.length(&bytes), let second = Self.length(&bytes) else { return nil }
      sizes = [first, second]
    default:
      guard let head = bytes.popFirst(), head & 0x3F > 0 else { return nil }
      if head & 0x40 != 0 {
        while let byte = bytes.popFirst() {
          padding += byte == 255 ? 254 : Int(byte)
          if byte != 255 { break }
        }
      }
      let count = Int(head & 0x3F)
      if head & 0x80 == 0 {
        guard let size = Self.length(&bytes) else { return nil }
        sizes = Array(repeating: size, count: count)
      } else {
        for _ in 0..<count {
          guard let size = Self.length(&bytes) else { return nil }
          sizes.append(size)
        }
      }
    }
    guard sizes.reduce(padding, +) <= bytes.count else { return nil }
    frames = []
    for size in sizes {
      frames.append(Array(bytes.prefix(size)))
      bytes = bytes.dropFirst(size)
    }
    bytes = bytes.dropFirst(padding)
    guard samples <= 5_760 else { return nil }
  }

  /// RFC 6716 §3.2.5: a byte with the count, perhaps padding, then frames of one size or of many.
  private static func many(_ rest: inout ArraySlice<UInt8>) -> [[UInt8]]? {
    guard let head = rest.popFirst() else { return nil }
    let count = Int(head & 0x3F)
    guard count > 0 else { return nil }
    if head & 0x40 != 0 {
      var padding = 0
      while true {
        guard let byte = rest.popFirst() else { return nil }
        padding += byte == 255 ? 254 : Int(byte)
        if byte != 255 { break }
      }
      guard padding <= rest.count else { return nil }
      rest = rest.dropLast(padding)
    }
    var frames: [[UInt8]] = []
    if head & 0x80 == 0 {
      guard rest.count % count == 0 else { return nil }
      let size = rest.count / count
      for _ in 0..<count {
        frames.append(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
      }
      return frames
    }
    var sizes: [Int] = []
    for _ in 1..<count {
      guard let size = length(&rest) else { return nil }
      sizes.append(size)
    }
    let sum = sizes.reduce(0, +)
    guard sum <= rest.count else { return nil }
    sizes.append(rest.count - sum)
    for size in sizes {
      frames.append(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
    }
    return frames
  }

  /// RFC 6716 §3.2.1.
  private static func length(_ rest: inout ArraySlice<UInt8>) -> Int? {
    guard let first = rest.popFirst() else { return nil }
    if first < 252 { return Int(first) }
    guard let second = rest.popFirst() else { return nil }
    return Int(second) * 4 + Int(first)
  }

  private static func append(length: Int, to out: inout [UInt8]) {
    if length < 252 {
      out.append(UInt8(truncatingIfNeeded: length))
    } else {
      let low = 252 + length % 4
      out.append(UInt8(truncatingIfNeeded: low))
      out.append(UInt8(truncatingIfNeeded: (length - low) / 4))
    }
  }

  /// The packet.
  /// - Parameter selfDelimited: With the length of the last frame too (RFC 6716 appendix B), as all streams but the last
  ///   of an Ogg packet have it (RFC 7845 §3).
  package func packet(selfDelimited: Bool) -> [UInt8] {
    var out: [UInt8] = []
    if frames.count == 1 {
      out.append(configuration)
      if selfDelimited { Self.append(length: frames[0].count, to: &out) }
      return out + frames[0]
    }
    // Any number of frames, each with its own size.
    out.append(configuration | 3)
    out.append(0x80 | UInt8(truncatingIfNeeded: frames.count & 0x3F))
    for (index, frame) in frames.enumerated() where index < frames.count - 1 || selfDelimited {
      Self.append(length: frame.count, to: &out)
    }
    for frame in frames { out += frame }
    return out
  }

  /// In pieces of exactly 20 ms; nil where frames are longer than that or the packet is no multiple of it.
  package var pieces: [OpusFrames]? {
    let each = samplesPerFrame
    guard each <= 960, samples % 960 == 0, samples > 0 else { return nil }
    let perPiece = 960 / each
    return stride(from: 0, to: frames.count, by: perPiece).map {
      OpusFrames(configuration: configuration, frames: Array(frames[$0..<($0 + perPiece)]))
    }
  }

  /// 20 ms that tell a decoder to make something up after this packet: frames without a byte.
  package var lost: OpusFrames {
    OpusFrames(
      configuration: configuration, frames: Array(repeating: [], count: max(1, 960 / min(960, samplesPerFrame))))
  }
}
