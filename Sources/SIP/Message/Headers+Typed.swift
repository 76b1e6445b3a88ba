/// Typed views. They parse on demand and keep nothing.
///
/// A message that came through `SIPParser` has had Via, From, To, Call-ID, CSeq, Max-Forwards, Contact, Route,
/// Record-Route and Expires checked: their views are nil or empty only when the header is absent.
extension Headers {
  // MARK: Addresses

  /// All values of an address list; throws at the first that is malformed.
  package func addresses(_ name: HeaderName) throws(SIPParseError) -> [NameAddress] {
    var list: [NameAddress] = []
    for field in fields where field.name == name {
      try withBytes(of: field) { (bytes, start, end) throws(SIPParseError) in
        var i = start
        repeat { list.append(try Grammar.address(bytes, &i, end)) } while try Grammar.nextElement(bytes, &i, end)
      }
    }
    return list
  }

  /// The first value as an address; nil when absent or malformed.
  package func address(_ name: HeaderName) -> NameAddress? {
    guard let field = first(name) else { return nil }
    return try? withBytes(of: field) { (bytes, start, end) throws(SIPParseError) in
      var i = start
      return try Grammar.address(bytes, &i, end)
    }
  }

  package mutating func setAddresses(_ name: HeaderName, _ list: [NameAddress]) {
    remove(name)
    for address in list { append(name, address.description) }
  }

  package var from: NameAddress? {
    get { address(.from) }
    set { self[.from] = newValue?.description }
  }
  package var to: NameAddress? {
    get { address(.to) }
    set { self[.to] = newValue?.description }
  }
  /// The tag of From without building the rest.
  package var fromTag: String? { tag(.from) }
  /// The tag of To without building the rest.
  package var toTag: String? { tag(.to) }

  private func tag(_ name: HeaderName) -> String? {
    guard let field = first(name) else { return nil }
    return try? withBytes(of: field) { (bytes, start, end) throws(SIPParseError) -> String? in
      var i = start
      _ = try Grammar.scanAddress(bytes, &i, end)
      while let parameter = try Grammar.nextParameter(bytes, &i, end) {
        if parameter.valueStart >= 0, Grammar.equals(bytes, parameter.nameStart, parameter.nameEnd, "tag") {
          return Grammar.string(bytes, parameter.valueStart, parameter.valueEnd)
        }
      }
      return nil
    }
  }

  /// Contact values; empty for `*`.
  package var contacts: [NameAddress] { hasContactWildcard ? [] : (try? addresses(.contact)) ?? [] }
  package var contact: NameAddress? {
    get { hasContactWildcard ? nil : address(.contact) }
    set { self[.contact] = newValue?.description }
  }
  /// `Contact: *` (RFC 3261 §10.2.2).
  package var hasContactWildcard: Bool {
    fields.contains { $0.name == .contact && withBytes(of: $0, Grammar.isWildcard) }
  }
  package var routes: [NameAddress] { (try? addresses(.route)) ?? [] }
  package var recordRoutes: [NameAddress] { (try? addresses(.recordRoute)) ?? [] }
  package var path: [NameAddress] { (try? addresses(.path)) ?? [] }
  package var referTo: NameAddress? { address(.referTo) }
  package var referredBy: NameAddress? { address(.referredBy) }
  package var pAssertedIdentity: NameAddress? { address(.pAssertedIdentity) }
  package var pPreferredIdentity: NameAddress? { address(.pPreferredIdentity) }

  // MARK: Via

  package var topVia: Via? {
    guard let field = first(.via) else { return nil }
    return try? withBytes(of: field) { (bytes, start, end) throws(SIPParseError) in
      var i = start
      return try Grammar.via(bytes, &i, end)
    }
  }

  package var vias: [Via] {
    var list: [Via] = []
    for field in fields where field.name == .via {
      let complete: Void? = try? withBytes(of: field) { (bytes, start, end) throws(SIPParseError) in
        var i = start
        repeat { list.append(try Grammar.via(bytes, &i, end)) } while try Grammar.nextElement(bytes, &i, end)
      }
      if complete == nil { break }
    }
    return list
  }

  /// Puts `via` in the place of the first value; the rest of its line stays.
  package mutating func replaceTopVia(_ via: Via) {
    guard let index = fields.firstIndex(where: { $0.name == .via }) else {
      prepend(.via, via.description)
      return
    }
    let rest = withBytes(of: fields[index]) { bytes, start, end in
      let stop = Grammar.elementEnd(bytes, start, end)
      return stop < end ? Grammar.string(bytes, stop, end) : ""
    }
    fields[index] = Field(name: .via, start: 0, end: 0, text: (via.description + rest).withoutLineBreaks)
  }

  // MARK: Sequence, identity, numbers

  package var callID: String? {
    get { self[.callID] }
    set { self[.callID] = newValue }
  }

  package var cSeq: CSeq? {
    get {
      guard let field = first(.cSeq) else { return nil }
      return try? withBytes(of: field, Grammar.cSeq)
    }
    set { self[.cSeq] = newValue?.description }
  }

  /// A header whose value is one number; nil when absent or not a number that fits.
  package func number(_ name: HeaderName) -> UInt64? {
    guard let field = first(name) else { return nil }
    return withBytes(of: field) { bytes, start, end in
      let range = Grammar.trimmed(bytes, start, end)
      // delta-seconds may be followed by a comment or parameters (Retry-After, Session-Expires).
      var stop = range.lowerBound
      while stop < range.upperBound, Grammar.isDigit(bytes[stop]) { stop += 1 }
      if stop < range.upperBound, !Grammar.isWhitespace(bytes[stop]), bytes[stop] != UInt8(ascii: ";"),
        bytes[stop] != UInt8(ascii: "(")
      {
        return nil
      }
      return Grammar.number(bytes, range.lowerBound, stop)
    }
  }

  private func seconds(_ name: HeaderName) -> UInt32? { number(name).map { UInt32(clamping: $0) } }

  package var maxForwards: Int? {
    get { number(.maxForwards).flatMap { Int(exactly: $0) } }
    set { self[.maxForwards] = newValue.map { String($0) } }
  }
  package var contentLength: Int? { number(.contentLength).flatMap { Int(exactly: $0) } }
  /// Seconds, clamped to 2³²-1.
  package var expires: UInt32? {
    get { seconds(.expires) }
    set { self[.expires] = newValue.map { String($0) } }
  }
  package var minExpires: UInt32? {
    get { seconds(.minExpires) }
    set { self[.minExpires] = newValue.map { String($0) } }
  }
  /// Seconds.
  package var retryAfter: UInt32? { seconds(.retryAfter) }
  /// Seconds (RFC 4028 §5).
  package var minSE: UInt32? {
    get { seconds(.minSE) }
    set { self[.minSE] = newValue.map { String($0) } }
  }

  // MARK: Tokens

  package var supported: [String] { all(.supported) }
  package var require: [String] { all(.require) }
  package var proxyRequire: [String] { all(.proxyRequire) }
  package var allow: [Method] { all(.allow).map { Method(rawValue: $0) } }

  /// Whether an option tag stands in Supported or Require.
  package func supports(_ option: String) -> Bool {
    all(.supported).contains { $0.equalsIgnoringCase(option) }
      || all(.require).contains { $0.equalsIgnoringCase(option) }
  }

  /// Content-Type as written.
  package var contentType: String? {
    get { self[.contentType] }
    set { self[.contentType] = newValue }
  }

  /// Content-Type without parameters, lower case: `application/sdp`.
  package var mediaType: String? {
    guard let text = contentType else { return nil }
    let end = text.utf8.firstIndex(of: UInt8(ascii: ";")) ?? text.endIndex
    return String(decoding: text.utf8[..<end].filter { !Grammar.isWhitespace($0) }.map(Grammar.lower), as: UTF8.self)
  }

  package var userAgent: String? {
    get { self[.userAgent] }
    set { self[.userAgent] = newValue }
  }
}

extension Grammar {
  /// CSeq = 1*DIGIT LWS Method, the number below 2³¹ (RFC 3261 §8.1.1.5, §20.16).
  static func cSeq(_ b: Span<UInt8>, _ start: Int, _ end: Int) throws(SIPParseError) -> CSeq {
    var i = start
    skipWhitespace(b, &i, end)
    let digits = i
    while i < end, isDigit(b[i]) { i &+= 1 }
    guard i > digits, i < end, isWhitespace(b[i]) else {
      throw SIPParseError(.headerValue, at: i, "CSeq = 1*DIGIT LWS Method (RFC 3261 §20.16)")
    }
    guard let value = number(b, digits, i), value < 1 << 31 else {
      throw SIPParseError(.number, at: digits, "a sequence number is less than 2**31 (RFC 3261 §8.1.1.5)")
    }
    skipWhitespace(b, &i, end)
    let methodStart = i
    guard skipToken(b, &i, end) else {
      throw SIPParseError(.headerValue, at: i, "CSeq = 1*DIGIT LWS Method (RFC 3261 §20.16)")
    }
    let method = method(b, methodStart, i)
    try expectEnd(b, i, end)
    return CSeq(number: UInt32(value), method: method)
  }

  /// The method, known ones without building text.
  static func method(_ b: Span<UInt8>, _ start: Int, _ end: Int) -> Method {
    func matches(_ method: Method) -> Bool {
      let name = method.rawValue.utf8
      guard name.count == end - start else { return false }
      var i = start
      for c in name {
        if b[i] != c { return false }
        i += 1
      }
      return true
    }
    switch (b[start], end - start) {
    case (UInt8(ascii: "I"), 6): if matches(.invite) { return .invite }
    case (UInt8(ascii: "A"), 3): if matches(.ack) { return .ack }
    case (UInt8(ascii: "B"), 3): if matches(.bye) { return .bye }
    case (UInt8(ascii: "C"), 6): if matches(.cancel) { return .cancel }
    case (UInt8(ascii: "R"), 8): if matches(.register) { return .register }
    case (UInt8(ascii: "O"), 7): if matches(.options) { return .options }
    default: break
    }
    return Method(rawValue: string(b, start, end))
  }
}
