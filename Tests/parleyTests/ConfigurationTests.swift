import Core
import Foundation
import Testing

@testable import parley

@Suite struct ConfigurationTests {
  func parse(_ yaml: String, _ environment: [String: String] = [:]) throws(ConfigurationError) -> Configuration {
    try Configuration.parse(yaml: yaml, file: "parley.yaml", environment: environment)
  }

  @Test(arguments: ["", "\n", "# only a comment\n", "{}", "http:\n", "http: {}\nsip: ~\n", "---\n"])
  func everySettingIsOptional(_ yaml: String) throws {
    let configuration = try parse(yaml)
    #expect(configuration.http.listen == SocketAddress("0.0.0.0:8080"))
    #expect(configuration.http.tls.listen == SocketAddress("0.0.0.0:8443"))
    #expect(configuration.sip.udp == [SocketAddress("0.0.0.0:5060")])
    #expect(configuration.sip.effectiveRealm == "localhost")
    #expect(configuration.media.ports == 20_000...29_999)
    #expect(configuration.data.directory == "./data")
    #expect(configuration.keys == [:])
    #expect(configuration.origins == [:])
  }

  @Test func readsTheDesignsExample() throws {
    let configuration = try parse(
      """
      http:   { listen: 0.0.0.0:8080, tls: { listen: 0.0.0.0:8443 } }
      sip:    { domain: localhost, udp: 0.0.0.0:5060, tcp: 0.0.0.0:5060, tls: 0.0.0.0:5061 }
      media:  { address: auto, ports: 20000-29999, workers: auto }
      data:   { directory: ./data }
      keys:   { devkey: devsecret }
      provision:
        users:   [ { name: "1001", password: "…", display: "Ada" } ]
        trunks:  [ { name: carrier, host: 192.0.2.1:5060, transport: udp, codecs: [PCMU, PCMA],
                     allow: [192.0.2.0/24], auth: { username: u, password: p }, register: true } ]
        numbers: [ { number: "+15550100", to: "user:1001" } ]
        routes:  [ { match: "^9(\\\\d+)$", to: "trunk:carrier", number: "$1" } ]
      """)
    #expect(configuration.keys == ["devkey": Secret("devsecret")])
    #expect(configuration.provision.users == [ProvisionUser(name: "1001", password: Secret("…"), display: "Ada")])
    let trunk = try #require(configuration.provision.trunks.first)
    #expect(trunk.host == HostPort(host: "192.0.2.1", port: 5060))
    #expect(trunk.codecs == [.pcmu, .pcma])
    #expect(trunk.allow == ["192.0.2.0/24"])
    #expect(trunk.username == "u")
    #expect(trunk.password == Secret("p"))
    #expect(trunk.register)
    #expect(configuration.provision.numbers == [ProvisionNumber(number: "+15550100", to: .user("1001"))])
    #expect(configuration.provision.routes.first?.match == "^9(\\d+)$")
    #expect(configuration.provision.routes.first?.stored(at: 0).position == 10)
    #expect(configuration.media.workers == nil)
    #expect(!configuration.wantsDemo)
  }

  @Test func readsEveryKindOfValue() throws {
    let configuration = try parse(
      """
      http: { listen: off, web: /srv/web }
      sip:
        realm: example
        udp: ["127.0.0.1:5060", "[::1]:5060"]
        tls: off
        digest: [sha-256, MD5]
        no-answer: 1 min
        session-expires: 1h
        limits: { calls: 5 }
      media: { address: 198.51.100.7, workers: 3, ice: Single-Port, stun: stun.example, timeout: 5000 ms,
               turn: [{ server: "[2001:db8::1]:3478", transport: tcp, username: u, password: p }] }
      log: { level: debug, format: json }
      drain: { timeout: 0 }
      provision: { demo: true }
      """)
    #expect(configuration.http.listen == nil)
    #expect(configuration.http.web == "/srv/web")
    #expect(configuration.sip.effectiveRealm == "example")
    #expect(configuration.sip.udp.map(\.description) == ["127.0.0.1:5060", "[::1]:5060"])
    #expect(configuration.sip.tls == [])
    #expect(configuration.sip.digest == [.sha256, .md5])
    #expect(configuration.sip.noAnswer == .seconds(60))
    #expect(configuration.sip.sessionExpires == .seconds(3600))
    #expect(configuration.sip.limits.calls == 5)
    #expect(configuration.media.address.map(\.description) == ["198.51.100.7"])
    #expect(configuration.media.workers == 3)
    #expect(configuration.media.ice == .singlePort)
    #expect(configuration.media.stun == [HostPort(host: "stun.example", port: nil)])
    #expect(configuration.media.timeout == .seconds(5))
    #expect(
      configuration.media.turn == [
        TURNServer(
          server: HostPort(host: "2001:db8::1", port: 3478), transport: .tcp, username: "u", password: Secret("p"))
      ])
    #expect(configuration.log.level == .debug)
    #expect(configuration.log.format == .json)
    #expect(configuration.drain.timeout == .zero)
    #expect(configuration.wantsDemo)
    #expect(configuration.origins["sip.realm"] == .file(line: 3))
  }

  /// What is wrong, and all that the message has to say about it.
  static let mistakes: [(yaml: String, parts: [String])] = [
    ("http:\n  lisen: x\n", ["parley.yaml:2:3", "http.lisen", "no setting", "Did you mean http.listen?"]),
    ("htpp: {}\n", ["parley.yaml:1:1", "htpp", "Did you mean http?"]),
    (
      "zzz: 1\n",
      [
        "zzz is no setting",
        "calls, data, drain, http, keys, log, media, provision, recordings, rooms, sip, speech, webhooks",
      ]
    ),
    ("http: { tls: { cert: x } }\n", ["http.tls.cert is no setting", "Did you mean http.tls.certificate?"]),
    ("sip: { ports: 1-2 }\n", ["sip.ports is no setting", "Did you mean media.ports?"]),
    ("http: 8080\n", ["parley.yaml:1:7", "http must be a section", "listen, tls, web"]),
    ("http: { listen: 8080 }\n", ["parley.yaml:1:17", "http.listen is \"8080\"", "off or an address and port"]),
    ("http: { listen: [a] }\n", ["http.listen must be off or an address and port"]),
    ("sip:\n  realm:\n", ["parley.yaml:2", "sip.realm has no value", "or remove the line"]),
    ("sip: { udp: [\"127.0.0.1:5060\", x] }\n", ["sip.udp[1] is \"x\"", "an address and port"]),
    ("sip: { digest: [] }\n", ["sip.digest must be MD5 or SHA-256, or a list of such"]),
    ("sip: { digest: [MD5, md5] }\n", ["sip.digest lists an algorithm twice"]),
    ("sip: { qop: [auth, body] }\n", ["sip.qop[1] is \"body\"", "auth or auth-int"]),
    ("sip: { qop: [auth, auth] }\n", ["sip.qop lists a value twice"]),
    ("sip: { no-answer: 1 day }\n", ["sip.no-answer is \"1 day\"", "60 s"]),
    ("sip: { no-answer: 1 s }\n", ["from 5 s to 600 s"]),
    ("sip: { no-answer: 99999999999999999999 }\n", ["sip.no-answer is"]),
    ("sip: { min-se: 2000 }\n", ["sip.min-se must not be longer than sip.session-expires"]),
    ("sip: { domain: \"a b\" }\n", ["sip.domain is \"a b\"", "a domain name"]),
    ("sip: { realm: 'a\"b' }\n", ["sip.realm", "without quotes"]),
    ("sip: { limits: { calls: -1 } }\n", ["sip.limits.calls is \"-1\"", "from 1 to 1000000"]),
    ("sip: { limits: { calls: 1.5 } }\n", ["whole number"]),
    ("media: { ports: 30000-20000 }\n", ["media.ports is \"30000-20000\"", "lower one first"]),
    ("media: { ports: 1-99999 }\n", ["between 1024 and 65535"]),
    ("media: { ice: lite }\n", ["media.ice is \"lite\"", "full or single-port"]),
    ("media: { port: 0 }\n", ["media.port is \"0\"", "a port from 1 to 65535"]),
    ("media: { port: 20500 }\n", ["media.port 20500 lies in media.ports"]),
    ("media: { port: 5060 }\n", ["media.port and sip.udp both want UDP port 5060", "want the same port"]),
    ("media: { workers: 0 }\n", ["media.workers is \"0\"", "auto or a whole number from 1 to 256"]),
    ("media: { address: [192.0.2.1, 192.0.2.2] }\n", ["two addresses of one family"]),
    ("media: { address: 0.0.0.0 }\n", ["media.address must be an address that peers can send to"]),
    ("media: { turn: [{ server: a }] }\n", ["media.turn[0] lacks username", "media.turn[0] lacks password"]),
    ("media: { turn: x }\n", ["media.turn must be a list, each entry a TURN server"]),
    ("media: { opus-complexity: 11 }\n", ["from 0 to 10"]),
    ("http: { tls: { certificate: a.pem } }\n", ["http.tls.certificate and http.tls.key go together"]),
    ("http: { listen: 0.0.0.0:5060 }\n", ["http.listen (0.0.0.0:5060) and sip.tcp (0.0.0.0:5060) want the same port"]),
    ("http: { listen: off, tls: { listen: off } }\nsip: { udp: off, tcp: off, tls: off }\n", ["nothing would listen"]),
    ("log: { level: loud }\n", ["log.level is \"loud\"", "trace, debug, info, notice, warning, error or critical"]),
    ("keys: [a]\n", ["keys must be a mapping of key names to secrets"]),
    ("keys: { \"a b\": c }\n", ["key name \"a b\""]),
    ("keys: { a: [] }\n", ["keys.a must be text"]),
    ("provision: { users: [{ nme: a, password: b }] }\n", ["provision.users[0].nme is no setting", "users[0].name?"]),
    ("provision: { users: [{ name: \"a b\", password: b }] }\n", ["provision.users[0]: The user name \"a b\""]),
    ("provision: { users: [a] }\n", ["provision.users[0] must be a user as a mapping"]),
    (
      "provision: { users: [{ name: a, password: b }, { name: a, password: c }] }\n", ["provision.users lists a twice"]
    ),
    (
      "provision: { trunks: [{ name: c, host: h, auth: { user: u } }] }\n",
      ["Did you mean provision.trunks[0].auth.username?"]
    ),
    (
      "provision: { trunks: [{ name: c, host: h, allow: [300.0.0.0/8] }] }\n", ["trunks[0].allow[0] is \"300.0.0.0/8\""]
    ),
    ("provision: { trunks: [{ name: c, host: h, register: true }] }\n", ["A trunk that registers needs a user name"]),
    (
      "provision: { trunks: [{ name: c, host: h, codecs: [mp3] }] }\n",
      ["codecs[0] is \"mp3\"", "opus, PCMU, PCMA or G722"]
    ),
    ("provision: { numbers: [{ number: 1, to: 1001 }] }\n", ["numbers[0].to is \"1001\"", "user:"]),
    ("provision: { routes: [{ match: \"(\", to: \"echo:\" }] }\n", ["provision.routes[0]", "no regular expression"]),
    ("http: {\n", ["parley.yaml:2", "this is no YAML"]),
    ("a: b: c\n", ["parley.yaml:1", "this is no YAML"]),
    ("http: {}\nhttp: {}\n", ["http is given twice"]),
    ("[1, 2]\n", ["must be a section"]),
    ("? [a]\n: b\n", ["a key must be text"]),
  ]

  @Test(arguments: mistakes.indices)
  func saysWhatIsWrong(_ index: Int) throws {
    let (yaml, parts) = Self.mistakes[index]
    let error = #expect(throws: ConfigurationError.self) { try parse(yaml) }
    let text = error?.description ?? ""
    for part in parts { #expect(text.contains(part), "\(yaml) → \(text)") }
  }

  @Test func reportsEverythingAtOnce() throws {
    let error = #expect(throws: ConfigurationError.self) {
      try parse("http: { listen: x }\nsip: { udp: y }\nfoo: 1\n", ["PARLEY_MEDIA_PORTS": "z"])
    }
    #expect(error?.problems.count == 4)
  }

  @Test func secretsStayOutOfMessages() throws {
    let long = String(repeating: "s3cret", count: 100)
    let error = #expect(throws: ConfigurationError.self) {
      try parse(
        "provision: { users: [{ name: a, password: \(long) }] }\nkeys: { a: \(long) }", ["PARLEY_KEYS": "s3cret"])
    }
    #expect(error?.problems.count == 3)
    #expect(error?.description.contains("s3cret") == false)
    let shown = ConfigurationReference.effective(
      try parse(
        """
        keys: { a: s3cret }
        provision: { users: [{ name: a, password: s3cret }],
                     trunks: [{ name: c, host: h, auth: { username: u, password: s3cret } }] }
        media: { turn: [{ server: t, username: u, password: s3cret }] }
        """))
    #expect(!shown.contains("s3cret"))
    #expect(shown.contains("keys: { a: (secret) }"))
  }

  @Test func theEnvironmentWins() throws {
    let configuration = try parse(
      "http: { listen: 127.0.0.1:1111 }\nsip: { domain: file.example }\n",
      [
        "PARLEY_HTTP_LISTEN": "127.0.0.1:2222", "PARLEY_HTTP_TLS_LISTEN": "off", "PARLEY_SIP_NO_ANSWER": "30 s",
        "PARLEY_SIP_UDP": "127.0.0.1:5060, [::1]:5060", "PARLEY_MEDIA_ADDRESS": "auto", "PARLEY_KEYS": "a:b:c,d:e",
        "PARLEY_PROVISION_DEMO": "true", "HOME": "/", "PARLEY_CONFIG": "x",
      ])
    #expect(configuration.http.listen == SocketAddress("127.0.0.1:2222"))
    #expect(configuration.http.tls.listen == nil)
    #expect(configuration.sip.noAnswer == .seconds(30))
    #expect(configuration.sip.udp.count == 2)
    #expect(configuration.sip.domain == "file.example")
    #expect(configuration.keys == ["a": Secret("b:c"), "d": Secret("e")])
    #expect(configuration.origins["http.listen"] == .environment("PARLEY_HTTP_LISTEN"))
    #expect(configuration.warnings == [])
  }

  @Test func aWrongVariableIsAnErrorAndAnUnknownOneAWarning() throws {
    let error = #expect(throws: ConfigurationError.self) { try parse("", ["PARLEY_HTTP_LISTEN": "8080"]) }
    #expect(error?.description.contains("PARLEY_HTTP_LISTEN: http.listen is \"8080\"; it must be") == true)
    let configuration = try parse("", ["PARLEY_HTTP_LISEN": "1"])
    #expect(configuration.warnings == ["PARLEY_HTTP_LISEN sets nothing. Did you mean PARLEY_HTTP_LISTEN?"])
  }

  @Test func damagedFilesNeverTrap() {
    let example = "http: {listen: 0.0.0.0:8080, tls: [a, &x b, *x]}\nsip:\n  - a\n  - {b: !!int c}\nmedia: |\n  text\n"
    var random = SeededRandom(seed: 7)
    for _ in 0..<3000 {
      var bytes = Array(example.utf8)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let i = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[i] = UInt8.random(in: 0x09...0x7E, using: &random)
        case 1: bytes.remove(at: i)
        default: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &random), at: i)
        }
      }
      _ = try? parse(String(decoding: bytes, as: UTF8.self))
    }
    // Deep nesting and aliases of aliases.
    #expect(throws: ConfigurationError.self) { try parse(String(repeating: "[", count: 50_000)) }
    #expect(throws: ConfigurationError.self) { try parse(String(repeating: "- ", count: 50_000)) }
    #expect(throws: ConfigurationError.self) { try parse("a: &a [1,1]\nb: &b [*a,*a]\nhttp: [*b,*b]\n") }
  }

  @Test func filesThatCannotBeReadAreNamed() throws {
    let missing = #expect(throws: ConfigurationError.self) {
      try Configuration.load(path: "/nonexistent/parley.yaml", environment: [:])
    }
    #expect(missing?.description.contains("/nonexistent/parley.yaml: there is no such configuration file") == true)
    let place = try TemporaryPlace()
    try Data([0xFF, 0xFE, 0x00]).write(to: URL(fileURLWithPath: place.file("x.yaml")))
    let binary = #expect(throws: ConfigurationError.self) {
      try Configuration.load(path: nil, environment: ["PARLEY_CONFIG": place.file("x.yaml")])
    }
    #expect(binary?.description.contains("not UTF-8") == true)
    try Data(repeating: 0x20, count: Configuration.largestFile + 1).write(
      to: URL(fileURLWithPath: place.file("x.yaml")))
    let big = #expect(throws: ConfigurationError.self) {
      try Configuration.load(path: place.file("x.yaml"), environment: [:])
    }
    #expect(big?.description.contains("more than") == true)
  }
}

@Suite struct ConfigurationReferenceTests {
  /// The checkout, found from this file.
  static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  @Test func theManualListsExactlyTheSettingsAndDefaults() throws {
    let manual = try String(contentsOf: Self.root.appendingPathComponent("Docs/configuration.md"), encoding: .utf8)
    let tables = ConfigurationReference.markdown()
    func rows(_ text: String) -> [Substring] {
      text.split(separator: "\n").filter { $0.hasPrefix("| `") && !$0.hasPrefix("| `parley ") }
    }
    // If this fails: put the output of parley config reference --markdown into Docs/configuration.md.
    #expect(rows(manual).filter { !rows(tables).contains($0) } == [], "in the manual only")
    #expect(rows(tables).filter { !rows(manual).contains($0) } == [], "in the table of settings only")
    let isWhole = manual.contains(tables)
    #expect(isWhole, "the order or the headings differ")
  }

  @Test func theManualsExampleIsValid() throws {
    let manual = try String(contentsOf: Self.root.appendingPathComponent("Docs/configuration.md"), encoding: .utf8)
    let example = try #require(
      manual.components(separatedBy: "```yaml\n").dropFirst().first?.components(separatedBy: "```").first)
    let configuration = try Configuration.parse(yaml: example, file: "manual", environment: [:])
    #expect(configuration.provision.numbers.count == 2)
  }

  @Test func theReferenceFileIsTheDefaultConfiguration() throws {
    let configuration = try Configuration.parse(
      yaml: ConfigurationReference.yaml(), file: "reference", environment: [:])
    let blank = Configuration()
    for setting in Configuration.settings {
      #expect(setting.show(configuration) == setting.show(blank), "\(setting.name)")
    }
    // All that have a value are in it, uncommented.
    let named = Configuration.settings.filter { !$0.description.fallback.hasPrefix("(") }.map(\.name)
    #expect(Set(configuration.origins.keys) == Set(named))
  }

  @Test func theConfigurationInForceCanBeReadAgain() throws {
    let yaml = """
      sip: { udp: ["127.0.0.1:5060", "[::1]:5060"], no-answer: 1500 ms, realm: "a: b" }
      media: { address: 198.51.100.7, stun: [a, b] }
      provision: { numbers: [{ number: 600, to: "echo:" }], routes: [{ match: "^9(\\\\d+)$", to: "trunk:c", number: "$1" }] }
      """
    let replaced = yaml.replacingOccurrences(of: "1500 ms", with: "30 s")
    let first = try Configuration.parse(yaml: replaced, file: "a", environment: [:])
    let second = try Configuration.parse(yaml: ConfigurationReference.effective(first), file: "b", environment: [:])
    for setting in Configuration.settings { #expect(setting.show(first) == setting.show(second), "\(setting.name)") }
    #expect(second.provision.routes == first.provision.routes)
  }

  @Test func namesAreUniqueAndHaveUniqueVariables() {
    let names = Configuration.settings.map(\.name)
    #expect(Set(names).count == names.count)
    let variables = Configuration.settings.compactMap(\.description.environmentName)
    #expect(Set(variables).count == variables.count)
    #expect(variables.contains("PARLEY_HTTP_TLS_LISTEN"))
    #expect(Configuration.settings.allSatisfy { $0.description.summary.hasSuffix(".") })
  }

  @Test func spellingFindsSlipsOnly() {
    let all = ["http.listen", "sip.domain", "media.ports"]
    #expect(Spelling.nearest(to: "http.lsiten", among: all) == "http.listen")
    #expect(Spelling.nearest(to: "HTTP.Listen", among: all) == "http.listen")
    #expect(Spelling.nearest(to: "sip.ports", among: all) == "media.ports")
    #expect(Spelling.nearest(to: "something", among: all) == nil)
    #expect(Spelling.distance("abcd", "acbd") == 1)
  }
}
