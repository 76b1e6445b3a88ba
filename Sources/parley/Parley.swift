import ArgumentParser

@main
struct ParleyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parley",
    abstract: "A WebRTC gateway and conferencing server: browser agents, SIP trunks and rooms in one process.",
    version: parleyVersion,
    subcommands: [ServeCommand.self] + administrationCommands,
    defaultSubcommand: ServeCommand.self)
}

/// The version in headers, `--version` and the start-up lines.
let parleyVersion = "0.1.0"
