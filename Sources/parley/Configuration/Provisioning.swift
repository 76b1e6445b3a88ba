import Core
import Store

extension ProvisionUser {
  func stored(realm: String) -> User {
    let hashes = PasswordHashes(name: name, realm: realm, password: password)
    return User(
      name: name, display: display.isEmpty ? name : display, ha1MD5: hashes.md5, ha1SHA256: hashes.sha256,
      record: record)
  }
}

extension ProvisionTrunk {
  var stored: Trunk {
    Trunk(
      name: name, host: host.host, port: host.port ?? (transport == .tls ? 5061 : 5060), transport: transport.rawValue,
      codecs: codecs, allow: allow, username: username, password: password?.revealed, register: register,
      enabled: enabled, record: record)
  }
}

extension ProvisionNumber {
  var stored: NumberRule { NumberRule(number: number, to: to, record: record) }
}

extension ProvisionRoute {
  /// - Parameter index: its place in the list, from 0.
  func stored(at index: Int) -> RouteRule {
    RouteRule(position: position ?? (index + 1) * 10, match: match, to: to, number: number, record: record)
  }
}

/// What a server starts with, beyond its configuration.
struct Provisioned: Sendable {
  /// What was created in the database by this start.
  var report: ProvisionReport
  /// The demo secrets, where the demo is on.
  var demo: DemoCredentials?
  /// API keys: the configured ones, and the demo's.
  var keys: [String: Secret]
}

extension Configuration {
  /// Brings the database up to what the configuration asks for: creates what is missing, changes nothing that exists.
  ///
  /// Every `parley` command that works on the database may call it; the server must, before it takes calls.
  func provision(into store: Store) async throws -> Provisioned {
    try await store.bindRealm(sip.effectiveRealm)
    var users = provision.users.map { $0.stored(realm: sip.effectiveRealm) }
    var numbers = provision.numbers.map(\.stored)
    var keys = keys
    var demo: DemoCredentials?
    if wantsDemo {
      let credentials = try DemoCredentials.loadOrCreate(in: data.directory)
      for user in credentials.users where !users.contains(where: { $0.name == user.name }) {
        users.append(
          ProvisionUser(name: user.name, password: Secret(user.password), display: user.display)
            .stored(realm: sip.effectiveRealm))
      }
      for rule in [NumberRule(number: "600", to: .echo), NumberRule(number: "601", to: .milliwatt)]
      where !numbers.contains(where: { $0.number == rule.number }) {
        numbers.append(rule)
      }
      if keys.isEmpty { keys[credentials.key.name] = Secret(credentials.key.secret) }
      demo = credentials
    }
    let report = try await store.provision(
      users: users, trunks: provision.trunks.map(\.stored), numbers: numbers,
      routes: provision.routes.enumerated().map { index, route in route.stored(at: index) })
    return Provisioned(report: report, demo: demo, keys: keys)
  }
}
