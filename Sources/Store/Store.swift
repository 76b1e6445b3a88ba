import GRDB
import Glibc
import Synchronization

/// The SQLite database: users, trunks, numbers, routes, API keys and call detail records.
///
/// Any thread and any number of processes may use the same file. What a method has returned from is on disk: the
/// write-ahead log is synced on each commit, so neither `kill -9` nor a power cut takes it back.
package final class Store: Sendable {
  /// The database file.
  package let path: String
  let pool: DatabasePool
  let journal: CallJournal
  let watchers = Mutex(Watchers())
  private let serverLock = Mutex<Int32?>(nil)

  /// The database's name inside `data.directory`.
  package static let fileName = "parley.db"

  /// Opens `parley.db` in `directory`; creates both where missing, readable by this user alone.
  package convenience init(directory: String) throws(StoreError) {
    let path = directory.hasSuffix("/") ? directory + Store.fileName : directory + "/" + Store.fileName
    if mkdirAll(directory, mode: 0o700) != 0, errno != EEXIST {
      throw StoreError(
        .inaccessible, path: directory, operation: "create directory", problem: "\(String(cString: strerror(errno))).",
        remedy: "Create it and give this user write permission, or set data.directory to a directory that is writable.")
    }
    try self.init(path: path)
  }

  /// Opens the database file, creating it where missing, and brings its schema up to date.
  package init(path: String) throws(StoreError) {
    self.path = path
    try Store.createPrivately(path)
    do {
      var configuration = GRDB.Configuration()
      configuration.label = "parley.store"
      // Another process (the command line) may hold the write lock for a moment.
      configuration.busyMode = .timeout(5)
      configuration.maximumReaderCount = 3
      pool = try DatabasePool(path: path, configuration: configuration)
      // GRDB sets NORMAL when it opens a pool, which syncs at checkpoints only and would lose the last calls.
      try pool.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA synchronous = FULL") }
      let migrator = Schema.migrator
      if try pool.read({ try migrator.hasBeenSuperseded($0) }) { throw Store.newerSchema(path) }
      try migrator.migrate(pool)
    } catch {
      throw StoreError(error, path: path, operation: "open")
    }
    journal = CallJournal(pool: pool, path: path)
  }

  deinit {
    if let descriptor = serverLock.withLock({ $0 }) { close(descriptor) }
  }

  /// SQLite would create a file that others may read; it holds the trunks' passwords. Journals take over its mode.
  ///
  /// An existing file is not touched: closing a descriptor of it would drop the locks that SQLite holds in this process.
  private static func createPrivately(_ path: String) throws(StoreError) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if descriptor >= 0 {
      close(descriptor)
      return
    }
    let code = errno
    if code == EEXIST { return }
    let full = code == ENOSPC || code == EDQUOT
    throw StoreError(
      full ? .full : .inaccessible, path: path, operation: "create", problem: "\(String(cString: strerror(code))).",
      remedy: full
        ? "Free space on that file system or set data.directory to another one."
        : "Give this user write permission on the directory, or set data.directory to one that is writable.")
  }

  /// Makes this process the one server on this database, until the process ends however it ends.
  ///
  /// Two servers on one file would take each other's running calls for interrupted ones.
  /// - Throws: `.busy` while another process serves from it.
  package func lockForServer() throws(StoreError) {
    let lockPath = path + ".lock"
    let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw StoreError(
        .inaccessible, path: lockPath, operation: "lock", problem: "\(String(cString: strerror(errno))).",
        remedy: "Give this user write permission on that directory.")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw StoreError(
        .busy, path: path, operation: "lock", problem: "another Parley serves from this database.",
        remedy: "Stop it, or give this one a data.directory of its own.")
    }
    let previous = serverLock.withLock { held in
      defer { held = descriptor }
      return held
    }
    if let previous { close(previous) }
  }

  /// Runs one transaction on the writer's queue; returns after the commit is on disk.
  func write<Value: Sendable>(
    _ operation: String, _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(StoreError) -> Value {
    do {
      return try await pool.write(body)
    } catch {
      throw StoreError(error, path: path, operation: operation)
    }
  }

  /// Runs one snapshot read on a reader's queue.
  func read<Value: Sendable>(
    _ operation: String, _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws(StoreError) -> Value {
    do {
      return try await pool.read(body)
    } catch {
      throw StoreError(error, path: path, operation: operation)
    }
  }
}

/// Creates a directory and its parents. Returns `mkdir`'s result for the last one; see `errno`.
private func mkdirAll(_ path: String, mode: mode_t) -> Int32 {
  if mkdir(path, mode) == 0 || errno != ENOENT { return isDirectory(path) ? 0 : -1 }
  guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return -1 }
  if mkdirAll(String(path[..<slash]), mode: mode) != 0 { return -1 }
  return mkdir(path, mode)
}

/// Keeps `errno` of the call before where the path is no directory.
private func isDirectory(_ path: String) -> Bool {
  let before = errno
  var status = stat()
  let found = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  errno = found ? 0 : (before == EEXIST ? ENOTDIR : before)
  return found
}
