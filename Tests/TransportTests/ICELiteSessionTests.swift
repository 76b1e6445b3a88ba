import Core
import Testing
import TestSupport

@testable import Transport

/// A session under a virtual clock, with checks as a peer would send them.
private struct Session {
  var ice: ICELiteSession
  var now = Instant(nanoseconds: 1_000_000_000_000)
  var random = SeededRandom(seed: 1)

  init(remote: String? = "peer") {
    ice = ICELiteSession(credentials: ICECredentials(worker: 0, using: &random))
    if let remote { ice.setRemote(ufrag: remote, deadline: now + .seconds(20)) }
  }

  static func path(_ host: UInt32, port: UInt16 = 4000, base: UInt32 = 0) -> PeerPath {
    PeerPath(base: base, remote: SocketAddress(ip: IPAddress(v4: 0x0A00_0000 | host), port: port))
  }

  /// A parsed check; nil priority leaves PRIORITY out.
  static func check(
    priority: UInt32? = 100, nominates: Bool = false, controlled: Bool = false, unknown: Bool = false
  ) throws -> STUNMessage {
    var bytes = [UInt8](repeating: 0, count: STUNWriter.capacity)
    let id = [UInt8](repeating: 3, count: 12)
    let length = bytes.withUnsafeMutableBytes { buffer in
      id.withUnsafeBytes { id in
        var writer = STUNWriter(.request, transactionID: id, into: buffer)
        if let priority { writer.attribute(STUNMessage.Attribute.priority, priority) }
        if nominates { writer.attribute(STUNMessage.Attribute.useCandidate, 0) { _ in } }
        let role = controlled ? STUNMessage.Attribute.iceControlled : STUNMessage.Attribute.iceControlling
        writer.attribute(role, 42 as UInt64)
        if unknown { writer.attribute(0x7001, 0) { _ in } }
        return writer.finish()
      }
    }
    return try STUNMessage(parsing: Array(bytes.prefix(try #require(length))).span.bytes)
  }

  mutating func check(
    _ path: PeerPath, priority: UInt32? = 100, nominates: Bool = false, key: UInt64? = nil, theirs: String = "peer"
  ) throws -> (answer: STUNAnswer, changes: [ICELiteSession.Change]) {
    let message = try Session.check(priority: priority, nominates: nominates)
    return Array(theirs.utf8).withUnsafeBytes {
      ice.receive(message, key: key ?? ice.credentials.key, theirs: $0, from: path, now: now)
    }
  }

  mutating func wait(_ duration: Duration) -> [ICELiteSession.Change] {
    now = now + duration
    return ice.advance(to: now)
  }

  mutating func restart(remote: String?) -> [ICELiteSession.Change] {
    let changes = ice.restart(ICECredentials(worker: 0, using: &random))
    if let remote { ice.setRemote(ufrag: remote, deadline: now + .seconds(20)) }
    return changes
  }
}

struct ICELiteSessionTests {
  private let a = Session.path(1)
  private let b = Session.path(2)

  @Test func theFirstProvedPathCarriesPacketsBeforeNomination() throws {
    var session = Session()
    let first = try session.check(a)
    #expect(first.answer == .success)
    #expect(first.changes == [.added(a), .selected(a)])
    #expect(try session.check(b).changes == [.added(b)])
    #expect(session.ice.selected == a)
  }

  @Test func nominationSelectsAgainstAPathThatWasNot() throws {
    var session = Session()
    _ = try session.check(a, priority: 200)
    #expect(try session.check(b, priority: 100, nominates: true).changes == [.added(b), .selected(b)])
  }

  @Test func ofManyNominatedTheBestCounts() throws {
    // Aggressive nomination: every check of every pair carries USE-CANDIDATE (RFC 5245 §8.1.1.2).
    var session = Session()
    _ = try session.check(a, priority: 100, nominates: true)
    #expect(try session.check(b, priority: 200, nominates: true).changes == [.added(b), .selected(b)])
    #expect(try session.check(a, priority: 100, nominates: true).changes.isEmpty)
    #expect(session.ice.selected == b)
  }

  @Test func aPeerThatChangesItsMindIsFollowed() throws {
    var session = Session()
    _ = try session.check(a, priority: 200, nominates: true)
    _ = session.wait(.milliseconds(400))
    // From Wi-Fi to the mobile network: worse, and all that is nominated now.
    #expect(try session.check(b, priority: 100, nominates: true).changes == [.added(b), .selected(b)])
    _ = session.wait(.milliseconds(100))
    _ = try session.check(a, priority: 200)
    #expect(session.ice.selected == b)
  }

  @Test func aReboundMappingTakesOverWithItsFirstCheck() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    _ = session.wait(.milliseconds(2500))
    let rebound = Session.path(1, port: 40_001)
    #expect(try session.check(rebound, nominates: true).changes == [.added(rebound), .selected(rebound)])
    // The old mapping is forgotten when nobody consents over it any more.
    for _ in 0..<10 {
      _ = session.wait(.milliseconds(2500))
      _ = try session.check(rebound, nominates: true)
    }
    #expect(session.wait(.milliseconds(2500)) == [.removed(a)])
  }

  @Test func aSelectedPathThatFallsSilentYieldsToOneThatIsChecked() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    _ = try session.check(b)
    for _ in 0..<2 {
      #expect(session.wait(.seconds(2)).isEmpty)
      _ = try session.check(b)
    }
    #expect(session.wait(.seconds(2)) == [.selected(b)])
  }

  @Test func twoOfOurAddressesAreTwoPaths() throws {
    var session = Session()
    _ = try session.check(Session.path(1, base: 0))
    #expect(try session.check(Session.path(1, base: 1)).changes == [.added(Session.path(1, base: 1))])
  }

  @Test func missingChecksDisconnectAndThenEndConsent() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    #expect(session.wait(.milliseconds(14_900)).isEmpty)
    #expect(session.wait(.milliseconds(100)) == [.disconnected])
    #expect(session.wait(.seconds(1)).isEmpty)
    #expect(session.wait(.seconds(14)) == [.removed(a), .consentLost])
    #expect(session.ice.selected == nil)
    #expect(session.wait(.seconds(100)).isEmpty)
  }

  @Test func aCheckBehindDisconnectionReconnects() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    #expect(session.wait(.seconds(20)) == [.disconnected])
    #expect(try session.check(a, nominates: true).changes == [.reconnected])
    #expect(session.wait(.seconds(14)).isEmpty)
  }

  @Test func beforeNominationPacketsGoWhereThePeersComeFrom() throws {
    var session = Session()
    _ = try session.check(a)
    _ = try session.check(b)
    #expect(session.ice.selected == a)
    #expect(session.ice.prefer(b) == [.selected(b)])
    #expect(session.ice.prefer(Session.path(9)).isEmpty)
    _ = try session.check(b, nominates: true)
    #expect(session.ice.prefer(a).isEmpty)
    #expect(session.ice.selected == b)
  }

  @Test func mediaIsASignOfLifeToo() throws {
    var session = Session()
    #expect(session.ice.hear(at: session.now).isEmpty)
    _ = try session.check(a, nominates: true)
    for _ in 0..<10 {
      #expect(session.wait(.seconds(10)).isEmpty)
      #expect(session.ice.hear(at: session.now).isEmpty)
    }
    #expect(session.wait(.seconds(16)) == [.disconnected])
    #expect(session.ice.hear(at: session.now) == [.reconnected])
    #expect(session.wait(.seconds(14)).isEmpty)
  }

  @Test func withoutAPathInTimeItFails() throws {
    var session = Session()
    #expect(session.wait(.seconds(19)).isEmpty)
    #expect(session.wait(.seconds(1)) == [.failed])
    #expect(session.wait(.seconds(60)).isEmpty)
    // Late, and still welcome.
    #expect(try session.check(a, nominates: true).answer == .success)
  }

  @Test func aNominatedPathEndsTheDeadline() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    for _ in 0..<30 {
      #expect(session.wait(.seconds(1)).isEmpty)
      _ = try session.check(a)
    }
  }

  // MARK: Answers

  @Test func aPeerThatSaysItIsControlledGetsARoleConflict() throws {
    var session = Session()
    let message = try Session.check(controlled: true)
    let result = Array("peer".utf8).withUnsafeBytes {
      session.ice.receive(message, key: session.ice.credentials.key, theirs: $0, from: a, now: session.now)
    }
    #expect(result.answer == .roleConflict)
    #expect(result.changes.isEmpty)
    #expect(session.ice.paths.isEmpty)
  }

  @Test func unknownAttributesAreNamedAndProveNothing() throws {
    var session = Session()
    let message = try Session.check(unknown: true)
    let result = Array("peer".utf8).withUnsafeBytes {
      session.ice.receive(message, key: session.ice.credentials.key, theirs: $0, from: a, now: session.now)
    }
    #expect(result.answer == .unknownAttributes([0x7001]))
    #expect(session.ice.paths.isEmpty)
  }

  @Test func aCheckWithoutPriorityIsBad() throws {
    var session = Session()
    #expect(try session.check(a, priority: nil).answer == .badRequest)
    #expect(session.ice.paths.isEmpty)
  }

  @Test func onlyThePeersUfragMayStandBehindOurs() throws {
    var session = Session()
    for wrong in ["", "pee", "peers", "Peer"] {
      #expect(try session.check(a, theirs: wrong).answer == .unauthenticated)
    }
    #expect(session.ice.paths.isEmpty)
    // Before the peer's description is known anyone with the password may check.
    var early = Session(remote: nil)
    #expect(try early.check(a, theirs: "whoever").answer == .success)
  }

  // MARK: Restart

  @Test func theOldGenerationWorksUntilTheNewOneIsNominated() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    let old = session.ice.credentials.key
    #expect(session.restart(remote: nil).isEmpty)
    #expect(session.ice.isRestartPending)
    #expect(session.ice.password(for: old) != nil)
    #expect(try session.check(a, nominates: true, key: old).answer == .success)
    session.ice.setRemote(ufrag: "new", deadline: session.now + .seconds(20))
    #expect(!session.ice.isRestartPending)
    #expect(try session.check(b, priority: 1, theirs: "new").changes == [.added(b)])
    #expect(session.ice.selected == a)
    #expect(
      try session.check(b, priority: 1, nominates: true, theirs: "new").changes == [.retired(old), .selected(b)])
    #expect(session.ice.password(for: old) == nil)
  }

  @Test func aRestartThatNobodyFollowsFailsAndKeepsTheOldPath() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    let old = session.ice.credentials.key
    _ = session.restart(remote: "new")
    for second in 1...25 {
      let changes = session.wait(.seconds(1))
      #expect(changes == (second == 20 ? [.failed] : []), "second \(second)")
      _ = try session.check(a, nominates: true, key: old)
    }
    #expect(session.ice.selected == a)
  }

  @Test func onlyTheLastOfSeveralUnusedRestartsCounts() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    let working = session.ice.credentials.key
    #expect(session.restart(remote: nil).isEmpty)
    let unused = session.ice.credentials.key
    #expect(session.restart(remote: nil) == [.retired(unused)])
    #expect(session.ice.password(for: working) != nil)
    #expect(session.ice.password(for: unused) == nil)
    #expect(session.ice.keys.count == 2)
  }

  // MARK: Bounds

  @Test func anAuthenticatedPeerKeepsABoundedNumberOfPaths() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    for host in 100..<400 as Range<UInt32> {
      session.now = session.now + .milliseconds(1)
      let changes = try session.check(Session.path(host)).changes
      let isFull = host >= 100 + UInt32(ICELiteSession.maximumPaths) - 1
      #expect(changes.count == (isFull ? 2 : 1))
    }
    #expect(session.ice.paths.count == ICELiteSession.maximumPaths)
    #expect(session.ice.selected == a)
  }

  @Test func aLostConnectionGivesItsPlaceToAnother() throws {
    var session = Session()
    _ = try session.check(a, nominates: true)
    _ = try session.check(b)
    #expect(session.ice.lose(a) == [.removed(a), .selected(b)])
    #expect(session.ice.lose(a).isEmpty)
    #expect(session.ice.lose(b) == [.removed(b), .disconnected])
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func theSelectedPathIsAlwaysOneThatIsKept(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var session = Session()
    var kept: Set<PeerPath> = []
    for _ in 0..<3000 {
      var changes: [ICELiteSession.Change] = []
      switch Int.random(in: 0..<12, using: &random) {
      case 0: changes = session.wait(.milliseconds(Int.random(in: 0...9000, using: &random)))
      case 1: changes = session.restart(remote: Bool.random(using: &random) ? "peer" : nil)
      case 2: changes = session.ice.lose(Session.path(UInt32.random(in: 1...40, using: &random)))
      default:
        let key = session.ice.keys.randomElement(using: &random) ?? 0
        changes = try session.check(
          Session.path(.random(in: 1...40, using: &random)), priority: .random(in: 0...9, using: &random),
          nominates: Bool.random(using: &random), key: key
        ).changes
      }
      for change in changes {
        switch change {
        case .added(let path): #expect(kept.insert(path).inserted)
        case .removed(let path): #expect(kept.remove(path) != nil)
        case .selected(let path): #expect(kept.contains(path))
        default: break
        }
      }
      #expect(kept == Set(session.ice.paths.map(\.path)))
      #expect(session.ice.selected.map(kept.contains) ?? kept.isEmpty)
      #expect(kept.count <= ICELiteSession.maximumPaths)
    }
  }
}

struct ICECredentialsTests {
  @Test func theUfragNamesItsWorkerAndKey() {
    var random = SeededRandom(seed: 7)
    for worker in [0, 1, 63, 64, 4095] {
      let made = ICECredentials(worker: worker, using: &random)
      #expect(made.ufrag.utf8.count == ICECredentials.ufragLength)
      #expect(made.password.utf8.count == 24)
      let parsed = Array(made.ufrag.utf8).withUnsafeBytes { ICECredentials.parse($0) }
      #expect(parsed?.worker == worker)
      #expect(parsed?.key == made.key)
    }
  }

  @Test(arguments: ["", "AAAAAAAAAAA", "AAAAAAAAAAAAA", "AAAAAAAAAAA-", "AAAAAAAAAAA ", "\u{0}AAAAAAAAAAA"])
  func refusesOtherUfrags(text: String) {
    #expect(Array(text.utf8).withUnsafeBytes { ICECredentials.parse($0) } == nil)
  }
}

struct PathTableTests {
  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func behavesAsADictionary(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var table = PathTable<Int>(seed: seed)
    var model: [PeerPath: Int] = [:]
    for step in 0..<20_000 {
      let host = UInt32.random(in: 0...60, using: &random)
      let port = UInt16.random(in: 0...3, using: &random)
      let isV6 = Bool.random(using: &random)
      let ip = isV6 ? IPAddress(v6High: 0, low: UInt64(host)) : IPAddress(v4: host)
      let path = PeerPath(base: .random(in: 0...1, using: &random), remote: SocketAddress(ip: ip, port: port))
      switch Int.random(in: 0..<3, using: &random) {
      case 0:
        table[path] = step
        model[path] = step
      case 1:
        table[path] = nil
        model[path] = nil
      default: break
      }
      #expect(table[path] == model[path])
      #expect(table.count == model.count)
    }
    for (path, value) in model { #expect(table[path] == value) }
  }
}
