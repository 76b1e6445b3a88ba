package import Core
import Foundation
import GRDB

/// A trunk of rooms, of either direction.
package enum RoomTrunk: Sendable, Hashable {
  case inbound(InboundRoomTrunk)
  case outbound(OutboundRoomTrunk)

  package var id: String {
    switch self {
    case .inbound(let trunk): trunk.id
    case .outbound(let trunk): trunk.id
    }
  }
}

/// Trunks and dispatch rules of rooms. Reads come from one snapshot (`directory`); writes check what is new against all
/// that is there, in one transaction.
extension Store {
  /// Oldest first.
  package func roomTrunks(tenant: TenantID = .default) async throws(StoreError) -> [RoomTrunk] {
    try await read("read room trunks") { db in try db.roomTrunks(tenant) }
  }

  package func roomTrunk(_ id: String, tenant: TenantID = .default) async throws(StoreError) -> RoomTrunk? {
    try await roomTrunks(tenant: tenant).first { $0.id == id }
  }

  package func write(_ trunk: InboundRoomTrunk, mode: WriteMode) async throws(StoreError) {
    try await writeDefined(trunk, id: trunk.id, into: .trunks, mode: mode, problem: PhoneRules.problem(with: trunk)) {
      db in
      for case .inbound(let other) in try db.roomTrunks(trunk.tenant) where other.id != trunk.id {
        if let problem = PhoneRules.conflict(of: trunk, with: other) { return problem }
      }
      return nil
    }
  }

  package func write(_ trunk: OutboundRoomTrunk, mode: WriteMode) async throws(StoreError) {
    try await writeDefined(trunk, id: trunk.id, into: .trunks, mode: mode, problem: PhoneRules.problem(with: trunk))
  }

  /// - Returns: what was removed; nil where there was none.
  @discardableResult
  package func removeRoomTrunk(_ id: String, tenant: TenantID = .default) async throws(StoreError) -> RoomTrunk? {
    let trunk = try await roomTrunk(id, tenant: tenant)
    guard try await remove(from: "room_trunks", key: [("tenant", tenant.rawValue), ("id", id)], what: "trunk \(id)")
    else { return nil }
    return trunk
  }

  /// Oldest first.
  package func dispatchRules(tenant: TenantID = .default) async throws(StoreError) -> [DispatchRule] {
    try await read("read dispatch rules") { db in try db.dispatchRules(tenant) }
  }

  package func dispatchRule(_ id: String, tenant: TenantID = .default) async throws(StoreError) -> DispatchRule? {
    try await dispatchRules(tenant: tenant).first { $0.id == id }
  }

  package func write(_ rule: DispatchRule, mode: WriteMode) async throws(StoreError) {
    try await writeDefined(rule, id: rule.id, into: .rules, mode: mode, problem: PhoneRules.problem(with: rule)) { db in
      for other in try db.dispatchRules(rule.tenant) where other.id != rule.id {
        if let problem = PhoneRules.conflict(of: rule, with: other) { return problem }
      }
      return nil
    }
  }

  /// - Returns: what was removed; nil where there was none.
  @discardableResult
  package func removeDispatchRule(_ id: String, tenant: TenantID = .default) async throws(StoreError) -> DispatchRule? {
    let rule = try await dispatchRule(id, tenant: tenant)
    guard
      try await remove(
        from: "dispatch_rules", key: [("tenant", tenant.rawValue), ("id", id)], what: "dispatch rule \(id)")
    else { return nil }
    return rule
  }

  /// How many there may be; each call looks at all of them.
  static var maximumDefinitions: Int { 10_000 }

  private func writeDefined<Value: Defined>(
    _ value: Value, id: String, into table: DefinitionTable, mode: WriteMode, problem: String?,
    conflict: @escaping @Sendable (Database) throws -> String? = { _ in nil }
  ) async throws(StoreError) {
    let path = path
    let operation = "save \(table.what) \(id)"
    if let problem { throw StoreError(.invalid, path: path, operation: operation, problem: problem) }
    let columns: Bound
    do {
      columns = Bound(try value.columns())
    } catch {
      throw StoreError(.invalid, path: path, operation: operation, problem: "It cannot be written as JSON.")
    }
    let tenant = value.tenant.rawValue
    try await write(operation) { db in
      let key: [Column] = [("tenant", tenant), ("id", id)]
      let exists = try db.exists(in: table.rawValue, key: key)
      if mode == .create, exists {
        throw StoreError(.exists, path: path, operation: operation, problem: "It exists already.")
      }
      if mode == .update, !exists {
        throw StoreError(.missing, path: path, operation: operation, problem: "There is none.")
      }
      if !exists {
        let count =
          try Int.fetchOne(db, sql: "SELECT count(*) FROM \(table.rawValue) WHERE tenant = ?", arguments: [tenant]) ?? 0
        guard count < Store.maximumDefinitions else {
          throw StoreError(
            .invalid, path: path, operation: operation,
            problem: "There are \(Store.maximumDefinitions) of them already.")
        }
      }
      if let problem = try conflict(db) {
        throw StoreError(.invalid, path: path, operation: operation, problem: problem)
      }
      try db.insert(columns.columns, into: table.rawValue, key: key.map(\.0), onConflict: .update)
    }
    nudge()
  }
}

private enum DefinitionTable: String, Sendable {
  case trunks = "room_trunks"
  case rules = "dispatch_rules"

  var what: String { self == .trunks ? "room trunk" : "dispatch rule" }
}

/// A value that lies in its row as JSON, beside the bytes that it came with.
private protocol Defined: Codable, Sendable {
  var tenant: TenantID { get }
  var id: String { get }
  var name: String { get }
  var original: [UInt8] { get set }
  var createdAt: WallTime { get }
  var updatedAt: WallTime { get }
  /// Of the trunks' table alone.
  static var direction: String? { get }
}

extension Defined {
  fileprivate func columns() throws -> [Column] {
    var bare = self
    bare.original = []
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let columns: [Column] = [
      ("tenant", tenant.rawValue), ("id", id), ("name", name),
      ("definition", String(decoding: try encoder.encode(bare), as: UTF8.self)), ("original", Data(original)),
      ("created_at", createdAt.milliseconds), ("updated_at", updatedAt.milliseconds),
    ]
    return columns + (Self.direction.map { [("direction", $0)] } ?? [])
  }

  fileprivate init(row: Row) throws {
    let definition: String = row["definition"]
    let original: Data = row["original"]
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(definition.utf8))
    } catch {
      let table = Self.direction == nil ? "dispatch_rules" : "room_trunks"
      throw UnreadableRow(table: table, column: "definition", value: String(definition.prefix(100)))
    }
    self.original = Array(original)
  }
}

extension InboundRoomTrunk: Defined {
  fileprivate static var direction: String? { "inbound" }
}

extension OutboundRoomTrunk: Defined {
  fileprivate static var direction: String? { "outbound" }
}

extension DispatchRule: Defined {
  fileprivate static var direction: String? { nil }
}

extension Database {
  func readRoomTrunks(_ tenant: TenantID, into snapshot: inout DirectorySnapshot) throws {
    for trunk in try roomTrunks(tenant) {
      switch trunk {
      case .inbound(let trunk): snapshot.inboundTrunks.append(trunk)
      case .outbound(let trunk): snapshot.outboundTrunks.append(trunk)
      }
    }
    snapshot.dispatchRules = try dispatchRules(tenant)
  }

  fileprivate func roomTrunks(_ tenant: TenantID) throws -> [RoomTrunk] {
    try definitions("room_trunks", tenant).map { row in
      let direction: String = row["direction"]
      return direction == "outbound"
        ? .outbound(try OutboundRoomTrunk(row: row)) : .inbound(try InboundRoomTrunk(row: row))
    }
  }

  fileprivate func dispatchRules(_ tenant: TenantID) throws -> [DispatchRule] {
    try definitions("dispatch_rules", tenant).map { try DispatchRule(row: $0) }
  }

  private func definitions(_ table: String, _ tenant: TenantID) throws -> [Row] {
    try Row.fetchAll(
      self, sql: "SELECT * FROM \(table) WHERE tenant = ? ORDER BY created_at, id", arguments: [tenant.rawValue])
  }
}
