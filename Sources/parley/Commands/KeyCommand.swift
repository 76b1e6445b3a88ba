import ArgumentParser
import Core
import Crypto
import Store

struct KeyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Add, list and remove API keys, beside those in the configuration file.",
    subcommands: [Add.self, List.self, Remove.self], defaultSubcommand: List.self)

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add a key. Its secret is random, is shown now and never again: only its hash is stored.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "What the key is called.") var name: String

    func run() async throws {
      let (_, store) = try await options.open()
      let secret = RandomToken.hex(bytes: 32)
      let hash = Hex.encode(SHA256.hash(data: Array(secret.utf8)))
      try await store.add(APIKey(name: name, secretSHA256: hash, createdAt: .now()))
      print("Added API key \(name).\nSecret: \(secret)\nUse it as: Authorization: Bearer \(secret)")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List all stored keys, without secrets.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
      let (_, store) = try await options.open()
      print(Terminal.table(["KEY", "CREATED"], try await store.apiKeys().map { [$0.name, $0.createdAt.rfc3339] }))
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a key; it stops working at once.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The key.") var name: String

    func run() async throws {
      let (_, store) = try await options.open()
      guard try await store.removeAPIKey(name) else { throw CommandFailure("There is no API key \(name).") }
      print("Removed API key \(name).")
    }
  }
}
