extension HeadParser {
  /// Bits for headers that may stand only once (RFC 3261 §7.3.1, §20): known names with ids below 64.
  private static let single: UInt64 = {
    let names: [HeaderName] = [
      .from, .to, .callID, .cSeq, .maxForwards, .contentLength, .contentType, .expires, .referTo, .replaces,
      .sessionExpires, .minSE, .event, .minExpires, .timestamp,
    ]
    return names.reduce(0) { $0 | 1 << UInt64($1.id) }
  }()

  /// Checks the headers that matching and routing stand on.
  func check(_ b: Span<UInt8>) throws(SIPParseError) {
    var seen: UInt64 = 0
    var viaCount = 0
    var wildcard = -1
    var contacts = 0
    for field in fields {
      let low = Int(field.start)
      let high = Int(field.end)
      if field.name.id < 64, field.name.id > 0 {
        let bit: UInt64 = 1 << UInt64(field.name.id)
        if seen & bit & Self.single != 0 {
          throw SIPParseError(.repeatedHeader, at: low, "\(field.name) stands once (RFC 3261 §7.3.1)")
        }
        seen |= bit
      }
      switch field.name {
      case .via:
        var i = low
        repeat {
          try Grammar.skipVia(b, &i, high)
          viaCount &+= 1
        } while try Grammar.nextElement(b, &i, high)
        if viaCount > limits.vias {
          throw SIPParseError(.tooManyHeaders, at: low, "a message has at most \(limits.vias) Via values here")
        }
      case .from, .to:
        var i = low
        try Grammar.skipAddress(b, &i, high)
        try Grammar.expectEnd(b, i, high)
      case .callID:
        try Self.checkCallID(b, low, high)
      case .cSeq:
        try checkCSeq(b, low, high)
      case .maxForwards:
        guard let value = Grammar.number(b, low, high), value <= 255 else {
          throw SIPParseError(.number, at: low, "Max-Forwards is 0 to 255 (RFC 3261 §20.22)")
        }
      case .contact:
        if Grammar.isWildcard(b, low, high) {
          wildcard = low
          contacts &+= 1
        } else {
          var i = low
          repeat {
            try Grammar.skipAddress(b, &i, high)
            contacts &+= 1
          } while try Grammar.nextElement(b, &i, high)
        }
      case .route, .recordRoute, .path, .referTo:
        var i = low
        repeat { try Grammar.skipAddress(b, &i, high) } while try Grammar.nextElement(b, &i, high)
      case .expires:
        // Garbage here is no reason to refuse (RFC 3261 §20.19, §10.3 step 6), but out of range is (RFC 4475 §3.1.2.4).
        if low < high, Grammar.isDigit(b[low]), let value = Grammar.number(b, low, high), value > UInt64(UInt32.max) {
          throw SIPParseError(.number, at: low, "Expires is less than 2**32 (RFC 3261 §20.19)")
        }
      default: break
      }
    }
    if wildcard >= 0, contacts > 1 {
      throw SIPParseError(.headerValue, at: wildcard, "\"*\" is the only Contact (RFC 3261 §20.10)")
    }
    let mandatory: [HeaderName] = [.via, .from, .to, .callID, .cSeq]
    for name in mandatory where seen & (1 << UInt64(name.id)) == 0 {
      throw SIPParseError(.missingHeader, at: bodyStart, "\(name) is mandatory (RFC 3261 §8.1.1)")
    }
  }

  private static func checkCallID(_ b: Span<UInt8>, _ low: Int, _ high: Int) throws(SIPParseError) {
    guard low < high else { throw SIPParseError(.headerValue, at: low, "Call-ID is not empty (RFC 3261 §20.8)") }
    for i in low..<high where b[i] <= 0x20 || b[i] == 0x7F || b[i] == UInt8(ascii: ",") {
      throw SIPParseError(.headerValue, at: i, "Call-ID is one word (RFC 3261 §25.1 callid)")
    }
  }

  private func checkCSeq(_ b: Span<UInt8>, _ low: Int, _ high: Int) throws(SIPParseError) {
    let cSeq = try Grammar.cSeq(b, low, high)
    guard case .request(let methodEnd, _, _) = start else { return }
    if Grammar.method(b, startLine.lowerBound, methodEnd) != cSeq.method {
      throw SIPParseError(.methodMismatch, at: low, "the method of CSeq matches the request's (RFC 3261 §8.1.1.5)")
    }
  }

  /// Builds the message. The body is what Content-Length says, or all that follows the empty line (RFC 3261 §18.3).
  func message(_ source: [UInt8]) throws(SIPParseError) -> SIPMessage {
    let headers = Headers(source: source, fields: fields)
    let available = source.count - bodyStart
    var length = available
    if let field = headers.first(.contentLength) {
      guard let value = Grammar.number(source.span, Int(field.start), Int(field.end)) else {
        throw SIPParseError(.contentLength, at: Int(field.start), "Content-Length = 1*DIGIT (RFC 3261 §20.14)")
      }
      guard value <= UInt64(available) else {
        throw SIPParseError(
          value > UInt64(limits.bodyBytes) ? .tooLarge : .contentLength, at: Int(field.start),
          "the body is as long as Content-Length says (RFC 3261 §18.3)")
      }
      length = Int(value)
    }
    guard length <= limits.bodyBytes else {
      throw SIPParseError(.tooLarge, at: bodyStart, "a body has at most \(limits.bodyBytes) bytes here")
    }
    let body = length == 0 ? [] : Array(source[bodyStart..<(bodyStart + length)])
    let b = source.span
    switch start {
    case .request(let methodEnd, let uriStart, let uriEnd):
      let uri = try Grammar.uri(b, uriStart, uriEnd)
      if !uri.headers.isEmpty {
        throw SIPParseError(.uri, at: uriStart, "a Request-URI has no headers (RFC 3261 §19.1.1 table 1)")
      }
      return .request(
        SIPRequest(method: Grammar.method(b, startLine.lowerBound, methodEnd), uri: uri, headers: headers, body: body))
    case .response(let status, let reasonStart):
      return .response(
        SIPResponse(
          status: status, reason: Grammar.string(b, reasonStart, startLine.upperBound), headers: headers, body: body))
    case .none:
      throw SIPParseError(.startLine, at: startLine.lowerBound, "a message has a start line (RFC 3261 §7)")
    }
  }

  /// Adds what is needed to answer a request, when the lines for it are there. ACK is never answered.
  func withPartial(_ error: SIPParseError, _ source: [UInt8]) -> SIPParseError {
    guard case .request(let methodEnd, _, _) = start else { return error }
    let headers = Headers(source: source, fields: fields)
    guard headers.contains(.via), headers.contains(.from), headers.contains(.to), headers.contains(.callID),
      headers.contains(.cSeq)
    else { return error }
    let method = Grammar.method(source.span, startLine.lowerBound, methodEnd)
    guard method != .ack else { return error }
    var error = error
    error.partial = SIPRequest(method: method, uri: SIPURI(host: "invalid"), headers: headers)
    return error
  }
}
