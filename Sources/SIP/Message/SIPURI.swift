package import Core

/// A SIP, SIPS or tel URI, or the text of any other (RFC 3261 §19.1, RFC 3966).
package struct SIPURI: Hashable, Sendable, CustomStringConvertible {
  /// Lower case: `sip`, `sips`, `tel`, or whatever stood there.
  package var scheme: String
  /// The user part as written, percent escapes included; the number of a tel URI.
  package var rawUser: String?
  package var password: String?
  /// As written; an IPv6 address keeps its brackets. Empty for tel and other schemes.
  package var host: String
  package var port: UInt16?
  package var parameters: Parameters
  /// Header components (`?name=value`), escapes included.
  package var headers: [Parameters.Element]
  /// What stands behind the colon of a scheme other than sip, sips and tel.
  package var opaque: String?

  package init(
    scheme: String = "sip", user: String? = nil, host: String, port: UInt16? = nil,
    parameters: Parameters = Parameters()
  ) {
    self.scheme = scheme
    self.host = host
    self.port = port
    self.parameters = parameters
    password = nil
    headers = []
    opaque = nil
    self.user = user
  }

  /// Parses the text of a whole URI.
  package init(parsing text: String) throws(SIPParseError) {
    let bytes = text.utf8Span.span
    self = try Grammar.uri(bytes, 0, bytes.count)
  }

  /// The user part with its escapes resolved; setting escapes what the grammar asks for.
  package var user: String? {
    get { rawUser.map { PercentEncoding.decode($0) } }
    set { rawUser = newValue.map { PercentEncoding.encode($0) } }
  }

  package var isSIP: Bool { scheme == "sip" || scheme == "sips" }
  package var isSecure: Bool { scheme == "sips" }

  /// The `transport` parameter.
  package var transport: TransportProtocol? { parameters["transport"].flatMap { TransportProtocol(token: $0) } }
  /// `lr`: the element routes loosely (RFC 3261 §19.1.1).
  package var isLooseRouter: Bool { parameters.contains("lr") }
  /// The host as an address, when it is one; brackets removed.
  package var address: IPAddress? {
    host.hasPrefix("[") && host.hasSuffix("]") ? IPAddress(host.dropFirst().dropLast()) : IPAddress(host)
  }
  /// A name of RFC 7118 §5 and RFC 6761 that is never resolved.
  package var isInvalidDomain: Bool {
    let name = host.asciiLowercased
    return name == "invalid" || name.hasSuffix(".invalid")
  }

  /// `scheme:user@host[:port]` in one spelling: the address of record as a key (RFC 3261 §10.3 step 5).
  package var addressOfRecord: String {
    var out = scheme
    out.append(":")
    if let user {
      out.append(PercentEncoding.encode(user))
      if !host.isEmpty { out.append("@") }
    }
    out.append(host.asciiLowercased)
    if let port { out.append(":\(port)") }
    return out
  }

  package var description: String {
    var out = ""
    write(to: &out)
    return out
  }

  func write(to out: inout String) {
    out.append(scheme)
    out.append(":")
    if let opaque {
      out.append(opaque)
      return
    }
    if let rawUser {
      out.append(rawUser)
      if let password {
        out.append(":")
        out.append(password)
      }
      if isSIP { out.append("@") }
    }
    out.append(host)
    if let port {
      out.append(":")
      out.append(String(port))
    }
    parameters.write(to: &out)
    for (index, header) in headers.enumerated() {
      out.append(index == 0 ? "?" : "&")
      out.append(header.name)
      out.append("=")
      out.append(header.raw ?? "")
    }
  }

  /// Comparison by the rules of RFC 3261 §19.1.4: the user case-sensitively, the rest not; `user`, `ttl`, `method`,
  /// `maddr` and `transport` must be on both sides or none, other parameters only agree where both have them.
  package func isEquivalent(to other: SIPURI) -> Bool {
    guard scheme == other.scheme, opaque == other.opaque, user == other.user else { return false }
    guard password.map({ PercentEncoding.decode($0) }) == other.password.map({ PercentEncoding.decode($0) }) else {
      return false
    }
    guard host.equalsIgnoringCase(other.host), port == other.port else { return false }
    func agrees(_ a: Parameters, _ b: Parameters) -> Bool {
      for element in a.elements {
        if b.contains(element.name) {
          // A name that stands twice, which it must not, counts by its first value on either side.
          let left = PercentEncoding.decode(a[element.name] ?? "")
          let right = PercentEncoding.decode(b[element.name] ?? "")
          if !left.equalsIgnoringCase(right) { return false }
        } else {
          switch element.name.asciiLowercased {
          case "user", "ttl", "method", "maddr", "transport": return false
          default: break
          }
        }
      }
      return true
    }
    guard agrees(parameters, other.parameters), agrees(other.parameters, parameters) else { return false }
    func sorted(_ list: [Parameters.Element]) -> [String] {
      list.map { PercentEncoding.decode($0.name).asciiLowercased + "=" + PercentEncoding.decode($0.raw ?? "") }.sorted()
    }
    return sorted(headers) == sorted(other.headers)
  }
}

/// Percent escapes of RFC 3261 §19.1.2 (RFC 2396 §2.4).
package enum PercentEncoding {
  /// Escapes resolved. What is not an escape stays; bytes that are not UTF-8 afterwards leave the text as it was.
  package static func decode(_ text: String) -> String {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
    let source = Array(text.utf8)
    var out: [UInt8] = []
    out.reserveCapacity(source.count)
    var i = 0
    while i < source.count {
      if source[i] == UInt8(ascii: "%"), i + 2 < source.count, let high = Hex.value(of: source[i + 1]),
        let low = Hex.value(of: source[i + 2])
      {
        out.append(high << 4 | low)
        i += 3
      } else {
        out.append(source[i])
        i += 1
      }
    }
    return String(validating: out, as: UTF8.self) ?? text
  }

  /// Everything escaped that the user part may not hold as it is.
  package static func encode(_ text: String) -> String {
    guard !text.utf8.allSatisfy(isUserCharacter) else { return text }
    var out: [UInt8] = []
    for c in text.utf8 {
      if isUserCharacter(c) {
        out.append(c)
      } else {
        out.append(UInt8(ascii: "%"))
        out.append(contentsOf: digit(c >> 4))
        out.append(contentsOf: digit(c & 15))
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func digit(_ value: UInt8) -> CollectionOfOne<UInt8> {
    CollectionOfOne(value < 10 ? 0x30 + value : 0x41 + value - 10)
  }

  /// unreserved / user-unreserved (RFC 3261 §25.1).
  static func isUserCharacter(_ c: UInt8) -> Bool {
    if Grammar.isAlpha(c) || Grammar.isDigit(c) { return true }
    switch c {
    case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "~"),
      UInt8(ascii: "*"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "&"),
      UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: "$"), UInt8(ascii: ","), UInt8(ascii: ";"),
      UInt8(ascii: "?"), UInt8(ascii: "/"):
      return true
    default: return false
    }
  }
}
