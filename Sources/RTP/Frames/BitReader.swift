/// Bits of a parameter set, most significant first. Behind the end come zeros, and `isExhausted` says so.
struct BitReader {
  private let bytes: ArraySlice<UInt8>
  private var bit = 0

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  var isExhausted: Bool { bit > bytes.count * 8 }

  mutating func read(_ count: Int) -> Int {
    var value = 0
    for _ in 0..<min(count, 32) {
      let index = bit / 8
      let byte = index < bytes.count ? bytes[bytes.startIndex + index] : 0
      value = value << 1 | Int(byte >> UInt8(7 - bit % 8) & 1)
      bit += 1
    }
    return value
  }

  mutating func flag() -> Bool { read(1) == 1 }

  mutating func skip(_ count: Int) { bit += count }

  /// ue(v), Rec. ITU-T H.264 §9.1.
  mutating func unsignedExpGolomb() -> Int {
    var zeros = 0
    while !flag() {
      zeros += 1
      if zeros > 31 || isExhausted { return 0 }
    }
    return (1 << zeros) - 1 + read(zeros)
  }

  /// se(v).
  mutating func signedExpGolomb() -> Int {
    let value = unsignedExpGolomb()
    return value & 1 == 1 ? (value + 1) / 2 : -(value / 2)
  }

  /// uvlc() of AV1 §4.10.3.
  mutating func uvlc() -> Int { unsignedExpGolomb() }
}
