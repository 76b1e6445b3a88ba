import ArgumentParser
import Core
import Foundation
import LiveKitProtocol
import Store
import Testing

@testable import parley

@Suite struct RoomCommandTests {
  let place: TemporaryPlace
  private let now = WallTime(milliseconds: 1_800_000_000_000)

  init() throws { place = try TemporaryPlace() }

  private func configuration(_ yaml: String) throws -> Configuration {
    try Configuration.parse(
      yaml: "data: { directory: \(place.file("data")) }\n" + yaml, file: "test.yaml", environment: [:])
  }

  private func token(_ yaml: String = "keys: { devkey: devsecret }", _ arguments: String...) throws -> AccessClaims {
    let command = try #require(try TokenCommand.parseAsRoot(["create"] + arguments) as? TokenCommand.Create)
    let text = try command.make(with: try configuration(yaml), now: now)
    return try TokenVerifier(keys: ["devkey": Secret("devsecret"), "other": Secret("another")]).verify(text, now: now)
  }

  // MARK: Tokens

  @Test func aTokenJoinsItsRoom() throws {
    let claims = try token(
      "keys: { devkey: devsecret }", "--room", "lobby", "--identity", "ada", "--name", "Ada", "--attribute", "a=b=c",
      "--attribute", "d=", "--metadata", "m")
    #expect(claims.issuer == "devkey" && claims.identity == "ada" && claims.name == "Ada" && claims.metadata == "m")
    #expect(claims.attributes == ["a": "b=c", "d": ""])
    #expect(claims.video.roomJoin && claims.video.room == "lobby")
    #expect(claims.video.canPublish && claims.video.canSubscribe && claims.video.canPublishData)
    #expect(!claims.video.roomAdmin && !claims.video.roomCreate && !claims.video.roomList && !claims.video.hidden)
    #expect(claims.expires == WallTime(milliseconds: now.milliseconds + 6 * 3_600_000))
  }

  @Test func aTokenCanBeNarrow() throws {
    let claims = try token(
      "keys: { devkey: devsecret }", "--room", "lobby", "--identity", "ada", "--no-subscribe", "--no-data", "--source",
      "camera", "--source", "screen_share", "--hidden", "--hours", "1")
    #expect(!claims.video.canSubscribe && !claims.video.canPublishData && claims.video.hidden)
    #expect(claims.video.canPublishSources == [.camera, .screenShare])
    #expect(claims.expires == WallTime(milliseconds: now.milliseconds + 3_600_000))
  }

  @Test func aTokenCanBeForServers() throws {
    let claims = try token("keys: { devkey: devsecret }", "--create", "--list", "--room", "lobby", "--admin")
    #expect(claims.video.roomCreate && claims.video.roomList && claims.video.roomAdmin && !claims.video.roomJoin)
  }

  @Test(arguments: [
    [], ["--room", "lobby"], ["--identity", "ada"], ["--admin"],
    ["--room", "r", "--identity", "i", "--source", "hologram"], ["--room", "r", "--identity", "i", "--attribute", "x"],
    ["--room", "r", "--identity", "i", "--hours", "0"],
  ]) func refusesATokenThatMakesNoSense(_ arguments: [String]) {
    #expect(throws: (any Error).self) { try TokenCommand.parseAsRoot(["create"] + arguments) }
  }

  @Test func severalKeysMustBeNamed() throws {
    let yaml = "keys: { devkey: devsecret, other: another }"
    #expect(throws: CommandFailure.self) { try token(yaml, "--room", "r", "--identity", "i") }
    #expect(try token(yaml, "--room", "r", "--identity", "i", "--key", "other").issuer == "other")
    #expect(throws: CommandFailure.self) { try token(yaml, "--room", "r", "--identity", "i", "--key", "third") }
    #expect(throws: CommandFailure.self) { try token("", "--room", "r", "--identity", "i") }
  }

  @Test func theDemoHasAKeyOfItsOwn() throws {
    let demo = try configuration("provision: { demo: true }")
    let (name, secret) = try demo.signingKey(named: nil)
    #expect(name == "demo" && secret.revealed.utf8.count == 64)
    #expect(try demo.signingKey(named: "demo").secret == secret)
  }

  // MARK: Webhooks

  private func replay(_ arguments: String...) async throws {
    let parsed = try WebhooksCommand.parseAsRoot(["replay"] + arguments + ["--config", place.file("parley.yaml")])
    var command = try #require(parsed as? any AsyncParsableCommand)
    try await command.run()
  }

  @Test func webhooksAreReplayed() async throws {
    try Data("data: { directory: \(place.file("data")) }\n".utf8).write(
      to: URL(fileURLWithPath: place.file("parley.yaml")))
    let store = try Store(directory: place.file("data"))
    try await store.appendWebhooks(
      ["EV_1", "EV_2"].map {
        WebhookRecord(id: $0, room: "r", event: "room_started", body: "{}", createdAt: WallTime(milliseconds: 1000))
      }, to: ["http://a.example/"])
    for _ in 1...2 {
      for delivery in try await store.dueWebhooks(now: now, limit: 9) {
        try await store.recordWebhook(delivery, state: .failed, status: 400, problem: "no", at: now)
      }
    }
    #expect(try await store.waitingWebhooks() == 0)
    try await replay("EV_2")
    #expect(try await store.waitingWebhooks() == 1)
    try await replay("--failed", "--until", "1970-01-01T00:00:02Z")
    #expect(try await store.waitingWebhooks() == 2)
    await #expect(throws: CommandFailure.self) { try await replay("EV_3") }
    #expect(throws: (any Error).self) { try WebhooksCommand.parseAsRoot(["replay"]) }
    #expect(throws: (any Error).self) { try WebhooksCommand.parseAsRoot(["replay", "--since", "yesterday"]) }
    #expect(throws: (any Error).self) { try WebhooksCommand.parseAsRoot(["list", "--state", "lost"]) }
  }

  // MARK: Configuration

  @Test func webhooksNeedAKey() throws {
    func problems(_ yaml: String) -> String {
      do {
        _ = try configuration(yaml)
        return ""
      } catch { return "\(error)" }
    }
    let url = "webhooks: { urls: http://a.example/hook }\n"
    #expect(problems(url).contains("needs an API key"))
    #expect(problems(url + "keys: { a: secret }") == "")
    #expect(problems(url + "keys: { a: secret, b: secret }").contains("webhooks.key is needed"))
    #expect(problems("webhooks: { urls: http://a.example/, key: b }\nkeys: { a: secret, b: secret }") == "")
    #expect(problems("webhooks: { urls: http://a.example/, key: c }\nkeys: { a: secret }").contains("names c"))
    for wrong in ["ftp://a.example/", "http://", "http://u:p@a.example/", "a.example", "http://a.example/ x"] {
      #expect(problems("webhooks: { urls: \"\(wrong)\" }\nkeys: { a: s }").contains("http or https URL"), "\(wrong)")
    }
  }

  @Test func webhookURLsAreAListOrOff() throws {
    let several = try configuration(
      "webhooks: { urls: [http://a.example/, https://b.example:8443/x?y=1] }\nkeys: { a: s }")
    #expect(several.webhooks.urls == ["http://a.example/", "https://b.example:8443/x?y=1"])
    #expect(try configuration("webhooks: { urls: off }").webhooks.urls.isEmpty)
  }
}
