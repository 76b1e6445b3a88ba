package import Core

package enum DigestClientError: Error, Hashable, Sendable {
  /// Not a 401 or 407, or without a challenge that we can answer.
  case noUsableChallenge
  /// The server refused credentials that answered its nonce: the password is wrong.
  case rejected
}

/// Answers challenges with one user's credentials (RFC 3261 §22.2, RFC 8760 §2.4).
package struct DigestClient: Sendable {
  package let username: String
  private let password: Secret
  private var random: any RandomNumberGenerator & Sendable

  /// What was last used towards a realm.
  private struct Session {
    var challenge: DigestChallenge
    var algorithm: DigestAlgorithm
    var nonceCount: UInt32
    var isProxy: Bool
  }
  private var sessions: [Session] = []

  package init(
    username: String, password: Secret, random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
  ) {
    self.username = username
    self.password = password
    self.random = random
  }

  /// The request to send after a 401 or 407: the old one with CSeq one higher and with credentials. `request` is what was
  /// handed to the transaction layer, so without our Via.
  package mutating func answer(
    _ response: SIPResponse, to request: SIPRequest
  ) throws(DigestClientError) -> SIPRequest {
    guard response.status == 401 || response.status == 407 else { throw .noUsableChallenge }
    var answered = false
    for isProxy in [false, true] {
      let challenges = isProxy ? response.headers.proxyChallenges : response.headers.wwwChallenges
      var realms: [String] = []
      for challenge in challenges where !realms.contains(challenge.realm) {
        // The first that we speak, as the server prefers it.
        guard let algorithm = challenge.algorithm, challenge.qops.isEmpty || Self.qop(of: challenge) != nil else {
          continue
        }
        realms.append(challenge.realm)
        try take(challenge, algorithm, isProxy, request)
        answered = true
      }
    }
    guard answered else { throw .noUsableChallenge }
    var next = request
    if var cSeq = request.headers.cSeq {
      cSeq.number = cSeq.number < 0x7FFF_FFFF ? cSeq.number + 1 : cSeq.number
      next.headers.cSeq = cSeq
    }
    authorize(&next)
    return next
  }

  /// Puts credentials on a request from the challenges met so far, counting `nc` up; nothing before the first challenge.
  package mutating func authorize(_ request: inout SIPRequest) {
    request.headers.remove(.authorization)
    request.headers.remove(.proxyAuthorization)
    for index in sessions.indices {
      sessions[index].nonceCount &+= 1
      let session = sessions[index]
      let digits = String(session.nonceCount, radix: 16)
      let nonceCount = String(repeating: "0", count: 8 - min(digits.utf8.count, 8)) + digits
      let clientNonce = withUnsafeBytes(of: random.next(), DigestHash.hexadecimal)
      let qop = Self.qop(of: session.challenge)
      let uri = request.uri.description
      let ha1 = DigestHash.ha1(
        username: username, realm: session.challenge.realm, password: password.revealed, algorithm: session.algorithm)
      let digest = DigestHash.response(
        ha1: ha1, method: request.method, uri: uri, body: request.body, nonce: session.challenge.nonce, qop: qop,
        nonceCount: nonceCount, clientNonce: clientNonce, algorithm: session.algorithm)
      var credentials = DigestCredentials(
        username: username, realm: session.challenge.realm, nonce: session.challenge.nonce, uri: uri, response: digest,
        algorithm: session.algorithm, qop: qop, nonceCount: qop == nil ? nil : nonceCount,
        clientNonce: qop == nil ? nil : clientNonce, opaque: session.challenge.opaque)
      // An old server that names no algorithm may not know the field.
      credentials.algorithmToken = session.challenge.algorithmToken
      request.headers.append(session.isProxy ? .proxyAuthorization : .authorization, credentials.description)
    }
  }

  private mutating func take(
    _ challenge: DigestChallenge, _ algorithm: DigestAlgorithm, _ isProxy: Bool, _ request: SIPRequest
  ) throws(DigestClientError) {
    let sent = isProxy ? request.headers.proxyAuthorizations : request.headers.authorizations
    let tried = sent.first { $0.realm == challenge.realm }
    // Refused although it answered: a second try with the same password is only good for a stale nonce.
    if let tried, !challenge.isStale {
      let known = sessions.contains {
        $0.isProxy == isProxy && $0.challenge.realm == challenge.realm && $0.nonceCount > 1
          && $0.challenge.nonce == tried.nonce && tried.nonce != challenge.nonce
      }
      // A nonce that had served before may just have ended without the server saying so; one retry is due then.
      if !known { throw .rejected }
    }
    sessions.removeAll { $0.isProxy == isProxy && $0.challenge.realm == challenge.realm }
    sessions.append(Session(challenge: challenge, algorithm: algorithm, nonceCount: 0, isProxy: isProxy))
  }

  /// `auth` where offered: `auth-int` breaks when somebody on the way touches the body.
  private static func qop(of challenge: DigestChallenge) -> DigestQOP? {
    let known = challenge.qops.compactMap { DigestQOP(rawValue: $0.asciiLowercased) }
    return known.contains(.auth) ? .auth : known.first
  }
}
