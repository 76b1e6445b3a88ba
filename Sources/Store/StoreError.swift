import GRDB

/// Why the database could not do what was asked, with the file concerned and what to do about it.
package struct StoreError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Kind: String, Sendable {
    /// The file or its directory cannot be created, opened or written.
    case inaccessible
    /// No space is left.
    case full
    /// The file was written by a newer version.
    case newerSchema
    /// The file is damaged, or no SQLite database at all.
    case damaged
    /// Another process holds it.
    case busy
    /// What was to be created exists.
    case exists
    /// What was to be changed or removed does not exist.
    case missing
    /// A value is not acceptable.
    case invalid
    /// More saves wait than the queue takes.
    case overloaded
    /// Passwords were stored for another realm.
    case realmChanged
    case other
  }

  package let kind: Kind
  /// The database file.
  package let path: String
  /// What was being done: `open`, `save call`.
  package let operation: String
  /// What went wrong, as a sentence without the path.
  package let problem: String
  /// What to do about it, as a sentence; empty where there is nothing to say.
  package let remedy: String

  package init(_ kind: Kind, path: String, operation: String, problem: String, remedy: String = "") {
    self.kind = kind
    self.path = path
    self.operation = operation
    self.problem = problem
    self.remedy = remedy
  }

  package var description: String {
    let end = remedy.isEmpty ? "" : " \(remedy)"
    switch kind {
    // About the values, not the file.
    case .exists, .missing, .invalid: return "\(operation): \(problem)\(end)"
    default: return "\(path): \(operation): \(problem)\(end)"
    }
  }
}

extension StoreError {
  /// Turns what SQLite reports into a kind and a remedy.
  init(_ error: any Error, path: String, operation: String) {
    if let own = error as? StoreError {
      self = own
      return
    }
    guard let sqlite = error as? DatabaseError else {
      self.init(.other, path: path, operation: operation, problem: "\(error).")
      return
    }
    let text = "SQLite \(sqlite.extendedResultCode.rawValue): \(sqlite.message ?? "no message")."
    switch sqlite.resultCode {
    case .SQLITE_FULL:
      self.init(
        .full, path: path, operation: operation, problem: "the disk is full (\(text))",
        remedy: "Free space on that file system or set data.directory to another one.")
    case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_AUTH:
      self.init(
        .inaccessible, path: path, operation: operation, problem: "cannot be opened for writing (\(text))",
        remedy: "Give this user write permission on the file and its directory, or set data.directory.")
    case .SQLITE_CORRUPT, .SQLITE_NOTADB:
      self.init(
        .damaged, path: path, operation: operation, problem: "is damaged or no SQLite database (\(text))",
        remedy: "Move it away and restore a backup, or let Parley create a new one.")
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      self.init(
        .busy, path: path, operation: operation, problem: "another process holds the database (\(text))",
        remedy: "Close the program that has it open and try again.")
    case .SQLITE_CONSTRAINT:
      self.init(.invalid, path: path, operation: operation, problem: "the database refused a value (\(text))")
    case .SQLITE_IOERR:
      self.init(
        .inaccessible, path: path, operation: operation, problem: "reading or writing failed (\(text))",
        remedy: "Check the disk; see the kernel log.")
    default:
      self.init(.other, path: path, operation: operation, problem: text)
    }
  }
}
