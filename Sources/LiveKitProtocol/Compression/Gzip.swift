/// Decompresses one gzip member (RFC 1952).
///
/// ```
/// +---+---+---+---+---+---+---+---+---+---+=================+==========+---+---+---+---+---+---+---+---+
/// | 1F  8B | 08|FLG|     MTIME     |XFL|OS | optional fields | DEFLATE  |     CRC32     |     ISIZE     |
/// +---+---+---+---+---+---+---+---+---+---+=================+==========+---+---+---+---+---+---+---+---+
/// ```
package enum Gzip {
  package static func decompress(_ input: [UInt8], limit: Int) throws(Inflate.Failure) -> [UInt8] {
    guard input.count >= 18 else { throw .truncated }
    guard input[0] == 0x1F, input[1] == 0x8B, input[2] == 8 else { throw .invalid("no gzip header") }
    let flags = input[3]
    guard flags & 0xE0 == 0 else { throw .invalid("reserved gzip flags") }
    var position = 10
    if flags & 0x04 != 0 {
      guard position + 2 <= input.count else { throw .truncated }
      position += 2 + Int(input[position]) + Int(input[position + 1]) << 8
    }
    // File name and comment end with a zero.
    for flag: UInt8 in [0x08, 0x10] where flags & flag != 0 {
      guard position < input.count, let end = input[position...].firstIndex(of: 0) else { throw .truncated }
      position = end + 1
    }
    if flags & 0x02 != 0 { position += 2 }
    guard position <= input.count else { throw .truncated }
    let (bytes, consumed) = try Inflate.inflate(input, from: position, limit: limit)
    position += consumed
    guard input.count - position >= 8 else { throw .truncated }
    func word(_ at: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(input[at + $1]) << UInt32(8 * $1) }
    }
    guard word(position) == crc32(bytes) else { throw .invalid("wrong CRC-32") }
    guard word(position + 4) == UInt32(truncatingIfNeeded: bytes.count) else { throw .invalid("wrong length") }
    return bytes
  }

  /// RFC 1952 §8.
  static func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
  }
}
