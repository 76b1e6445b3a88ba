import ArgumentParser
import Core
import Store

struct TrunkCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trunk", abstract: "Add, list and remove trunks to carriers and PBXs.",
    discussion: "A running server takes changes over within a second.",
    subcommands: [Add.self, List.self, Remove.self], defaultSubcommand: List.self)

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add a trunk.",
      discussion: """
        Calls from the trunk are recognised by its host's addresses and by the networks given with --allow. Example:
          parley trunk add carrier 192.0.2.1 --codec PCMU --codec PCMA --username u --ask --register
        """)
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "What routes call it.") var name: String
    @Argument(help: "Host name or address of the carrier, with an optional port.") var host: String
    @Option(help: "udp, tcp or tls.") var transport = "udp"
    @Option(
      name: .customLong("codec"), help: "A codec, in order of preference; may be repeated. PCMU and PCMA without it.")
    var codecs: [String] = []
    @Option(help: "A network whose calls are taken for this trunk's, such as 192.0.2.0/24; may be repeated.")
    var allow: [String] = []
    @Option(help: "User name at the carrier.") var username: String?
    @Option(help: "Password at the carrier. Others can see it in the list of processes; prefer --ask.")
    var password: String?
    @Flag(help: "Read the password from the terminal or from standard input.") var ask = false
    @Flag(help: "Register at the carrier.") var register = false

    func run() async throws {
      guard let address = HostPort(host) else {
        throw ValidationError("\"\(host)\" is no host; write carrier.example, 192.0.2.1:5060 or [2001:db8::1]:5060.")
      }
      let chosen = try codecs.map { name in
        guard let codec = AudioCodec(encodingName: name) else {
          throw ValidationError("\"\(name)\" is no codec; there are \(DirectoryRules.codecNames).")
        }
        return codec
      }
      let (_, store) = try await options.open()
      let secret = ask ? try Terminal.secret("Password at the carrier: ") : password
      try await store.write(
        Trunk(
          name: name, host: address.host, port: address.port ?? (transport == "tls" ? 5061 : 5060),
          transport: transport, codecs: chosen.isEmpty ? [.pcmu, .pcma] : chosen, allow: allow, username: username,
          password: secret, register: register), mode: .create)
      print("Added trunk \(name). A route or a number with the target trunk:\(name) sends calls to it.")
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List all trunks, without passwords.")
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
      let (_, store) = try await options.open()
      print(
        Terminal.table(
          ["TRUNK", "HOST", "TRANSPORT", "CODECS", "ALLOW", "USER", "REGISTERS", "ENABLED"],
          try await store.trunks().map { trunk in
            [
              trunk.name, HostPort(host: trunk.host, port: trunk.port).description, trunk.transport,
              trunk.codecs.map(\.rawValue).joined(separator: ","), trunk.allow.joined(separator: ","),
              trunk.username ?? "", trunk.register ? "yes" : "no", trunk.enabled ? "yes" : "no",
            ]
          }))
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove a trunk.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The trunk.") var name: String

    func run() async throws {
      let (_, store) = try await options.open()
      guard try await store.removeTrunk(name) else { throw CommandFailure("There is no trunk \(name).") }
      print("Removed trunk \(name).")
    }
  }
}
