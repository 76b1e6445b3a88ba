import ArgumentParser
import Core
import LiveKitProtocol

struct TokenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Make access tokens for rooms and the server API.", subcommands: [Create.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a token.",
      discussion: """
        With --room and --identity the token lets a client join that room. --create, --list, --record, --ingress-admin, \
        --sip-admin, --sip-call and --admin are rights of the server API.
        """)
    @OptionGroup var options: ConfigurationOptions
    @Option(help: "The room.") var room: String?
    @Option(help: "The participant's identity, unique in its room.") var identity: String?
    @Option(help: "The name that others see.") var name: String?
    @Option(help: "The participant's metadata.") var metadata: String?
    @Option(help: "An attribute, as name=value. May be given several times.") var attribute: [String] = []
    @Option(help: ArgumentHelp("How long it is valid.", valueName: "hours")) var hours: Int = 6
    @Option(help: "The API key that signs it; needed where the configuration has several.") var key: String?
    @Option(
      help: ArgumentHelp(
        "Only these may be published: camera, microphone, screen_share, screen_share_audio. May be given several times.",
        valueName: "source"))
    var source: [String] = []
    @Flag(help: "May not publish.") var noPublish = false
    @Flag(help: "May not subscribe.") var noSubscribe = false
    @Flag(help: "May not send data.") var noData = false
    @Flag(help: "May change its own name, metadata and attributes.") var updateSelf = false
    @Flag(help: "The others do not see it.") var hidden = false
    @Flag(help: "May remove and mute others in the room.") var admin = false
    @Flag(help: "May create and delete rooms.") var create = false
    @Flag(help: "May list rooms.") var list = false
    @Flag(help: "May start, stop and list recordings of rooms.") var record = false
    @Flag(help: "May manage ingress.") var ingressAdmin = false
    @Flag(help: "May manage the trunks and dispatch rules of rooms.") var sipAdmin = false
    @Flag(help: "May ring phones into rooms.") var sipCall = false
    @Flag(help: "Print the address of the room page, too.") var link = false

    func run() async throws {
      let configuration = try options.load()
      let token = try make(with: configuration, now: .now())
      print(token)
      if link { print(configuration.roomLink(token: token)) }
    }

    func make(with configuration: Configuration, now: WallTime) throws -> String {
      let (name, secret) = try configuration.signingKey(named: key)
      return TokenSigner(key: name, secret: secret).sign(try claims(), now: now, lifetime: .seconds(hours * 3600))
    }

    func validate() throws {
      guard (1...87_600).contains(hours) else { throw ValidationError("--hours must be from 1 to 87600.") }
      guard (room == nil) || identity != nil || admin || isForServers else {
        throw ValidationError("--identity is missing: who will join the room?")
      }
      guard identity == nil || room != nil else { throw ValidationError("--room is missing: where will it join?") }
      guard !admin || room != nil else { throw ValidationError("--admin needs --room.") }
      guard room != nil || isForServers else {
        throw ValidationError(
          "The token would allow nothing. Give --room and --identity, or a right such as --create or --sip-call.")
      }
      _ = try claims()
    }

    /// Whether it has a right that needs no room.
    private var isForServers: Bool { create || list || record || ingressAdmin || sipAdmin || sipCall }

    private func claims() throws -> AccessClaims {
      var claims = AccessClaims(identity: identity ?? "")
      claims.name = name ?? ""
      claims.metadata = metadata ?? ""
      for pair in attribute {
        guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
          throw ValidationError("--attribute must be name=value, not \(pair).")
        }
        claims.attributes[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
      }
      claims.video.room = room ?? ""
      claims.video.roomJoin = room != nil && identity != nil
      claims.video.canPublish = !noPublish
      claims.video.canSubscribe = !noSubscribe
      claims.video.canPublishData = !noData
      claims.video.canPublishSources = try source.map { text in
        guard let source = VideoGrant.sources.first(where: { $0.name == text })?.source else {
          throw ValidationError(
            "--source must be one of \(VideoGrant.sources.map(\.name).joined(separator: ", ")), not \(text).")
        }
        return source
      }
      claims.video.canUpdateOwnMetadata = updateSelf
      claims.video.hidden = hidden
      claims.video.roomAdmin = admin
      claims.video.roomCreate = create
      claims.video.roomList = list
      claims.video.roomRecord = record
      claims.video.ingressAdmin = ingressAdmin
      claims.sip = SIPGrant(admin: sipAdmin, call: sipCall)
      return claims
    }
  }
}

extension Configuration {
  /// The key that signs tokens and webhooks: the one that is named, or the only one there is; the demo's where it runs.
  func signingKey(named wanted: String?) throws -> (name: String, secret: Secret) {
    var known = keys
    if known.isEmpty, wantsDemo {
      let demo = try DemoCredentials.loadOrCreate(in: data.directory).key
      known[demo.name] = Secret(demo.secret)
    }
    if let wanted {
      guard let secret = known[wanted] else {
        throw CommandFailure(
          "There is no API key \(wanted) in the configuration. Keys of parley key cannot sign: only their hashes are "
            + "stored.")
      }
      return (wanted, secret)
    }
    guard let only = known.first else {
      throw CommandFailure("The configuration has no API key. Add one: keys: { devkey: a-long-random-secret }")
    }
    guard known.count == 1 else {
      throw CommandFailure(
        "The configuration has several API keys. Name one with --key: "
          + known.keys.sorted().joined(separator: ", "))
    }
    return (only.key, only.value)
  }

  /// The room page with a token: in the fragment, which browsers do not send to servers or put into logs.
  func roomLink(token: String) -> String {
    let base: String
    if let plain = http.listen, plain.ip.isUnspecified || plain.ip.isLoopback {
      base = "http://localhost:\(plain.port)"
    } else if let secure = http.tls.listen {
      base = "https://\(secure.ip.isUnspecified ? sip.domain : "\(secure.ip)"):\(secure.port)"
    } else {
      base = "http://\(http.listen.map { "\($0)" } ?? "localhost")"
    }
    return "\(base)/room/#token=\(token)"
  }
}
