import GRDB

/// A column's name and the value bound to it.
typealias Column = (String, (any DatabaseValueConvertible)?)

/// What to do where the key exists.
enum Conflict {
  case fail
  case ignore
  case update
  /// Update only where the condition holds; `excluded` is the new row.
  case updateWhere(String)
}

extension Database {
  /// Inserts one row. `key` names the columns of the primary key. Statements are cached by their text.
  /// - Returns: whether a row was written.
  @discardableResult
  func insert(_ columns: [Column], into table: String, key: [String], onConflict: Conflict) throws -> Bool {
    var sql =
      "INSERT INTO \(table) (\(columns.map(\.0).joined(separator: ", "))) "
      + "VALUES (\(columns.map { _ in "?" }.joined(separator: ", ")))"
    let assignments = columns.filter { !key.contains($0.0) }.map { "\($0.0) = excluded.\($0.0)" }
    let update = " ON CONFLICT (\(key.joined(separator: ", "))) DO UPDATE SET \(assignments.joined(separator: ", "))"
    switch onConflict {
    case .fail: break
    case .ignore: sql += " ON CONFLICT DO NOTHING"
    case .update: sql += update
    case .updateWhere(let condition): sql += update + " WHERE " + condition
    }
    try cachedStatement(sql: sql).execute(arguments: StatementArguments(columns.map(\.1)))
    return changesCount > 0
  }
}

/// Columns on their way into a transaction's closure.
///
/// `DatabaseValue` is what the values become when bound, and is `Sendable`.
struct Bound: Sendable {
  private let names: [String]
  private let values: [DatabaseValue]

  init(_ columns: [Column]) {
    names = columns.map(\.0)
    values = columns.map { $0.1?.databaseValue ?? .null }
  }

  var columns: [Column] { zip(names, values).map { ($0, $1) } }
}
