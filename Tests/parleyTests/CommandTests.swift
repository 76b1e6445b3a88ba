import ArgumentParser
import Core
import Foundation
import Store
import Testing

@testable import parley

@Suite struct CommandTests {
  let place: TemporaryPlace

  init() throws {
    place = try TemporaryPlace()
    let yaml = "data: { directory: \(place.file("data")) }\nsip: { domain: example.com }\n"
    try Data(yaml.utf8).write(to: URL(fileURLWithPath: place.file("parley.yaml")))
  }

  /// Runs a command as the shell would, with the test's configuration file.
  func run<Command: AsyncParsableCommand>(_ command: Command.Type, _ arguments: String...) async throws {
    let parsed = try command.parseAsRoot(arguments + ["--config", place.file("parley.yaml")])
    var runnable = try #require(parsed as? any AsyncParsableCommand)
    try await runnable.run()
  }

  var store: Store { get throws { try Store(directory: place.file("data")) } }

  @Test func keepsUsers() async throws {
    try await run(UserCommand.self, "add", "1003", "--display", "Bob", "--password", "long enough")
    let hashes = PasswordHashes(name: "1003", realm: "example.com", password: Secret("long enough"))
    #expect(try await store.user("1003")?.ha1MD5 == hashes.md5)
    #expect(try await store.user("1003")?.display == "Bob")
    #expect(try await store.realm() == "example.com")
    await #expect(throws: StoreError.self) { try await run(UserCommand.self, "add", "1003") }
    try await run(UserCommand.self, "password", "1003", "--password", "another one")
    #expect(try await store.user("1003")?.ha1MD5 != hashes.md5)
    try await run(UserCommand.self, "disable", "1003")
    #expect(try await store.user("1003")?.enabled == false)
    try await run(UserCommand.self, "enable", "1003")
    #expect(try await store.user("1003")?.enabled == true)
    try await run(UserCommand.self, "list")
    try await run(UserCommand.self, "remove", "1003")
    #expect(try await store.users() == [])
    for name in ["remove", "password", "disable"] {
      await #expect(throws: CommandFailure.self) { try await run(UserCommand.self, name, "1003") }
    }
  }

  @Test func refusesShortAndDoublePasswords() {
    #expect(throws: (any Error).self) { try UserCommand.parseAsRoot(["add", "a", "--password", "short"]) }
    #expect(throws: (any Error).self) {
      try UserCommand.parseAsRoot(["add", "a", "--password", "long enough", "--ask"])
    }
  }

  @Test func keepsTrunksNumbersAndRoutes() async throws {
    try await run(
      TrunkCommand.self, "add", "carrier", "[2001:db8::1]", "--transport", "tls", "--codec", "opus", "--codec", "pcma",
      "--allow", "192.0.2.0/24", "--username", "u", "--password", "p", "--register")
    #expect(
      try await store.trunks() == [
        Trunk(
          name: "carrier", host: "2001:db8::1", port: 5061, transport: "tls", codecs: [.opus, .pcma],
          allow: ["192.0.2.0/24"], username: "u", password: "p", register: true)
      ])
    try await run(NumberCommand.self, "add", "+15550100", "user:1001")
    try await run(RouteCommand.self, "add", "^9(\\d+)$", "trunk:carrier", "--number", "$1")
    try await run(RouteCommand.self, "add", "^0", "trunk:carrier", "--position", "5")
    #expect(try await store.numbers() == [NumberRule(number: "+15550100", to: .user("1001"))])
    #expect(try await store.routes().map(\.position) == [5, 10])
    for command in ["list"] {
      try await run(TrunkCommand.self, command)
      try await run(NumberCommand.self, command)
      try await run(RouteCommand.self, command)
    }
    await #expect(throws: ValidationError.self) { try await run(NumberCommand.self, "add", "1", "1001") }
    await #expect(throws: ValidationError.self) { try await run(TrunkCommand.self, "add", "x", "a b") }
    await #expect(throws: ValidationError.self) { try await run(TrunkCommand.self, "add", "x", "h", "--codec", "mp3") }
    try await run(TrunkCommand.self, "remove", "carrier")
    try await run(NumberCommand.self, "remove", "+15550100")
    try await run(RouteCommand.self, "remove", "5")
    let left = try await store.counts()
    #expect(left.trunks == 0 && left.numbers == 0 && left.routes == 1)
    await #expect(throws: CommandFailure.self) { try await run(RouteCommand.self, "remove", "5") }
  }

  @Test func keepsAPIKeysByHashOnly() async throws {
    try await run(KeyCommand.self, "add", "k")
    #expect(try await store.apiKeys().map(\.name) == ["k"])
    #expect(try await store.apiKeys().first?.secretSHA256.count == 64)
    try await run(KeyCommand.self, "list")
    try await run(KeyCommand.self, "remove", "k")
    #expect(try await store.apiKeys() == [])
  }

  @Test func showsCalls() async throws {
    var call = CallRecord(
      id: "x", from: "1001", fromDisplay: "A\u{1B}[31mda", to: "600", direction: .internal,
      startedAt: WallTime(milliseconds: 0))
    call.answeredAt = WallTime(milliseconds: 1000)
    call.endedAt = WallTime(milliseconds: 62_500)
    call.outcome = .answered
    call.legs = [LegRecord(index: 0, kind: .user, party: "1001", sipCallID: "id", startedAt: call.startedAt)]
    try await store.save(call)
    try await run(CallsCommand.self)
    try await run(CallsCommand.self, "x")
    await #expect(throws: CommandFailure.self) { try await run(CallsCommand.self, "y") }
    let text = CallsCommand.describe(call)
    #expect(text.contains("Started    1970-01-01T00:00:00.000Z"))
    // What a peer sent as its name must not steer the terminal.
    #expect(!text.contains("\u{1B}"))
    #expect(throws: (any Error).self) { try CallsCommand.parseAsRoot(["--since", "yesterday"]) }
    #expect(throws: (any Error).self) { try CallsCommand.parseAsRoot(["--limit", "0"]) }
  }

  @Test func tablesAlign() {
    #expect(
      Terminal.table(["A", "LONG"], [["wide cell", "x"], ["", "y\nz"]]) == """
        A          LONG
        wide cell  x
                   y?z
        """)
  }

  @Test func everyCommandHasHelpForEveryArgument() throws {
    func check(_ command: any ParsableCommand.Type) {
      #expect(!command.configuration.abstract.isEmpty, "\(command)")
      let help = command.helpMessage(columns: 200)
      #expect(help.contains("USAGE:"))
      // An option without help is a line that ends behind its name or value.
      for line in help.split(separator: "\n") where line.hasPrefix("  -") || line.hasPrefix("  <") {
        #expect(line.split(separator: " ").count > 2, "\(command): \(line)")
      }
      for subcommand in command.configuration.subcommands { check(subcommand) }
    }
    for command in administrationCommands { check(command) }
  }

  @Test func aRealmThatChangedIsSaid() async throws {
    try await run(UserCommand.self, "add", "1003", "--password", "long enough")
    let yaml = "data: { directory: \(place.file("data")) }\nsip: { domain: example.net }\n"
    try Data(yaml.utf8).write(to: URL(fileURLWithPath: place.file("parley.yaml")))
    let error = await #expect(throws: StoreError.self) { try await run(UserCommand.self, "add", "1004") }
    #expect(error?.kind == .realmChanged)
  }
}
