/// Splitting and number reading on the ASCII bytes of SDP values, where `Character` and `Int(_:)` are too forgiving.
enum Fields {
  /// The runs of bytes between spaces and tabs.
  static func split(_ text: some StringProtocol) -> [Substring] {
    Substring(text).utf8.split { $0 == 0x20 || $0 == 0x09 }.map { Substring($0) }
  }

  /// `text` cut at the first `separator`; the second part is nil where there is none.
  static func cut(_ text: some StringProtocol, at separator: Unicode.Scalar) -> (Substring, Substring?) {
    let utf8 = Substring(text).utf8
    guard let at = utf8.firstIndex(of: UInt8(ascii: separator)) else { return (Substring(utf8), nil) }
    return (Substring(utf8[..<at]), Substring(utf8[utf8.index(after: at)...]))
  }

  /// Decimal digits only: no sign, no space; nil when empty or out of range.
  static func number<N: FixedWidthInteger>(_ text: some StringProtocol, as type: N.Type = N.self) -> N? {
    var value: N = 0
    var any = false
    for c in text.utf8 {
      guard (0x30...0x39).contains(c) else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(N(c - 0x30))
      if overflow || carry { return nil }
      value = sum
      any = true
    }
    return any ? value : nil
  }

  /// Whether `text` is `name`, which is lower case, whatever its own case.
  static func isSame(_ text: String, _ name: StaticString) -> Bool {
    guard text.utf8.count == name.utf8CodeUnitCount else { return false }
    var at = 0
    for c in text.utf8 {
      let lower = (0x41...0x5A).contains(c) ? c | 0x20 : c
      if lower != name.utf8Start[at] { return false }
      at += 1
    }
    return true
  }

  /// A copy without spaces and tabs at both ends.
  static func trim(_ text: Substring) -> Substring {
    var utf8 = text.utf8
    while let c = utf8.first, c == 0x20 || c == 0x09 { utf8 = utf8.dropFirst() }
    while let c = utf8.last, c == 0x20 || c == 0x09 { utf8 = utf8.dropLast() }
    return Substring(utf8)
  }
}
