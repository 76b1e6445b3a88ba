package import Core
import GRDB

/// All that routing needs, read in one transaction.
package struct DirectorySnapshot: Sendable, Hashable {
  package var users: [User]
  package var trunks: [Trunk]
  package var numbers: [NumberRule]
  /// Lowest position first.
  package var routes: [RouteRule]
  /// Oldest first, as the next two.
  package var inboundTrunks: [InboundRoomTrunk] = []
  package var outboundTrunks: [OutboundRoomTrunk] = []
  package var dispatchRules: [DispatchRule] = []
  /// Rises with every change of them, whichever process makes it.
  package var generation: Int64

  package init(
    users: [User] = [], trunks: [Trunk] = [], numbers: [NumberRule] = [], routes: [RouteRule] = [],
    generation: Int64 = 0
  ) {
    self.users = users
    self.trunks = trunks
    self.numbers = numbers
    self.routes = routes
    self.generation = generation
  }
}

/// Whether a write may meet a row with the same key.
package enum WriteMode: Sendable {
  /// Fails with `.exists`.
  case create
  /// Fails with `.missing` where there is none.
  case update
  /// Either.
  case replace
}

extension Store {
  /// Users, trunks, numbers and routes as one consistent picture.
  package func directory(tenant: TenantID = .default) async throws(StoreError) -> DirectorySnapshot {
    try await read("read directory") { db in try db.directory(tenant) }
  }

  // MARK: Users

  package func users(tenant: TenantID = .default) async throws(StoreError) -> [User] {
    try await directory(tenant: tenant).users
  }

  package func user(_ name: String, tenant: TenantID = .default) async throws(StoreError) -> User? {
    try await read("read user") { db in
      try Row.fetchOne(
        db, sql: "SELECT * FROM users WHERE tenant = ? AND name = ?", arguments: [tenant.rawValue, name]
      ).map(User.init(row:))
    }
  }

  package func write(_ user: User, mode: WriteMode = .replace) async throws(StoreError) {
    try await write(
      user.columns, into: "users", key: [("tenant", user.tenant.rawValue), ("name", user.name)], mode: mode,
      what: "user \(user.name)", problem: DirectoryRules.problem(with: user))
  }

  @discardableResult
  package func removeUser(_ name: String, tenant: TenantID = .default) async throws(StoreError) -> Bool {
    try await remove(from: "users", key: [("tenant", tenant.rawValue), ("name", name)], what: "user \(name)")
  }

  // MARK: Trunks

  package func trunks(tenant: TenantID = .default) async throws(StoreError) -> [Trunk] {
    try await directory(tenant: tenant).trunks
  }

  package func trunk(_ name: String, tenant: TenantID = .default) async throws(StoreError) -> Trunk? {
    try await directory(tenant: tenant).trunks.first { $0.name == name }
  }

  package func write(_ trunk: Trunk, mode: WriteMode = .replace) async throws(StoreError) {
    try await write(
      trunk.columns, into: "trunks", key: [("tenant", trunk.tenant.rawValue), ("name", trunk.name)], mode: mode,
      what: "trunk \(trunk.name)", problem: DirectoryRules.problem(with: trunk))
  }

  @discardableResult
  package func removeTrunk(_ name: String, tenant: TenantID = .default) async throws(StoreError) -> Bool {
    try await remove(from: "trunks", key: [("tenant", tenant.rawValue), ("name", name)], what: "trunk \(name)")
  }

  // MARK: Numbers

  package func numbers(tenant: TenantID = .default) async throws(StoreError) -> [NumberRule] {
    try await directory(tenant: tenant).numbers
  }

  package func write(_ rule: NumberRule, mode: WriteMode = .replace) async throws(StoreError) {
    try await write(
      rule.columns, into: "numbers", key: [("tenant", rule.tenant.rawValue), ("number", rule.number)], mode: mode,
      what: "number \(rule.number)", problem: DirectoryRules.problem(with: rule))
  }

  @discardableResult
  package func removeNumber(_ number: String, tenant: TenantID = .default) async throws(StoreError) -> Bool {
    try await remove(from: "numbers", key: [("tenant", tenant.rawValue), ("number", number)], what: "number \(number)")
  }

  // MARK: Routes

  package func routes(tenant: TenantID = .default) async throws(StoreError) -> [RouteRule] {
    try await directory(tenant: tenant).routes
  }

  package func write(_ rule: RouteRule, mode: WriteMode = .replace) async throws(StoreError) {
    try await write(
      rule.columns, into: "routes", key: [("tenant", rule.tenant.rawValue), ("position", rule.position)], mode: mode,
      what: "route \(rule.position)", problem: DirectoryRules.problem(with: rule))
  }

  @discardableResult
  package func removeRoute(position: Int, tenant: TenantID = .default) async throws(StoreError) -> Bool {
    try await remove(
      from: "routes", key: [("tenant", tenant.rawValue), ("position", position)], what: "route \(position)")
  }

  // MARK: Shared

  func write(
    _ columns: [Column], into table: String, key: [Column], mode: WriteMode, what: String, problem: String?
  ) async throws(StoreError) {
    if let problem { throw StoreError(.invalid, path: path, operation: "save \(what)", problem: problem) }
    let path = path
    let bound = Bound(columns)
    let keys = Bound(key)
    try await write("save \(what)") { db in
      let exists = try db.exists(in: table, key: keys.columns)
      switch mode {
      case .create where exists:
        throw StoreError(.exists, path: path, operation: "save \(what)", problem: "It exists already.")
      case .update where !exists:
        throw StoreError(.missing, path: path, operation: "save \(what)", problem: "There is none.")
      default: try db.insert(bound.columns, into: table, key: keys.columns.map(\.0), onConflict: .update)
      }
    }
    nudge()
  }

  func remove(from table: String, key: [Column], what: String) async throws(StoreError) -> Bool {
    let keys = Bound(key)
    let removed = try await write("remove \(what)") { db in
      try db.execute(
        sql: "DELETE FROM \(table) WHERE \(keys.columns.map { "\($0.0) = ?" }.joined(separator: " AND "))",
        arguments: StatementArguments(keys.columns.map(\.1)))
      return db.changesCount > 0
    }
    nudge()
    return removed
  }
}

extension Database {
  func directory(_ tenant: TenantID) throws -> DirectorySnapshot {
    func rows(_ table: String, _ order: String) throws -> [Row] {
      try Row.fetchAll(
        self, sql: "SELECT * FROM \(table) WHERE tenant = ? ORDER BY \(order)", arguments: [tenant.rawValue])
    }
    var snapshot = DirectorySnapshot(
      users: try rows("users", "name").map(User.init(row:)),
      trunks: try rows("trunks", "name").map(Trunk.init(row:)),
      numbers: try rows("numbers", "number").map(NumberRule.init(row:)),
      routes: try rows("routes", "position").map(RouteRule.init(row:)), generation: try generation(tenant))
    try readRoomTrunks(tenant, into: &snapshot)
    try readCallHandling(tenant, into: &snapshot)
    return snapshot
  }

  func generation(_ tenant: TenantID) throws -> Int64 {
    try Int64.fetchOne(
      self, sql: "SELECT value FROM generations WHERE tenant = ?", arguments: [tenant.rawValue]) ?? 0
  }

  func exists(in table: String, key: [Column]) throws -> Bool {
    try Bool.fetchOne(
      self,
      sql: "SELECT EXISTS (SELECT 1 FROM \(table) WHERE \(key.map { "\($0.0) = ?" }.joined(separator: " AND ")))",
      arguments: StatementArguments(key.map(\.1))) ?? false
  }
}
