package import Core
import GRDB
import Glibc

/// What a look at a database found, without changing it.
package struct StoreInspection: Sendable {
  /// The digest realm that passwords were stored for.
  package var realm: String?
  package var directory: DirectorySnapshot
}

extension Store {
  /// Looks at the database in `directory` without creating, migrating or writing anything.
  /// - Returns: nil where there is none yet, or where it is of an older schema that the next start brings up to date.
  package static func inspect(
    directory: String, tenant: TenantID = .default
  ) throws(StoreError) -> StoreInspection? {
    let path = directory.hasSuffix("/") ? directory + fileName : directory + "/" + fileName
    var status = stat()
    guard stat(path, &status) == 0, status.st_size > 0 else { return nil }
    do {
      var configuration = GRDB.Configuration()
      configuration.readonly = true
      configuration.busyMode = .timeout(2)
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      return try queue.read { db in
        let migrator = Schema.migrator
        if try migrator.hasBeenSuperseded(db) { throw newerSchema(path) }
        guard try migrator.hasCompletedMigrations(db) else { return nil }
        return StoreInspection(realm: try db.realm(tenant), directory: try db.directory(tenant))
      }
    } catch {
      throw StoreError(error, path: path, operation: "inspect")
    }
  }

  static func newerSchema(_ path: String) -> StoreError {
    StoreError(
      .newerSchema, path: path, operation: "open",
      problem: "the database was written by a newer version of Parley (this one knows schema v\(Schema.version)).",
      remedy: "Run the newer version, or restore a backup made before the upgrade.")
  }
}
