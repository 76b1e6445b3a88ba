package import Core
import Foundation
import GRDB

/// What users have set about their calls. Routing reads it with the directory.
extension Store {
  /// The defaults for a user who has set nothing.
  package func callHandling(of user: String, tenant: TenantID = .default) async throws(StoreError) -> CallHandling {
    try await read("read call handling") { db in
      try Row.fetchOne(
        db, sql: "SELECT * FROM call_handling WHERE tenant = ? AND user = ?", arguments: [tenant.rawValue, user]
      ).map(CallHandling.init(row:)) ?? CallHandling()
    }
  }

  package func write(
    _ handling: CallHandling, of user: String, tenant: TenantID = .default
  ) async throws(StoreError) {
    try await write(
      [("tenant", tenant.rawValue), ("user", user)] + handling.columns, into: "call_handling",
      key: [("tenant", tenant.rawValue), ("user", user)], mode: .replace, what: "call handling of \(user)",
      problem: handling.problem)
  }
}

extension CallHandling {
  init(row: Row) {
    self.init()
    doNotDisturb = row["do_not_disturb"]
    forwardAlways = row["forward_always"]
    forwardBusy = row["forward_busy"]
    forwardNoAnswer = row["forward_no_answer"]
    noAnswerAfter = row["no_answer_after"]
  }

  var columns: [Column] {
    [
      ("do_not_disturb", doNotDisturb), ("forward_always", forwardAlways), ("forward_busy", forwardBusy),
      ("forward_no_answer", forwardNoAnswer), ("no_answer_after", noAnswerAfter),
    ]
  }
}

extension Database {
  func readCallHandling(_ tenant: TenantID, into snapshot: inout DirectorySnapshot) throws {
    let rows = try Row.fetchAll(
      self, sql: "SELECT * FROM call_handling WHERE tenant = ?", arguments: [tenant.rawValue])
    guard !rows.isEmpty else { return }
    let byUser = Dictionary(rows.map { ($0["user"] as String, CallHandling(row: $0)) }) { first, _ in first }
    for index in snapshot.users.indices {
      snapshot.users[index].handling = byUser[snapshot.users[index].name] ?? CallHandling()
    }
  }
}

/// Transfers lie in the call's row, as JSON; without any the column is empty.
enum TransferColumn {
  static func text(_ transfers: [TransferRecord]) -> String? {
    guard !transfers.isEmpty, let data = try? JSONEncoder().encode(transfers) else { return nil }
    return String(decoding: data, as: UTF8.self)
  }

  static func parse(_ text: String?) throws -> [TransferRecord] {
    guard let text else { return [] }
    do {
      return try JSONDecoder().decode([TransferRecord].self, from: Data(text.utf8))
    } catch {
      throw UnreadableRow(table: "calls", column: "transfers", value: text)
    }
  }
}
