import ArgumentParser
import Core
import Store

extension RouteTarget {
  /// From the command line.
  static func argument(_ text: String) throws -> RouteTarget {
    guard let target = RouteTarget(text) else {
      throw ValidationError(
        "\"\(text)\" is no target; write user:NAME, trunk:NAME, room:NAME, app:NAME, queue:NAME, echo: or milliwatt:.")
    }
    return target
  }
}

struct NumberCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "number", abstract: "Add, list and remove numbers: where a dialled or called number leads.",
    discussion: "A running server takes changes over within a second.",
    subcommands: [Add.self, List.self, Remove.self], defaultSubcommand: List.self)

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add a number.", discussion: "Example: parley number add +15550100 user:1001")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "Such as +15550100 or 600.") var number: String
    @Argument(help: "Where it leads: user:1001, trunk:carrier, echo:, milliwatt:.") var to: String

    func run() async throws {
      let target = try RouteTarget.argument(to)
      let (_, store) = try await options.open()
      try await store.write(NumberRule(number: number, to: target), mode: .create)
      print("Added number \(number).")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List all numbers.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
      let (_, store) = try await options.open()
      print(Terminal.table(["NUMBER", "TO"], try await store.numbers().map { [$0.number, $0.to.description] }))
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a number.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The number.") var number: String

    func run() async throws {
      let (_, store) = try await options.open()
      guard try await store.removeNumber(number) else { throw CommandFailure("There is no number \(number).") }
      print("Removed number \(number).")
    }
  }
}

struct RouteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "route", abstract: "Add, list and remove outbound routes: which trunk takes which dialled numbers.",
    discussion: "A running server takes changes over within a second.",
    subcommands: [Add.self, List.self, Remove.self], defaultSubcommand: List.self)

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add a route.", discussion: "Example: parley route add '^9(\\d+)$' trunk:carrier --number '$1'")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "A regular expression over the dialled number.") var match: String
    @Argument(help: "Where it leads, usually trunk:NAME.") var to: String
    @Option(help: "The number that is sent on, with $1 … $9 for the groups of the match; the dialled one without it.")
    var number: String?
    @Option(help: "Lower ones are tried first; without it the route comes last.") var position: Int?

    func run() async throws {
      let target = try RouteTarget.argument(to)
      let (_, store) = try await options.open()
      let last = try await store.routes().last?.position ?? 0
      let rule = RouteRule(position: position ?? last + 10, match: match, to: target, number: number)
      try await store.write(rule, mode: .create)
      print("Added route at position \(rule.position).")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List all routes in the order in which they are tried.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
      let (_, store) = try await options.open()
      print(
        Terminal.table(
          ["POSITION", "MATCH", "TO", "NUMBER"],
          try await store.routes().map { ["\($0.position)", $0.match, $0.to.description, $0.number ?? ""] }))
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a route.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The position.") var position: Int

    func run() async throws {
      let (_, store) = try await options.open()
      guard try await store.removeRoute(position: position) else {
        throw CommandFailure("There is no route at position \(position).")
      }
      print("Removed the route at position \(position).")
    }
  }
}
