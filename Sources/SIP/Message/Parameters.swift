/// Parameters behind a URI or a header value: ordered, names in any case, values optional.
package struct Parameters: Hashable, Sendable, CustomStringConvertible {
  package struct Element: Hashable, Sendable {
    package var name: String
    /// As written: with its quotes, or with its percent escapes in a URI.
    package var raw: String?
    package init(name: String, raw: String?) {
      self.name = name
      self.raw = raw
    }
  }

  package var elements: [Element]

  package init(_ elements: [Element] = []) { self.elements = elements }

  package var isEmpty: Bool { elements.isEmpty }

  package func contains(_ name: String) -> Bool { index(of: name) != nil }

  /// The value without quotes; nil when the parameter is absent or has no value. Setting quotes the value where it
  /// is not a token or a host; setting nil removes the parameter.
  package subscript(name: String) -> String? {
    get {
      guard let index = index(of: name), let raw = elements[index].raw else { return nil }
      guard raw.utf8.first == UInt8(ascii: "\""), raw.utf8.count >= 2 else { return raw }
      let span = raw.utf8Span.span
      return Grammar.unescaped(span, 1, span.count - 1)
    }
    set {
      if let newValue { setRaw(name, Self.isPlain(newValue) ? newValue : newValue.quoted) } else { remove(name) }
    }
  }

  /// Puts a parameter without a value, such as `lr`.
  package mutating func setFlag(_ name: String) { setRaw(name, nil) }

  /// Puts a parameter exactly as given; the caller answers for its characters.
  package mutating func setRaw(_ name: String, _ raw: String?) {
    if let index = index(of: name) {
      elements[index].raw = raw
    } else {
      elements.append(Element(name: name, raw: raw))
    }
  }

  package mutating func remove(_ name: String) { elements.removeAll { $0.name.equalsIgnoringCase(name) } }

  private func index(of name: String) -> Int? { elements.firstIndex { $0.name.equalsIgnoringCase(name) } }

  private static func isPlain(_ value: String) -> Bool {
    !value.isEmpty && value.utf8.allSatisfy { Grammar.isToken($0) || $0 == 0x5B || $0 == 0x5D || $0 == 0x3A }
  }

  package var description: String {
    var out = ""
    write(to: &out)
    return out
  }

  func write(to out: inout String) {
    for element in elements {
      out.append(";")
      out.append(element.name)
      if let raw = element.raw {
        out.append("=")
        out.append(raw)
      }
    }
  }
}

/// Where one parameter lies; `valueStart` is -1 when it has no value.
struct ParameterRange {
  var nameStart: Int
  var nameEnd: Int
  var valueStart: Int
  var valueEnd: Int
}

extension Grammar {
  /// The next `;name[=value]` of a header value (RFC 3261 §25.1 generic-param); nil when what follows is not a semicolon.
  static func nextParameter(
    _ b: Span<UInt8>, _ i: inout Int, _ end: Int
  ) throws(SIPParseError) -> ParameterRange? {
    skipWhitespace(b, &i, end)
    guard i < end, b[i] == UInt8(ascii: ";") else { return nil }
    i &+= 1
    skipWhitespace(b, &i, end)
    let nameStart = i
    guard skipToken(b, &i, end) else {
      throw SIPParseError(.parameter, at: i, "a parameter's name is a token (RFC 3261 §25.1 generic-param)")
    }
    var range = ParameterRange(nameStart: nameStart, nameEnd: i, valueStart: -1, valueEnd: -1)
    skipWhitespace(b, &i, end)
    guard i < end, b[i] == UInt8(ascii: "=") else { return range }
    i &+= 1
    skipWhitespace(b, &i, end)
    range.valueStart = i
    if i < end, b[i] == UInt8(ascii: "\"") {
      guard skipQuoted(b, &i, end) else {
        throw SIPParseError(
          .quotedString, at: range.valueStart, "a quoted string is closed (RFC 3261 §25.1 quoted-string)")
      }
    } else {
      // token / host; "/" and "@" are accepted because q-less media parameters and old phones use them.
      while i < end, isToken(b[i]) || isParameterExtra(b[i]) { i &+= 1 }
      if i == range.valueStart {
        throw SIPParseError(.parameter, at: i, "a parameter's value is not empty (RFC 3261 §25.1 gen-value)")
      }
    }
    range.valueEnd = i
    return range
  }

  @inline(__always) private static func isParameterExtra(_ c: UInt8) -> Bool {
    switch c {
    case UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "@"),
      UInt8(ascii: "&"), UInt8(ascii: "$"), UInt8(ascii: "|"), 0x80...:
      true
    default: false
    }
  }

  /// Checks all parameters from `i` on; `i` ends at the comma or the end.
  static func skipParameters(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) {
    while try nextParameter(b, &i, end) != nil {}
  }

  /// Reads all parameters from `i` on.
  static func parameters(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) -> Parameters {
    var elements: [Parameters.Element] = []
    while let range = try nextParameter(b, &i, end) {
      elements.append(
        Parameters.Element(
          name: string(b, range.nameStart, range.nameEnd),
          raw: range.valueStart < 0 ? nil : string(b, range.valueStart, range.valueEnd)))
    }
    return Parameters(elements)
  }
}
