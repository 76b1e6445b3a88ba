extension SIPMessage {
  /// The message as sent: CRLF line ends, long header names, and a Content-Length that is exact (RFC 3261 §7, §18.3).
  package func serialized() -> [UInt8] {
    switch self {
    case .request(let request): request.serialized()
    case .response(let response): response.serialized()
    }
  }
}

extension SIPRequest {
  package func serialized() -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(headers.serializedSize + body.count + 128)
    out.append(contentsOf: method.rawValue.utf8)
    out.append(0x20)
    // A URI's text could only hold a break if somebody built it so.
    out.append(contentsOf: uri.description.withoutLineBreaks.utf8)
    out.append(contentsOf: " SIP/2.0\r\n".utf8)
    headers.write(to: &out, body: body)
    return out
  }
}

extension SIPResponse {
  package func serialized() -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(headers.serializedSize + body.count + 96)
    out.append(contentsOf: "SIP/2.0 ".utf8)
    out.append(contentsOf: String(min(max(status, 100), 699)).utf8)
    out.append(0x20)
    out.append(contentsOf: reason.withoutLineBreaks.utf8)
    out.append(contentsOf: "\r\n".utf8)
    headers.write(to: &out, body: body)
    return out
  }
}

extension Headers {
  fileprivate var serializedSize: Int {
    var size = 0
    for field in fields {
      size &+= 24 &+ (field.text?.utf8.count ?? Int(field.end &- field.start))
    }
    return size
  }

  fileprivate func write(to out: inout [UInt8], body: [UInt8]) {
    for field in fields where field.name != .contentLength {
      out.append(contentsOf: field.name.description.utf8)
      out.append(0x3A)
      out.append(0x20)
      if let text = field.text {
        out.append(contentsOf: text.utf8)
      } else {
        out.append(contentsOf: source[Int(field.start)..<Int(field.end)])
      }
      out.append(0x0D)
      out.append(0x0A)
    }
    out.append(contentsOf: "Content-Length: ".utf8)
    out.append(contentsOf: String(body.count).utf8)
    out.append(contentsOf: "\r\n\r\n".utf8)
    out.append(contentsOf: body)
  }
}
