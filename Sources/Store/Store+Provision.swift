package import Core
import GRDB

/// What `provision` created, by name; what existed is not listed.
package struct ProvisionReport: Sendable, Hashable {
  package var users: [String] = []
  package var trunks: [String] = []
  package var numbers: [String] = []
  package var routes: [String] = []

  package init() {}
  package var isEmpty: Bool { users.isEmpty && trunks.isEmpty && numbers.isEmpty && routes.isEmpty }
}

extension Store {
  /// Creates what is missing, in one transaction, and never overwrites.
  ///
  /// A route counts as there when one with the same `match` is; a new one whose position is taken gets the next free
  /// position behind it.
  package func provision(
    users: [User] = [], trunks: [Trunk] = [], numbers: [NumberRule] = [], routes: [RouteRule] = []
  ) async throws(StoreError) -> ProvisionReport {
    for (what, problem) in users.map({ ("user \($0.name)", DirectoryRules.problem(with: $0)) })
      + trunks.map({ ("trunk \($0.name)", DirectoryRules.problem(with: $0)) })
      + numbers.map({ ("number \($0.number)", DirectoryRules.problem(with: $0)) })
      + routes.map({ ("route \($0.match)", DirectoryRules.problem(with: $0)) })
    {
      if let problem { throw StoreError(.invalid, path: path, operation: "provision \(what)", problem: problem) }
    }
    let report = try await write("provision") { db in
      var report = ProvisionReport()
      for user in users {
        if try db.insert(user.columns, into: "users", key: [], onConflict: .ignore) { report.users.append(user.name) }
      }
      for trunk in trunks {
        if try db.insert(trunk.columns, into: "trunks", key: [], onConflict: .ignore) {
          report.trunks.append(trunk.name)
        }
      }
      for number in numbers {
        if try db.insert(number.columns, into: "numbers", key: [], onConflict: .ignore) {
          report.numbers.append(number.number)
        }
      }
      for var route in routes {
        let tenant = route.tenant.rawValue
        if try db.exists(in: "routes", key: [("tenant", tenant), ("match", route.match)]) { continue }
        while try db.exists(in: "routes", key: [("tenant", tenant), ("position", route.position)]) {
          route.position += 1
        }
        try db.insert(route.columns, into: "routes", key: [], onConflict: .fail)
        report.routes.append(route.match)
      }
      return report
    }
    if !report.isEmpty { nudge() }
    return report
  }

  /// The realm that the users' HA1 values were made for; nil before the first `bindRealm`.
  package func realm(tenant: TenantID = .default) async throws(StoreError) -> String? {
    try await read("read realm") { db in try db.realm(tenant) }
  }

  /// Records the digest realm, which is part of every HA1 (RFC 7616 §3.4.2).
  ///
  /// - Throws: `.realmChanged` if users exist whose passwords were stored for another realm: none of them could log in.
  package func bindRealm(_ realm: String, tenant: TenantID = .default) async throws(StoreError) {
    let path = path
    try await write("record realm") { db in
      if let stored = try db.realm(tenant), stored != realm,
        try db.exists(in: "users", key: [("tenant", tenant.rawValue)])
      {
        throw StoreError(
          .realmChanged, path: path, operation: "record realm",
          problem: "the users' passwords were stored for the realm \"\(stored)\", but sip.realm is \"\(realm)\".",
          remedy: "Set sip.realm to \"\(stored)\", or remove the users and add them again.")
      }
      _ = try db.insert(
        [("tenant", tenant.rawValue), ("name", "realm"), ("value", realm)], into: "settings", key: ["tenant", "name"],
        onConflict: .update)
    }
  }
}

extension Database {
  func realm(_ tenant: TenantID) throws -> String? {
    try String.fetchOne(
      self, sql: "SELECT value FROM settings WHERE tenant = ? AND name = 'realm'", arguments: [tenant.rawValue])
  }
}
