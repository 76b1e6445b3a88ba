import Core
import Foundation
import Testing

@testable import Store

@Suite struct DirectoryTests {
  let place: TemporaryDirectory
  let store: Store

  init() throws {
    place = try TemporaryDirectory()
    store = try Store(directory: place.path)
  }

  @Test func keepsEveryFieldOfUsersTrunksNumbersAndRoutes() async throws {
    var user = User.sample("1001")
    user.enabled = false
    let trunk = Trunk(
      name: "carrier", host: "2001:db8::1", port: 5061, transport: "tls", codecs: [.opus, .g722, .pcma],
      allow: ["192.0.2.0/24", "2001:db8::/32"], username: "u", password: "p,\"x", register: true, enabled: false)
    let bare = Trunk(name: "bare", host: "carrier.example")
    let numbers = [NumberRule(number: "+15550100", to: .user("1001")), NumberRule(number: "600", to: .echo)]
    let routes = [
      RouteRule(position: 5, match: "^9(\\d+)$", to: .trunk("carrier"), number: "$1"),
      RouteRule(position: 10, match: ".*", to: .milliwatt),
    ]
    try await store.write(user)
    try await store.write(trunk)
    try await store.write(bare)
    for number in numbers { try await store.write(number) }
    for route in routes.reversed() { try await store.write(route) }
    let directory = try await store.directory()
    #expect(directory.users == [user])
    #expect(directory.trunks == [bare, trunk])
    #expect(directory.numbers == numbers)
    #expect(directory.routes == routes)
    #expect(try await store.user("1001") == user)
    #expect(try await store.user("1002") == nil)
    let counts = try await store.counts()
    var expected = StoreCounts()
    (expected.users, expected.trunks, expected.numbers, expected.routes) = (1, 2, 2, 2)
    #expect(counts == expected)
  }

  @Test func createUpdateAndRemoveSayWhatIsThere() async throws {
    try await store.write(.sample("1001"), mode: .create)
    let exists = await #expect(throws: StoreError.self) { try await store.write(.sample("1001"), mode: .create) }
    #expect(exists?.kind == .exists)
    let missing = await #expect(throws: StoreError.self) { try await store.write(.sample("1002"), mode: .update) }
    #expect(missing?.kind == .missing)
    #expect(try await store.removeUser("1001"))
    #expect(try await store.removeUser("1001") == false)
  }

  @Test func provisioningCreatesWhatIsMissingAndOverwritesNothing() async throws {
    var mine = User.sample("1001")
    mine.display = "Mine"
    try await store.write(mine)
    try await store.write(RouteRule(position: 10, match: "^0", to: .echo))
    let routes = [
      RouteRule(position: 10, match: "^9", to: .trunk("c")), RouteRule(position: 20, match: "^0", to: .trunk("c")),
    ]
    let first = try await store.provision(
      users: [.sample("1001"), .sample("1002")], trunks: [Trunk(name: "c", host: "h")],
      numbers: [NumberRule(number: "600", to: .echo)], routes: routes)
    #expect(first.users == ["1002"])
    #expect(first.trunks == ["c"])
    #expect(first.numbers == ["600"])
    #expect(first.routes == ["^9"])
    #expect(try await store.user("1001")?.display == "Mine")
    #expect(try await store.routes().map(\.position) == [10, 11])
    let second = try await store.provision(
      users: [.sample("1001"), .sample("1002")], trunks: [Trunk(name: "c", host: "other")],
      numbers: [NumberRule(number: "600", to: .milliwatt)], routes: routes)
    #expect(second.isEmpty)
    #expect(try await store.trunk("c")?.host == "h")
    #expect(try await store.numbers() == [NumberRule(number: "600", to: .echo)])
  }

  @Test func passwordsBelongToTheirRealm() async throws {
    try await store.bindRealm("one")
    // Without users it may change.
    try await store.bindRealm("two")
    try await store.write(.sample("1001"))
    try await store.bindRealm("two")
    let error = await #expect(throws: StoreError.self) { try await store.bindRealm("three") }
    #expect(error?.kind == .realmChanged)
    #expect(error?.description.contains("two") == true)
    #expect(try await store.realm() == "two")
  }

  @Test func apiKeysAreKeptByHash() async throws {
    let key = APIKey(
      name: "k", secretSHA256: String(repeating: "0", count: 64), createdAt: WallTime(milliseconds: 5))
    try await store.add(key)
    #expect(try await store.apiKeys() == [key])
    let error = await #expect(throws: StoreError.self) { try await store.add(key) }
    #expect(error?.kind == .exists)
    #expect(try await store.removeAPIKey("k"))
    #expect(try await store.apiKeys() == [])
  }

  @Test func changesOfAnotherProcessAreNoticed() async throws {
    let other = try Store(directory: place.path)
    var changes = store.directoryChanges(pollingEvery: .milliseconds(20)).makeAsyncIterator()
    #expect(await changes.next()?.users == [])
    try await other.write(.sample("1001"))
    #expect(await changes.next()?.users.map(\.name) == ["1001"])
    try await other.removeUser("1001")
    #expect(await changes.next()?.users == [])
  }

  @Test func ownChangesNeedNoPolling() async throws {
    var changes = store.directoryChanges(pollingEvery: .seconds(3600)).makeAsyncIterator()
    #expect(await changes.next()?.users == [])
    try await store.write(.sample("1001"))
    #expect(await changes.next()?.users.map(\.name) == ["1001"])
    _ = try await store.provision(numbers: [NumberRule(number: "600", to: .echo)])
    #expect(await changes.next()?.numbers.count == 1)
  }

  @Test func callsDoNotChangeTheGeneration() async throws {
    let before = try await store.generation()
    try await store.save(.complete("x"))
    try await store.recordAlive(at: .now())
    #expect(try await store.generation() == before)
    try await store.write(.sample("1001"))
    #expect(try await store.generation() > before)
  }
}

@Suite struct DirectoryRulesTests {
  @Test(arguments: ["", "a b", "a@b", "a\r\nb", "ä", String(repeating: "x", count: 65)])
  func refusesUserName(_ name: String) { #expect(DirectoryRules.problem(with: .sample(name)) != nil) }

  @Test(arguments: ["1001", "ada.l", "+4930", "a_b~c#*"])
  func acceptsUserName(_ name: String) { #expect(DirectoryRules.problem(with: .sample(name)) == nil) }

  @Test func refusesWhatWouldBreakAHeaderField() {
    var user = User.sample("1001")
    user.display = "a\r\nVia: x"
    #expect(DirectoryRules.problem(with: user)?.contains("control character") == true)
  }

  @Test func refusesHashesThatAreNone() {
    var user = User.sample("1001")
    user.ha1MD5 = "secret"
    #expect(DirectoryRules.problem(with: user) != nil)
    user = .sample("1001")
    user.ha1SHA256 = String(repeating: "B", count: 64)
    #expect(DirectoryRules.problem(with: user) != nil)
  }

  @Test func checksTrunks() {
    let good = Trunk(name: "c", host: "192.0.2.1", allow: ["192.0.2.0/24", "2001:db8::1"])
    #expect(DirectoryRules.problem(with: good) == nil)
    func problem(_ change: (inout Trunk) -> Void) -> String? {
      var trunk = good
      change(&trunk)
      return DirectoryRules.problem(with: trunk)
    }
    #expect(problem { $0.host = "" } != nil)
    #expect(problem { $0.host = "a b" } != nil)
    #expect(problem { $0.host = "carrier:5060" } != nil)
    #expect(problem { $0.port = 0 } != nil)
    #expect(problem { $0.transport = "ws" } != nil)
    #expect(problem { $0.codecs = [] } != nil)
    #expect(problem { $0.codecs = [.pcmu, .pcmu] } != nil)
    for network in ["192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/+8", "x", "192.0.2.0/8/8", ""] {
      #expect(problem { $0.allow = [network] }?.contains("\"\(network)\"") == true)
    }
    #expect(problem { $0.register = true } != nil)
    #expect(
      problem {
        $0.register = true; $0.username = "u"
      } == nil)
  }

  @Test func checksRoutes() {
    func problem(_ match: String, _ number: String? = nil) -> String? {
      DirectoryRules.problem(with: RouteRule(position: 1, match: match, to: .trunk("c"), number: number))
    }
    #expect(problem("^9(\\d+)$", "$1") == nil)
    #expect(problem("^\\+49(?:30)(\\d)([0-9)]+)$", "+$1$2") == nil)
    #expect(problem("(?<x>\\d)", "$1") == nil)
    #expect(problem("^9(\\d+)$", "$2")?.contains("1 group") == true)
    #expect(problem("\\(", "$1") != nil)
    #expect(problem("[(]", "$1") != nil)
    #expect(problem("(")?.contains("regular expression") == true)
    #expect(problem("") != nil)
    #expect(DirectoryRules.problem(with: RouteRule(position: -1, match: "x", to: .echo)) != nil)
    #expect(DirectoryRules.problem(with: RouteRule(position: 1, match: "x", to: .trunk("a b"))) != nil)
  }

  @Test(arguments: ["", "a b", "\"", "+1 555"])
  func refusesNumber(_ number: String) {
    #expect(DirectoryRules.problem(with: NumberRule(number: number, to: .echo)) != nil)
  }
}
