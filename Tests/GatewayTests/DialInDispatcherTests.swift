import Core
import Gateway
import Testing

@Suite struct DialInDispatcherTests {
  private static func trunk(
    _ id: String, numbers: [String] = [], addresses: [String] = [], callers: [String] = [], password: String? = nil
  ) -> InboundRoomTrunk {
    var trunk = InboundRoomTrunk(id: id, name: id, createdAt: WallTime(milliseconds: 0))
    trunk.numbers = numbers
    trunk.allowedAddresses = addresses
    trunk.allowedNumbers = callers
    trunk.username = password.map { _ in "user-\(id)" }
    trunk.password = password
    return trunk
  }

  private static func rule(
    _ id: String, _ target: DispatchRule.Target = .direct(room: ""), age: Int64 = 0,
    _ change: (inout DispatchRule) -> Void = { _ in }
  ) -> DispatchRule {
    let target = target == .direct(room: "") ? DispatchRule.Target.direct(room: id) : target
    var rule = DispatchRule(id: id, name: id, target: target, createdAt: WallTime(milliseconds: age))
    change(&rule)
    return rule
  }

  private static let call = DialInCall(
    trunk: "ST_a", called: "+15550100", caller: "+4930123456", hostname: "sip.example")

  private func answer(_ rules: [DispatchRule], pin: String? = nil, call: DialInCall = Self.call) -> DispatchAnswer {
    var random = SeededRandom(seed: 7)
    return DialInDispatcher(rules: rules).dispatch(call, pin: pin, random: &random)
  }

  private func place(_ rules: [DispatchRule], pin: String? = nil, call: DialInCall = Self.call) throws -> DialInPlace {
    guard case .admitted(let place) = answer(rules, pin: pin, call: call) else {
      Issue.record("not admitted: \(answer(rules, pin: pin, call: call))")
      throw CancellationError()
    }
    return place
  }

  // MARK: Trunks

  private static let source = IPAddress("198.51.100.7")!

  @Test func theTrunkThatNamesTheNumberGoesBeforeOneForAllNumbers() {
    let dispatcher = DialInDispatcher(trunks: [
      Self.trunk("all", addresses: ["198.51.100.0/24"]), Self.trunk("one", numbers: ["+15550100"]),
    ])
    guard case .trunk(let trunk) = dispatcher.match(source: Self.source, called: "15550100", caller: "1") else {
      Issue.record("no trunk")
      return
    }
    #expect(trunk.id == "one")
    guard case .trunk(let other) = dispatcher.match(source: Self.source, called: "15550199", caller: "1") else {
      Issue.record("no trunk")
      return
    }
    #expect(other.id == "all")
  }

  @Test(arguments: [
    ("192.0.2.1", "+15550100", "+49301", false), ("198.51.100.7", "+15550101", "+49301", false),
    ("198.51.100.7", "+15550100", "+49302", false), ("198.51.100.7", "+15550100", "+49301", true),
    ("::ffff:198.51.100.7", "+15550100", "49301", true),
  ])
  func addressNumberAndCallerMustAllFit(_ source: String, _ called: String, _ caller: String, _ fits: Bool) throws {
    let dispatcher = DialInDispatcher(trunks: [
      Self.trunk("a", numbers: ["+15550100"], addresses: ["198.51.100.0/24"], callers: ["+49301"])
    ])
    let match = dispatcher.match(source: try #require(IPAddress(source)), called: called, caller: caller)
    #expect((match != .none) == fits)
  }

  @Test func aTrunkThatNamesNothingTakesNothing() {
    let dispatcher = DialInDispatcher(trunks: [Self.trunk("a")])
    #expect(dispatcher.match(source: Self.source, called: "1", caller: "2") == .none)
  }

  @Test func hostsAmongTheAddressesCountAsWhatTheyResolveTo() {
    let trunk = Self.trunk("a", addresses: ["gw.example"])
    #expect(DialInDispatcher(trunks: [trunk]).match(source: Self.source, called: "1", caller: "2") == .none)
    let resolved = DialInDispatcher(trunks: [trunk], addresses: ["gw.example": [Self.source]])
    #expect(resolved.match(source: Self.source, called: "1", caller: "2") == .trunk(trunk))
  }

  @Test func aTrunkWithAPasswordIsProvedByItsOwnUserNameAlone() {
    let dispatcher = DialInDispatcher(trunks: [
      Self.trunk("a", numbers: ["1"], password: "x"), Self.trunk("b", numbers: ["1"], password: "y"),
    ])
    #expect(dispatcher.match(source: Self.source, called: "1", caller: "2") == .challenge)
    func proved(_ name: String, _ called: String) -> String? {
      dispatcher.match(username: name, source: Self.source, called: called, caller: "2")?.id
    }
    #expect(proved("user-b", "1") == "b")
    #expect(proved("user-a", "1") == "a")
    #expect(proved("user-c", "1") == nil)
    #expect(proved("user-a", "2") == nil)
  }

  // MARK: Which rule

  @Test func noRuleTakesWhatNoneNames() {
    #expect(answer([]) == .noRule)
    #expect(answer([Self.rule("a") { $0.trunks = ["ST_b"] }]) == .noRule)
    #expect(answer([Self.rule("a") { $0.callers = ["+1"] }]) == .noRule)
    #expect(answer([Self.rule("a") { $0.numbers = ["+1"] }]) == .noRule)
  }

  @Test func theMostSpecificRuleWins() throws {
    let all = Self.rule("all")
    let number = Self.rule("number") { $0.numbers = ["15550100"] }
    let caller = Self.rule("caller") { $0.callers = ["+4930123456"] }
    let trunk = Self.rule("trunk") { $0.trunks = ["ST_a"] }
    #expect(try place([all, caller, number, trunk]).room == "trunk")
    #expect(try place([all, caller, number]).room == "number")
    #expect(try place([all, caller]).room == "caller")
    #expect(try place([Self.rule("new", age: 2), Self.rule("old", age: 1)]).room == "old")
    #expect(try place([Self.rule("i", .individual(prefix: "p", random: false)), all]).room == "all")
  }

  @Test func aRuleWithAPINGoesBeforeAnOpenOneOfTheSameKind() {
    #expect(answer([Self.rule("open"), Self.rule("closed", age: 1) { $0.pin = "1234" }]) == .pinRequired)
  }

  // MARK: PINs

  @Test func thePINChoosesAmongTheRulesOfOneNumber() throws {
    let rules = [Self.rule("sales") { $0.pin = "1111" }, Self.rule("board") { $0.pin = "2222" }]
    #expect(answer(rules) == .pinRequired)
    #expect(try place(rules, pin: "1111").room == "sales")
    #expect(try place(rules, pin: "2222").room == "board")
    #expect(answer(rules, pin: "3333") == .wrongPIN)
    #expect(answer(rules, pin: "111") == .wrongPIN)
    #expect(answer(rules, pin: "11111") == .wrongPIN)
  }

  @Test func aPINOfARuleForOtherCallsIsWrong() {
    let rules = [
      Self.rule("mine") { $0.pin = "1111" }, Self.rule("other") { ($0.pin, $0.trunks) = ("2222", ["ST_z"]) },
    ]
    #expect(answer(rules, pin: "2222") == .wrongPIN)
  }

  @Test func digitsThatNobodyAskedForDoNotMatter() throws {
    #expect(try place([Self.rule("open")], pin: "99").room == "open")
  }

  @Test func theHostsPINMakesAHostWhoWaitsForNobody() throws {
    let rules = [Self.rule("a") { ($0.pin, $0.hostPIN, $0.waitsForHost) = ("1111", "9999", true) }]
    let guest = try place(rules, pin: "1111")
    let host = try place(rules, pin: "9999")
    #expect(!guest.isHost && guest.waitsForHost)
    #expect(host.isHost && !host.waitsForHost)
  }

  @Test(arguments: [
    ("1234", "1234", true), ("1234", "1235", false), ("1234", "123", false), ("", "", false), ("1", "", false),
    ("12345678901234567", "1234567890123456", false), ("12345678901234567", "12345678901234567", false),
    ("1234567890123456", "1234567890123456", true),
  ])
  func comparesPINs(_ entered: String, _ secret: String, _ isEqual: Bool) {
    #expect(PINCode.isEqual(entered, secret) == isEqual)
  }

  // MARK: The place

  @Test func roomsOfEachCallerHaveItsNumber() throws {
    #expect(try place([Self.rule("a", .individual(prefix: "call", random: false))]).room == "call_+4930123456")
    let random = try place([Self.rule("a", .individual(prefix: "call", random: true))]).room
    #expect(random.hasPrefix("call_+4930123456_") && random.utf8.count == "call_+4930123456_".utf8.count + 12)
    #expect(try place([Self.rule("a", .callee(prefix: "", random: false))]).room == "+15550100")
  }

  @Test func aHiddenNumberIsNowhere() throws {
    for target in [DispatchRule.Target.direct(room: "r"), .individual(prefix: "p", random: false)] {
      let place = try place([Self.rule("a", target) { $0.hidesNumber = true }])
      #expect(place.name == "Phone 3456")
      #expect(!"\(place.room) \(place.identity) \(place.attributes)".contains("4930"))
      #expect(place.attributes[PhoneAttribute.phoneNumber] == nil)
    }
  }

  @Test func anonymousCallersShareNeitherRoomNorIdentity() throws {
    var call = Self.call
    call.caller = ""
    let rules = [Self.rule("a", .individual(prefix: "p", random: false))]
    var random = SeededRandom(seed: 1)
    let dispatcher = DialInDispatcher(rules: rules)
    guard case .admitted(let one) = dispatcher.dispatch(call, random: &random),
      case .admitted(let other) = dispatcher.dispatch(call, random: &random)
    else {
      Issue.record("not admitted")
      return
    }
    #expect(one.room != other.room)
    #expect(one.identity != other.identity)
    #expect(one.name == "Phone")
  }

  @Test func attributesTellTrunkRuleAndNumbers() throws {
    let place = try place([Self.rule("a") { ($0.attributes, $0.metadata) = (["team": "red"], "m") }])
    #expect(
      place.attributes == [
        "team": "red", "sip.trunkID": "ST_a", "sip.ruleID": "a", "sip.trunkPhoneNumber": "+15550100",
        "sip.phoneNumber": "+4930123456", "sip.hostname": "sip.example",
      ])
    #expect(place.metadata == "m")
    #expect(place.identity == "sip_+4930123456")
    #expect(place.name == "Phone +4930123456")
  }
}
