import Core
import HTTPTypes
import Hummingbird
import SIP
import Store

extension RESTRoutes {
  mutating func addUsers() {
    let store = services.store
    let realm = services.realm

    @Sendable func hashes(_ name: String, _ password: String) throws(RESTError) -> (md5: String, sha256: String) {
      guard (8...256).contains(password.utf8.count) else { throw .invalid("password must have 8 to 256 characters.") }
      return (
        DigestHash.ha1(username: name, realm: realm, password: password, algorithm: .md5),
        DigestHash.ha1(username: name, realm: realm, password: password, algorithm: .sha256)
      )
    }

    on(.get, "/v1/users", .apiKey) { _ in
      .json(["users": try await store.users().map(UserBody.init)])
    }

    on(.post, "/v1/users", .apiKey) { call in
      var body = try await call.body()
      let name = try body.requiredText("name")
      let hashes = try hashes(name, try body.requiredText("password"))
      let user = User(
        name: name, display: try body.text("display") ?? name, ha1MD5: hashes.md5, ha1SHA256: hashes.sha256,
        enabled: try body.flag("enabled") ?? true, record: try body.flag("record") ?? false)
      try body.finish()
      try await store.write(user, mode: .create)
      return .json(UserBody(user), status: .created)
    }

    on(.get, "/v1/users/{name}", .apiKey) { call in
      let name = try call.parameter("name")
      guard let user = try await store.user(name) else { throw RESTError.missing("There is no user \(name).") }
      return .json(UserBody(user))
    }

    on(.patch, "/v1/users/{name}", .apiKey) { call in
      let name = try call.parameter("name")
      var body = try await call.body()
      guard var user = try await store.user(name) else { throw RESTError.missing("There is no user \(name).") }
      if let password = try body.text("password") { (user.ha1MD5, user.ha1SHA256) = try hashes(name, password) }
      user.display = try body.text("display") ?? user.display
      user.enabled = try body.flag("enabled") ?? user.enabled
      user.record = try body.flag("record") ?? user.record
      try body.finish()
      try await store.write(user, mode: .update)
      return .json(UserBody(user))
    }

    on(.delete, "/v1/users/{name}", .apiKey) { call in
      let name = try call.parameter("name")
      guard try await store.removeUser(name) else { throw RESTError.missing("There is no user \(name).") }
      return .noContent
    }
  }

  mutating func addTrunks() {
    let store = services.store
    let control = services.control

    @Sendable func body(_ trunk: Trunk) async -> TrunkBody {
      TrunkBody(trunk, state: await control.trunkStates().first { $0.name == trunk.name })
    }

    on(.get, "/v1/trunks", .apiKey) { _ in
      let states = await control.trunkStates()
      return .json([
        "trunks": try await store.trunks().map { trunk in
          TrunkBody(trunk, state: states.first { $0.name == trunk.name })
        }
      ])
    }

    on(.post, "/v1/trunks", .apiKey) { call in
      var input = try await call.body()
      var trunk = Trunk(name: try input.requiredText("name"), host: try input.requiredText("host"))
      trunk.port = 0
      try input.apply(to: &trunk)
      if trunk.port == 0 { trunk.port = trunk.transport == "tls" ? 5061 : 5060 }
      try await store.write(trunk, mode: .create)
      return .json(await body(trunk), status: .created)
    }

    on(.get, "/v1/trunks/{name}", .apiKey) { call in
      let name = try call.parameter("name")
      guard let trunk = try await store.trunk(name) else { throw RESTError.missing("There is no trunk \(name).") }
      return .json(await body(trunk))
    }

    on(.patch, "/v1/trunks/{name}", .apiKey) { call in
      let name = try call.parameter("name")
      var input = try await call.body()
      guard var trunk = try await store.trunk(name) else { throw RESTError.missing("There is no trunk \(name).") }
      trunk.host = try input.text("host") ?? trunk.host
      try input.apply(to: &trunk)
      try await store.write(trunk, mode: .update)
      return .json(await body(trunk))
    }

    on(.delete, "/v1/trunks/{name}", .apiKey) { call in
      let name = try call.parameter("name")
      guard try await store.removeTrunk(name) else { throw RESTError.missing("There is no trunk \(name).") }
      return .noContent
    }
  }

  mutating func addNumbers() {
    let store = services.store

    on(.get, "/v1/numbers", .apiKey) { _ in
      .json(["numbers": try await store.numbers().map(NumberBody.init)])
    }

    on(.post, "/v1/numbers", .apiKey) { call in
      var body = try await call.body()
      let rule = NumberRule(
        number: try body.requiredText("number"), to: try body.target("to"), record: try body.flag("record") ?? false)
      try body.finish()
      try await store.write(rule, mode: .create)
      return .json(NumberBody(rule), status: .created)
    }

    on(.patch, "/v1/numbers/{number}", .apiKey) { call in
      var body = try await call.body()
      let rule = NumberRule(
        number: try call.parameter("number"), to: try body.target("to"), record: try body.flag("record") ?? false)
      try body.finish()
      try await store.write(rule, mode: .update)
      return .json(NumberBody(rule))
    }

    on(.delete, "/v1/numbers/{number}", .apiKey) { call in
      let number = try call.parameter("number")
      guard try await store.removeNumber(number) else { throw RESTError.missing("There is no number \(number).") }
      return .noContent
    }
  }

  mutating func addRoutes() {
    let store = services.store

    on(.get, "/v1/routes", .apiKey) { _ in
      .json(["routes": try await store.routes().map(RouteBody.init)])
    }

    on(.post, "/v1/routes", .apiKey) { call in
      var body = try await call.body()
      let position: Int
      if let given = try body.integer("position") {
        position = given
      } else {
        position = (try await store.routes().last?.position ?? 0) + 10
      }
      let rule = RouteRule(
        position: position, match: try body.requiredText("match"), to: try body.target("to"),
        number: try body.text("number"), record: try body.flag("record") ?? false)
      try body.finish()
      try await store.write(rule, mode: .create)
      return .json(RouteBody(rule), status: .created)
    }

    on(.patch, "/v1/routes/{position}", .apiKey) { call in
      let position = try call.position()
      var body = try await call.body()
      guard var rule = try await store.routes().first(where: { $0.position == position }) else {
        throw RESTError.missing("There is no route at position \(position).")
      }
      rule.match = try body.text("match") ?? rule.match
      if let to = try body.optionalTarget("to") { rule.to = to }
      if let number = try body.nullableText("number") { rule.number = number }
      rule.record = try body.flag("record") ?? rule.record
      try body.finish()
      try await store.write(rule, mode: .update)
      return .json(RouteBody(rule))
    }

    on(.delete, "/v1/routes/{position}", .apiKey) { call in
      let position = try call.position()
      guard try await store.removeRoute(position: position) else {
        throw RESTError.missing("There is no route at position \(position).")
      }
      return .noContent
    }
  }
}

extension RESTRoutes.Call {
  fileprivate func position() throws(RESTError) -> Int {
    guard let position = Int(try parameter("position")) else { throw .invalid("The position must be a whole number.") }
    return position
  }
}

extension JSONInput {
  fileprivate mutating func optionalTarget(_ name: String) throws(RESTError) -> RouteTarget? {
    guard let text = try text(name) else { return nil }
    guard let target = RouteTarget(text) else {
      throw .invalid("\(name) must be user:, trunk:, room:, app: or queue: with a name, or echo: or milliwatt:.")
    }
    return target
  }

  fileprivate mutating func target(_ name: String) throws(RESTError) -> RouteTarget {
    guard let target = try optionalTarget(name) else { throw .invalid("\(name) is missing.") }
    return target
  }

  /// Everything of a trunk but its name and host; then nothing else may be left.
  fileprivate mutating func apply(to trunk: inout Trunk) throws(RESTError) {
    if let port = try integer("port") {
      guard let port = UInt16(exactly: port), port > 0 else { throw .invalid("port must be from 1 to 65535.") }
      trunk.port = port
    }
    trunk.transport = try text("transport") ?? trunk.transport
    if let names = try texts("codecs") {
      var codecs: [AudioCodec] = []
      for name in names {
        guard let codec = AudioCodec(encodingName: name) else {
          throw .invalid("\(name) is no codec; there are \(DirectoryRules.codecNames).")
        }
        codecs.append(codec)
      }
      trunk.codecs = codecs
    }
    trunk.allow = try texts("allow") ?? trunk.allow
    if let username = try nullableText("username") { trunk.username = username }
    if let password = try nullableText("password") { trunk.password = password }
    trunk.register = try flag("register") ?? trunk.register
    trunk.enabled = try flag("enabled") ?? trunk.enabled
    trunk.record = try flag("record") ?? trunk.record
    try finish()
  }
}
