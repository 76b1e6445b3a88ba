import Core
import Foundation
import GRDB
import Testing

@testable import Store

@Suite struct CallTests {
  let place: TemporaryDirectory
  let store: Store

  init() throws {
    place = try TemporaryDirectory()
    store = try Store(directory: place.path)
  }

  @Test func keepsEveryFieldOfACallAndItsLegs() async throws {
    let call = CallRecord.complete("x")
    try await store.save(call)
    #expect(try await store.call(id: "x") == call)
    #expect(try await store.call(id: "y") == nil)
  }

  @Test func savingAgainReplacesCallAndLegs() async throws {
    try await store.save(.running("x"))
    #expect(try await store.call(id: "x") == .running("x"))
    try await store.save(.complete("x"))
    #expect(try await store.call(id: "x") == .complete("x"))
    #expect(try await store.counts().calls == 1)
  }

  @Test func aLateRecordOfARunningCallDoesNotUndoItsEnd() async throws {
    try await store.save(.complete("x"))
    try await store.save(.running("x"))
    #expect(try await store.call(id: "x") == .complete("x"))
    // Figures that come in after the end still do.
    var amended = CallRecord.complete("x")
    amended.legs[1].media.packetsSent = 77
    try await store.save(amended)
    #expect(try await store.call(id: "x") == amended)
  }

  @Test func aRecordThatTheDatabaseRefusesFailsAlone() async throws {
    var stranger = CallRecord.complete("stranger")
    stranger.tenant = TenantID(rawValue: "nobody")
    let refused = stranger
    let store = store
    try await withThrowingTaskGroup { group in
      for i in 0..<50 { group.addTask { try await store.save(.complete("c\(i)")) } }
      group.addTask {
        let error = await #expect(throws: StoreError.self) { try await store.save(refused) }
        #expect(error?.kind == .invalid)
      }
      for i in 50..<100 { group.addTask { try await store.save(.complete("c\(i)")) } }
      try await group.waitForAll()
    }
    #expect(try await store.counts().calls == 100)
  }

  @Test func numbersThatAreNotFiniteAreStoredAsUnknown() async throws {
    var call = CallRecord.complete("x")
    call.legs[0].media.jitter = .nan
    call.legs[0].media.roundTrip = .infinity
    try await store.save(call)
    let stored = try await store.call(id: "x")
    #expect(stored?.legs[0].media.jitter == 0)
    #expect(stored?.legs[0].media.roundTrip == nil)
  }

  @Test func concurrentSavesShareCommits() async throws {
    let store = store
    try await withThrowingTaskGroup { group in
      for i in 0..<1000 { group.addTask { try await store.save(.complete("c\(i)")) } }
      try await group.waitForAll()
    }
    #expect(try await store.counts().calls == 1000)
    #expect(store.saveCommits < 500)
    #expect(store.savesWaiting == 0)
  }

  @Test func listsNewestFirstInPagesWithoutGapOrRepeat() async throws {
    // Equal start times: the id decides.
    for i in 0..<25 { try await store.save(.complete("c\(i)", startedAt: Int64(1_000_000 + i / 5 * 1000))) }
    var seen: [CallRecord] = []
    var cursor: CallCursor?
    while true {
      let page = try await store.calls(limit: 7, before: cursor)
      if page.isEmpty { break }
      seen += page
      cursor = page.last.map { CallCursor($0) }
    }
    #expect(seen.count == 25)
    #expect(Set(seen.map(\.id)).count == 25)
    #expect(seen.map(\.startedAt) == seen.map(\.startedAt).sorted(by: >))
    #expect(seen.allSatisfy { $0.legs.map(\.index) == [0, 1] })
  }

  @Test func cursorsSurviveTheirText() {
    let cursor = CallCursor(startedAt: WallTime(milliseconds: 1234), id: "a-b-c")
    #expect(CallCursor(cursor.description) == cursor)
    for text in ["", "-", "12", "12-", "x-y", "-5-", "99999999999999999999-a"] { #expect(CallCursor(text) == nil) }
  }

  @Test func filters() async throws {
    try await store.save(.complete("a", startedAt: 1000))
    try await store.save(.running("b", startedAt: 2000))
    var third = CallRecord.complete("c", startedAt: 3000)
    third.from = "+15550188"
    third.to = "1002"
    third.outcome = .busy
    third.legs[0].kind = .trunk
    third.legs[0].party = "1001"
    third.legs[1].kind = .user
    third.legs[1].party = "1002"
    try await store.save(third)
    func ids(_ set: (inout CallFilter) -> Void) async throws -> [String] {
      var filter = CallFilter()
      set(&filter)
      return try await store.calls(filter: filter).map(\.id)
    }
    #expect(try await ids { _ in } == ["c", "b", "a"])
    #expect(try await ids { $0.from = "1001" } == ["b", "a"])
    #expect(try await ids { $0.to = "1002" } == ["c"])
    #expect(try await ids { $0.outcome = .busy } == ["c"])
    #expect(try await ids { $0.active = true } == ["b"])
    #expect(try await ids { $0.active = false } == ["c", "a"])
    #expect(try await ids { $0.since = WallTime(milliseconds: 2000) } == ["c", "b"])
    #expect(try await ids { $0.until = WallTime(milliseconds: 2000) } == ["a"])
    // A trunk of the same name is not the user.
    #expect(try await ids { $0.user = "1001" } == ["b", "a"])
    #expect(try await ids { $0.user = "1002" } == ["c"])
    #expect(try await ids { $0.from = "' OR 1 = 1 --" } == [])
  }

  @Test func aCrashEndsRunningCallsWhenTheServerWasLastAlive() async throws {
    try await store.save(.complete("done"))
    try await store.save(.running("cut"))
    let later = WallTime(milliseconds: WallTime.now().milliseconds + 60_000)
    try await store.recordAlive(at: later)
    #expect(try await store.markInterrupted() == 1)
    let cut = try await store.call(id: "cut")
    #expect(cut?.outcome == .interrupted)
    #expect(cut?.endedBy == .system)
    #expect(cut?.endedAt == later)
    #expect(cut?.reason.isEmpty == false)
    #expect(cut?.legs.map(\.endedAt) == [later, later])
    #expect(try await store.call(id: "done") == .complete("done"))
    #expect(try await store.markInterrupted() == 0)
    #expect(try await store.counts().running == 0)
  }

  @Test func removesOldCallsWithTheirLegs() async throws {
    try await store.save(.complete("old", startedAt: 1000))
    try await store.save(.complete("new", startedAt: 100_000))
    try await store.save(.running("running", startedAt: 1000))
    #expect(try await store.removeCalls(endedBefore: WallTime(milliseconds: 50_000)) == 1)
    #expect(try await store.calls().map(\.id) == ["new", "running"])
    let legs = try await store.pool.read { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM legs") }
    #expect(legs == 4)
  }

  @Test func savedCallsSurviveSIGKILL() async throws {
    let directory = place.path
    // The child saves without pause and notes each id when its save has returned; then it is killed in mid-work.
    await #expect(processExitsWith: .signal(SIGKILL)) { [directory = directory as String] in
      let store = try Store(directory: directory)
      let log = open(directory + "/acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o600)
      await withTaskGroup { group in
        for i in 0..<100_000 {
          group.addTask {
            do { try await store.save(.complete("c\(i)")) } catch { return }
            let line = Array("c\(i)\n".utf8)
            _ = write(log, line, line.count)
            if i == 2_000 { kill(getpid(), SIGKILL) }
          }
        }
      }
    }
    let acknowledged = try String(contentsOfFile: directory + "/acknowledged", encoding: .utf8)
      .split(separator: "\n").map(String.init)
    #expect(acknowledged.count > 100)
    let reopened = try Store(directory: directory)
    var missing: [String] = []
    for id in acknowledged where try await reopened.call(id: id) != .complete(id) { missing.append(id) }
    #expect(missing == [])
    let check = try await reopened.pool.read { db in try String.fetchOne(db, sql: "PRAGMA integrity_check") }
    #expect(check == "ok")
  }
}
