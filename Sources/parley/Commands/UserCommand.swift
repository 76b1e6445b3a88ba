import ArgumentParser
import Core
import Store

struct UserCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "user", abstract: "Add, list, change and remove users.",
    discussion: "A running server takes changes over within a second.",
    subcommands: [Add.self, List.self, Password.self, Enable.self, Disable.self, Remove.self],
    defaultSubcommand: List.self)

  /// Where the password comes from.
  struct PasswordOptions: ParsableArguments {
    @Option(help: "The password. Other users of this machine can see it in the list of processes; prefer --ask.")
    var password: String?

    @Flag(
      help: "Read the password from the terminal or from standard input. Without it a random one is made and shown.")
    var ask = false

    init() {}

    func validate() throws {
      if password != nil, ask { throw ValidationError("Give --password or --ask, not both.") }
      if let password { try Self.check(password) }
    }

    private static func check(_ password: String) throws {
      guard (8...256).contains(password.utf8.count) else {
        throw ValidationError("The password must have 8 to 256 characters.")
      }
    }

    /// The password, and whether it has to be shown because it was made here.
    func take() throws -> (password: Secret, isNew: Bool) {
      if let password { return (Secret(password), false) }
      guard ask else { return (Secret(DemoCredentials.password()), true) }
      let password = try Terminal.secret("Password: ")
      try Self.check(password)
      return (Secret(password), false)
    }
  }

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Add a user.")
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var passwordOptions: PasswordOptions
    @Argument(help: "The user part of the address, such as 1003.") var name: String
    @Option(help: "The name that others see; the user name without it.") var display: String?

    func run() async throws {
      let (configuration, store) = try await options.open()
      let realm = configuration.sip.effectiveRealm
      try await store.bindRealm(realm)
      let (password, isNew) = try passwordOptions.take()
      let hashes = PasswordHashes(name: name, realm: realm, password: password)
      try await store.write(
        User(name: name, display: display ?? name, ha1MD5: hashes.md5, ha1SHA256: hashes.sha256), mode: .create)
      print("Added user \(name), sip:\(name)@\(configuration.sip.domain).")
      if isNew { print("Password: \(password.revealed)") }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List all users.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
      let (_, store) = try await options.open()
      print(
        Terminal.table(
          ["USER", "NAME", "ENABLED"],
          try await store.users().map { [$0.name, $0.display, $0.enabled ? "yes" : "no"] }))
    }
  }

  struct Password: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Set a user's password.")
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var passwordOptions: PasswordOptions
    @Argument(help: "The user.") var name: String

    func run() async throws {
      let (configuration, store) = try await options.open()
      try await store.bindRealm(configuration.sip.effectiveRealm)
      guard var user = try await store.user(name) else { throw CommandFailure("There is no user \(name).") }
      let (password, isNew) = try passwordOptions.take()
      let hashes = PasswordHashes(name: name, realm: configuration.sip.effectiveRealm, password: password)
      user.ha1MD5 = hashes.md5
      user.ha1SHA256 = hashes.sha256
      try await store.write(user, mode: .update)
      print("Changed the password of \(name).")
      if isNew { print("Password: \(password.revealed)") }
    }
  }

  struct Enable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Let a user log in again.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The user.") var name: String
    func run() async throws { try await UserCommand.set(name, enabled: true, options) }
  }

  struct Disable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Keep a user from logging in, without removing anything.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The user.") var name: String
    func run() async throws { try await UserCommand.set(name, enabled: false, options) }
  }

  private static func set(_ name: String, enabled: Bool, _ options: ConfigurationOptions) async throws {
    let (_, store) = try await options.open()
    guard var user = try await store.user(name) else { throw CommandFailure("There is no user \(name).") }
    user.enabled = enabled
    try await store.write(user, mode: .update)
    print("User \(name) is \(enabled ? "enabled" : "disabled").")
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a user. The call records stay.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The user.") var name: String

    func run() async throws {
      let (_, store) = try await options.open()
      guard try await store.removeUser(name) else { throw CommandFailure("There is no user \(name).") }
      print("Removed user \(name).")
    }
  }
}
