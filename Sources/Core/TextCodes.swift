/// Lower-case hexadecimal text.
package enum Hex {
  private static let digits = [UInt8]("0123456789abcdef".utf8)

  /// Two lower-case digits a byte.
  package static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var out: [UInt8] = []
    for b in bytes {
      out.append(digits[Int(b >> 4)])
      out.append(digits[Int(b & 15)])
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Nil for odd lengths and for anything that is not a hexadecimal digit.
  package static func decode(_ text: some StringProtocol) -> [UInt8]? {
    var out: [UInt8] = []
    var high: UInt8?
    for c in text.utf8 {
      guard let v = value(of: c) else { return nil }
      if let h = high {
        out.append(h << 4 | v)
        high = nil
      } else {
        high = v
      }
    }
    return high == nil ? out : nil
  }

  /// The value of one hexadecimal digit of either case.
  package static func value(of c: UInt8) -> UInt8? {
    switch c {
    case 0x30...0x39: c - 0x30
    case 0x61...0x66: c - 0x61 + 10
    case 0x41...0x46: c - 0x41 + 10
    default: nil
    }
  }
}

/// Base64 (RFC 4648 §4) with padding.
package enum Base64 {
  private static let alphabet = [UInt8]("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  package static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var i = 0
    while i < bytes.count {
      let rest = bytes.count - i
      let v =
        UInt32(bytes[i]) << 16 | (rest > 1 ? UInt32(bytes[i + 1]) << 8 : 0) | (rest > 2 ? UInt32(bytes[i + 2]) : 0)
      out.append(alphabet[Int(v >> 18)])
      out.append(alphabet[Int(v >> 12 & 63)])
      out.append(rest > 1 ? alphabet[Int(v >> 6 & 63)] : UInt8(ascii: "="))
      out.append(rest > 2 ? alphabet[Int(v & 63)] : UInt8(ascii: "="))
      i += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Nil for a character outside the alphabet, wrong padding or a wrong length.
  package static func decode(_ text: some StringProtocol) -> [UInt8]? {
    let chars = Array(text.utf8)
    guard chars.count % 4 == 0 else { return nil }
    var out: [UInt8] = []
    var accumulator: UInt32 = 0
    var padding = 0
    for (i, c) in chars.enumerated() {
      var v: UInt32 = 0
      if c == UInt8(ascii: "=") {
        guard i >= chars.count - 2 else { return nil }
        padding += 1
      } else {
        guard padding == 0 else { return nil }
        switch c {
        case 0x41...0x5A: v = UInt32(c - 0x41)
        case 0x61...0x7A: v = UInt32(c - 0x61) + 26
        case 0x30...0x39: v = UInt32(c - 0x30) + 52
        case UInt8(ascii: "+"): v = 62
        case UInt8(ascii: "/"): v = 63
        default: return nil
        }
      }
      accumulator = accumulator << 6 | v
      if i % 4 == 3 {
        out.append(UInt8(truncatingIfNeeded: accumulator >> 16))
        out.append(UInt8(truncatingIfNeeded: accumulator >> 8))
        out.append(UInt8(truncatingIfNeeded: accumulator))
        accumulator = 0
      }
    }
    out.removeLast(padding)
    return out
  }
}

/// A string that must not reach a log: printing it shows only that it is there.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
  /// The secret itself.
  package let revealed: String
  package init(_ value: String) { revealed = value }
  package var description: String { "(secret)" }
  package var debugDescription: String { "(secret)" }
}
