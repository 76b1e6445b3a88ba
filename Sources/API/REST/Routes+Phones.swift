import Core
import HTTPTypes
import Hummingbird
import Store

/// Trunks and dispatch rules of rooms, and phones in rooms: what LiveKit's SIP service does, in the operator's API.
extension RESTRoutes {
  mutating func addRoomTrunks() {
    let store = services.store

    @Sendable func trunk(_ call: Call) async throws -> RoomTrunk {
      let id = try call.parameter("id")
      guard let trunk = try await store.roomTrunk(id) else { throw RESTError.missing("There is no room trunk \(id).") }
      return trunk
    }

    on(.get, "/v1/sip/trunks", .apiKey) { _ in
      .json(["trunks": try await store.roomTrunks().map(RoomTrunkBody.init)])
    }

    on(.post, "/v1/sip/trunks", .apiKey) { call in
      var input = try await call.body()
      let direction = try input.requiredText("direction")
      let name = try input.text("name") ?? ""
      let id = PhoneID.make("ST_")
      switch direction {
      case "inbound":
        var trunk = InboundRoomTrunk(id: id, name: name, createdAt: .now())
        try input.apply(to: &trunk)
        try await store.write(trunk, mode: .create)
        return .json(RoomTrunkBody(.inbound(trunk)), status: .created)
      case "outbound":
        var trunk = OutboundRoomTrunk(id: id, name: name, address: "", createdAt: .now())
        try input.apply(to: &trunk)
        try await store.write(trunk, mode: .create)
        return .json(RoomTrunkBody(.outbound(trunk)), status: .created)
      default: throw RESTError.invalid("direction must be inbound or outbound.")
      }
    }

    on(.get, "/v1/sip/trunks/{id}", .apiKey) { call in .json(RoomTrunkBody(try await trunk(call))) }

    on(.patch, "/v1/sip/trunks/{id}", .apiKey) { call in
      var input = try await call.body()
      switch try await trunk(call) {
      case .inbound(var trunk):
        trunk.name = try input.text("name") ?? trunk.name
        try input.apply(to: &trunk)
        trunk.updatedAt = .now()
        try await store.write(trunk, mode: .update)
        return .json(RoomTrunkBody(.inbound(trunk)))
      case .outbound(var trunk):
        trunk.name = try input.text("name") ?? trunk.name
        try input.apply(to: &trunk)
        trunk.updatedAt = .now()
        try await store.write(trunk, mode: .update)
        return .json(RoomTrunkBody(.outbound(trunk)))
      }
    }

    on(.delete, "/v1/sip/trunks/{id}", .apiKey) { call in
      let id = try call.parameter("id")
      guard try await store.removeRoomTrunk(id) != nil else {
        throw RESTError.missing("There is no room trunk \(id).")
      }
      return .noContent
    }
  }

  mutating func addDispatchRules() {
    let store = services.store

    @Sendable func rule(_ call: Call) async throws -> DispatchRule {
      let id = try call.parameter("id")
      guard let rule = try await store.dispatchRule(id) else {
        throw RESTError.missing("There is no dispatch rule \(id).")
      }
      return rule
    }

    on(.get, "/v1/sip/dispatch-rules", .apiKey) { _ in
      .json(["rules": try await store.dispatchRules().map(DispatchRuleBody.init)])
    }

    on(.post, "/v1/sip/dispatch-rules", .apiKey) { call in
      var input = try await call.body()
      var rule = DispatchRule(
        id: PhoneID.make("SDR_"), name: "", target: .direct(room: ""), createdAt: .now())
      try input.apply(to: &rule, isNew: true)
      try await store.write(rule, mode: .create)
      return .json(DispatchRuleBody(rule), status: .created)
    }

    on(.get, "/v1/sip/dispatch-rules/{id}", .apiKey) { call in .json(DispatchRuleBody(try await rule(call))) }

    on(.patch, "/v1/sip/dispatch-rules/{id}", .apiKey) { call in
      var input = try await call.body()
      var rule = try await rule(call)
      try input.apply(to: &rule, isNew: false)
      rule.updatedAt = .now()
      try await store.write(rule, mode: .update)
      return .json(DispatchRuleBody(rule))
    }

    on(.delete, "/v1/sip/dispatch-rules/{id}", .apiKey) { call in
      let id = try call.parameter("id")
      guard try await store.removeDispatchRule(id) != nil else {
        throw RESTError.missing("There is no dispatch rule \(id).")
      }
      return .noContent
    }
  }

  mutating func addPhones() {
    let store = services.store
    let phones = services.phones

    @Sendable func control() throws(RESTError) -> any SIPControl {
      guard let phones else {
        throw RESTError(.serviceUnavailable, "unavailable", "Phones in rooms are not served here.")
      }
      return phones
    }
    @Sendable func command(_ body: (any SIPControl) async throws(PhoneFailure) -> Void) async throws(RESTError) {
      let control = try control()
      do {
        try await body(control)
      } catch {
        throw RESTError(error)
      }
    }

    on(.post, "/v1/rooms/{room}/phones", .apiKey) { call in
      let room = try call.parameter("room")
      var input = try await call.body()
      let dial = try await input.dial(into: room, store)
      try input.finish()
      do {
        let phone = try await control().dial(dial)
        return .json(PhoneBody(phone), status: .created)
      } catch let failure as PhoneFailure {
        throw RESTError(failure)
      }
    }

    on(.delete, "/v1/rooms/{room}/phones/{identity}", .apiKey) { call in
      let (room, identity) = (try call.parameter("room"), try call.parameter("identity"))
      try await command { control throws(PhoneFailure) in try await control.hangUp(room: room, identity: identity) }
      return .noContent
    }

    on(.post, "/v1/rooms/{room}/phones/{identity}/transfer", .apiKey) { call in
      let (room, identity) = (try call.parameter("room"), try call.parameter("identity"))
      var input = try await call.body()
      let target = try input.requiredText("to")
      try input.finish()
      try await command { control throws(PhoneFailure) in
        try await control.transfer(room: room, identity: identity, to: target)
      }
      return .noContent
    }

    on(.post, "/v1/rooms/{room}/phones/{identity}/digits", .apiKey) { call in
      let (room, identity) = (try call.parameter("room"), try call.parameter("identity"))
      var input = try await call.body()
      let digits = try input.requiredText("digits")
      try input.finish()
      try await command { control throws(PhoneFailure) in
        try await control.sendDigits(room: room, identity: identity, digits: digits)
      }
      return .noContent
    }
  }
}

extension RESTError {
  /// What the far end did is a 4xx, so that no client rings it once more by itself.
  init(_ failure: PhoneFailure) {
    let status = failure.sipStatus.map { " (SIP \($0))" } ?? ""
    let text = failure.message + status
    switch failure.kind {
    case .invalid: self.init(.badRequest, "invalid", text)
    case .notFound: self.init(.notFound, "not-found", text)
    case .refused: self.init(.conflict, "refused", text)
    case .busy, .rejected, .noAnswer, .failed, .cancelled:
      self.init(.unprocessableContent, failure.kind.rawValue, text)
    case .unavailable: self.init(.serviceUnavailable, "unavailable", text)
    }
  }
}

// MARK: Bodies

struct RoomTrunkBody: Encodable {
  let id: String
  let direction: String
  let name: String
  let metadata: String
  let numbers: [String]
  var allowedAddresses: [String]?
  var allowedNumbers: [String]?
  var headersToAttributes: [String: String]?
  var includeHeaders: String?
  var maximumDuration: Double?
  var address: String?
  var transport: String?
  var codecs: [String]?
  var headers: [String: String]?
  let username: String?
  let hasPassword: Bool
  let createdAt: String
  let updatedAt: String

  init(_ trunk: RoomTrunk) {
    switch trunk {
    case .inbound(let trunk):
      (id, direction, name, metadata) = (trunk.id, "inbound", trunk.name, trunk.metadata)
      numbers = trunk.numbers
      allowedAddresses = trunk.allowedAddresses
      allowedNumbers = trunk.allowedNumbers
      headersToAttributes = trunk.headersToAttributes
      includeHeaders = trunk.headerSelection.rawValue
      maximumDuration = trunk.maximumDuration
      (username, hasPassword) = (trunk.username, trunk.password != nil)
      (createdAt, updatedAt) = (trunk.createdAt.rfc3339, trunk.updatedAt.rfc3339)
    case .outbound(let trunk):
      (id, direction, name, metadata) = (trunk.id, "outbound", trunk.name, trunk.metadata)
      numbers = trunk.numbers
      (address, transport) = (trunk.address, trunk.transport)
      codecs = trunk.codecs.map(\.rawValue)
      headers = trunk.headers
      (username, hasPassword) = (trunk.username, trunk.password != nil)
      (createdAt, updatedAt) = (trunk.createdAt.rfc3339, trunk.updatedAt.rfc3339)
    }
  }
}

struct DispatchRuleBody: Encodable {
  let id: String
  let name: String
  /// `direct`, `individual` or `callee`.
  let kind: String
  var room: String?
  var prefix: String?
  var random: Bool?
  let pin: String?
  let hostPIN: String?
  let waitsForHost: Bool
  let trunks: [String]
  let numbers: [String]
  let callers: [String]
  let hidesNumber: Bool
  let metadata: String
  let attributes: [String: String]
  let createdAt: String
  let updatedAt: String

  init(_ rule: DispatchRule) {
    id = rule.id
    name = rule.name
    switch rule.target {
    case .direct(let name): (kind, room) = ("direct", name)
    case .individual(let prefix, let random): (kind, self.prefix, self.random) = ("individual", prefix, random)
    case .callee(let prefix, let random): (kind, self.prefix, self.random) = ("callee", prefix, random)
    }
    pin = rule.pin
    hostPIN = rule.hostPIN
    waitsForHost = rule.waitsForHost
    trunks = rule.trunks
    numbers = rule.numbers
    callers = rule.callers
    hidesNumber = rule.hidesNumber
    metadata = rule.metadata
    attributes = rule.attributes
    createdAt = rule.createdAt.rfc3339
    updatedAt = rule.updatedAt.rfc3339
  }
}

struct PhoneBody: Encodable {
  let call: String
  let sipCallID: String
  let room: String
  let identity: String
  let participant: String

  init(_ phone: RoomPhone) {
    call = phone.callID
    sipCallID = phone.sipCallID
    room = phone.room
    identity = phone.identity
    participant = phone.participantSID
  }
}

// MARK: Input

extension JSONInput {
  fileprivate mutating func apply(to trunk: inout InboundRoomTrunk) throws(RESTError) {
    trunk.metadata = try text("metadata") ?? trunk.metadata
    trunk.numbers = try texts("numbers") ?? trunk.numbers
    trunk.allowedAddresses = try texts("allowedAddresses") ?? trunk.allowedAddresses
    trunk.allowedNumbers = try texts("allowedNumbers") ?? trunk.allowedNumbers
    trunk.headersToAttributes = try textMap("headersToAttributes") ?? trunk.headersToAttributes
    if let text = try text("includeHeaders") {
      guard let selection = HeaderSelection(rawValue: text) else {
        throw .invalid("includeHeaders must be none, extensions or all.")
      }
      trunk.headerSelection = selection
    }
    if let seconds = try integer("maximumDuration") { trunk.maximumDuration = seconds > 0 ? Double(seconds) : nil }
    if let username = try nullableText("username") { trunk.username = username }
    if let password = try nullableText("password") { trunk.password = password }
    try finish()
  }

  fileprivate mutating func apply(to trunk: inout OutboundRoomTrunk) throws(RESTError) {
    trunk.metadata = try text("metadata") ?? trunk.metadata
    trunk.numbers = try texts("numbers") ?? trunk.numbers
    trunk.address = try text("address") ?? trunk.address
    trunk.transport = try text("transport") ?? trunk.transport
    trunk.headers = try textMap("headers") ?? trunk.headers
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
    if let username = try nullableText("username") { trunk.username = username }
    if let password = try nullableText("password") { trunk.password = password }
    try finish()
  }

  fileprivate mutating func apply(to rule: inout DispatchRule, isNew: Bool) throws(RESTError) {
    rule.name = try text("name") ?? rule.name
    let (kind, room, prefix, random) = (try text("kind"), try text("room"), try text("prefix"), try flag("random"))
    switch (kind, rule.target) {
    case ("direct"?, _), (nil, .direct):
      guard prefix == nil, random == nil else { throw .invalid("A direct rule has a room, and no prefix or random.") }
      if case .direct(let old) = rule.target {
        rule.target = .direct(room: room ?? old)
      } else {
        rule.target = .direct(room: room ?? "")
      }
      if isNew, kind == nil, room == nil { throw .invalid("kind is missing: direct, individual or callee.") }
    case ("individual"?, _), (nil, .individual):
      guard room == nil else { throw .invalid("An individual rule has a prefix, and no room.") }
      var (oldPrefix, oldRandom) = ("", true)
      if case .individual(let prefix, let random) = rule.target { (oldPrefix, oldRandom) = (prefix, random) }
      rule.target = .individual(prefix: prefix ?? oldPrefix, random: random ?? oldRandom)
    case ("callee"?, _), (nil, .callee):
      guard room == nil else { throw .invalid("A callee rule has a prefix, and no room.") }
      var (oldPrefix, oldRandom) = ("", false)
      if case .callee(let prefix, let random) = rule.target { (oldPrefix, oldRandom) = (prefix, random) }
      rule.target = .callee(prefix: prefix ?? oldPrefix, random: random ?? oldRandom)
    default: throw .invalid("kind must be direct, individual or callee.")
    }
    if let pin = try nullableText("pin") { rule.pin = pin }
    if let pin = try nullableText("hostPIN") { rule.hostPIN = pin }
    rule.waitsForHost = try flag("waitsForHost") ?? rule.waitsForHost
    rule.trunks = try texts("trunks") ?? rule.trunks
    rule.numbers = try texts("numbers") ?? rule.numbers
    rule.callers = try texts("callers") ?? rule.callers
    rule.hidesNumber = try flag("hidesNumber") ?? rule.hidesNumber
    rule.metadata = try text("metadata") ?? rule.metadata
    rule.attributes = try textMap("attributes") ?? rule.attributes
    try finish()
  }

  /// A phone to ring: over a room trunk, or as a user of the exchange would dial.
  fileprivate mutating func dial(into room: String, _ store: Store) async throws -> PhoneDial {
    let to = try requiredText("to")
    let number: String
    do {
      number = try PhoneNumber.callee(to)
    } catch {
      throw RESTError.invalid("\"\(to.prefix(64))\" is no number.")
    }
    var way = PhoneDial.Way.exchange
    if let id = try text("trunk") {
      guard case .outbound(let trunk) = try await store.roomTrunk(id) else {
        throw RESTError.missing("There is no outbound room trunk \(id).")
      }
      way = .trunk(trunk)
    }
    var dial = PhoneDial(room: room, identity: try text("identity") ?? "", way: way, number: number)
    let hidesNumber = try flag("hidesNumber") ?? false
    dial.name = try text("name") ?? ""
    dial.metadata = try text("metadata") ?? ""
    dial.attributes = try textMap("attributes") ?? [:]
    dial.callerNumber = try text("from")
    dial.callerName = try text("display") ?? ""
    dial.digits = try text("digits") ?? ""
    dial.headers = try textMap("headers") ?? [:]
    if let seconds = try integer("ringingTimeout") {
      guard (1...300).contains(seconds) else { throw RESTError.invalid("ringingTimeout must be 1 to 300 seconds.") }
      dial.ringingTimeout = .seconds(seconds)
    }
    if let seconds = try integer("maximumDuration") {
      guard (1...604_800).contains(seconds) else {
        throw RESTError.invalid("maximumDuration must be 1 to 604800 seconds.")
      }
      dial.maximumDuration = .seconds(seconds)
    }
    dial.waitsForAnswer = try flag("wait") ?? false
    do {
      try dial.complete(hidesNumber: hidesNumber)
    } catch {
      throw RESTError(error)
    }
    return dial
  }
}
