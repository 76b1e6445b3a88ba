import ArgumentParser

struct ConfigCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Show the configuration in force, or all settings there are.",
    subcommands: [Show.self, Reference.self], defaultSubcommand: Show.self)

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show every setting's value and where it comes from. Secrets are not shown.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
      let configuration = try options.load()
      for warning in configuration.warnings { Terminal.note("warning: \(warning)") }
      print(ConfigurationReference.effective(configuration))
    }
  }

  struct Reference: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a configuration file with all settings at their defaults, explained.")
    @Flag(help: "As the tables of Docs/configuration.md.") var markdown = false

    func run() async throws {
      print(markdown ? ConfigurationReference.markdown() : ConfigurationReference.yaml())
    }
  }
}
