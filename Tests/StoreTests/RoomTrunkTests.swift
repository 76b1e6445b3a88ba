import Core
import Store
import Testing

@Suite struct RoomTrunkTests {
  private let directory: TemporaryDirectory
  private let store: Store

  init() throws {
    directory = try TemporaryDirectory()
    store = try Store(directory: directory.path)
  }

  private func inbound(_ id: String, _ change: (inout InboundRoomTrunk) -> Void = { _ in }) -> InboundRoomTrunk {
    var trunk = InboundRoomTrunk(id: id, name: "in \(id)", createdAt: WallTime(milliseconds: 1_000))
    trunk.numbers = ["+1555\(id)"]
    change(&trunk)
    return trunk
  }

  private func rule(_ id: String, _ change: (inout DispatchRule) -> Void = { _ in }) -> DispatchRule {
    var rule = DispatchRule(
      id: id, name: id, target: .direct(room: "r"), createdAt: WallTime(milliseconds: 2_000))
    change(&rule)
    return rule
  }

  private func invalid(_ work: () async throws -> Void) async -> String {
    do {
      try await work()
      return "accepted"
    } catch let error as StoreError {
      return error.kind == .invalid ? error.problem : "\(error)"
    } catch {
      return "\(error)"
    }
  }

  @Test func whatIsSavedComesBackAfterARestart() async throws {
    let trunk = inbound("1") {
      $0.metadata = "{\n}"
      $0.allowedAddresses = ["192.0.2.0/24", "gw.example"]
      $0.allowedNumbers = ["+49301"]
      ($0.username, $0.password) = ("u", "p")
      $0.headersToAttributes = ["X-A": "a"]
      $0.headerSelection = .extensions
      $0.maximumDuration = 60
      $0.original = [0, 1, 255]
    }
    var outbound = OutboundRoomTrunk(
      id: "2", name: "out", address: "[2001:db8::1]:5070", createdAt: WallTime(milliseconds: 3_000))
    outbound.numbers = ["+1", "*"]
    outbound.codecs = [.g722, .pcma]
    outbound.headers = ["X-B": "b"]
    let rule = rule("3") {
      $0.target = .individual(prefix: "call", random: true)
      ($0.pin, $0.hostPIN, $0.waitsForHost) = ("12", "34", true)
      ($0.trunks, $0.callers, $0.numbers) = (["1"], ["+2"], ["+3"])
      ($0.attributes, $0.metadata, $0.hidesNumber) = (["a": "b"], "m", true)
      ($0.roomPreset, $0.roomConfiguration, $0.original) = ("p", [9, 8], [7])
    }
    try await store.write(trunk, mode: .create)
    try await store.write(outbound, mode: .create)
    try await store.write(rule, mode: .create)
    let again = try Store(directory: directory.path)
    #expect(try await again.roomTrunks() == [.inbound(trunk), .outbound(outbound)])
    let snapshot = try await again.directory()
    #expect(snapshot.inboundTrunks == [trunk])
    #expect(snapshot.outboundTrunks == [outbound])
    #expect(snapshot.dispatchRules == [rule])
  }

  @Test func everyChangeRaisesTheGeneration() async throws {
    var seen = try await store.generation()
    func moved() async throws -> Bool {
      let now = try await store.generation()
      defer { seen = now }
      return now > seen
    }
    try await store.write(inbound("1"), mode: .create)
    #expect(try await moved())
    try await store.write(inbound("1") { $0.name = "new" }, mode: .update)
    #expect(try await moved())
    try await store.write(rule("a"), mode: .create)
    #expect(try await moved())
    #expect(try await store.removeRoomTrunk("1") != nil)
    #expect(try await moved())
    #expect(try await store.removeDispatchRule("a") != nil)
    #expect(try await moved())
    #expect(try await store.removeRoomTrunk("1") == nil)
    #expect(try await store.removeDispatchRule("a") == nil)
  }

  @Test func creationAndChangeMindWhatIsThere() async throws {
    try await store.write(inbound("1"), mode: .create)
    await #expect(throws: StoreError.self) { try await store.write(inbound("1"), mode: .create) }
    await #expect(throws: StoreError.self) { try await store.write(inbound("2"), mode: .update) }
    #expect(try await store.roomTrunks().map(\.id) == ["1"])
  }

  @Test func trunksThatWouldTakeTheSameCallsAreRefused() async throws {
    try await store.write(inbound("1") { $0.numbers = ["+100", "+200"] }, mode: .create)
    let problem = await invalid { try await store.write(inbound("2") { $0.numbers = ["200"] }, mode: .create) }
    #expect(problem.contains("\"1\""))
    // Other callers, another source, another user name: each tells them apart.
    try await store.write(inbound("3") { ($0.numbers, $0.allowedNumbers) = (["+200"], ["+49"]) }, mode: .create)
    try await store.write(inbound("4") { ($0.numbers, $0.allowedAddresses) = (["+200"], ["192.0.2.1"]) }, mode: .create)
    try await store.write(
      inbound("5") { ($0.numbers, $0.username, $0.password) = (["+200"], "u", "p") }, mode: .create)
    // A trunk is not in conflict with itself.
    try await store.write(inbound("1") { $0.numbers = ["+200"] }, mode: .update)
  }

  @Test func rulesForTheSameCallsNeedDifferentPINs() async throws {
    try await store.write(rule("a") { $0.pin = "1" }, mode: .create)
    #expect(await invalid { try await store.write(rule("b") { $0.pin = "1" }, mode: .create) }.contains("\"a\""))
    #expect(
      await invalid { try await store.write(rule("b") { ($0.pin, $0.hostPIN) = ("2", "1") }, mode: .create) }
        .contains("\"a\""))
    try await store.write(rule("b") { $0.pin = "2" }, mode: .create)
    try await store.write(rule("c"), mode: .create)
    #expect(await invalid { try await store.write(rule("d"), mode: .create) }.contains("\"c\""))
    try await store.write(rule("d") { $0.numbers = ["+1"] }, mode: .create)
    try await store.write(rule("e") { ($0.numbers, $0.callers) = (["+1"], ["+2"]) }, mode: .create)
    try await store.write(rule("f") { $0.trunks = ["ST_x"] }, mode: .create)
  }

  @Test func whatIsWrongIsRefusedInWords() async throws {
    let trunks: [(InboundRoomTrunk, String)] = [
      (inbound("1") { $0.numbers = [] }, "security"),
      (inbound("1") { $0.username = "u" }, "together"),
      (inbound("1") { $0.numbers = ["a b"] }, "no number"),
      (inbound("1") { $0.numbers = [""] }, "empty"),
      (inbound("1") { $0.allowedAddresses = ["192.0.2.0/33"] }, "neither"),
      (inbound("1") { $0.name = "a\nb" }, "control character"),
      (inbound("1") { $0.maximumDuration = -1 }, "longest call"),
      (inbound("1") { $0.maximumDuration = .nan }, "longest call"),
      (inbound("1") { $0.numbers = (0...1000).map { "\($0)" } }, "more than 1000"),
    ]
    for (trunk, part) in trunks {
      #expect(await invalid { try await store.write(trunk, mode: .create) }.contains(part), "\(part)")
    }
    let rules: [(DispatchRule, String)] = [
      (rule("1") { $0.target = .direct(room: "") }, "room name"),
      (rule("1") { $0.pin = "12a" }, "digits"),
      (rule("1") { $0.pin = String(repeating: "1", count: 17) }, "digits"),
      (rule("1") { ($0.pin, $0.hostPIN) = ("1", "1") }, "differ"),
      (rule("1") { $0.waitsForHost = true }, "needs a host's PIN"),
      (rule("1") { $0.attributes = ["": "a"] }, "empty"),
    ]
    for (rule, part) in rules {
      #expect(await invalid { try await store.write(rule, mode: .create) }.contains(part), "\(part)")
    }
  }

  @Test(arguments: ["Via", "from", "t", "Content-Length", "Refer-To", "a b", "a:b", ""])
  func headersOfTheCallItselfAreNotSettable(_ name: String) {
    #expect(PhoneRules.headersProblem([name: "x"]) != nil)
    #expect(PhoneRules.headersProblem(["X-A": "x"]) == nil)
    #expect(PhoneRules.headersProblem(["X-A": "x\r\nVia: y"]) != nil)
  }

  @Test(
    arguments: [
      ("sip.example.com", "sip.example.com", nil, nil), ("192.0.2.1:5070", "192.0.2.1", 5070, nil),
      ("[2001:db8::1]", "2001:db8::1", nil, nil), ("[2001:db8::1]:5061", "2001:db8::1", 5061, nil),
      ("2001:db8::1", "2001:db8::1", nil, nil), ("sip:a.example:5;transport=TCP", "a.example", 5, "tcp"),
      ("sips:a.example", "a.example", nil, "tls"),
    ] as [(String, String, UInt16?, String?)])
  func readsAddresses(_ text: String, _ host: String, _ port: UInt16?, _ transport: String?) throws {
    let address = try #require(OutboundAddress(text))
    #expect(address.host == host && address.port == port && address.transport == transport)
  }

  @Test(arguments: [
    "", "a b", "a:0", "a:65536", "a:b", "[a]", "[::1", "user@host", "[::1]x", "sip:a;transport=ws", "é",
  ])
  func refusesWhatIsNoAddress(_ text: String) {
    #expect(OutboundAddress(text) == nil)
  }
}
