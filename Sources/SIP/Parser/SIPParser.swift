/// Parses one whole message: a datagram, a WebSocket message, or what `SIPStreamParser` cut out of a stream.
///
/// One pass finds the lines and names the headers; a second look at the headers that routing and matching stand on
/// (Via, From, To, Call-ID, CSeq, Max-Forwards, Contact, Route, Record-Route, Expires) checks their grammar in place.
/// Values are built when they are asked for.
package enum SIPParser {
  /// - Throws: the first fault found; for a request with `partial` set when it can be answered.
  package static func parse(
    datagram: [UInt8], limits: SIPLimits = .default
  ) throws(SIPParseError) -> SIPMessage {
    var head = HeadParser(limits: limits)
    do throws(SIPParseError) {
      try head.split(datagram.span)
    } catch {
      throw head.withPartial(error, datagram)
    }
    var source = datagram
    // Folding is white space (RFC 3261 §7.3.1): in our copy it becomes just that.
    for fold in head.folds {
      source[fold] = 0x20
      source[fold + 1] = 0x20
    }
    if let failure = head.failure { throw head.withPartial(failure, source) }
    do throws(SIPParseError) {
      try head.check(source.span)
      return try head.message(source)
    } catch {
      throw head.withPartial(error, source)
    }
  }

  /// Whether a datagram or WebSocket message is only line breaks: a keep-alive (RFC 5626 §3.5.1).
  package static func isKeepAlive(_ bytes: [UInt8]) -> Bool {
    bytes.allSatisfy { $0 == 0x0D || $0 == 0x0A || $0 == 0 }
  }
}

/// Start line and headers of one message as ranges.
struct HeadParser {
  enum Start {
    case none
    case request(methodEnd: Int, uriStart: Int, uriEnd: Int)
    case response(status: Int, reasonStart: Int)
  }

  let limits: SIPLimits
  var start = Start.none
  var startLine = 0..<0
  var fields: [Headers.Field] = []
  /// Offsets of CRLFs that are followed by white space.
  var folds: [Int] = []
  var bodyStart = 0
  /// The first fault in a header line; later lines are still collected, so that the request can be answered.
  var failure: SIPParseError?

  init(limits: SIPLimits) {
    self.limits = limits
    fields.reserveCapacity(20)
  }

  // MARK: Lines

  /// Finds the lines. Throws when there is no sense in going on.
  mutating func split(_ b: Span<UInt8>) throws(SIPParseError) {
    var i = 0
    while i < b.count, b[i] == 0x0D || b[i] == 0x0A { i += 1 }
    guard i < b.count else { throw SIPParseError(.empty, at: 0, "a message is a start line and headers (RFC 3261 §7)") }
    let bound = min(b.count, i + limits.headBytes)
    let lineStart = i
    guard let lineFeed = Self.lineFeed(b, i, bound), lineFeed > i, b[lineFeed - 1] == 0x0D else {
      throw unended(b, i, bound)
    }
    startLine = lineStart..<(lineFeed - 1)
    i = lineFeed + 1
    do throws(SIPParseError) {
      try splitStartLine(b)
    } catch {
      failure = error
    }
    while true {
      guard i + 1 < bound else { throw unended(b, i, bound) }
      if b[i] == 0x0D, b[i + 1] == 0x0A {
        bodyStart = i + 2
        return
      }
      let lineStart = i
      var lineEnd: Int
      repeat {
        guard let lineFeed = Self.lineFeed(b, i, bound) else { throw unended(b, i, bound) }
        lineEnd = lineFeed - 1
        if lineEnd < lineStart || b[lineEnd] != 0x0D {
          note(SIPParseError(.lineEnd, at: lineFeed, "a header line ends with CRLF (RFC 3261 §7.3.1)"))
          lineEnd += 1
        }
        i = lineFeed + 1
        guard i < bound, Grammar.isWhitespace(b[i]) else { break }
        if lineEnd == lineFeed - 1 { folds.append(lineEnd) }
      } while true
      if i - lineStart > limits.lineBytes {
        note(SIPParseError(.tooLarge, at: lineStart, "a header line has at most \(limits.lineBytes) bytes here"))
      }
      if fields.count >= limits.headers {
        throw SIPParseError(.tooManyHeaders, at: lineStart, "a message has at most \(limits.headers) headers here")
      }
      splitHeader(b, lineStart, lineEnd)
    }
  }

  private mutating func note(_ error: SIPParseError) { if failure == nil { failure = error } }

  private func unended(_ b: Span<UInt8>, _ i: Int, _ bound: Int) -> SIPParseError {
    bound < b.count
      ? SIPParseError(.tooLarge, at: bound, "start line and headers have at most \(limits.headBytes) bytes here")
      : SIPParseError(.truncated, at: b.count, "the headers end with an empty line (RFC 3261 §7)")
  }

  /// The next line feed, eight bytes at a time.
  @inline(__always)
  static func lineFeed(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
    var i = start
    let raw = b.bytes
    while i &+ 8 <= end {
      let word = raw.unsafeLoadUnaligned(fromByteOffset: i, as: UInt64.self) ^ 0x0A0A_0A0A_0A0A_0A0A
      let hit = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
      if hit != 0 { return i &+ UInt64(littleEndian: hit).trailingZeroBitCount / 8 }
      i &+= 8
    }
    while i < end {
      if b[i] == 0x0A { return i }
      i &+= 1
    }
    return nil
  }

  private mutating func splitStartLine(_ b: Span<UInt8>) throws(SIPParseError) {
    let low = startLine.lowerBound
    let high = startLine.upperBound
    if high - low >= 4, Grammar.equals(b, low, low + 4, "sip/") {
      try splitStatusLine(b, low, high)
      return
    }
    // Method SP Request-URI SP SIP-Version, single spaces (RFC 3261 §7.1).
    var methodEnd = low
    guard Grammar.skipToken(b, &methodEnd, high), methodEnd < high, b[methodEnd] == 0x20 else {
      throw SIPParseError(
        .startLine, at: methodEnd, "Request-Line = Method SP Request-URI SP SIP-Version (RFC 3261 §7.1)")
    }
    var versionStart = high
    while versionStart > methodEnd + 1, b[versionStart - 1] != 0x20 { versionStart -= 1 }
    let uriStart = methodEnd + 1
    let uriEnd = versionStart - 1
    start = .request(methodEnd: methodEnd, uriStart: uriStart, uriEnd: max(uriStart, uriEnd))
    guard uriEnd > uriStart, versionStart < high else {
      throw SIPParseError(.startLine, at: high, "Request-Line = Method SP Request-URI SP SIP-Version (RFC 3261 §7.1)")
    }
    try checkVersion(b, versionStart, high)
  }

  private func checkVersion(_ b: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) {
    if Grammar.equals(b, start, end, "sip/2.0") { return }
    var i = start + 4
    guard end - start > 6, Grammar.equals(b, start, start + 4, "sip/") else {
      throw SIPParseError(.startLine, at: start, "SIP-Version = \"SIP/2.0\" (RFC 3261 §7.1)")
    }
    while i < end, Grammar.isDigit(b[i]) || b[i] == UInt8(ascii: ".") { i += 1 }
    throw SIPParseError(i == end ? .version : .startLine, at: start, "SIP-Version = \"SIP/2.0\" (RFC 3261 §7.1)")
  }

  private mutating func splitStatusLine(_ b: Span<UInt8>, _ low: Int, _ high: Int) throws(SIPParseError) {
    var versionEnd = low
    while versionEnd < high, b[versionEnd] != 0x20 { versionEnd += 1 }
    start = .response(status: 0, reasonStart: high)
    try checkVersion(b, low, versionEnd)
    let code = versionEnd + 1
    guard code + 3 <= high, let status = Grammar.number(b, code, code + 3), status >= 100, status < 700,
      code + 3 == high || b[code + 3] == 0x20
    else {
      throw SIPParseError(.statusCode, at: min(code, high), "Status-Code = 3DIGIT from 100 to 699 (RFC 3261 §7.2)")
    }
    start = .response(status: Int(status), reasonStart: min(code + 4, high))
  }

  private mutating func splitHeader(_ b: Span<UInt8>, _ lineStart: Int, _ lineEnd: Int) {
    var i = lineStart
    guard Grammar.skipToken(b, &i, lineEnd) else {
      note(SIPParseError(.headerName, at: i, "a header's name is a token (RFC 3261 §7.3.1)"))
      return
    }
    let nameEnd = i
    Grammar.skipWhitespace(b, &i, lineEnd)
    guard i < lineEnd, b[i] == UInt8(ascii: ":") else {
      note(SIPParseError(.headerName, at: i, "a header's name is followed by a colon (RFC 3261 §7.3.1)"))
      return
    }
    var valueStart = i + 1
    var valueEnd = lineEnd
    while valueStart < valueEnd, Self.isBlank(b[valueStart]) { valueStart &+= 1 }
    while valueEnd > valueStart, Self.isBlank(b[valueEnd &- 1]) { valueEnd &-= 1 }
    fields.append(
      Headers.Field(
        name: HeaderName(parsing: b, lineStart, nameEnd), start: Int32(clamping: valueStart),
        end: Int32(clamping: valueEnd), text: nil))
  }

  @inline(__always) static func isBlank(_ c: UInt8) -> Bool {
    c == 0x20 || c == 0x09 || c == 0x0D || c == 0x0A
  }
}
