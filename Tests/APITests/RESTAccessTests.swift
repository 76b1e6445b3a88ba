import Core
import Foundation
import HTTPTypes
import SIP
import Store
import Synchronization
import Testing

@testable import API

@Suite struct RESTAccessTests {
  let rest: RESTHarness
  init() throws { rest = try RESTHarness() }

  @Test func everyOperationButHealthRefusesStrangers() async throws {
    for operation in rest.operations {
      let path = operation.path.replacing("{id}", with: "x").replacing("{name}", with: "x")
        .replacing("{number}", with: "1").replacing("{position}", with: "1")
      let method = try #require(HTTPRequest.Method(operation.method))
      let answer = try await rest.ask(method, path, "{}", login: .none)
      if ["/healthz", "/readyz"].contains(operation.path) {
        #expect(answer.status == 200, "\(operation)")
      } else if operation.path.hasPrefix("/v1/invitations") {
        // The right to it is a token in the body, and there is none.
        #expect(answer.status == 400, "\(operation)")
      } else {
        #expect(answer.status == 401, "\(operation)")
        #expect(answer.errorCode == "unauthorized")
        #expect(!answer.headers[values: .wwwAuthenticate].isEmpty)
      }
    }
  }

  @Test func keysWorkAsBearerAndBasic() async throws {
    #expect(try await rest.ask(.get, "/v1/users", login: .key).status == 200)
    #expect(try await rest.ask(.get, "/v1/users", login: .basic("operations", RESTHarness.secret)).status == 200)
    #expect(try await rest.ask(.get, "/v1/users", login: .header("bearer \(RESTHarness.secret)")).status == 200)
    #expect(try await rest.ask(.get, "/v1/users", login: .basic("other", RESTHarness.secret)).status == 401)
  }

  @Test(arguments: [
    "Bearer", "Bearer ", "Bearer x", "Basic", "Basic !!!", "Basic YQ==", "Digest x", "Negotiate abc", "", " ",
    "Bearer a long and random secre", "Bearer a long and random secret2",
  ])
  func wrongCredentialsAreRefused(_ field: String) async throws {
    let answer = try await rest.ask(.get, "/v1/users", login: .header(field))
    #expect(answer.status == 401)
    #expect(answer.errorCode == "unauthorized")
  }

  @Test func storedKeysWorkUntilTheyAreRemoved() async throws {
    let hash = Hex.encode(sha256("stored secret"))
    try await rest.store.add(APIKey(name: "k", secretSHA256: hash, createdAt: .now()))
    #expect(try await rest.ask(.get, "/v1/users", login: .header("Bearer stored secret")).status == 200)
    #expect(try await rest.ask(.get, "/v1/users", login: .basic("k", "stored secret")).status == 200)
    try await rest.store.removeAPIKey("k")
    #expect(try await rest.ask(.get, "/v1/users", login: .header("Bearer stored secret")).status == 401)
  }

  @Test func guessingIsSlowedDownForThatAddressOnly() async throws {
    for _ in 0..<LoginThrottle.allowed {
      #expect(try await rest.ask(.get, "/v1/users", login: .header("Bearer guess")).status == 401)
    }
    let refused = try await rest.ask(.get, "/v1/users", login: .header("Bearer guess"))
    #expect(refused.status == 429)
    #expect(Int(refused.headers[.retryAfter] ?? "") ?? 0 > 0)
    // The right key too, so that the answer does not tell that it is right.
    #expect(try await rest.ask(.get, "/v1/users").status == 429)
    #expect(try await rest.ask(.get, "/v1/users", from: "192.0.2.10:1").status == 200)
  }

  @Test func theThrottleForgetsAfterItsWindowAndStaysBounded() {
    var throttle = LoginThrottle()
    let start = Instant(nanoseconds: 1_000_000_000_000)
    for _ in 0..<LoginThrottle.allowed { throttle.failed("a", now: start) }
    #expect(throttle.wait(for: "a", now: start + .seconds(1)) == .seconds(59))
    #expect(throttle.wait(for: "b", now: start) == nil)
    #expect(throttle.wait(for: "a", now: start + .seconds(60)) == nil)
    for i in 0..<(LoginThrottle.capacity * 2) { throttle.failed("\(i)", now: start) }
    throttle.failed("c", now: start + .seconds(61))
    throttle.succeeded("c")
    #expect(throttle.wait(for: "c", now: start + .seconds(61)) == nil)
  }

  @Test func unknownPathsTellStrangersNothing() async throws {
    #expect(try await rest.ask(.get, "/v1/nothing", login: .none).status == 401)
    let answer = try await rest.ask(.get, "/v1/nothing")
    #expect(answer.status == 404)
    #expect(answer.errorCode == "not-found")
    #expect(try await rest.ask(.put, "/v1/users").status == 404)
  }

  // MARK: Users

  @Test func aUserReadsWithTheTelephonesPassword() async throws {
    try await rest.addUser("1001")
    let me = try await rest.ask(.get, "/v1/me", login: .basic("1001", "1001-password"))
    #expect(me.status == 200)
    #expect(me.json["name"] as? String == "1001")
    #expect(try await rest.ask(.get, "/v1/me", login: .basic("1001", "wrong")).status == 401)
    #expect(try await rest.ask(.get, "/v1/me", login: .basic("1002", "1002-password")).status == 401)
    // An API key is no user, and a user is no operator.
    #expect(try await rest.ask(.get, "/v1/me").status == 401)
    #expect(try await rest.ask(.get, "/v1/users", login: .basic("1001", "1001-password")).status == 401)
  }

  @Test func aDisabledUserCannotLogIn() async throws {
    try await rest.addUser("1001", enabled: false)
    #expect(try await rest.ask(.get, "/v1/me", login: .basic("1001", "1001-password")).status == 401)
  }

  func digest(
    _ challenge: DigestChallenge, path: String, uri: String? = nil, password: String = "1001-password"
  ) throws -> String {
    let algorithm = try #require(challenge.algorithm)
    let ha1 = DigestHash.ha1(username: "1001", realm: challenge.realm, password: password, algorithm: algorithm)
    let response = DigestHash.response(
      ha1: ha1, method: Method(rawValue: "GET"), uri: uri ?? path, body: [], nonce: challenge.nonce, qop: .auth,
      nonceCount: "00000001", clientNonce: "c", algorithm: algorithm)
    return DigestCredentials(
      username: "1001", realm: challenge.realm, nonce: challenge.nonce, uri: uri ?? path, response: response,
      algorithm: algorithm, qop: .auth, nonceCount: "00000001", clientNonce: "c", opaque: nil
    ).description
  }

  @Test func digestWorksWithBothAlgorithms() async throws {
    try await rest.addUser("1001")
    let path = "/v1/me/calls?limit=5"
    let refused = try await rest.ask(.get, path, login: .none)
    let challenges = refused.headers[values: .wwwAuthenticate].compactMap { DigestChallenge(parsing: $0) }
    #expect(challenges.map(\.algorithm) == [.sha256, .md5])
    for challenge in challenges {
      let field = try digest(challenge, path: path)
      #expect(try await rest.ask(.get, path, login: .header(field)).status == 200)
      // Good for this path only, and with this password only.
      #expect(try await rest.ask(.get, "/v1/me", login: .header(field)).status == 401)
      let wrong = try digest(challenge, path: path, password: "wrong")
      #expect(try await rest.ask(.get, path, login: .header(wrong)).status == 401)
    }
  }

  @Test func aForeignNonceIsStale() async throws {
    try await rest.addUser("1001")
    let challenge = DigestChallenge(realm: RESTHarness.realm, nonce: "12ab.34cd", algorithm: .sha256)
    let answer = try await rest.ask(.get, "/v1/me", login: .header(try digest(challenge, path: "/v1/me")))
    #expect(answer.status == 401)
    #expect(answer.headers[values: .wwwAuthenticate].contains { $0.contains("stale=true") })
  }

  @Test func noncesExpire() {
    let nonces = HTTPNonces()
    let start = Instant(nanoseconds: 5_000_000_000)
    let nonce = nonces.make(now: start)
    #expect(nonces.isFresh(nonce, now: start))
    #expect(nonces.isFresh(nonce, now: start + .seconds(300)))
    #expect(!nonces.isFresh(nonce, now: start + .seconds(301)))
    #expect(!nonces.isFresh(nonce, now: start - .seconds(1)))
    #expect(!nonces.isFresh(nonce + "0", now: start))
    #expect(!HTTPNonces().isFresh(nonce, now: start))
    for text in ["", ".", "a", "zz.zz", "7fffffffffffffff.0"] { #expect(!nonces.isFresh(text, now: start)) }
  }

  @Test func scriptsGetNoBrowserPrompt() async throws {
    let name = try #require(HTTPField.Name("Sec-Fetch-Dest"))
    for path in ["/v1/me", "/v1/users"] {
      let answer = try await rest.ask(.get, path, login: .none, headers: [name: "empty"])
      let schemes = answer.headers[values: .wwwAuthenticate].map { $0.prefix { $0 != " " }.lowercased() }
      #expect(!schemes.isEmpty)
      #expect(!schemes.contains("basic") && !schemes.contains("digest"))
    }
  }

  // MARK: Operations

  @Test func readinessFollowsTheGateway() async throws {
    #expect(try await rest.ask(.get, "/readyz", login: .none).status == 200)
    rest.control.state.withLock { $0.isReady = false }
    #expect(try await rest.ask(.get, "/readyz", login: .none).status == 503)
    #expect(try await rest.ask(.get, "/healthz", login: .none).status == 200)
  }

  @Test func metricsAreOpenToLoopbackOnly() async throws {
    rest.metrics.counter("parley_test_total", "A test.").increment(by: 3)
    for address in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
      let answer = try await rest.ask(.get, "/metrics", login: .none, from: address)
      #expect(answer.status == 200)
      #expect(answer.text.contains("parley_test_total 3\n"))
      #expect(answer.text.contains("parley_store_saves_waiting 0\n"))
    }
    #expect(try await rest.ask(.get, "/metrics", login: .none).status == 401)
    #expect(try await rest.ask(.get, "/metrics").status == 200)
  }
}
