/// A request (RFC 3261 §7.1).
package struct SIPRequest: Sendable {
  package var method: Method
  package var uri: SIPURI
  package var headers: Headers
  package var body: [UInt8]

  package init(method: Method, uri: SIPURI, headers: Headers = Headers(), body: [UInt8] = []) {
    self.method = method
    self.uri = uri
    self.headers = headers
    self.body = body
  }

  /// Sets body and Content-Type together.
  package mutating func setBody(_ bytes: [UInt8], contentType: String) {
    body = bytes
    headers.contentType = contentType
  }
}

/// A response (RFC 3261 §7.2).
package struct SIPResponse: Sendable {
  /// 100…699.
  package var status: Int
  package var reason: String
  package var headers: Headers
  package var body: [UInt8]

  package init(status: Int, reason: String? = nil, headers: Headers = Headers(), body: [UInt8] = []) {
    self.status = status
    self.reason = reason ?? StatusPhrase.standard(status)
    self.headers = headers
    self.body = body
  }

  /// The start of a response to `request` (RFC 3261 §8.2.6): Via, From, To, Call-ID and CSeq copied, Timestamp too for
  /// 100. `toTag` is added to To unless it has one; a 100 may do without. Record-Route is copied for responses that
  /// make a dialog (§12.1.1): 101 to 299 to INVITE, SUBSCRIBE, REFER and NOTIFY.
  package init(to request: SIPRequest, status: Int, reason: String? = nil, toTag: String?) {
    let copiesRoutes =
      status > 100 && status < 300
      && (request.method == .invite || request.method == .subscribe || request.method == .refer
        || request.method == .notify)
    var seen: [HeaderName] = []
    var headers = request.headers.selecting(where: { name in
      switch name {
      case .via: return true
      case .from, .to, .callID, .cSeq:
        // A malformed request can hold several; one of them is enough of an answer.
        if seen.contains(name) { return false }
        seen.append(name)
        return true
      case .timestamp: return status == 100
      case .recordRoute: return copiesRoutes
      default: return false
      }
    })
    if let toTag, let to = headers[.to], request.headers.toTag == nil {
      headers[.to] = to + ";tag=" + toTag
    }
    self.init(status: status, reason: reason, headers: headers)
  }

  package var isProvisional: Bool { status < 200 }
  package var isSuccess: Bool { status >= 200 && status < 300 }
  package var isFinal: Bool { status >= 200 }

  /// Sets body and Content-Type together.
  package mutating func setBody(_ bytes: [UInt8], contentType: String) {
    body = bytes
    headers.contentType = contentType
  }
}

/// A message of either kind.
package enum SIPMessage: Sendable {
  case request(SIPRequest)
  case response(SIPResponse)

  package var headers: Headers {
    switch self {
    case .request(let request): request.headers
    case .response(let response): response.headers
    }
  }

  package var body: [UInt8] {
    switch self {
    case .request(let request): request.body
    case .response(let response): response.body
    }
  }
}

/// Reason phrases of RFC 3261 §21 and its extensions.
package enum StatusPhrase {
  package static func standard(_ status: Int) -> String {
    phrases[status] ?? fallback(status)
  }

  private static func fallback(_ status: Int) -> String {
    switch status {
    case ..<200: "Progress"
    case ..<300: "OK"
    case ..<400: "Redirect"
    case ..<500: "Request Failure"
    case ..<600: "Server Failure"
    default: "Global Failure"
    }
  }

  private static let phrases: [Int: String] = [
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 204: "No Notification", 300: "Multiple Choices",
    301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    410: "Gone", 412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
    415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
    422: "Session Interval Too Small", 423: "Interval Too Brief", 428: "Use Identity Header",
    429: "Provide Referrer Identity", 430: "Flow Failed", 433: "Anonymity Disallowed",
    436: "Bad Identity Info", 437: "Unsupported Credential", 438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support", 440: "Max-Breadth Exceeded", 469: "Bad Info Package",
    470: "Consent Needed", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
    482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here",
    487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
    493: "Undecipherable", 494: "Security Agreement Required", 500: "Server Internal Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 555: "Push Notification Service Not Supported", 580: "Precondition Failure",
    600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable", 607: "Unwanted",
    608: "Rejected",
  ]
}
