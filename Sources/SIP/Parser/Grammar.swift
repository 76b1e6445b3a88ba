/// Byte-level pieces of the RFC 3261 §25.1 grammar.
///
/// All functions work on a span and offsets into it, so the same code checks a message in place and builds values
/// from it. Folding has been replaced by spaces before any of them runs.
enum Grammar {
  // Bit maps over ASCII; literals, so that no table has to be initialised.
  private static let tokenLow: UInt64 = 0x03FF_6CA2_0000_0000
  private static let tokenHigh: UInt64 = 0x47FF_FFFF_87FF_FFFE

  /// token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~")
  @inline(__always) static func isToken(_ c: UInt8) -> Bool {
    c < 128 && ((c < 64 ? tokenLow : tokenHigh) >> UInt64(c & 63)) & 1 != 0
  }

  @inline(__always) static func isWhitespace(_ c: UInt8) -> Bool { c == 0x20 || c == 0x09 }
  @inline(__always) static func isDigit(_ c: UInt8) -> Bool { c &- 0x30 < 10 }
  @inline(__always) static func isAlpha(_ c: UInt8) -> Bool { (c | 0x20) &- 0x61 < 26 }
  @inline(__always) static func isHexDigit(_ c: UInt8) -> Bool { isDigit(c) || (c | 0x20) &- 0x61 < 6 }

  /// Lower case for ASCII letters, anything else unchanged.
  @inline(__always) static func lower(_ c: UInt8) -> UInt8 { c &- 0x41 < 26 ? c | 0x20 : c }

  @inline(__always) static func skipWhitespace(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) {
    while i < end, isWhitespace(b[i]) { i &+= 1 }
  }

  /// Advances over a token; whether there was at least one character.
  @inline(__always) static func skipToken(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) -> Bool {
    let start = i
    while i < end, isToken(b[i]) { i &+= 1 }
    return i > start
  }

  /// Advances over a quoted string whose opening quote is at `i` (RFC 3261 §25.1 quoted-string); `i` ends behind the
  /// closing quote. False when it is not closed.
  static func skipQuoted(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) -> Bool {
    i &+= 1
    while i < end {
      switch b[i] {
      case UInt8(ascii: "\""):
        i &+= 1
        return true
      case UInt8(ascii: "\\"): i &+= 2
      default: i &+= 1
      }
    }
    i = min(i, end)
    return false
  }

  /// An unsigned decimal number of any length that fits 64 bits; nil when empty, too large or not digits.
  static func number(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> UInt64? {
    guard start < end else { return nil }
    var value: UInt64 = 0
    for i in start..<end {
      let d = b[i] &- 0x30
      guard d < 10 else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(d))
      if overflow || carry { return nil }
      value = sum
    }
    return value
  }

  /// The end of the list element that starts at `start`: the next comma outside quotes and angle brackets, or `end`.
  static func elementEnd(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
    var depth = 0
    while i < end {
      switch b[i] {
      case UInt8(ascii: "\""):
        _ = skipQuoted(b, &i, end)
        continue
      case UInt8(ascii: "<"): depth &+= 1
      case UInt8(ascii: ">"): depth = 0
      case UInt8(ascii: ",") where depth == 0: return i
      default: break
      }
      i &+= 1
    }
    return end
  }

  /// `start..<end` without leading and trailing white space.
  static func trimmed(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> Range<Int> {
    var low = start
    var high = end
    while low < high, isWhitespace(b[low]) { low &+= 1 }
    while high > low, isWhitespace(b[high &- 1]) { high &-= 1 }
    return low..<high
  }

  /// The bytes as text; invalid UTF-8 is repaired.
  @inline(__always) static func string(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> String {
    guard start < end else { return "" }
    return b.extracting(start..<end).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
  }

  /// Contents of a quoted string (quotes excluded) with quoted-pairs resolved.
  static func unescaped(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> String {
    var plain = start
    while plain < end, b[plain] != UInt8(ascii: "\\") { plain &+= 1 }
    if plain >= end { return string(b, start, end) }
    var out: [UInt8] = []
    out.reserveCapacity(end - start)
    var i = start
    while i < end {
      if b[i] == UInt8(ascii: "\\"), i + 1 < end { i += 1 }
      out.append(b[i])
      i += 1
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Whether the bytes equal `text`, letters in any case. `text` must be lower case.
  static func equals(_ b: Span<UInt8>, _ start: Int, _ end: Int, _ text: StaticString) -> Bool {
    guard end - start == text.utf8CodeUnitCount else { return false }
    return text.withUTF8Buffer { t in
      for i in 0..<t.count where lower(b[start + i]) != t[i] { return false }
      return true
    }
  }
}

extension String {
  /// Equality with ASCII letters in any case, without allocation.
  package func equalsIgnoringCase(_ other: String) -> Bool {
    let count = utf8.count
    guard count == other.utf8.count else { return false }
    let a = utf8Span.span
    let b = other.utf8Span.span
    for i in 0..<count where a[i] != b[i] && Grammar.lower(a[i]) != Grammar.lower(b[i]) { return false }
    return true
  }

  /// ASCII letters in lower case; nothing else changes.
  package var asciiLowercased: String {
    utf8.contains { $0 &- 0x41 < 26 } ? String(decoding: utf8.map(Grammar.lower), as: UTF8.self) : self
  }

  /// As a quoted string (RFC 3261 §25.1), quotes included.
  package var quoted: String {
    guard utf8.contains(where: { $0 == 0x22 || $0 == 0x5C || $0 == 0x0D || $0 == 0x0A || $0 == 0 }) else {
      return "\"" + self + "\""
    }
    var out = "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"", "\\":
        out.unicodeScalars.append("\\")
        out.unicodeScalars.append(scalar)
      case "\r", "\n", "\0": out.unicodeScalars.append(" ")
      default: out.unicodeScalars.append(scalar)
      }
    }
    out.append("\"")
    return out
  }

  /// Without CR, LF and NUL, which would end a header field or hide one; each becomes a space.
  var withoutLineBreaks: String {
    guard utf8.contains(where: { $0 == 0x0D || $0 == 0x0A || $0 == 0 }) else { return self }
    return String(decoding: utf8.map { $0 == 0x0D || $0 == 0x0A || $0 == 0 ? 0x20 : $0 }, as: UTF8.self)
  }
}
