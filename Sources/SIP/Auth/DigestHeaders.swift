/// One challenge: a WWW-Authenticate or Proxy-Authenticate value (RFC 3261 §20.44, RFC 7616 §3.3).
package struct DigestChallenge: Hashable, Sendable, CustomStringConvertible {
  package var realm: String
  package var nonce: String
  package var opaque: String?
  /// As written; nil means MD5.
  package var algorithmToken: String?
  /// `qop` options as written; empty for RFC 2069.
  package var qops: [String]
  package var isStale: Bool

  package init(
    realm: String, nonce: String, algorithm: DigestAlgorithm, qops: [DigestQOP] = [.auth], opaque: String? = nil,
    isStale: Bool = false
  ) {
    self.realm = realm
    self.nonce = nonce
    self.opaque = opaque
    algorithmToken = algorithm.rawValue
    self.qops = qops.map(\.rawValue)
    self.isStale = isStale
  }

  /// Nil for a scheme other than Digest, and without realm or nonce.
  package init?(parsing text: String) {
    let bytes = text.utf8Span.span
    self.init(bytes, 0, bytes.count)
  }

  init?(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) {
    guard let fields = AuthenticationFields(bytes, start, end), fields.scheme.equalsIgnoringCase("Digest"),
      let realm = fields["realm"], let nonce = fields["nonce"]
    else { return nil }
    self.realm = realm
    self.nonce = nonce
    opaque = fields["opaque"]
    algorithmToken = fields["algorithm"]
    qops = (fields["qop"] ?? "").split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
    isStale = fields["stale"]?.equalsIgnoringCase("true") ?? false
  }

  /// Nil for an algorithm that we do not speak.
  package var algorithm: DigestAlgorithm? { algorithmToken.map { DigestAlgorithm(token: $0) } ?? .md5 }

  package var description: String {
    var out = "Digest realm=\(realm.quoted), nonce=\(nonce.quoted)"
    if let opaque { out += ", opaque=\(opaque.quoted)" }
    if isStale { out += ", stale=true" }
    if let algorithmToken { out += ", algorithm=\(algorithmToken)" }
    if !qops.isEmpty { out += ", qop=\(qops.joined(separator: ",").quoted)" }
    return out
  }
}

/// The answer to a challenge: an Authorization or Proxy-Authorization value (RFC 3261 §20.7, RFC 7616 §3.4).
package struct DigestCredentials: Hashable, Sendable, CustomStringConvertible {
  package var username: String
  package var realm: String
  package var nonce: String
  /// The digest URI as written.
  package var uri: String
  /// Hexadecimal.
  package var response: String
  package var algorithmToken: String?
  package var qop: String?
  /// Eight hexadecimal digits as written.
  package var nonceCount: String?
  package var clientNonce: String?
  package var opaque: String?

  package init(
    username: String, realm: String, nonce: String, uri: String, response: String, algorithm: DigestAlgorithm,
    qop: DigestQOP?, nonceCount: String?, clientNonce: String?, opaque: String?
  ) {
    self.username = username
    self.realm = realm
    self.nonce = nonce
    self.uri = uri
    self.response = response
    algorithmToken = algorithm.rawValue
    self.qop = qop?.rawValue
    self.nonceCount = nonceCount
    self.clientNonce = clientNonce
    self.opaque = opaque
  }

  /// Nil for a scheme other than Digest, and when a mandatory field is missing.
  package init?(parsing text: String) {
    let bytes = text.utf8Span.span
    self.init(bytes, 0, bytes.count)
  }

  init?(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) {
    guard let fields = AuthenticationFields(bytes, start, end), fields.scheme.equalsIgnoringCase("Digest"),
      let username = fields["username"], let realm = fields["realm"], let nonce = fields["nonce"],
      let uri = fields["uri"], let response = fields["response"]
    else { return nil }
    self.username = username
    self.realm = realm
    self.nonce = nonce
    self.uri = uri
    self.response = response
    algorithmToken = fields["algorithm"]
    qop = fields["qop"]
    nonceCount = fields["nc"]
    clientNonce = fields["cnonce"]
    opaque = fields["opaque"]
  }

  /// Nil for an algorithm that we do not speak.
  package var algorithm: DigestAlgorithm? { algorithmToken.map { DigestAlgorithm(token: $0) } ?? .md5 }

  package var description: String {
    var out = "Digest username=\(username.quoted), realm=\(realm.quoted), nonce=\(nonce.quoted), uri=\(uri.quoted)"
    out += ", response=\(response.quoted)"
    if let algorithmToken { out += ", algorithm=\(algorithmToken)" }
    if let clientNonce { out += ", cnonce=\(clientNonce.quoted)" }
    if let opaque { out += ", opaque=\(opaque.quoted)" }
    // qop and nc are not quoted (RFC 7616 §3.4).
    if let qop { out += ", qop=\(qop)" }
    if let nonceCount { out += ", nc=\(nonceCount)" }
    return out
  }
}

extension Headers {
  /// Digest credentials of Authorization; values of other schemes are left out.
  package var authorizations: [DigestCredentials] { credentials(.authorization) }
  package var proxyAuthorizations: [DigestCredentials] { credentials(.proxyAuthorization) }
  /// Digest challenges of WWW-Authenticate in order; values of other schemes are left out.
  package var wwwChallenges: [DigestChallenge] { challenges(.wwwAuthenticate) }
  package var proxyChallenges: [DigestChallenge] { challenges(.proxyAuthenticate) }

  private func credentials(_ name: HeaderName) -> [DigestCredentials] {
    fields.compactMap { $0.name == name ? withBytes(of: $0) { DigestCredentials($0, $1, $2) } : nil }
  }

  private func challenges(_ name: HeaderName) -> [DigestChallenge] {
    fields.compactMap { $0.name == name ? withBytes(of: $0) { DigestChallenge($0, $1, $2) } : nil }
  }
}

/// `scheme name=value, name="value"…` (RFC 3261 §25.1 challenge and credentials).
struct AuthenticationFields {
  let scheme: String
  private var fields: [(name: String, value: String)] = []

  init?(_ b: Span<UInt8>, _ start: Int, _ end: Int) {
    var i = start
    Grammar.skipWhitespace(b, &i, end)
    fields.reserveCapacity(12)
    let schemeStart = i
    guard Grammar.skipToken(b, &i, end) else { return nil }
    scheme = Grammar.string(b, schemeStart, i)
    while true {
      Grammar.skipWhitespace(b, &i, end)
      guard i < end else { return }
      if b[i] == UInt8(ascii: ",") {
        i += 1
        continue
      }
      let nameStart = i
      guard Grammar.skipToken(b, &i, end), fields.count < 32 else { return nil }
      let name = Grammar.string(b, nameStart, i)
      Grammar.skipWhitespace(b, &i, end)
      guard i < end, b[i] == UInt8(ascii: "=") else { return nil }
      i += 1
      Grammar.skipWhitespace(b, &i, end)
      let valueStart = i
      if i < end, b[i] == UInt8(ascii: "\"") {
        guard Grammar.skipQuoted(b, &i, end) else { return nil }
        fields.append((name, Grammar.unescaped(b, valueStart + 1, i - 1)))
      } else {
        while i < end, b[i] != UInt8(ascii: ","), !Grammar.isWhitespace(b[i]) { i += 1 }
        guard i > valueStart else { return nil }
        fields.append((name, Grammar.string(b, valueStart, i)))
      }
    }
  }

  subscript(name: String) -> String? { fields.first { $0.name.equalsIgnoringCase(name) }?.value }
}
