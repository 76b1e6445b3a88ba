import Core
import SIP
import Testing

@Suite struct DigestTests {
  let password = "s3cret"
  let realm = "example.com"

  func ha1(_ user: String, _ algorithm: DigestAlgorithm) -> String? {
    guard user == "alice" else { return nil }
    return DigestHash.ha1(username: user, realm: realm, password: password, algorithm: algorithm)
  }

  func server(_ algorithms: [DigestAlgorithm] = [.md5, .sha256]) -> DigestServer {
    DigestServer(realm: realm, algorithms: algorithms, nonceLifetime: .seconds(60), random: SeededRandom(seed: 9))
  }

  func client(_ password: String? = nil, user: String = "alice") -> DigestClient {
    DigestClient(username: user, password: Secret(password ?? self.password), random: SeededRandom(seed: 4))
  }

  // MARK: Published vectors

  @Test func computesTheExamplesOfRFC7616() {
    func digest(_ algorithm: DigestAlgorithm) -> String {
      DigestHash.response(
        ha1: DigestHash.ha1(
          username: "Mufasa", realm: "http-auth@example.org", password: "Circle of Life", algorithm: algorithm),
        method: "GET", uri: "/dir/index.html", body: [], nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        qop: .auth, nonceCount: "00000001", clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        algorithm: algorithm)
    }
    #expect(digest(.md5) == "8ca523f5e9506fed4657c9700eebdbec")
    #expect(digest(.sha256) == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1")
  }

  @Test func computesTheExamplesOfRFC2617() {
    let ha1 = DigestHash.ha1(
      username: "Mufasa", realm: "testrealm@host.com", password: "Circle Of Life", algorithm: .md5)
    #expect(ha1 == "939e7578ed9e3c518a452acee763bce9")
    let digest = DigestHash.response(
      ha1: ha1, method: "GET", uri: "/dir/index.html", body: [], nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
      qop: .auth, nonceCount: "00000001", clientNonce: "0a4f113b", algorithm: .md5)
    #expect(digest == "6629fae49393a05397450978507c4ef1")
    let old = DigestHash.response(
      ha1: ha1, method: "GET", uri: "/dir/index.html", body: [], nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
      qop: nil, nonceCount: "", clientNonce: "", algorithm: .md5)
    #expect(old == "670fd8c2df070c60b045671b8b24ff02")
  }

  // MARK: Challenges

  @Test func ordersChallengesAsConfigured() {
    var sha = server([.sha256, .md5])
    #expect(sha.challenges(userAgent: "Zoiper", now: .zero).map(\.algorithm) == [.sha256, .md5])
    var md5 = server()
    #expect(md5.challenges(userAgent: nil, now: .zero).map(\.algorithm) == [.md5, .sha256])
  }

  @Test(arguments: ["JsSIP 3.10.1", "SIP.js/0.21.2"]) func challengesBrowsersWithMD5Alone(_ agent: String) {
    var sha = server([.sha256, .md5])
    var register = newRequest(.register)
    register.headers.userAgent = agent
    let response = sha.challenge(register, now: .zero)
    #expect(response.status == 401)
    #expect(response.headers.wwwChallenges.map(\.algorithm) == [.md5])
    #expect(response.headers[.wwwAuthenticate]?.contains("qop=\"auth\"") == true)
  }

  @Test func readsAndWritesChallenges() throws {
    let text = """
      Digest realm="a \\"b\\", c" ,nonce = "n", qop="auth,auth-int", algorithm=sha-256,stale=TRUE,opaque="o", x=y
      """
    let challenge = try #require(DigestChallenge(parsing: text))
    #expect(challenge.realm == "a \"b\", c" && challenge.nonce == "n" && challenge.isStale)
    #expect(challenge.qops == ["auth", "auth-int"] && challenge.algorithm == .sha256 && challenge.opaque == "o")
    #expect(DigestChallenge(parsing: challenge.description) == challenge)
    #expect(DigestChallenge(parsing: "Basic realm=\"x\"") == nil)
    #expect(DigestChallenge(parsing: "Digest realm=\"x") == nil)
    #expect(DigestChallenge(parsing: "Digest nonce=\"x\"") == nil)
    #expect(DigestChallenge(parsing: "") == nil)
    #expect(DigestChallenge(parsing: "Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512")?.algorithm == nil)
  }

  // MARK: Both sides

  /// The request that a client sends after a challenge.
  func authorised(
    _ server: inout DigestServer, _ client: inout DigestClient, _ request: SIPRequest? = nil, status: Int = 401,
    now: Instant = .zero
  ) throws -> SIPRequest {
    let request = request ?? newRequest(.register)
    return try client.answer(server.challenge(request, status: status, now: now), to: request)
  }

  @Test(arguments: [[DigestAlgorithm.md5, .sha256], [.sha256, .md5], [.md5], [.sha256]])
  func agree(_ algorithms: [DigestAlgorithm]) throws {
    var server = server(algorithms)
    var client = client()
    let register = try authorised(&server, &client)
    #expect(register.headers.authorizations.map(\.algorithm) == [algorithms[0]])
    #expect(register.headers.cSeq?.number == 2, "a new transaction")
    #expect(server.verify(register, now: .zero, ha1: ha1) == .accepted(username: "alice"))
  }

  @Test func agreeOnProxyChallenges() throws {
    var server = server()
    var client = client()
    let invite = try authorised(&server, &client, newRequest(.invite), status: 407)
    #expect(server.verify(invite, now: .zero, ha1: ha1) == .missing)
    #expect(server.verify(invite, isProxy: true, now: .zero, ha1: ha1) == .accepted(username: "alice"))
  }

  @Test func protectTheBodyWithAuthInt() throws {
    var server = server()
    server.qops = [.authInt]
    var client = client()
    var invite = newRequest(.invite)
    invite.setBody(Array("v=0".utf8), contentType: "application/sdp")
    var authorised = try authorised(&server, &client, invite)
    #expect(authorised.headers.authorizations.first?.qop == "auth-int")
    var changed = authorised
    changed.body = Array("v=1".utf8)
    #expect(server.verify(changed, now: .zero, ha1: ha1) == .rejected(.wrongResponse))
    #expect(server.verify(authorised, now: .zero, ha1: ha1) == .accepted(username: "alice"))
    authorised.body = []
    #expect(server.verify(authorised, now: .zero, ha1: ha1) == .rejected(.wrongResponse))
  }

  @Test func takeNothingLessThanAuthIntWhereItIsOfferedAlone() throws {
    var server = server()
    var client = client()
    let weak = try authorised(&server, &client)
    server.qops = [.authInt]
    #expect(server.verify(weak, now: .zero, ha1: ha1) == .rejected(.qop))
    let strong = try authorised(&server, &client)
    var old = strong
    let credentials = try #require(strong.headers.authorizations.first)
    let response = DigestHash.response(
      ha1: try #require(ha1("alice", .md5)), method: .register, uri: credentials.uri, body: [],
      nonce: credentials.nonce,
      qop: nil, nonceCount: "", clientNonce: "", algorithm: .md5)
    let legacy = DigestCredentials(
      username: "alice", realm: credentials.realm, nonce: credentials.nonce, uri: credentials.uri, response: response,
      algorithm: .md5, qop: nil, nonceCount: nil, clientNonce: nil, opaque: nil)
    old.headers.set(.authorization, legacy.description)
    #expect(server.verify(old, now: .zero, ha1: ha1) == .rejected(.qop))
    #expect(server.verify(strong, now: .zero, ha1: ha1) == .accepted(username: "alice"))
  }

  @Test func refuseAWeakerAlgorithmThanAnyIsOffered() throws {
    var strict = server([.sha256])
    strict.singleChallengeAgents = []
    var lax = server([.md5])
    var client = client()
    let register = try authorised(&lax, &client)
    #expect(strict.verify(register, now: .zero, ha1: ha1) == .rejected(.algorithm))
    // The servers share their seed and so their nonces: that is not the reason.
    strict.algorithms = [.md5]
    #expect(strict.verify(register, now: .zero, ha1: ha1) == .accepted(username: "alice"))
  }

  @Test func refuseWrongPasswordsAndStrangers() throws {
    var server = server()
    var wrong = client("guess")
    #expect(server.verify(try authorised(&server, &wrong), now: .zero, ha1: ha1) == .rejected(.wrongResponse))
    var stranger = client(user: "mallory")
    #expect(server.verify(try authorised(&server, &stranger), now: .zero, ha1: ha1) == .rejected(.unknownUser))
    #expect(server.verify(newRequest(.register), now: .zero, ha1: ha1) == .missing)
    // Not to be mistaken for an unknown user's stand-in hash.
    var zero = newRequest(.register)
    let nonce = server.challenges(userAgent: nil, now: .zero)[0].nonce
    let digest = DigestHash.response(
      ha1: String(repeating: "0", count: 32), method: .register, uri: "sip:bob@192.0.2.2", body: [], nonce: nonce,
      qop: .auth, nonceCount: "00000001", clientNonce: "c", algorithm: .md5)
    zero.headers[.authorization] =
      DigestCredentials(
        username: "mallory", realm: realm, nonce: nonce, uri: "sip:bob@192.0.2.2", response: digest, algorithm: .md5,
        qop: .auth, nonceCount: "00000001", clientNonce: "c", opaque: nil
      ).description
    #expect(server.verify(zero, now: .zero, ha1: ha1) == .rejected(.unknownUser))
  }

  @Test func bindTheDigestToMethodAndTarget() throws {
    var server = server()
    var client = client()
    let register = try authorised(&server, &client)
    var invite = register
    invite.method = .invite
    #expect(server.verify(invite, now: .zero, ha1: ha1) == .rejected(.wrongResponse))
    var elsewhere = register
    elsewhere.uri = SIPURI(user: "carol", host: "192.0.2.2")
    #expect(server.verify(elsewhere, now: .zero, ha1: ha1) == .rejected(.uri))
    #expect(server.verify(register, now: .zero, ha1: ha1) == .accepted(username: "alice"))
  }

  // MARK: Nonces

  @Test func acceptACountOnce() throws {
    var server = server()
    var client = client()
    let first = try authorised(&server, &client)
    #expect(server.verify(first, now: .zero, ha1: ha1) == .accepted(username: "alice"))
    #expect(server.verify(first, now: ms(1), ha1: ha1) == .stale, "a replay")
    var next = newRequest(.register, cSeq: 3)
    client.authorize(&next)
    #expect(next.headers.authorizations.first?.nonceCount == "00000002")
    #expect(server.verify(next, now: ms(2), ha1: ha1) == .accepted(username: "alice"))
  }

  @Test func acceptCountsOutOfOrderWithinTheWindow() throws {
    var server = server()
    var client = client()
    let first = try authorised(&server, &client)
    var later: [SIPRequest] = []
    for number in 0..<80 as Range<UInt32> {
      var request = newRequest(.register, cSeq: 3 + number)
      client.authorize(&request)
      later.append(request)
    }
    #expect(server.verify(later[79], now: .zero, ha1: ha1) == .accepted(username: "alice"), "count 81")
    #expect(server.verify(later[78], now: .zero, ha1: ha1) == .accepted(username: "alice"))
    #expect(server.verify(later[16], now: .zero, ha1: ha1) == .accepted(username: "alice"), "count 18, 63 behind")
    #expect(server.verify(later[15], now: .zero, ha1: ha1) == .stale, "64 behind")
    #expect(server.verify(first, now: .zero, ha1: ha1) == .stale)
    #expect(server.verify(later[78], now: .zero, ha1: ha1) == .stale)
  }

  @Test func endANonceWithItsTime() throws {
    var server = server()
    var client = client()
    let register = try authorised(&server, &client)
    #expect(server.verify(register, now: ms(60_001), ha1: ha1) == .stale)
    // Stale is said with a new nonce, and the client goes on without asking anybody.
    let again = try client.answer(server.challenge(register, isStale: true, now: ms(60_001)), to: register)
    #expect(server.verify(again, now: ms(60_002), ha1: ha1) == .accepted(username: "alice"))
  }

  @Test func refuseForeignNonces() throws {
    var mine = server()
    var other = DigestServer(realm: realm, random: SeededRandom(seed: 1234))
    var client = client()
    let register = try authorised(&other, &client)
    #expect(mine.verify(register, now: .zero, ha1: ha1) == .stale)
    for nonce in ["", "zz", "00", String(repeating: "0", count: 64)] {
      var forged = register
      let uri = "sip:bob@192.0.2.2"
      let digest = DigestHash.response(
        ha1: ha1("alice", .md5)!, method: .register, uri: uri, body: [], nonce: nonce, qop: .auth,
        nonceCount: "00000001", clientNonce: "c", algorithm: .md5)
      forged.headers[.authorization] =
        DigestCredentials(
          username: "alice", realm: realm, nonce: nonce, uri: uri, response: digest, algorithm: .md5, qop: .auth,
          nonceCount: "00000001", clientNonce: "c", opaque: nil
        ).description
      #expect(mine.verify(forged, now: .zero, ha1: ha1) == .stale)
    }
  }

  @Test func acceptOldClientsOncePerNonce() throws {
    var server = server()
    let nonce = server.challenges(userAgent: nil, now: .zero)[0].nonce
    let uri = "sip:bob@192.0.2.2"
    let digest = DigestHash.response(
      ha1: ha1("alice", .md5)!, method: .register, uri: uri, body: [], nonce: nonce, qop: nil, nonceCount: "",
      clientNonce: "", algorithm: .md5)
    var register = newRequest(.register)
    register.headers[.authorization] =
      "Digest username=\"alice\",realm=\"example.com\",nonce=\"\(nonce)\",uri=\"\(uri)\",response=\"\(digest)\""
    #expect(server.verify(register, now: .zero, ha1: ha1) == .accepted(username: "alice"))
    #expect(server.verify(register, now: .zero, ha1: ha1) == .stale)
    server.acceptsLegacy = false
    #expect(server.verify(register, now: .zero, ha1: ha1) == .rejected(.qop))
  }

  @Test func doNotTakeAForgottenNonceForAFreshOne() throws {
    var server = DigestServer(
      realm: realm, nonceLifetime: .seconds(600), capacity: 4, random: SeededRandom(seed: 3))
    var replay: [SIPRequest] = []
    for number in 0..<12 as Range<Int64> {
      var client = client()
      let register = try authorised(&server, &client, now: ms(number))
      #expect(server.verify(register, now: ms(number), ha1: ha1) == .accepted(username: "alice"))
      replay.append(register)
    }
    for register in replay { #expect(server.verify(register, now: ms(20), ha1: ha1) == .stale) }
  }

  // MARK: Client

  @Test func stopAfterAWrongPassword() throws {
    var server = server()
    var client = client("guess")
    let register = try authorised(&server, &client)
    let again = server.challenge(register, now: ms(5))
    #expect(throws: DigestClientError.rejected) { try client.answer(again, to: register) }
  }

  @Test func skipChallengesTheyCannotAnswer() throws {
    var client = client()
    let register = newRequest(.register)
    var response = SIPResponse(to: register, status: 401, toTag: "x")
    response.headers.append(.wwwAuthenticate, "Basic realm=\"x\"")
    response.headers.append(.wwwAuthenticate, "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-512-256")
    #expect(throws: DigestClientError.noUsableChallenge) { try client.answer(response, to: register) }
    response.headers.append(.wwwAuthenticate, "Digest realm=\"x\", nonce=\"n\"")
    let next = try client.answer(response, to: register)
    let credentials = try #require(next.headers.authorizations.first)
    #expect(credentials.qop == nil && credentials.algorithmToken == nil && credentials.nonceCount == nil)
    #expect(throws: DigestClientError.noUsableChallenge) {
      try client.answer(SIPResponse(to: register, status: 403, toTag: "x"), to: register)
    }
  }
}
