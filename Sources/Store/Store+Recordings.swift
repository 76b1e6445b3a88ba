package import Core
import Foundation
import GRDB

/// Which recordings to list. Nil asks for nothing; all that is given must hold.
package struct RecordingFilter: Sendable, Hashable {
  package var call: String?
  package var room: String?
  package var kind: RecordingRecord.Kind?
  package var state: RecordingRecord.State?
  /// Began at this time or later.
  package var since: WallTime?
  /// Began before this time.
  package var until: WallTime?
  /// A user who has a leg in the recorded call.
  package var user: String?

  package init() {}
}

/// The catalogue of recordings. What a method has returned from is on disk.
extension Store {
  /// Enters a recording that begins, or replaces what is known of it, files included.
  package func save(_ recording: RecordingRecord) async throws(StoreError) {
    try await write("save recording") { db in try db.upsert(recording) }
  }

  /// Enters a recording whose files are complete, together with the webhook that says so: either both are there after a
  /// crash, or neither.
  package func save(
    _ recording: RecordingRecord, telling webhook: WebhookRecord, to urls: [String]
  ) async throws(StoreError) {
    try await write("save recording") { db in
      try db.upsert(recording)
      if !urls.isEmpty { try db.append(webhook, to: urls) }
    }
  }

  /// Notes how far rendering is, 0…1. Does nothing for a recording that is gone.
  package func noteProgress(
    _ progress: Double, ofRecording id: String, tenant: TenantID = .default
  ) async throws(StoreError) {
    try await write("note progress") { db in
      try db.execute(
        sql: "UPDATE recordings SET progress = ? WHERE tenant = ? AND id = ?",
        arguments: [progress.isFinite ? progress : 0, tenant.rawValue, id])
    }
  }

  package func recording(id: String, tenant: TenantID = .default) async throws(StoreError) -> RecordingRecord? {
    try await read("read recording") { db in
      let row = try Row.fetchOne(
        db, sql: "SELECT * FROM recordings WHERE tenant = ? AND id = ?", arguments: [tenant.rawValue, id])
      guard let row else { return nil }
      return try db.withFiles([RecordingRecord(row: row)], tenant: tenant).first
    }
  }

  /// Newest first.
  package func recordings(
    tenant: TenantID = .default, limit: Int = 50, before: CallCursor? = nil, filter: RecordingFilter = RecordingFilter()
  ) async throws(StoreError) -> [RecordingRecord] {
    try await read("list recordings") { db in
      var conditions = ["tenant = ?"]
      var arguments: StatementArguments = [tenant.rawValue]
      func require(_ condition: String, _ values: (any DatabaseValueConvertible)...) {
        conditions.append(condition)
        arguments += StatementArguments(values)
      }
      if let before {
        require("(started_at, id) < (?, ?)", before.startedAt.milliseconds, before.id)
      }
      if let call = filter.call { require("call = ?", call) }
      if let room = filter.room { require("room = ?", room) }
      if let kind = filter.kind { require("kind = ?", kind.rawValue) }
      if let state = filter.state { require("state = ?", state.rawValue) }
      if let since = filter.since { require("started_at >= ?", since.milliseconds) }
      if let until = filter.until { require("started_at < ?", until.milliseconds) }
      if let user = filter.user {
        require(
          "call IN (SELECT call FROM legs WHERE tenant = ? AND kind = 'user' AND party = ?)", tenant.rawValue, user)
      }
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT * FROM recordings WHERE \(conditions.joined(separator: " AND "))
          ORDER BY started_at DESC, id DESC LIMIT \(max(0, limit))
          """, arguments: arguments)
      return try db.withFiles(rows.map { try RecordingRecord(row: $0) }, tenant: tenant)
    }
  }

  /// Those that a crash or a stop left in the middle, oldest first.
  package func unfinishedRecordings(tenant: TenantID = .default) async throws(StoreError) -> [RecordingRecord] {
    try await read("list unfinished recordings") { db in
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT * FROM recordings WHERE tenant = ? AND state IN ('recording', 'rendering') ORDER BY started_at
          """, arguments: [tenant.rawValue])
      return try db.withFiles(rows.map { try RecordingRecord(row: $0) }, tenant: tenant)
    }
  }

  /// Those that may go: ended before `time`, or the oldest beyond `bytes` in all. Oldest first, running ones never.
  package func expiredRecordings(
    endedBefore time: WallTime?, beyond bytes: Int?, tenant: TenantID = .default
  ) async throws(StoreError) -> [RecordingRecord] {
    try await read("list expired recordings") { db in
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT * FROM (
            SELECT r.*, sum(coalesce((SELECT sum(bytes) FROM recording_files f
                                      WHERE f.tenant = r.tenant AND f.recording = r.id), 0))
              OVER (ORDER BY started_at DESC, id DESC) AS total
            FROM recordings r WHERE tenant = ? AND state IN ('saved', 'failed')
          ) WHERE ended_at < ? OR total > ? ORDER BY started_at, id
          """, arguments: [tenant.rawValue, time?.milliseconds ?? .min, bytes ?? .max])
      return try db.withFiles(rows.map { try RecordingRecord(row: $0) }, tenant: tenant)
    }
  }

  /// Takes a recording out of the catalogue; its files are the caller's to remove, before.
  /// - Throws: `.missing`.
  package func removeRecording(id: String, tenant: TenantID = .default) async throws(StoreError) {
    let path = path
    try await write("remove recording") { db in
      try db.execute(
        sql: "DELETE FROM recordings WHERE tenant = ? AND id = ?", arguments: [tenant.rawValue, id])
      guard db.changesCount > 0 else {
        throw StoreError(.missing, path: path, operation: "remove recording", problem: "There is no recording \(id).")
      }
    }
  }
}

extension Database {
  fileprivate func upsert(_ recording: RecordingRecord) throws {
    try insert(recording.columns, into: "recordings", key: ["tenant", "id"], onConflict: .update)
    try execute(
      sql: "DELETE FROM recording_files WHERE tenant = ? AND recording = ?",
      arguments: [recording.tenant.rawValue, recording.id])
    for (position, file) in recording.files.enumerated() {
      try insert(
        file.columns(of: recording, position: position), into: "recording_files",
        key: ["tenant", "recording", "position"], onConflict: .fail)
    }
  }

  /// The recordings with their files in order, read with one query.
  fileprivate func withFiles(_ recordings: [RecordingRecord], tenant: TenantID) throws -> [RecordingRecord] {
    guard !recordings.isEmpty else { return [] }
    var files: [String: [RecordingFile]] = [:]
    // SQLite takes 32,766 arguments.
    for start in stride(from: 0, to: recordings.count, by: 10_000) {
      let part = recordings[start..<min(recordings.count, start + 10_000)]
      let marks = part.map { _ in "?" }.joined(separator: ", ")
      let rows = try Row.fetchAll(
        self,
        sql: """
          SELECT * FROM recording_files WHERE tenant = ? AND recording IN (\(marks)) ORDER BY recording, position
          """, arguments: [tenant.rawValue] + StatementArguments(part.map(\.id)))
      for row in rows { files[row["recording"], default: []].append(RecordingFile(row: row)) }
    }
    return recordings.map { recording in
      var recording = recording
      recording.files = files[recording.id] ?? []
      return recording
    }
  }
}

extension RecordingRecord {
  fileprivate init(row: Row) throws {
    let kind: String = row["kind"]
    let state: String = row["state"]
    guard let kind = Kind(rawValue: kind) else {
      throw UnreadableRow(table: "recordings", column: "kind", value: kind)
    }
    guard let state = State(rawValue: state) else {
      throw UnreadableRow(table: "recordings", column: "state", value: state)
    }
    let attributes: String = row["attributes"]
    guard let attributes = try? JSONDecoder().decode([String: String].self, from: Data(attributes.utf8)) else {
      throw UnreadableRow(table: "recordings", column: "attributes", value: attributes)
    }
    self.init(
      id: row["id"], tenant: TenantID(rawValue: row["tenant"]), kind: kind, call: row["call"], room: row["room"],
      startedAt: WallTime(milliseconds: row["started_at"]), spool: row["spool"], attributes: attributes)
    self.state = state
    reason = row["reason"]
    let ended: Int64? = row["ended_at"]
    endedAt = ended.map(WallTime.init(milliseconds:))
    progress = row["progress"]
  }

  fileprivate var columns: [Column] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    // A dictionary of texts always has a JSON form.
    let attributes = (try? encoder.encode(attributes)) ?? Data("{}".utf8)
    return [
      ("tenant", tenant.rawValue), ("id", id), ("kind", kind.rawValue), ("call", call), ("room", room),
      ("state", state.rawValue), ("reason", reason), ("started_at", startedAt.milliseconds),
      ("ended_at", endedAt?.milliseconds), ("progress", progress.isFinite ? progress : 0), ("spool", spool),
      ("attributes", String(decoding: attributes, as: UTF8.self)),
    ]
  }
}

extension RecordingFile {
  fileprivate init(row: Row) {
    self.init(
      name: row["name"], location: row["location"], format: row["format"], contentType: row["content_type"],
      bytes: row["bytes"], sha256: row["sha256"], duration: row["duration"])
  }

  fileprivate func columns(of recording: RecordingRecord, position: Int) -> [Column] {
    [
      ("tenant", recording.tenant.rawValue), ("recording", recording.id), ("position", position), ("name", name),
      ("location", location), ("format", format), ("content_type", contentType), ("bytes", bytes), ("sha256", sha256),
      ("duration", duration.isFinite ? duration : 0),
    ]
  }
}
