/// Where the parts of a URI lie. -1 marks an absent part.
struct URIRanges {
  enum Form { case sip, tel, other }
  var form = Form.other
  var schemeEnd = 0
  var userEnd = -1
  var passwordEnd = -1
  var hostStart = 0
  var hostEnd = 0
  var port: UInt16?
  /// Start of the parameters (at the first semicolon), end where the headers begin or the URI ends.
  var parametersStart = 0
  var parametersEnd = 0
  /// Behind the question mark.
  var headersStart = -1
}

extension Grammar {
  private static func uriError(_ i: Int, _ rule: String) -> SIPParseError { SIPParseError(.uri, at: i, rule) }

  /// Checks that `start..<end` is a URI and tells where its parts lie.
  static func scanURI(_ b: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) -> URIRanges {
    var ranges = URIRanges()
    var i = start
    guard i < end, isAlpha(b[i]) else { throw uriError(i, "a URI starts with a scheme (RFC 3261 §25.1 absoluteURI)") }
    while i < end, isSchemeCharacter(b[i]) { i &+= 1 }
    guard i < end, b[i] == UInt8(ascii: ":") else {
      throw uriError(i, "a URI's scheme ends with a colon (RFC 3261 §25.1 absoluteURI)")
    }
    ranges.schemeEnd = i
    i &+= 1
    // One look at every character: nothing below 0x21, no delimiters, escapes whole; the first "@" ends the user part.
    var at = -1
    var secondAt = -1
    var j = i
    while j < end {
      let c = b[j]
      switch c {
      case 0...0x20, 0x7F, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""):
        throw uriError(j, "a URI holds no white space, control character, bracket or quote (RFC 3261 §25.1)")
      case UInt8(ascii: "%"):
        guard j &+ 2 < end, isHexDigit(b[j &+ 1]), isHexDigit(b[j &+ 2]) else {
          throw uriError(j, "escaped = \"%\" HEXDIG HEXDIG (RFC 3261 §25.1)")
        }
        j &+= 2
      case UInt8(ascii: "@"):
        if at < 0 { at = j } else if secondAt < 0 { secondAt = j }
      default: break
      }
      j &+= 1
    }
    guard i < end else { throw uriError(i, "a URI does not end with its scheme (RFC 3261 §25.1)") }
    if equals(b, start, ranges.schemeEnd, "sip") || equals(b, start, ranges.schemeEnd, "sips") {
      ranges.form = .sip
      guard secondAt < 0 else { throw uriError(secondAt, "one \"@\" at most stands in a URI (RFC 3261 §25.1)") }
      try scanSIP(b, i, end, at, &ranges)
    } else if equals(b, start, ranges.schemeEnd, "tel") {
      ranges.form = .tel
      while i < end, b[i] != UInt8(ascii: ";"), b[i] != UInt8(ascii: "?") { i &+= 1 }
      ranges.userEnd = i
      ranges.hostStart = i
      ranges.hostEnd = i
      ranges.parametersStart = i
      ranges.parametersEnd = end
    }
    return ranges
  }

  private static func scanSIP(
    _ b: Span<UInt8>, _ start: Int, _ end: Int, _ at: Int, _ ranges: inout URIRanges
  ) throws(SIPParseError) {
    var i = start
    if at >= 0 {
      while i < at, b[i] != UInt8(ascii: ":") { i &+= 1 }
      guard i > start else { throw uriError(i, "the user part is not empty (RFC 3261 §25.1 userinfo)") }
      ranges.userEnd = i
      if i < at { ranges.passwordEnd = at }
      i = at &+ 1
    }
    ranges.hostStart = i
    try skipHost(b, &i, end)
    ranges.hostEnd = i
    if i < end, b[i] == UInt8(ascii: ":") {
      ranges.port = try port(b, &i, end)
    }
    ranges.parametersStart = i
    if i < end, b[i] == UInt8(ascii: ";") {
      while i < end, b[i] != UInt8(ascii: "?") { i &+= 1 }
    }
    ranges.parametersEnd = i
    guard i < end else { return }
    guard b[i] == UInt8(ascii: "?") else {
      throw uriError(i, "host and port are followed by parameters or headers (RFC 3261 §25.1 SIP-URI)")
    }
    ranges.headersStart = i &+ 1
  }

  /// Advances over a host name, an IPv4 address or a bracketed IPv6 address.
  static func skipHost(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) {
    let start = i
    if i < end, b[i] == UInt8(ascii: "[") {
      i &+= 1
      while i < end, isHexDigit(b[i]) || b[i] == UInt8(ascii: ":") || b[i] == UInt8(ascii: ".") { i &+= 1 }
      guard i < end, b[i] == UInt8(ascii: "]"), i &- start > 2 else {
        throw uriError(i, "an IPv6 address is closed by a bracket (RFC 3261 §25.1 IPv6reference)")
      }
      i &+= 1
      return
    }
    // The underscore is no host character, but names with one are in use.
    while i < end, isAlpha(b[i]) || isDigit(b[i]) || b[i] == 0x2D || b[i] == 0x2E || b[i] == 0x5F { i &+= 1 }
    guard i > start else { throw uriError(i, "a host is not empty (RFC 3261 §25.1 host)") }
  }

  /// The port whose colon is at `i`.
  static func port(_ b: Span<UInt8>, _ i: inout Int, _ end: Int) throws(SIPParseError) -> UInt16 {
    i &+= 1
    let start = i
    while i < end, isDigit(b[i]) { i &+= 1 }
    guard let value = number(b, start, i), let port = UInt16(exactly: value) else {
      throw SIPParseError(.number, at: start, "a port is 0 to 65535 (RFC 3261 §25.1 port)")
    }
    return port
  }

  @inline(__always) private static func isSchemeCharacter(_ c: UInt8) -> Bool {
    isAlpha(c) || isDigit(c) || c == UInt8(ascii: "+") || c == UInt8(ascii: "-") || c == UInt8(ascii: ".")
  }

  /// Builds the value.
  static func uri(_ b: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) -> SIPURI {
    let ranges = try scanURI(b, start, end)
    let scheme: String
    switch ranges.form {
    case .sip: scheme = ranges.schemeEnd - start == 4 ? "sips" : "sip"
    case .tel: scheme = "tel"
    case .other:
      var uri = SIPURI(scheme: string(b, start, ranges.schemeEnd).asciiLowercased, host: "")
      uri.opaque = string(b, ranges.schemeEnd + 1, end)
      return uri
    }
    var uri = SIPURI(scheme: scheme, host: string(b, ranges.hostStart, ranges.hostEnd), port: ranges.port)
    if ranges.userEnd >= 0 { uri.rawUser = string(b, ranges.schemeEnd + 1, ranges.userEnd) }
    if ranges.passwordEnd >= 0 { uri.password = string(b, ranges.userEnd + 1, ranges.passwordEnd) }
    uri.parameters = uriParameters(b, ranges.parametersStart, ranges.parametersEnd, separator: UInt8(ascii: ";"))
    if ranges.headersStart >= 0 {
      uri.headers = uriParameters(b, ranges.headersStart - 1, end, separator: UInt8(ascii: "&")).elements
    }
    return uri
  }

  /// Pieces `name[=value]` behind the separator at `start`. Empty pieces (`;;`) are skipped.
  private static func uriParameters(_ b: Span<UInt8>, _ start: Int, _ end: Int, separator: UInt8) -> Parameters {
    guard start < end else { return Parameters() }
    var elements: [Parameters.Element] = []
    var i = start + 1
    while i < end {
      let nameStart = i
      var equals = -1
      while i < end, b[i] != separator {
        if equals < 0, b[i] == UInt8(ascii: "=") { equals = i }
        i += 1
      }
      if i > nameStart {
        elements.append(
          Parameters.Element(
            name: string(b, nameStart, equals < 0 ? i : equals), raw: equals < 0 ? nil : string(b, equals + 1, i)))
      }
      i += 1
    }
    return Parameters(elements)
  }
}
