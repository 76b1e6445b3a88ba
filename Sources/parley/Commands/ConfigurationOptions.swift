import ArgumentParser
import Foundation
import Store

/// The subcommands beside `serve`.
let administrationCommands: [any ParsableCommand.Type] = [
  CheckCommand.self, UserCommand.self, TrunkCommand.self, NumberCommand.self, RouteCommand.self, KeyCommand.self,
  TokenCommand.self, WebhooksCommand.self, CallsCommand.self, RecordingsCommand.self,
  ConfigCommand.self,
]

/// Which configuration a command works with.
struct ConfigurationOptions: ParsableArguments {
  @Option(
    name: [.short, .customLong("config")],
    help: ArgumentHelp(
      "The configuration file.",
      discussion: """
        Without it: the file that PARLEY_CONFIG names, ./parley.yaml, /etc/parley/parley.yaml, or none. Environment \
        variables such as PARLEY_DATA_DIRECTORY override single settings.
        """, valueName: "file"))
  var config: String?

  init() {}

  func load() throws -> Configuration { try Configuration.load(path: config) }

  /// The configuration and the database that it names. Odd things go to standard error.
  func open() async throws -> (configuration: Configuration, store: Store) {
    let configuration = try load()
    for warning in configuration.warnings { Terminal.note("warning: \(warning)") }
    let store = try Store(directory: configuration.data.directory)
    return (configuration, store)
  }
}

/// Why a command could not do its work, as a sentence.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// What the commands print.
enum Terminal {
  /// To standard error.
  static func note(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

  /// Columns under headings, as wide as they need to be.
  static func table(_ headings: [String], _ rows: [[String]]) -> String {
    let widths = headings.indices.map { column in
      ([headings] + rows).map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
    }
    return ([headings] + rows).map { row in
      let line = zip(row, widths).map { cell, width in
        visible(cell) + String(repeating: " ", count: max(0, width - cell.count))
      }.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }

  /// Names come from the network: control characters must not reach the terminal.
  static func visible(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
  }

  /// One line from standard input, without echo where that is a terminal.
  static func secret(_ prompt: String) throws -> String {
    let isTerminal = isatty(STDIN_FILENO) == 1
    var saved = termios()
    if isTerminal {
      FileHandle.standardError.write(Data(prompt.utf8))
      tcgetattr(STDIN_FILENO, &saved)
      var silent = saved
      silent.c_lflag &= ~tcflag_t(ECHO)
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
    }
    let line = readLine()
    if isTerminal {
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved)
      FileHandle.standardError.write(Data("\n".utf8))
    }
    guard let line, !line.isEmpty else { throw ValidationError("No password was given.") }
    return line
  }
}
