import Core
import Crypto
import LiveKitProtocol
import SwiftProtobuf
import Testing

@Suite struct TokenTests {
  private let now = WallTime(milliseconds: 1_800_000_000_000)
  private let verifier = TokenVerifier(keys: ["devkey": Secret("devsecret"), "other": Secret("another")])

  /// A token of this header and payload, signed as HS256 whatever the header says.
  private func token(
    _ payload: String, header: String = #"{"alg":"HS256","typ":"JWT"}"#, secret: String = "devsecret"
  ) -> String {
    let signed = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(payload.utf8))
    let key = SymmetricKey(data: Array(secret.utf8))
    return signed + "." + Base64URL.encode(Array(HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: key)))
  }

  private func claims(_ payload: String) throws -> AccessClaims { try verifier.verify(token(payload), now: now) }

  // Made by livekit-api 1.2.2 for Python, with a lifetime of a hundred years.
  @Test func verifiesATokenOfThePythonSDK() throws {
    let token = try Vectors.line("token-python.txt")
    let claims = try verifier.verify(token, now: now)
    #expect(claims.issuer == "devkey")
    #expect(claims.identity == "ada")
    #expect(claims.name == "Ada Lovelace")
    #expect(claims.kind == .agent)
    #expect(claims.metadata == "{\"x\":1}")
    #expect(claims.attributes == ["role": "host"])
    #expect(claims.video.roomJoin && claims.video.room == "lobby")
    #expect(claims.video.canPublish && claims.video.canSubscribe && !claims.video.canPublishData)
    #expect(claims.video.canPublishSources == [.microphone, .screenShareAudio])
    #expect(claims.video.canUpdateOwnMetadata && claims.video.hidden)
    #expect(claims.sip == SIPGrant(admin: true, call: false))
    #expect(claims.roomConfiguration?.emptyTimeout == 5)
    #expect(claims.roomConfiguration?.name == "x")
  }

  @Test func appliesTheDefaultsOfAbsentGrants() throws {
    let video = try claims(#"{"iss":"devkey","video":{"roomJoin":true}}"#).video
    #expect(video.canPublish && video.canSubscribe && video.canPublishData && !video.canUpdateOwnMetadata)
    #expect(video.canPublishSources.isEmpty)
    #expect(!video.roomAdmin && !video.roomCreate && !video.roomList && !video.hidden)
  }

  @Test func dataFollowsPublishingWhereTheTokenSaysNothing() throws {
    let video = try claims(#"{"iss":"devkey","video":{"canPublish":false}}"#).video
    #expect(!video.canPublish && !video.canPublishData && video.canSubscribe)
    let other = try claims(#"{"iss":"devkey","video":{"canPublish":false,"canPublishData":true}}"#).video
    #expect(!other.canPublish && other.canPublishData)
  }

  @Test func anUnknownSourceDoesNotOpenAllSources() throws {
    let video = try claims(#"{"iss":"devkey","video":{"canPublishSources":["hologram"]}}"#).video
    #expect(video.canPublishSources == [.unknown])
  }

  @Test func ignoresWhatItDoesNotKnow() throws {
    let claims = try claims(
      #"{"iss":"devkey","sub":"a","aud":["x"],"video":{"roomJoin":true,"teleport":{"a":[1]}},"agent":{"admin":true},"#
        + #""roomConfig":{"name":"r","emptyTimeout":"7","new":{}}}"#)
    #expect(claims.identity == "a")
    #expect(claims.roomConfiguration?.emptyTimeout == 7)
  }

  @Test func refusesOtherAlgorithms() {
    for header in [#"{"alg":"none"}"#, #"{"alg":"HS384"}"#, #"{"alg":"RS256"}"#, #"{"alg":"hs256"}"#, "{}"] {
      let token = token(#"{"iss":"devkey"}"#, header: header)
      #expect { try verifier.verify(token, now: now) } throws: {
        if case .algorithm? = $0 as? TokenError { true } else { false }
      }
    }
  }

  @Test func refusesAKeyThatDoesNotExist() {
    #expect(throws: TokenError.unknownKey("nokey")) {
      try verifier.verify(token(#"{"iss":"nokey"}"#), now: now)
    }
  }

  @Test func refusesASignatureOfAnotherKey() {
    #expect(throws: TokenError.wrongSignature) { try verifier.verify(token(#"{"iss":"other"}"#), now: now) }
    #expect(throws: TokenError.wrongSignature) {
      try verifier.verify(token(#"{"iss":"devkey"}"#, secret: "devsecre"), now: now)
    }
  }

  @Test func refusesAChangedPayload() throws {
    let parts = token(#"{"iss":"devkey","sub":"ada"}"#).split(separator: ".")
    let forged = Base64URL.encode(Array(#"{"iss":"devkey","sub":"eve"}"#.utf8))
    #expect(throws: TokenError.wrongSignature) {
      try verifier.verify("\(parts[0]).\(forged).\(parts[2])", now: now)
    }
  }

  @Test func allowsAMinuteOfClockSkewAndNotMore() throws {
    let second = now.milliseconds / 1000
    _ = try claims(#"{"iss":"devkey","exp":\#(second - 59)}"#)
    _ = try claims(#"{"iss":"devkey","nbf":\#(second + 60)}"#)
    #expect(throws: TokenError.expired) { try claims(#"{"iss":"devkey","exp":\#(second - 60)}"#) }
    #expect(throws: TokenError.notYetValid) { try claims(#"{"iss":"devkey","nbf":\#(second + 61)}"#) }
  }

  @Test(arguments: [
    "", "a.b", "a.b.c.d", "..", "e30.e30.", "é.é.é", "e30.e30.!!!!", "bm8.bm8.bm8", "AAAA.AAAA.AAAA",
  ]) func refusesWhatIsNoToken(_ text: String) {
    #expect(throws: TokenError.self) { try verifier.verify(text, now: now) }
  }

  @Test(arguments: [
    #"{"iss":7}"#, #"{"iss":"devkey","attributes":{"a":1}}"#, #"{"iss":"devkey","exp":"soon"}"#, "[]", "null", "7",
    #"{"iss":"devkey","video":[]}"#, String(repeating: #"{"video":"#, count: 5000),
  ]) func refusesAPayloadOfTheWrongShape(_ payload: String) {
    #expect(throws: TokenError.self) { try claims(payload) }
  }

  @Test(arguments: ["1e300", "-1e300", "1e15", "0", "-5", "1.5"]) func survivesEveryTime(_ number: String) {
    _ = try? claims(#"{"iss":"devkey","exp":\#(number),"nbf":\#(number)}"#)
  }

  @Test func readsBackWhatItSigned() throws {
    var claims = AccessClaims(identity: "ada")
    claims.name = "Ada ☕️ \"Lovelace\""
    claims.kind = .sip
    claims.kindDetails = [.forwarded]
    claims.metadata = "m"
    claims.attributes = ["a": "b", "": ""]
    claims.video.roomJoin = true
    claims.video.room = "lobby"
    claims.video.canPublish = false
    claims.video.canPublishSources = [.camera, .unknown]
    claims.video.canSubscribeMetrics = true
    claims.sip.call = true
    claims.roomPreset = "p"
    claims.roomConfiguration = .with { $0.maxParticipants = 3 }
    let token = TokenSigner(key: "devkey", secret: Secret("devsecret")).sign(claims, now: now, lifetime: .seconds(90))
    let read = try verifier.verify(token, now: now)
    claims.issuer = "devkey"
    claims.notBefore = now
    claims.expires = WallTime(milliseconds: now.milliseconds + 90_000)
    #expect(read == claims)
  }

  @Test func writesTimesAsPlainIntegers() throws {
    let token = TokenSigner(key: "k", secret: Secret("s")).sign(
      AccessClaims(identity: "i"), now: now, lifetime: .seconds(60))
    let payload = String(decoding: try #require(Base64URL.decode(token.split(separator: ".")[1])), as: UTF8.self)
    #expect(payload.contains(#""nbf":1800000000"#) && payload.contains(#""exp":1800000060"#))
    #expect(!payload.contains("1800000000."))
  }

  @Test func signsWebhooksWithTheirHashInStandardBase64() throws {
    let body = Array(#"{"event":"room_started"}"#.utf8)
    let token = TokenSigner(key: "devkey", secret: Secret("devsecret")).signWebhook(body: body, now: now)
    let claims = try verifier.verify(token, now: now)
    #expect(claims.sha256 == Base64.encode(Array(SHA256.hash(data: body))))
    #expect(claims.expires == WallTime(milliseconds: now.milliseconds + 300_000))
  }

  @Test func showsOfAStrangersTextOnlyWhatIsPrintable() {
    let text = "\(TokenError.unknownKey("a\u{1B}[31m\r\n" + String(repeating: "x", count: 500)))"
    #expect(!text.utf8.contains { $0 < 0x20 } && text.utf8.count < 120)
  }
}
