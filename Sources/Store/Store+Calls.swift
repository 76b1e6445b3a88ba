package import Core
import GRDB

/// Where a page of calls ends: the next one starts behind it. Newest calls come first.
package struct CallCursor: Sendable, Hashable, CustomStringConvertible {
  package let startedAt: WallTime
  package let id: String

  package init(startedAt: WallTime, id: String) {
    self.startedAt = startedAt
    self.id = id
  }

  package init(_ call: CallRecord) { self.init(startedAt: call.startedAt, id: call.id) }

  /// Parses what `description` gives; nil for anything else.
  package init?(_ text: String) {
    let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let milliseconds = Int64(parts[0]), !parts[1].isEmpty else { return nil }
    self.init(startedAt: WallTime(milliseconds: milliseconds), id: String(parts[1]))
  }

  package var description: String { "\(startedAt.milliseconds)-\(id)" }
}

/// Which calls to list. Nil asks for nothing; all that is given must hold.
package struct CallFilter: Sendable, Hashable {
  package var from: String?
  package var to: String?
  package var outcome: CallRecord.Outcome?
  /// True: only calls that have not ended. False: only those that have.
  package var active: Bool?
  /// Started at this time or later.
  package var since: WallTime?
  /// Started before this time.
  package var until: WallTime?
  /// The name of a user who has a leg in the call: called, was called, or was rung.
  package var user: String?

  package init() {}
}

/// How many rows there are.
package struct StoreCounts: Sendable, Hashable {
  package var users = 0
  package var trunks = 0
  package var numbers = 0
  package var routes = 0
  package var calls = 0
  /// Calls without an end.
  package var running = 0
}

extension Store {
  /// Writes a call and its legs, replacing what was saved of it before. Returns after they are on disk.
  ///
  /// Concurrent saves share commits. A record without an end never replaces one that has an end.
  package func save(_ call: CallRecord) async throws(StoreError) { try await journal.save(call) }

  /// Records waiting for the disk, for the metrics.
  package var savesWaiting: Int { journal.depth }
  /// Group commits of call records so far, for the metrics.
  package var saveCommits: Int { journal.commits }

  /// The newest calls first, at most `limit` (1…1,000), starting behind `before`.
  package func calls(
    tenant: TenantID = .default, limit: Int = 100, before: CallCursor? = nil, filter: CallFilter = CallFilter()
  ) async throws(StoreError) -> [CallRecord] {
    let limit = min(max(limit, 1), 1000)
    return try await read("list calls") { db in
      var conditions = ["tenant = ?"]
      var arguments: StatementArguments = [tenant.rawValue]
      func require(_ condition: String, _ values: (any DatabaseValueConvertible)...) {
        conditions.append(condition)
        arguments += StatementArguments(values)
      }
      if let before { require("(started_at, id) < (?, ?)", before.startedAt.milliseconds, before.id) }
      if let from = filter.from { require("caller = ?", from) }
      if let to = filter.to { require("dialled = ?", to) }
      if let outcome = filter.outcome { require("outcome = ?", outcome.rawValue) }
      if let active = filter.active { require(active ? "ended_at IS NULL" : "ended_at IS NOT NULL") }
      if let since = filter.since { require("started_at >= ?", since.milliseconds) }
      if let until = filter.until { require("started_at < ?", until.milliseconds) }
      if let user = filter.user {
        require("id IN (SELECT call FROM legs WHERE tenant = ? AND kind = 'user' AND party = ?)", tenant.rawValue, user)
      }
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT * FROM calls WHERE \(conditions.joined(separator: " AND "))
          ORDER BY started_at DESC, id DESC LIMIT \(limit)
          """, arguments: arguments)
      return try db.withLegs(rows.map { try CallRecord(row: $0) }, tenant: tenant)
    }
  }

  /// One call, or nil.
  package func call(id: String, tenant: TenantID = .default) async throws(StoreError) -> CallRecord? {
    try await read("read call") { db in
      let row = try Row.fetchOne(
        db, sql: "SELECT * FROM calls WHERE tenant = ? AND id = ?", arguments: [tenant.rawValue, id])
      guard let row else { return nil }
      return try db.withLegs([CallRecord(row: row)], tenant: tenant).first
    }
  }

  /// Notes that the server runs. Called every few seconds, it tells `markInterrupted` when a crash happened.
  package func recordAlive(at now: WallTime) async throws(StoreError) {
    try await write("record alive") { db in
      _ = try db.insert(
        [("tenant", TenantID.default.rawValue), ("name", "alive-at"), ("value", String(now.milliseconds))],
        into: "settings", key: ["tenant", "name"], onConflict: .update)
    }
  }

  /// Ends the records that a crash left running: outcome `interrupted`, ended when the server was last known to run.
  ///
  /// For the start of a server that holds `lockForServer`, before it takes calls.
  /// - Returns: how many there were.
  package func markInterrupted() async throws(StoreError) -> Int {
    try await write("mark interrupted calls") { db in
      let alive = try String.fetchOne(
        db, sql: "SELECT value FROM settings WHERE tenant = ? AND name = 'alive-at'",
        arguments: [TenantID.default.rawValue])
      let aliveAt = alive.flatMap { Int64($0) } ?? 0
      let lastKnown = "max(saved_at, started_at, coalesce(ringing_at, 0), coalesce(answered_at, 0), ?)"
      try db.execute(
        sql: """
          UPDATE legs SET ended_at = (
            SELECT \(lastKnown) FROM calls WHERE calls.tenant = legs.tenant AND calls.id = legs.call)
          WHERE ended_at IS NULL
            AND (tenant, call) IN (SELECT tenant, id FROM calls WHERE ended_at IS NULL)
          """, arguments: [aliveAt])
      try db.execute(
        sql: """
          UPDATE calls SET ended_at = \(lastKnown), outcome = 'interrupted', ended_by = 'system',
            reason = 'Parley stopped while the call was running'
          WHERE ended_at IS NULL
          """, arguments: [aliveAt])
      return db.changesCount
    }
  }

  /// Removes calls that ended before `time`, with their legs.
  /// - Returns: how many there were.
  package func removeCalls(
    endedBefore time: WallTime, tenant: TenantID = .default
  ) async throws(StoreError) -> Int {
    try await write("remove calls") { db in
      try db.execute(
        sql: "DELETE FROM calls WHERE tenant = ? AND ended_at < ?", arguments: [tenant.rawValue, time.milliseconds])
      return db.changesCount
    }
  }

  package func counts(tenant: TenantID = .default) async throws(StoreError) -> StoreCounts {
    try await read("count") { db in
      func count(_ table: String, _ condition: String = "") throws -> Int {
        try Int.fetchOne(
          db, sql: "SELECT count(*) FROM \(table) WHERE tenant = ?\(condition)", arguments: [tenant.rawValue]) ?? 0
      }
      var counts = StoreCounts()
      counts.users = try count("users")
      counts.trunks = try count("trunks")
      counts.numbers = try count("numbers")
      counts.routes = try count("routes")
      counts.calls = try count("calls")
      counts.running = try count("calls", " AND ended_at IS NULL")
      return counts
    }
  }
}

extension Database {
  /// The calls with their legs in order, read with one query.
  fileprivate func withLegs(_ calls: [CallRecord], tenant: TenantID) throws -> [CallRecord] {
    guard !calls.isEmpty else { return [] }
    let marks = calls.map { _ in "?" }.joined(separator: ", ")
    let rows = try Row.fetchAll(
      self, sql: "SELECT * FROM legs WHERE tenant = ? AND call IN (\(marks)) ORDER BY call, position",
      arguments: [tenant.rawValue] + StatementArguments(calls.map(\.id)))
    var legs: [String: [LegRecord]] = [:]
    for row in rows { legs[row["call"], default: []].append(try LegRecord(row: row)) }
    return calls.map { call in
      var call = call
      call.legs = legs[call.id] ?? []
      return call
    }
  }
}
