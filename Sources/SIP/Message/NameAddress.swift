/// A URI with an optional display name and header parameters: From, To, Contact, Route… (RFC 3261 §20.10).
package struct NameAddress: Hashable, Sendable, CustomStringConvertible {
  /// Without quotes and escapes.
  package var displayName: String?
  package var uri: SIPURI
  package var parameters: Parameters

  package init(displayName: String? = nil, uri: SIPURI, parameters: Parameters = Parameters()) {
    self.displayName = displayName
    self.uri = uri
    self.parameters = parameters
  }

  /// Parses one value.
  package init(parsing text: String) throws(SIPParseError) {
    let bytes = text.utf8Span.span
    self = try Grammar.singleAddress(bytes, 0, bytes.count)
  }

  /// The `tag` parameter of From and To.
  package var tag: String? {
    get { parameters["tag"] }
    set { parameters["tag"] = newValue }
  }

  /// The `q` parameter in thousandths, 1000 when absent (RFC 3261 §20.10).
  package var preference: Int {
    guard let text = parameters["q"] else { return 1000 }
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first.flatMap({ $0.isEmpty ? 0 : Int($0) }), whole == 0 || whole == 1 else { return 1000 }
    let fraction = parts.count == 2 ? String(parts[1].prefix(3)) : ""
    let padded = fraction + String(repeating: "0", count: 3 - fraction.utf8.count.clampedToThree)
    return min(1000, whole * 1000 + (Int(padded) ?? 0))
  }

  package var description: String {
    var out = ""
    if let displayName, !displayName.isEmpty {
      out.append(displayName.quoted)
      out.append(" ")
    }
    out.append("<")
    uri.write(to: &out)
    out.append(">")
    parameters.write(to: &out)
    return out
  }
}

extension Int {
  fileprivate var clampedToThree: Int { Swift.min(Swift.max(self, 0), 3) }
}

/// Where the parts of a name-addr or addr-spec lie.
struct AddressRanges {
  var displayStart = 0
  var displayEnd = 0
  var isQuoted = false
  var uriStart = 0
  var uriEnd = 0
}

extension Grammar {
  /// Checks name-addr or addr-spec (RFC 3261 §20.10, §25.1) at `i`; `i` ends where parameters may begin.
  static func scanAddress(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) -> AddressRanges {
    var ranges = AddressRanges()
    skipWhitespace(b, &i, end)
    guard i < end else { throw SIPParseError(.headerValue, at: i, "an address is not empty (RFC 3261 §20.10)") }
    let start = i
    if b[i] == UInt8(ascii: "\"") {
      guard skipQuoted(b, &i, end) else {
        throw SIPParseError(.quotedString, at: start, "a quoted string is closed (RFC 3261 §25.1 quoted-string)")
      }
      ranges.isQuoted = true
      ranges.displayStart = start + 1
      ranges.displayEnd = i - 1
      skipWhitespace(b, &i, end)
      guard i < end, b[i] == UInt8(ascii: "<") else {
        throw SIPParseError(.headerValue, at: i, "a display name is followed by <URI> (RFC 3261 §25.1 name-addr)")
      }
    } else {
      // Display name of tokens, or a bare URI. UTF-8 without quotes is accepted: phones send it.
      while i < end, isToken(b[i]) || isWhitespace(b[i]) || b[i] >= 0x80 { i &+= 1 }
      ranges.displayStart = start
      ranges.displayEnd = trimmed(b, start, i).upperBound
    }
    if i < end, b[i] == UInt8(ascii: "<") {
      i &+= 1
      ranges.uriStart = i
      while i < end, b[i] != UInt8(ascii: ">") { i &+= 1 }
      guard i < end else {
        throw SIPParseError(.headerValue, at: ranges.uriStart, "\"<\" is closed by \">\" (RFC 3261 §25.1 name-addr)")
      }
      ranges.uriEnd = i
      i &+= 1
      return ranges
    }
    // addr-spec: a URI with comma, semicolon or question mark must be in brackets (RFC 3261 §20.10), so those end it.
    ranges.displayEnd = ranges.displayStart
    i = start
    while i < end, b[i] != UInt8(ascii: ";"), b[i] != UInt8(ascii: ","), !isWhitespace(b[i]) {
      if b[i] == UInt8(ascii: "?") {
        throw SIPParseError(.uri, at: i, "a URI with a question mark is enclosed in <> (RFC 3261 §20.10)")
      }
      i &+= 1
    }
    ranges.uriStart = start
    ranges.uriEnd = i
    return ranges
  }

  /// Checks an address and its parameters; `i` ends at a comma or the end.
  static func skipAddress(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) {
    let ranges = try scanAddress(b, &i, end)
    _ = try scanURI(b, ranges.uriStart, ranges.uriEnd)
    try skipParameters(b, &i, end)
  }

  /// Builds the address at `i`.
  static func address(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) -> NameAddress {
    let ranges = try scanAddress(b, &i, end)
    let uri = try uri(b, ranges.uriStart, ranges.uriEnd)
    var display: String?
    if ranges.displayEnd > ranges.displayStart {
      display =
        ranges.isQuoted
        ? unescaped(b, ranges.displayStart, ranges.displayEnd) : string(b, ranges.displayStart, ranges.displayEnd)
    }
    return NameAddress(displayName: display, uri: uri, parameters: try parameters(b, &i, end))
  }

  /// Nothing but white space may follow.
  static func expectEnd(_ b: Span<UInt8>, _ i: Int, _ end: Int) throws(SIPParseError) {
    var i = i
    skipWhitespace(b, &i, end)
    guard i == end else {
      throw SIPParseError(.headerValue, at: i, "nothing follows the value (RFC 3261 §25.1)")
    }
  }

  static func singleAddress(_ b: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) -> NameAddress {
    var i = start
    let value = try address(b, &i, end)
    try expectEnd(b, i, end)
    return value
  }

  /// After a list element: true when another one follows the comma.
  static func nextElement(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) -> Bool {
    skipWhitespace(b, &i, end)
    guard i < end else { return false }
    guard b[i] == UInt8(ascii: ",") else {
      throw SIPParseError(.headerValue, at: i, "values are separated by commas (RFC 3261 §7.3.1)")
    }
    i &+= 1
    return true
  }

  /// Whether the value is the `*` of Contact.
  static func isWildcard(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
    let range = trimmed(b, start, end)
    return range.count == 1 && b[range.lowerBound] == UInt8(ascii: "*")
  }
}
