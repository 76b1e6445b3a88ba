import Core
import Gateway
import Testing

@Suite struct DirectoryTests {
  static let directory = Directory(
    users: [
      User(name: "1001", display: "Ada", ha1MD5: "", ha1SHA256: ""),
      User(name: "9001", display: "Nina", ha1MD5: "", ha1SHA256: ""),
      User(name: "gone", display: "", ha1MD5: "", ha1SHA256: "", enabled: false),
    ],
    trunks: [
      Trunk(name: "carrier", host: "192.0.2.1", allow: ["198.51.100.0/24"]),
      Trunk(name: "other", host: "pbx.example", allow: ["nonsense", "203.0.113.7"]),
    ],
    numbers: [
      NumberRule(number: "+15550100", to: .user("1001")), NumberRule(number: "600", to: .echo),
      NumberRule(number: "(555) 01-99", to: .milliwatt),
    ],
    routes: [
      RouteRule(position: 2, match: "^9(\\d+)$", to: .trunk("carrier"), number: "$1"),
      RouteRule(position: 1, match: "^911$", to: .trunk("emergency")),
      RouteRule(position: 3, match: "^\\+(\\d{2})(\\d+)$", to: .trunk("other"), number: "00$1-$2$7$"),
      RouteRule(position: 4, match: "([", to: .echo),
    ])

  @Test(arguments: [
    ("600", RoutedCall(target: .echo, number: "600")),
    ("55 50 198", nil),
    ("55501 99", RoutedCall(target: .milliwatt, number: "5550199")),
    ("1001", RoutedCall(target: .user("1001"), number: "1001")),
    ("9001", RoutedCall(target: .user("9001"), number: "9001")),
    ("9 555-1234", RoutedCall(target: .trunk("carrier"), number: "5551234")),
    ("911", RoutedCall(target: .trunk("emergency"), number: "911")),
    ("00491234567", RoutedCall(target: .trunk("other"), number: "0049-1234567$")),
    ("gone", nil), ("4711", nil), ("", nil), ("+15550100", RoutedCall(target: .user("1001"), number: "+15550100")),
  ])
  func usersReachNumbersThenUsersThenRoutes(_ dialled: String, _ expected: RoutedCall?) {
    #expect(Self.directory.route(dialledByUser: dialled) == expected)
  }

  @Test(arguments: [
    ("+15550100", RoutedCall(target: .user("1001"), number: "+15550100")),
    ("15550100", RoutedCall(target: .user("1001"), number: "15550100")),
    // Neither users by name nor outbound routes: a carrier must not be able to call out at our cost.
    ("1001", nil), ("95551234", nil), ("911", nil),
  ])
  func trunksReachNumbersOnly(_ called: String, _ expected: RoutedCall?) {
    #expect(Self.directory.route(calledFromTrunk: called) == expected)
  }

  @Test func aTransferGoesByRoutesElseOverTheRoomTrunkOfThePhone() {
    func trunk(_ id: String, _ numbers: String...) -> OutgoingRoomTrunk {
      OutgoingRoomTrunk(trunk: Trunk(name: id, host: "192.0.2.5"), numbers: numbers)
    }
    let directory = Directory(
      numbers: [NumberRule(number: "600", to: .echo)],
      roomTrunks: [trunk("old", "+1"), trunk("called", "*", "+2"), trunk("rung", "+3")])
    func target(_ dialled: String, _ trunk: String?, _ called: String) -> RouteTarget? {
      directory.route(transferTo: dialled, phoneOf: trunk, called: called)?.target
    }
    #expect(target("600", "rung", "+2") == .echo)
    #expect(target("+49 30", "rung", "+2") == .trunk("rung"))
    #expect(target("+49 30", "ST_inbound", "2") == .trunk("called"))
    #expect(target("+49 30", nil, "+9") == .trunk("old"))
    #expect(directory.route(transferTo: "+49 30", phoneOf: nil, called: "")?.number == "+4930")
    #expect(Directory().route(transferTo: "+4930", phoneOf: nil, called: "") == nil)
    // Nobody dials over them.
    #expect(directory.route(dialledByUser: "+4930") == nil)
  }

  @Test func reportsRoutesThatDoNotCompile() {
    #expect(Self.directory.invalidRoutes.map(\.position) == [4])
  }

  @Test(arguments: [
    ("192.0.2.1", "carrier"), ("198.51.100.200", "carrier"), ("203.0.113.7", "other"), ("203.0.113.8", nil),
    ("::ffff:198.51.100.3", "carrier"), ("10.1.1.1", "other"),
  ])
  func sourcesBelongToTrunks(_ source: String, _ name: String?) throws {
    let address = try #require(IPAddress(source))
    let resolved = ["carrier": ["192.0.2.1"], "other": ["10.1.1.1"]]
    let trunk = Self.directory.trunk(from: address) { (resolved[$0.name] ?? []).compactMap { IPAddress($0) } }
    #expect(trunk?.name == name)
  }

  @Test(arguments: [
    ("+1 (555) 010-0", "+15550100"), ("0049 30 1234567", "+49301234567"), ("0012", "0012"), ("alice", "alice"),
    ("*98#", "*98#"), ("1+2", "1+2"), ("", ""), ("---", "---"),
  ])
  func normalizesNumbersAsPeopleWriteThem(_ written: String, _ number: String) {
    #expect(DialledNumber.normalized(written) == number)
  }

  @Test func networksRejectNonsense() {
    for text in ["", "/", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/8/8", "::/129", "host/8"] {
      #expect(Network(text) == nil, "\(text)")
    }
    #expect(Network("2001:db8::/32")?.contains(IPAddress("2001:db8:1::5")!) == true)
  }
}

@Suite struct StatusMapTests {
  @Test(arguments: [
    (401, 502), (407, 502), (486, 486), (600, 600), (603, 603), (404, 404), (503, 502), (302, 480), (408, 504),
    (487, 480), (500, 500), (999, 502), (0, 502),
  ])
  func callersSeeWhatTheyCanActOn(_ callee: Int, _ caller: Int) {
    #expect(StatusMap.toCaller(callee) == caller)
  }
}
