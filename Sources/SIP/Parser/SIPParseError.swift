/// Why bytes are not an acceptable SIP message: what is wrong, where, and which rule it breaks.
package struct SIPParseError: Error, Sendable, CustomStringConvertible {
  package enum Kind: String, Hashable, Sendable {
    /// Nothing but line breaks, or nothing at all.
    case empty
    /// The message ends before its headers or its body do.
    case truncated
    case startLine
    /// A version other than SIP/2.0; answered 505.
    case version
    case statusCode
    case uri
    case headerName
    /// A header line, or the blank line, is not ended by CRLF.
    case lineEnd
    case missingHeader
    /// A header that may stand only once stands twice with different meaning.
    case repeatedHeader
    case headerValue
    case quotedString
    case parameter
    /// A number beyond its range.
    case number
    case contentLength
    /// The method of CSeq is not that of the request line.
    case methodMismatch
    /// A limit of `SIPLimits` is exceeded; answered 513.
    case tooLarge
    case tooManyHeaders
  }

  package var kind: Kind
  /// Byte offset into the message, or into the text that was parsed.
  package var offset: Int
  /// The rule that is broken, with its section.
  package var rule: String
  // Boxed: errors travel through typed throws and stay small.
  private var boxedPartial: [SIPRequest] = []

  package init(_ kind: Kind, at offset: Int, _ rule: String) {
    self.kind = kind
    self.offset = offset
    self.rule = rule
  }

  /// The request as far as it was understood, when it has Via, From, To, Call-ID and CSeq lines: enough to answer it.
  /// Its URI is meaningless and its typed headers, Via included, may be. Nil for responses, for ACK and for bytes that
  /// cannot be answered.
  package var partial: SIPRequest? {
    get { boxedPartial.first }
    set { boxedPartial = newValue.map { [$0] } ?? [] }
  }

  /// The status to refuse the request with (RFC 3261 §21.4.1, §21.5.6, §21.5.7).
  package var status: Int {
    switch kind {
    case .version: 505
    case .tooLarge, .tooManyHeaders: 513
    default: 400
    }
  }

  /// The answer to a request that was malformed but can be answered.
  package func response(toTag: String) -> SIPResponse? {
    guard let partial else { return nil }
    var response = SIPResponse(to: partial, status: status, toTag: toTag)
    if status == 400 { response.reason = "Bad Request (\(kind.rawValue))" }
    return response
  }

  package var description: String { "\(kind.rawValue) at byte \(offset): \(rule)" }
}

/// Bounds on what is accepted from the network. A limit is inclusive.
package struct SIPLimits: Sendable {
  /// Bytes of start line and headers, the blank line included.
  package var headBytes = 32_768
  /// Bytes of the body.
  package var bodyBytes = 262_144
  /// Bytes of one header line, folding included.
  package var lineBytes = 16_384
  /// Header lines.
  package var headers = 200
  /// Via values, all lines together.
  package var vias = 70

  package init() {}
  package static let `default` = SIPLimits()
}
