/// Cuts messages out of a byte stream by Content-Length (RFC 3261 §18.3) and finds the keep-alives between them
/// (RFC 5626 §3.5.1).
///
/// Drive it so: `append`, then `next()` until it returns nil. An error that `isFatal` says the stream cannot be
/// followed any more: answer it if it can be answered, and close. After any other error go on with `next()`.
package struct SIPStreamParser: Sendable {
  package enum Element: Sendable {
    case message(SIPMessage)
    /// CRLFCRLF: answer with CRLF.
    case keepAlivePing
    /// A single CRLF: the answer to our ping.
    case keepAlivePong
  }

  private let limits: SIPLimits
  private var buffer: [UInt8] = []
  /// Start of what has not been used.
  private var start = 0
  /// Up to here no end of headers was found.
  private var scanned = 0
  /// Bytes of the message at `start` once its headers are complete.
  private var messageEnd: Int?
  /// Set when the stream cannot be followed any more.
  package private(set) var isFatal = false

  package init(limits: SIPLimits = .default) { self.limits = limits }

  /// Bytes that wait for the rest of their message.
  package var pendingBytes: Int { buffer.count - start }

  package mutating func append(_ bytes: some Collection<UInt8>) {
    guard !isFatal else { return }
    if start > 0, start == buffer.count || start > 65_536 {
      buffer.removeSubrange(..<start)
      scanned = max(0, scanned - start)
      messageEnd = messageEnd.map { $0 - start }
      start = 0
    }
    buffer.append(contentsOf: bytes)
  }

  package mutating func next() throws(SIPParseError) -> Element? {
    guard !isFatal, start < buffer.count else { return nil }
    if messageEnd == nil {
      while let keepAlive = keepAlive() {
        switch keepAlive {
        case .element(let element): return element
        case .incomplete: return nil
        case .skipped: if start == buffer.count { return nil }
        }
      }
      guard try findMessageEnd() else { return nil }
    }
    guard let end = messageEnd, end <= buffer.count else { return nil }
    let bytes: [UInt8]
    if start == 0, end == buffer.count {
      bytes = buffer
      buffer = []
      scanned = 0
    } else {
      bytes = Array(buffer[start..<end])
      start = end
      scanned = end
    }
    messageEnd = nil
    return .message(try SIPParser.parse(datagram: bytes, limits: limits))
  }

  private enum LineBreaks {
    case element(Element)
    /// What follows decides.
    case incomplete
    /// A stray line break is passed over (RFC 3261 §7.5).
    case skipped
  }

  /// Line breaks before a message; nil when there are none.
  private mutating func keepAlive() -> LineBreaks? {
    guard buffer[start] == 0x0D || buffer[start] == 0x0A else { return nil }
    var end = start
    while end < buffer.count, end - start < 4, buffer[end] == 0x0D || buffer[end] == 0x0A { end += 1 }
    if buffer[start..<end].elementsEqual([0x0D, 0x0A, 0x0D, 0x0A]) {
      start = end
      return .element(.keepAlivePing)
    }
    // A lone CR may be the first half of CRLF, and three bytes most of a ping. CRLF alone is a pong and is told at once.
    let rest = buffer.count - start
    if buffer[start] == 0x0D, rest == 1 || (rest == 3 && end == buffer.count) { return .incomplete }
    if buffer[start] == 0x0D, end - start >= 2, buffer[start + 1] == 0x0A {
      start += 2
      return .element(.keepAlivePong)
    }
    start += 1
    return .skipped
  }

  /// Whether headers are complete; then `messageEnd` is set.
  private mutating func findMessageEnd() throws(SIPParseError) -> Bool {
    var i = max(start, scanned - 3)
    let limit = min(buffer.count, start + limits.headBytes)
    var headEnd: Int?
    while let lineFeed = HeadParser.lineFeed(buffer.span, i, limit) {
      if lineFeed - start >= 3, buffer[lineFeed - 1] == 0x0D, buffer[lineFeed - 2] == 0x0A, buffer[lineFeed - 3] == 0x0D
      {
        headEnd = lineFeed + 1
        break
      }
      i = lineFeed + 1
    }
    scanned = limit
    guard let headEnd else {
      if limit - start == limits.headBytes {
        throw fail(.tooLarge, limit, "start line and headers have at most \(limits.headBytes) bytes here", headEnd: nil)
      }
      return false
    }
    let lengths = Self.contentLengths(buffer.span, start, headEnd)
    guard let range = lengths.first else {
      throw fail(.contentLength, 0, "Content-Length is mandatory on streams (RFC 3261 §18.3)", headEnd: headEnd)
    }
    guard lengths.count == 1, let value = Grammar.number(buffer.span, range.lowerBound, range.upperBound) else {
      let offset = range.lowerBound - start
      throw fail(.contentLength, offset, "Content-Length is one number (RFC 3261 §20.14)", headEnd: headEnd)
    }
    guard value <= UInt64(limits.bodyBytes) else {
      throw fail(
        .tooLarge, range.lowerBound - start, "a body has at most \(limits.bodyBytes) bytes here", headEnd: headEnd)
    }
    messageEnd = headEnd + Int(value)
    return true
  }

  /// The trimmed values of all Content-Length lines in a head.
  private static func contentLengths(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var i = start
    while let lineFeed = HeadParser.lineFeed(b, i, end) {
      i = lineFeed + 1
      guard i < end, b[i] | 0x20 == UInt8(ascii: "c") || b[i] | 0x20 == UInt8(ascii: "l") else { continue }
      var j = i
      guard Grammar.skipToken(b, &j, end), HeaderName(parsing: b, i, j) == .contentLength else { continue }
      Grammar.skipWhitespace(b, &j, end)
      guard j < end, b[j] == UInt8(ascii: ":") else { continue }
      var low = j + 1
      // The value goes on over folded lines.
      var high = low
      while let next = HeadParser.lineFeed(b, high, end) {
        high = next + 1
        guard high < end, Grammar.isWhitespace(b[high]) else { break }
      }
      while low < high, HeadParser.isBlank(b[low]) { low += 1 }
      while high > low, HeadParser.isBlank(b[high - 1]) { high -= 1 }
      found.append(low..<high)
    }
    return found
  }

  private mutating func fail(
    _ kind: SIPParseError.Kind, _ offset: Int, _ rule: String, headEnd: Int?
  ) -> SIPParseError {
    isFatal = true
    let error = SIPParseError(kind, at: offset, rule)
    guard let headEnd else { return error }
    let bytes = Array(buffer[start..<headEnd])
    var head = HeadParser(limits: limits)
    guard (try? head.split(bytes.span)) != nil else { return error }
    return head.withPartial(error, bytes)
  }
}
