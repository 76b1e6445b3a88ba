package import Core
import GRDB

/// Something that webhooks tell, as it is sent.
package struct WebhookRecord: Sendable, Hashable {
  /// The place in the order of all events; 0 until it is stored.
  package var sequence: Int64 = 0
  package var tenant = TenantID.default
  /// Receivers tell by it that they have an event already.
  package var id: String
  /// Events of one room reach a URL in order.
  package var room: String
  /// `room_started` …
  package var event: String
  /// The exact text that is sent.
  package var body: String
  package var createdAt: WallTime

  package init(id: String, room: String, event: String, body: String, createdAt: WallTime) {
    self.id = id
    self.room = room
    self.event = event
    self.body = body
    self.createdAt = createdAt
  }
}

/// One event on its way to one URL.
package struct WebhookDelivery: Sendable, Hashable {
  package enum State: String, Sendable, CaseIterable {
    case pending
    case delivered
    /// Refused by the receiver, or given up.
    case failed
  }

  package var record: WebhookRecord
  package var url: String
  package var state: State
  package var attempts: Int
  package var nextAttemptAt: WallTime
  package var finishedAt: WallTime?
  /// HTTP status of the last answer.
  package var status: Int?
  /// Why the last attempt failed; empty after a success.
  package var problem: String
}

/// Which events to send once more. All that is given must hold.
package struct WebhookSelection: Sendable, Hashable {
  package var id: String?
  /// False: those that were delivered, too.
  package var failedOnly = false
  package var since: WallTime?
  package var until: WallTime?
  package var room: String?

  package init(id: String? = nil, failedOnly: Bool = false) {
    self.id = id
    self.failedOnly = failedOnly
  }
}

extension Store {
  /// Puts events into the outbox, for every URL. After it returns they outlive this process.
  package func appendWebhooks(_ records: [WebhookRecord], to urls: [String]) async throws(StoreError) {
    guard !records.isEmpty, !urls.isEmpty else { return }
    try await write("queue webhooks") { db in
      for record in records { try db.append(record, to: urls) }
    }
  }

  /// The first waiting event of each queue (a room and a URL) whose time has come, oldest first.
  package func dueWebhooks(now: WallTime, limit: Int) async throws(StoreError) -> [WebhookDelivery] {
    try await read("read due webhooks") { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT \(deliveryColumns) FROM (
            SELECT url AS first_url, min(event) AS first_event FROM webhook_deliveries WHERE state = 'pending'
            GROUP BY tenant, url, room
          ) JOIN webhook_deliveries d ON d.event = first_event AND d.url = first_url
          JOIN webhook_events e ON e.sequence = d.event
          WHERE d.next_attempt_at <= ? ORDER BY d.event LIMIT ?
          """, arguments: [now.milliseconds, limit]
      ).map { try WebhookDelivery(row: $0) }
    }
  }

  /// Notes how an attempt ended.
  ///
  /// - Parameter next: when to try again; for `.pending` only.
  package func recordWebhook(
    _ delivery: WebhookDelivery, state: WebhookDelivery.State, status: Int?, problem: String, at now: WallTime,
    next: WallTime? = nil
  ) async throws(StoreError) {
    try await write("note a webhook") { db in
      try db.execute(
        sql: """
          UPDATE webhook_deliveries
          SET state = ?, attempts = attempts + 1, status = ?, problem = ?, finished_at = ?, next_attempt_at = ?
          WHERE event = ? AND url = ?
          """,
        arguments: [
          state.rawValue, status, problem, state == .pending ? nil : now.milliseconds,
          (next ?? now).milliseconds, delivery.record.sequence, delivery.url,
        ])
    }
  }

  /// Puts events back into their queues, at their old places.
  /// - Returns: how many deliveries will be tried again.
  package func replayWebhooks(
    _ selection: WebhookSelection, tenant: TenantID = .default
  ) async throws(StoreError) -> Int {
    try await write("replay webhooks") { db in
      var conditions = ["e.tenant = ?"]
      var arguments: StatementArguments = [tenant.rawValue]
      if let id = selection.id {
        conditions.append("e.id = ?")
        arguments += [id]
      }
      if let since = selection.since {
        conditions.append("e.created_at >= ?")
        arguments += [since.milliseconds]
      }
      if let until = selection.until {
        conditions.append("e.created_at < ?")
        arguments += [until.milliseconds]
      }
      if let room = selection.room {
        conditions.append("e.room = ?")
        arguments += [room]
      }
      let state = selection.failedOnly ? "state = 'failed'" : "state <> 'pending'"
      let chosen = conditions.joined(separator: " AND ")
      try db.execute(
        sql: """
          UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_attempt_at = 0, finished_at = NULL
          WHERE \(state) AND event IN (
            SELECT e.sequence FROM webhook_events e WHERE \(chosen))
          """, arguments: arguments)
      return db.changesCount
    }
  }

  /// The newest deliveries first, at most `limit` (1…1,000), of events before `before`.
  package func webhooks(
    tenant: TenantID = .default, limit: Int = 100, before: Int64? = nil, state: WebhookDelivery.State? = nil
  ) async throws(StoreError) -> [WebhookDelivery] {
    let limit = min(max(limit, 1), 1000)
    return try await read("list webhooks") { db in
      var conditions = ["e.tenant = ?"]
      var arguments: StatementArguments = [tenant.rawValue]
      if let before {
        conditions.append("e.sequence < ?")
        arguments += [before]
      }
      if let state {
        conditions.append("d.state = ?")
        arguments += [state.rawValue]
      }
      return try Row.fetchAll(
        db,
        sql: """
          SELECT \(deliveryColumns) FROM webhook_events e JOIN webhook_deliveries d ON d.event = e.sequence
          WHERE \(conditions.joined(separator: " AND ")) ORDER BY e.sequence DESC, d.url LIMIT \(limit)
          """, arguments: arguments
      ).map { try WebhookDelivery(row: $0) }
    }
  }

  /// Deliveries that wait, for the metrics.
  package func waitingWebhooks() async throws(StoreError) -> Int {
    try await read("count webhooks") { db in
      try Int.fetchOne(db, sql: "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'") ?? 0
    }
  }

  /// Fails what waits for a URL that is configured no more. For the start of a server.
  /// - Returns: how many there were.
  package func abandonWebhooks(notTo urls: [String], at now: WallTime) async throws(StoreError) -> Int {
    try await write("abandon webhooks") { db in
      let marks = urls.map { _ in "?" }.joined(separator: ", ")
      try db.execute(
        sql: """
          UPDATE webhook_deliveries SET state = 'failed', finished_at = ?, problem = 'the URL is configured no more'
          WHERE state = 'pending' AND url NOT IN (\(marks))
          """, arguments: [now.milliseconds] + StatementArguments(urls))
      return db.changesCount
    }
  }

  /// Removes events that happened before `time` and wait for nobody.
  /// - Returns: how many there were.
  package func removeWebhooks(createdBefore time: WallTime) async throws(StoreError) -> Int {
    try await write("remove webhooks") { db in
      try db.execute(
        sql: """
          DELETE FROM webhook_events WHERE created_at < ? AND NOT EXISTS (
            SELECT 1 FROM webhook_deliveries d WHERE d.event = sequence AND d.state = 'pending')
          """, arguments: [time.milliseconds])
      return db.changesCount
    }
  }
}

private let deliveryColumns =
  "e.*, d.url, d.state, d.attempts, d.next_attempt_at, d.finished_at, d.status, d.problem"

extension WebhookDelivery {
  fileprivate init(row: Row) throws {
    let text: String = row["state"]
    guard let state = State(rawValue: text) else {
      throw UnreadableRow(table: "webhook_deliveries", column: "state", value: text)
    }
    var record = WebhookRecord(
      id: row["id"], room: row["room"], event: row["event"], body: row["body"],
      createdAt: WallTime(milliseconds: row["created_at"]))
    record.sequence = row["sequence"]
    record.tenant = TenantID(rawValue: row["tenant"])
    self.init(
      record: record, url: row["url"], state: state, attempts: row["attempts"],
      nextAttemptAt: WallTime(milliseconds: row["next_attempt_at"]),
      finishedAt: (row["finished_at"] as Int64?).map { WallTime(milliseconds: $0) }, status: row["status"],
      problem: row["problem"])
  }
}

extension Database {
  /// Puts one event into the outbox, for every URL.
  func append(_ record: WebhookRecord, to urls: [String]) throws {
    try execute(
      sql: """
        INSERT INTO webhook_events (tenant, id, room, event, body, created_at) VALUES (?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        record.tenant.rawValue, record.id, record.room, record.event, record.body, record.createdAt.milliseconds,
      ])
    let sequence = lastInsertedRowID
    for url in Set(urls) {
      try execute(
        sql: """
          INSERT INTO webhook_deliveries (event, tenant, url, room, state, attempts, next_attempt_at, problem)
          VALUES (?, ?, ?, ?, 'pending', 0, 0, '')
          """, arguments: [sequence, record.tenant.rawValue, url, record.room])
    }
  }
}
