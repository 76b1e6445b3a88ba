import Core

extension Configuration {
  /// Every setting of the configuration file, in the order of the reference page.
  static let settings = [
    http, sip, calls, media, rooms, dialIn, webhookSettings, recordings, storage, speech, rest, provisioning,
  ].flatMap { $0 }

  private static func setting<Value: Sendable>(
    _ name: String, _ path: any WritableKeyPath<Configuration, Value> & Sendable, _ kind: Kind<Value>,
    fallback: String? = nil, _ summary: String
  ) -> Setting<Configuration> {
    Setting(name, path, kind, in: Configuration(), fallback: fallback, summary)
  }

  private static let http: [Setting<Configuration>] = [
    setting(
      "http.listen", \.http.listen, Kind<SocketAddress>.address.orNone("off"),
      "Where pages, REST and SIP over WebSocket are served without TLS. Browsers give the microphone only to pages "
        + "from localhost or over TLS."),
    setting(
      "http.tls.listen", \.http.tls.listen, Kind<SocketAddress>.address.orNone("off"),
      "Where the same is served over TLS (https and wss)."),
    setting(
      "http.tls.certificate", \.http.tls.certificate, Kind<String>.text("a path").optional(),
      fallback: "(self-signed)",
      "PEM file of the certificate chain for https, wss and SIP over TLS. Without it a self-signed certificate is made "
        + "at the first start and kept in the data directory."),
    setting(
      "http.tls.key", \.http.tls.key, Kind<String>.text("a path").optional(), fallback: "(self-signed)",
      "PEM file of the certificate's private key."),
    setting(
      "http.web", \.http.web, Kind<String>.text("a path").orNone("auto"),
      "Directory of the web pages. With auto it is looked for beside the program and in ./web."),
  ]

  private static let sip: [Setting<Configuration>] = [
    setting(
      "sip.domain", \.sip.domain, .text("a domain name", accepts: { HostPort($0)?.port == nil && HostPort($0) != nil }),
      "The domain of the users' addresses: sip:1001@domain."),
    setting(
      "sip.realm", \.sip.realm,
      Kind<String>.text(
        "text of 1 to 128 characters without quotes, backslashes or line breaks",
        accepts: { (1...128).contains($0.utf8.count) && !$0.utf8.contains { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C } }
      ).optional(), fallback: "(sip.domain)",
      "The realm of digest authentication. It is part of every stored password hash: changing it later locks all users "
        + "out until their passwords are set again."),
    setting(
      "sip.udp", \.sip.udp, Kind<SocketAddress>.address.list(orNone: "off"), "Where SIP over UDP listens."),
    setting(
      "sip.tcp", \.sip.tcp, Kind<SocketAddress>.address.list(orNone: "off"), "Where SIP over TCP listens."),
    setting(
      "sip.tls", \.sip.tls, Kind<SocketAddress>.address.list(orNone: "off"), "Where SIP over TLS listens."),
    setting(
      "sip.digest", \.sip.digest, Kind<DigestName>.choice().list(atLeast: 1),
      "Digest algorithms in the order in which they are offered. JsSIP and SIP.js read the first challenge only and "
        + "know MD5 only."),
    setting(
      "sip.qop", \.sip.qop, Kind<DigestProtection>.choice().list(atLeast: 1),
      "What a digest covers (RFC 7616), in the order in which it is offered: auth is the request line, auth-int the body "
        + "too. With auth-int alone most phones and browsers cannot log in, and whatever changes a body on the way breaks "
        + "calls."),
    setting(
      "sip.no-answer", \.sip.noAnswer, .duration(.seconds(5) ... .seconds(600)),
      "How long a call rings before it is given up."),
    setting(
      "sip.session-expires", \.sip.sessionExpires, .duration(.seconds(90) ... .seconds(86_400)),
      "Session interval that we ask for (RFC 4028): a peer that vanished is noticed after this time."),
    setting(
      "sip.min-se", \.sip.minSE, .duration(.seconds(90) ... .seconds(86_400)),
      "Smallest session interval that we accept (RFC 4028 §5)."),
    setting(
      "sip.limits.message-size", \.sip.limits.messageSize, .integer(2048...1_048_576, unit: "bytes"),
      "Largest SIP message accepted."),
    setting(
      "sip.limits.connections", \.sip.limits.connections, .integer(10...1_000_000),
      "Open TCP, TLS and WebSocket connections in all."),
    setting(
      "sip.limits.connections-per-source", \.sip.limits.connectionsPerSource, .integer(1...1_000_000),
      "Open connections of one address (IPv6: one /64 network)."),
    setting(
      "sip.limits.messages-per-second", \.sip.limits.messagesPerSecond, .integer(1...1_000_000),
      "Sustained SIP messages a second of one address; four times as many at once. Trunks are not limited."),
    setting(
      "sip.limits.calls", \.sip.limits.calls, .integer(1...1_000_000), "Calls at a time; more are answered 503."),
    setting(
      "sip.limits.calls-per-user", \.sip.limits.callsPerUser, .integer(1...10_000),
      "Calls at a time that one user may place."),
    setting(
      "sip.limits.bindings-per-user", \.sip.limits.bindingsPerUser, .integer(1...100),
      "Devices that one user may register; one more is answered 403."),
  ]

  private static let media: [Setting<Configuration>] = [
    setting(
      "media.address", \.media.address, Kind<IPAddress>.ip.list(orNone: "auto"),
      "The address that ICE candidates and SDP name: the public one where the server is behind NAT. With auto, that of "
        + "the interface towards the peer. At most one IPv4 and one IPv6 address."),
    setting(
      "media.listen", \.media.listen, Kind<IPAddress>.ip.list(orNone: "auto"),
      "Local addresses that media sockets are bound to. With auto, those of every interface."),
    setting(
      "media.ports", \.media.ports, .ports, "UDP ports of RTP and ICE. A call uses up to four."),
    setting(
      "media.workers", \.media.workers, Kind<Int>.integer(1...256).orNone("auto"),
      "Threads that carry media. With auto, one a core."),
    setting(
      "media.ice", \.media.ice, .choice(),
      "single-port: all browsers on media.port, which they must be able to reach. full: a complete ICE agent with ports of "
        + "its own for each browser and its own TURN servers, for servers that browsers cannot reach by themselves."),
    setting(
      "media.port", \.media.port, .port,
      "The UDP and TCP port of all browsers with media.ice: single-port. Phones and trunks use media.ports."),
    setting(
      "media.stun", \.media.stun, Kind<HostPort>.hostPort.list(orNone: "off"),
      "STUN servers; port 3478 without one. Browsers are told all of them, the server itself asks the first."),
    setting(
      "media.turn", \.media.turn, Kind<TURNServer>.record("a TURN server", TURNServer(), TURNServer.settings).list(),
      "TURN servers that relay where nothing else gets through."),
    setting(
      "media.timeout", \.media.timeout, .duration(.seconds(5) ... .seconds(3600)),
      "A call that receives no RTP for so long is ended, unless it is on hold or uses discontinuous transmission."),
    setting(
      "media.opus-complexity", \.media.opusComplexity, .integer(0...10),
      "Effort of the Opus encoder: CPU against quality."),
  ]

  private static let rest: [Setting<Configuration>] = [
    setting(
      "data.directory", \.data.directory, .text("a path"),
      "Where the database, the self-signed certificate and the demo passwords are kept. Created where missing."),
    setting(
      "data.keep-calls", \.data.keepCalls,
      Kind<Duration>.duration(.seconds(3600) ... .seconds(3650 * 86_400)).orNone("forever"),
      "How long records of ended calls are kept; looked at every hour."),
    setting(
      "keys", \.keys, .keys,
      "API keys and their secrets. REST takes Authorization: Bearer SECRET, or Basic with key and secret."),
    setting("log.level", \.log.level, .choice(), "Least severe messages that are written."),
    setting("log.format", \.log.format, .choice(), "Lines for people, or one JSON object a line."),
    setting(
      "drain.timeout", \.drain.timeout, .duration(.seconds(0) ... .seconds(86_400)),
      "After SIGTERM no new calls are taken, and running ones are given so long before they are ended."),
  ]

  private static let provisioning: [Setting<Configuration>] = [
    setting(
      "provision.demo", \.provision.demo, Kind<Bool>.flag.orNone("auto"),
      "Whether the demo users 1001 and 1002, the numbers 600 (echo) and 601 (1,004 Hz tone) and an API key are created "
        + "at the start, with random secrets that are kept in the data directory. With auto, exactly when there is no "
        + "configuration file."),
    setting(
      "provision.users", \.provision.users,
      Kind<ProvisionUser>.record("a user", ProvisionUser(), ProvisionUser.settings).list(),
      "Users created at the start where missing. Existing ones are never changed."),
    setting(
      "provision.trunks", \.provision.trunks,
      Kind<ProvisionTrunk>.record("a trunk", ProvisionTrunk(), ProvisionTrunk.settings).list(),
      "Trunks created at the start where missing."),
    setting(
      "provision.numbers", \.provision.numbers,
      Kind<ProvisionNumber>.record("a number", ProvisionNumber(), ProvisionNumber.settings).list(),
      "Numbers created at the start where missing: dialled ones, and those on which trunks call."),
    setting(
      "provision.routes", \.provision.routes,
      Kind<ProvisionRoute>.record("a route", ProvisionRoute(), ProvisionRoute.settings).list(),
      "Outbound routes created at the start where no route has the same match."),
  ]
}

extension TURNServer {
  static let settings: [Setting<TURNServer>] = [
    Setting("server", \.server, .hostPort, in: TURNServer(), required: true, "Host and port; 3478 without one."),
    Setting("transport", \.transport, .choice(), in: TURNServer(), "How it is reached."),
    Setting("username", \.username, .text("text"), in: TURNServer(), required: true, "User name."),
    Setting("password", \.password, .secret, in: TURNServer(), required: true, "Password."),
  ]
}

extension ProvisionUser {
  static let settings: [Setting<ProvisionUser>] = [
    Setting("name", \.name, .text("text"), in: ProvisionUser(), required: true, "The user part of the address: 1001."),
    Setting(
      "password", \.password, .secret, in: ProvisionUser(), required: true, "Stored as hashes only."),
    Setting(
      "display", \.display, .text("text", accepts: { _ in true }), in: ProvisionUser(), fallback: "(the name)",
      "The name that others see."),
    Setting("record", \.record, .flag, in: ProvisionUser(), "Whether all the user's calls are recorded."),
  ]
}

extension ProvisionTrunk {
  static let settings: [Setting<ProvisionTrunk>] = [
    Setting("name", \.name, .text("text"), in: ProvisionTrunk(), required: true, "What routes call it."),
    Setting(
      "host", \.host, .hostPort, in: ProvisionTrunk(), required: true,
      "The carrier's host and port; 5060 without one, 5061 with TLS."),
    Setting("transport", \.transport, .choice(), in: ProvisionTrunk(), "How it is called."),
    Setting(
      "codecs", \.codecs, Kind<AudioCodec>.choice().list(atLeast: 1), in: ProvisionTrunk(), "In order of preference."),
    Setting(
      "allow", \.allow,
      Kind<String>.text("a network such as 192.0.2.0/24", accepts: { isNetwork($0) }).list(), in: ProvisionTrunk(),
      "Networks whose calls are taken for this trunk's, besides its host."),
    Setting(
      "auth.username", \.username, Kind<String>.text("text").optional(), in: ProvisionTrunk(),
      "User name at the carrier."),
    Setting(
      "auth.password", \.password, Kind<Secret>.secret.optional(), in: ProvisionTrunk(), "Password at the carrier."),
    Setting("register", \.register, .flag, in: ProvisionTrunk(), "Whether we register at the carrier."),
    Setting("enabled", \.enabled, .flag, in: ProvisionTrunk(), "Whether it is used."),
    Setting("record", \.record, .flag, in: ProvisionTrunk(), "Whether all calls over it are recorded."),
  ]
}

extension ProvisionNumber {
  static let settings: [Setting<ProvisionNumber>] = [
    Setting(
      "number", \.number, .text("text"), in: ProvisionNumber(), required: true, "Such as +15550100 or 600."),
    Setting("to", \.to, .target, in: ProvisionNumber(), required: true, "Where it leads."),
    Setting("record", \.record, .flag, in: ProvisionNumber(), "Whether all calls to it are recorded."),
  ]
}

extension ProvisionRoute {
  static let settings: [Setting<ProvisionRoute>] = [
    Setting(
      "match", \.match, .text("a regular expression"), in: ProvisionRoute(), required: true,
      "Regular expression over the dialled number."),
    Setting("to", \.to, .target, in: ProvisionRoute(), required: true, "Where it leads, usually trunk:NAME."),
    Setting(
      "number", \.number, Kind<String>.text("text").optional(), in: ProvisionRoute(), fallback: "(as dialled)",
      "The number that is sent on, with $1 … $9 for the groups of the match."),
    Setting(
      "position", \.position, Kind<Int>.integer(0...1_000_000).optional(), in: ProvisionRoute(),
      fallback: "(ten times the place in the list)", "Lower ones are tried first."),
    Setting("record", \.record, .flag, in: ProvisionRoute(), "Whether all calls that it routes are recorded."),
  ]
}
