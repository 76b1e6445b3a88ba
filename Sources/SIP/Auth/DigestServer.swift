package import Core

/// What a server thinks of a request's credentials.
package enum DigestVerdict: Hashable, Sendable {
  case accepted(username: String)
  /// The password is right, the nonce too old, foreign or used up: challenge again with `stale` set.
  case stale
  case rejected(DigestRejection)
  /// No credentials for our realm: challenge.
  case missing
}

package enum DigestRejection: String, Hashable, Sendable {
  case unknownUser
  case wrongResponse
  /// An algorithm that was not offered.
  case algorithm
  case qop
  /// The digest URI is not that of the request.
  case uri
}

/// Challenges and checks requests (RFC 3261 §22, RFC 7616, RFC 8760). It only ever sees HA1, never a password.
package struct DigestServer: Sendable {
  package let realm: String
  /// Challenges are sent in this order; a client answers the first that it can (RFC 8760 §2.4).
  package var algorithms: [DigestAlgorithm]
  /// Clients whose User-Agent begins with one of these get a single MD5 challenge: JsSIP and SIP.js read only the first,
  /// baresip before 2.0 gives up at one whose algorithm it does not know.
  package var singleChallengeAgents = ["JsSIP", "SIP.js", "baresip v0", "baresip v1"]
  /// Offered in this order. With `auth-int` alone nothing is accepted whose body is not covered.
  package var qops: [DigestQOP] = [.auth]
  /// Whether credentials without `qop` (RFC 2069) are accepted where `auth` is offered; their nonce is good for one
  /// request.
  package var acceptsLegacy = true
  private var nonces: NonceStore
  private var random: any RandomNumberGenerator & Sendable

  /// - Parameters:
  ///   - algorithms: MD5 first is what all clients can do; SHA-256 first is stronger and breaks those that read one only.
  ///   - capacity: used nonces that are remembered.
  package init(
    realm: String, algorithms: [DigestAlgorithm] = [.md5, .sha256], qops: [DigestQOP] = [.auth],
    nonceLifetime: Duration = .seconds(300), capacity: Int = 100_000,
    random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
  ) {
    self.realm = realm
    self.algorithms = algorithms
    self.qops = qops
    var random = random
    nonces = NonceStore(lifetime: nonceLifetime, capacity: capacity, random: &random)
    self.random = random
  }

  /// The challenges for a client, all with one nonce.
  package mutating func challenges(
    userAgent: String?, isStale: Bool = false, now: Instant
  ) -> [DigestChallenge] {
    let nonce = nonces.make(now: now, random: &random)
    let single = userAgent.map { agent in singleChallengeAgents.contains { agent.hasPrefix($0) } } ?? false
    let offered: [DigestAlgorithm] = single && algorithms.contains(.md5) ? [.md5] : algorithms
    return offered.map { DigestChallenge(realm: realm, nonce: nonce, algorithm: $0, qops: qops, isStale: isStale) }
  }

  /// The 401 (or 407) to a request, challenges included.
  package mutating func challenge(
    _ request: SIPRequest, status: Int = 401, isStale: Bool = false, now: Instant
  ) -> SIPResponse {
    var response = SIPResponse(to: request, status: status, toTag: nil)
    let name: HeaderName = status == 407 ? .proxyAuthenticate : .wwwAuthenticate
    for challenge in challenges(userAgent: request.headers.userAgent, isStale: isStale, now: now) {
      response.headers.append(name, challenge.description)
    }
    return response
  }

  /// Checks the Authorization (or, with `isProxy`, the Proxy-Authorization) of a request for our realm.
  /// - Parameter ha1: the stored hash of a user for an algorithm, hexadecimal; nil for an unknown user, or when there is
  ///   none for this algorithm.
  package mutating func verify(
    _ request: SIPRequest, isProxy: Bool = false, now: Instant, ha1: (String, DigestAlgorithm) -> String?
  ) -> DigestVerdict {
    let all = isProxy ? request.headers.proxyAuthorizations : request.headers.authorizations
    guard let credentials = all.first(where: { $0.realm == realm }) else { return .missing }
    return verify(credentials, request: request, now: now, ha1: ha1)
  }

  private mutating func verify(
    _ credentials: DigestCredentials, request: SIPRequest, now: Instant, ha1: (String, DigestAlgorithm) -> String?
  ) -> DigestVerdict {
    // A server of SHA-256 alone takes nothing weaker, from no client.
    guard let algorithm = credentials.algorithm,
      algorithms.contains(algorithm)
    else { return .rejected(.algorithm) }
    var qop: DigestQOP?
    var count: UInt32?
    if let text = credentials.qop {
      guard let known = DigestQOP(rawValue: text.asciiLowercased), qops.contains(known),
        let nonceCount = credentials.nonceCount, nonceCount.utf8.count == 8,
        let value = UInt32(nonceCount, radix: 16), credentials.clientNonce != nil
      else { return .rejected(.qop) }
      qop = known
      count = value
    } else if !acceptsLegacy || !qops.contains(.auth) {
      return .rejected(.qop)
    }
    guard Self.isSameResource(credentials.uri, request.uri) else { return .rejected(.uri) }
    let stored = ha1(credentials.username, algorithm)
    let expected = DigestHash.response(
      // An unknown user costs the same time as a wrong password.
      ha1: stored ?? String(repeating: "0", count: algorithm.digits), method: request.method, uri: credentials.uri,
      body: request.body, nonce: credentials.nonce, qop: qop, nonceCount: credentials.nonceCount ?? "",
      clientNonce: credentials.clientNonce ?? "", algorithm: algorithm)
    let matches = DigestHash.isEqual(expected.utf8, credentials.response.asciiLowercased.utf8)
    guard stored != nil else { return .rejected(.unknownUser) }
    guard matches else { return .rejected(.wrongResponse) }
    guard case .fresh = nonces.check(credentials.nonce, now: now),
      nonces.use(credentials.nonce, count: count, now: now)
    else { return .stale }
    return .accepted(username: credentials.username)
  }

  /// Whether the digest URI names what the request asks for. Parameters and ports are left out of it: elements on
  /// the way change those (RFC 3261 §22.4 item 1 lets the server decide).
  private static func isSameResource(_ text: String, _ uri: SIPURI) -> Bool {
    guard let digestURI = try? SIPURI(parsing: text) else { return false }
    if let opaque = uri.opaque { return digestURI.opaque == opaque }
    return digestURI.user == uri.user && digestURI.host.equalsIgnoringCase(uri.host)
  }
}
