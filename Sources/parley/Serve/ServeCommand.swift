import ArgumentParser

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Start the server. Without a configuration file it runs with embedded defaults.",
    discussion: """
      SIGTERM or SIGINT drains: new calls are refused, running ones finish within drain.timeout, then the process \
      exits with 0.
      """)

  @OptionGroup var options: ConfigurationOptions

  func run() async throws {
    try await Server(configuration: try options.load()).run()
  }
}
