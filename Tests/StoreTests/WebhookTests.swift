import Core
import GRDB
import Store
import Testing

@Suite struct WebhookTests {
  private let directory: TemporaryDirectory
  private let store: Store
  private let a = "http://a.example/hook"
  private let b = "http://b.example/hook"
  private let now = WallTime(milliseconds: 5_000_000)

  init() throws {
    directory = try TemporaryDirectory()
    store = try Store(directory: directory.path)
  }

  private func record(_ id: String, room: String = "lobby", at time: Int64 = 1_000_000) -> WebhookRecord {
    WebhookRecord(
      id: id, room: room, event: "room_started", body: "{\"id\":\"\(id)\"}", createdAt: WallTime(milliseconds: time))
  }

  private func due(_ limit: Int = 100) async throws -> [String] {
    try await store.dueWebhooks(now: now, limit: limit).map { "\($0.record.id) \($0.url == a ? "a" : "b")" }
  }

  private func finish(_ id: String, _ state: WebhookDelivery.State = .delivered) async throws {
    for delivery in try await store.dueWebhooks(now: now, limit: 100) where delivery.record.id == id {
      try await store.recordWebhook(delivery, state: state, status: 200, problem: "", at: now)
    }
  }

  @Test func onlyTheFirstOfARoomIsDueAtEachURL() async throws {
    try await store.appendWebhooks(
      [record("1"), record("2"), record("3", room: "other")], to: [a, b])
    #expect(try await due() == ["1 a", "1 b", "3 a", "3 b"])
    let first = try await store.dueWebhooks(now: now, limit: 1)
    try await store.recordWebhook(first[0], state: .delivered, status: 204, problem: "", at: now)
    #expect(try await due().sorted() == ["1 b", "2 a", "3 a", "3 b"])
  }

  @Test func aRetryHoldsItsRoomAndNoOther() async throws {
    try await store.appendWebhooks([record("1"), record("2"), record("3", room: "other")], to: [a])
    let first = try await store.dueWebhooks(now: now, limit: 1)
    try await store.recordWebhook(
      first[0], state: .pending, status: 503, problem: "the receiver answered 503", at: now,
      next: WallTime(milliseconds: now.milliseconds + 1000))
    #expect(try await due() == ["3 a"])
    let later = try await store.dueWebhooks(now: WallTime(milliseconds: now.milliseconds + 1000), limit: 10)
    #expect(later.map(\.record.id) == ["1", "3"])
    #expect(later[0].attempts == 1 && later[0].status == 503 && later[0].problem == "the receiver answered 503")
  }

  @Test func whatFailedMakesRoomForTheNext() async throws {
    try await store.appendWebhooks([record("1"), record("2")], to: [a])
    try await finish("1", .failed)
    #expect(try await due() == ["2 a"])
  }

  @Test func survivesTheProcess() async throws {
    try await store.appendWebhooks([record("1")], to: [a])
    let again = try Store(directory: directory.path)
    let found = try await again.dueWebhooks(now: now, limit: 10)
    #expect(found.map(\.record.body) == ["{\"id\":\"1\"}"])
    #expect(try await again.waitingWebhooks() == 1)
  }

  @Test func replaysInTheOldOrder() async throws {
    try await store.appendWebhooks([record("1"), record("2"), record("3")], to: [a])
    try await finish("1", .failed)
    try await finish("2")
    #expect(try await store.replayWebhooks(WebhookSelection(failedOnly: true)) == 1)
    #expect(try await due() == ["1 a"])
    try await finish("1")
    #expect(try await store.replayWebhooks(WebhookSelection(id: "2")) == 1)
    #expect(try await due() == ["2 a"])
    // What waits is no replay, what does not exist neither.
    #expect(try await store.replayWebhooks(WebhookSelection(id: "3")) == 0)
    #expect(try await store.replayWebhooks(WebhookSelection(id: "9")) == 0)
  }

  @Test func replaysByTimeAndRoom() async throws {
    try await store.appendWebhooks(
      [record("1", at: 100), record("2", at: 200), record("3", room: "other", at: 300)], to: [a])
    for id in ["1", "3", "2"] { try await finish(id) }
    var selection = WebhookSelection()
    selection.since = WallTime(milliseconds: 200)
    selection.until = WallTime(milliseconds: 300)
    #expect(try await store.replayWebhooks(selection) == 1)
    #expect(try await due() == ["2 a"])
    selection = WebhookSelection()
    selection.room = "other"
    #expect(try await store.replayWebhooks(selection) == 1)
  }

  @Test func listsTheNewestFirst() async throws {
    try await store.appendWebhooks([record("1"), record("2"), record("3")], to: [a, b])
    let page = try await store.webhooks(limit: 4)
    #expect(page.map(\.record.id) == ["3", "3", "2", "2"])
    let rest = try await store.webhooks(limit: 4, before: page.last?.record.sequence)
    #expect(rest.map(\.record.id) == ["1", "1"])
    #expect(try await store.webhooks(state: .delivered).isEmpty)
  }

  @Test func abandonsURLsThatAreConfiguredNoMore() async throws {
    try await store.appendWebhooks([record("1")], to: [a, b])
    #expect(try await store.abandonWebhooks(notTo: [b], at: now) == 1)
    #expect(try await due() == ["1 b"])
    #expect(try await store.abandonWebhooks(notTo: [], at: now) == 1)
    #expect(try await due().isEmpty)
  }

  @Test func removesWhatIsOldAndWaitsForNobody() async throws {
    try await store.appendWebhooks([record("1"), record("2")], to: [a])
    try await finish("1")
    #expect(try await store.removeWebhooks(createdBefore: now) == 1)
    #expect(try await store.webhooks().map(\.record.id) == ["2"])
  }

  @Test func nothingIsStoredWithoutURLs() async throws {
    try await store.appendWebhooks([record("1")], to: [])
    #expect(try await store.webhooks().isEmpty)
  }

  @Test func aDatabaseOfTheFirstVersionGetsTheOutbox() async throws {
    // As the first version left it: without the new tables and without the note of their migration.
    let queue = try DatabaseQueue(path: directory.file(Store.fileName))
    try await queue.write { db in
      try db.execute(sql: "DROP TABLE webhook_deliveries; DROP TABLE webhook_events;")
      try db.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = 'v2'")
    }
    try queue.close()
    let upgraded = try Store(directory: directory.path)
    try await upgraded.appendWebhooks([record("1")], to: [a])
    #expect(try await upgraded.waitingWebhooks() == 1)
  }
}
