/// Decompresses DEFLATE data (RFC 1951) into at most so many bytes.
///
/// A pure function over bytes from the network: the work is bounded by the input and by `limit`.
package enum Inflate {
  package enum Failure: Error, Hashable, Sendable {
    /// The data ends inside a block.
    case truncated
    /// The data breaks RFC 1951.
    case invalid(String)
    case larger(limit: Int)
  }

  /// - Returns: the decompressed bytes, and how many bytes of the input they took.
  package static func inflate(_ input: [UInt8], from start: Int = 0, limit: Int) throws(Failure) -> (
    bytes: [UInt8], consumed: Int
  ) {
    var decoder = Decoder(bits: Bits(input: input, position: start), limit: limit)
    try decoder.run()
    return (decoder.output, decoder.bits.position - start)
  }

  /// Bits of the input, least significant first (RFC 1951 §3.1.1).
  private struct Bits {
    let input: [UInt8]
    /// The next byte that is not yet in `buffer`.
    var position: Int
    private var buffer: UInt32 = 0
    private var count = 0

    init(input: [UInt8], position: Int) {
      self.input = input
      self.position = min(max(position, 0), input.count)
    }

    /// Up to 16 bits.
    mutating func take(_ wanted: Int) throws(Failure) -> Int {
      while count < wanted {
        guard position < input.count else { throw .truncated }
        buffer |= UInt32(input[position]) << UInt32(count)
        position += 1
        count += 8
      }
      let value = buffer & ((1 << UInt32(wanted)) - 1)
      buffer >>= UInt32(wanted)
      count -= wanted
      return Int(value)
    }

    mutating func skipToByte() {
      buffer = 0
      count = 0
    }

    mutating func bytes(_ wanted: Int) throws(Failure) -> ArraySlice<UInt8> {
      guard wanted <= input.count - position else { throw .truncated }
      defer { position += wanted }
      return input[position..<position + wanted]
    }
  }

  /// A canonical Huffman code (RFC 1951 §3.2.2): how many codes of each length, and the symbols in order of their codes.
  private struct Code {
    private var counts = [Int](repeating: 0, count: 16)
    private var symbols: [Int]

    /// - Throws: where the lengths ask for more codes than there are. Fewer are allowed: an unused code of one
    ///   distance is sent so.
    init(lengths: some Collection<Int>) throws(Failure) {
      for length in lengths { counts[length] += 1 }
      var left = 1
      for length in 1...15 {
        left = left * 2 - counts[length]
        guard left >= 0 else { throw .invalid("over-subscribed Huffman code") }
      }
      var offsets = [Int](repeating: 0, count: 16)
      for length in 1..<15 { offsets[length + 1] = offsets[length] + counts[length] }
      symbols = [Int](repeating: 0, count: lengths.count)
      for (symbol, length) in lengths.enumerated() where length != 0 {
        symbols[offsets[length]] = symbol
        offsets[length] += 1
      }
    }

    func decode(_ bits: inout Bits) throws(Failure) -> Int {
      var code = 0
      var first = 0
      var index = 0
      for length in 1...15 {
        code |= try bits.take(1)
        let count = counts[length]
        if code - count < first { return symbols[index + (code - first)] }
        index += count
        first = (first + count) << 1
        code <<= 1
      }
      throw .invalid("a code that stands for nothing")
    }
  }

  private struct Decoder {
    var bits: Bits
    let limit: Int
    var output: [UInt8] = []

    init(bits: Bits, limit: Int) {
      self.bits = bits
      self.limit = limit
    }

    mutating func run() throws(Failure) {
      var isLast = false
      while !isLast {
        isLast = try bits.take(1) == 1
        switch try bits.take(2) {
        case 0: try stored()
        case 1: try compressed(try Inflate.fixed().literals, try Inflate.fixed().distances)
        case 2:
          let (literals, distances) = try dynamicCodes()
          try compressed(literals, distances)
        default: throw .invalid("a block of reserved type")
        }
      }
    }

    /// RFC 1951 §3.2.4.
    private mutating func stored() throws(Failure) {
      bits.skipToByte()
      let header = Array(try bits.bytes(4))
      let length = Int(header[0]) | Int(header[1]) << 8
      guard length == ~(Int(header[2]) | Int(header[3]) << 8) & 0xFFFF else { throw .invalid("length check") }
      guard output.count + length <= limit else { throw .larger(limit: limit) }
      output += try bits.bytes(length)
    }

    /// RFC 1951 §3.2.7.
    private mutating func dynamicCodes() throws(Failure) -> (Code, Code) {
      let literalCount = try bits.take(5) + 257
      let distanceCount = try bits.take(5) + 1
      let lengthCount = try bits.take(4) + 4
      guard literalCount <= 286, distanceCount <= 30 else { throw .invalid("too many codes") }
      var lengthLengths = [Int](repeating: 0, count: 19)
      for index in 0..<lengthCount { lengthLengths[Inflate.lengthOrder[index]] = try bits.take(3) }
      let lengthCode = try Code(lengths: lengthLengths)
      var lengths: [Int] = []
      while lengths.count < literalCount + distanceCount {
        let symbol = try lengthCode.decode(&bits)
        let repeated: (length: Int, times: Int)
        switch symbol {
        case 16:
          guard let last = lengths.last else { throw .invalid("a repetition of nothing") }
          repeated = (last, try bits.take(2) + 3)
        case 17: repeated = (0, try bits.take(3) + 3)
        case 18: repeated = (0, try bits.take(7) + 11)
        default: repeated = (symbol, 1)
        }
        lengths += repeatElement(repeated.length, count: repeated.times)
      }
      guard lengths.count == literalCount + distanceCount else { throw .invalid("too many code lengths") }
      guard lengths[256] != 0 else { throw .invalid("a block without end") }
      return (try Code(lengths: lengths[..<literalCount]), try Code(lengths: lengths[literalCount...]))
    }

    private mutating func compressed(_ literals: Code, _ distances: Code) throws(Failure) {
      while true {
        let symbol = try literals.decode(&bits)
        switch symbol {
        case ..<256:
          guard output.count < limit else { throw .larger(limit: limit) }
          output.append(UInt8(truncatingIfNeeded: symbol))
        case 256: return
        case 257...285:
          let entry = symbol - 257
          let length = Inflate.lengthBases[entry] + (try bits.take(Inflate.lengthBits[entry]))
          let distanceSymbol = try distances.decode(&bits)
          guard distanceSymbol < 30 else { throw .invalid("a reserved distance") }
          let distance = Inflate.distanceBases[distanceSymbol] + (try bits.take(Inflate.distanceBits[distanceSymbol]))
          guard distance <= output.count else { throw .invalid("a distance before the beginning") }
          guard output.count + length <= limit else { throw .larger(limit: limit) }
          // What is copied may be what this very copy has written.
          for _ in 0..<length { output.append(output[output.count - distance]) }
        default: throw .invalid("a reserved length")
        }
      }
    }
  }

  /// RFC 1951 §3.2.6. The static lengths make complete codes, so `init` cannot fail for them.
  private static func fixed() throws(Failure) -> (literals: Code, distances: Code) {
    let lengths =
      [Int](repeating: 8, count: 144) + [Int](repeating: 9, count: 112) + [Int](repeating: 7, count: 24)
      + [Int](repeating: 8, count: 8)
    return (try Code(lengths: lengths), try Code(lengths: [Int](repeating: 5, count: 30)))
  }

  private static let lengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
  private static let lengthBases = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
  ]
  private static let lengthBits = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let distanceBases = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12_289, 16_385, 24_577,
  ]
  private static let distanceBits = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
  ]
}
