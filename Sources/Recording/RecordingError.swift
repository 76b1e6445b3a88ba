import Glibc

/// Why a recording, or a file of it, cannot be made or read.
package enum RecordingError: Error, Hashable, Sendable, CustomStringConvertible {
  case io(path: String, errno: Int32, text: String)
  /// Not a spool file, or one of another version.
  case notASpool(path: String, why: String)
  case container(String)
  case codec(String)

  package var description: String {
    switch self {
    case .io(let path, let number, let text): "\(path): \(text) (errno \(number))"
    case .notASpool(let path, let why): "\(path) is not a spool file: \(why)"
    case .container(let why): "the container could not be written: \(why)"
    case .codec(let why): "the codec failed: \(why)"
    }
  }
}

extension RecordingError {
  /// From `errno`.
  init(_ number: Int32, path: String) { self = .io(path: path, errno: number, text: String(cString: strerror(number))) }

  /// No room on the disk, by quota or limit.
  package var isDiskFull: Bool {
    guard case .io(_, let number, _) = self else { return false }
    return number == ENOSPC || number == EDQUOT || number == EFBIG
  }
}
