import Core
import Foundation

/// The secrets of the demo users and the demo API key: random, made at the first start, kept in the data directory for
/// its owner alone. Fixed ones would open every server that somebody only wanted to try.
struct DemoCredentials: Codable, Sendable, Equatable {
  struct User: Codable, Sendable, Equatable {
    let name: String
    let display: String
    let password: String
  }

  struct Key: Codable, Sendable, Equatable {
    let name: String
    let secret: String
  }

  let users: [User]
  let key: Key

  static let fileName = "demo-users.json"

  static func make() -> DemoCredentials {
    DemoCredentials(
      users: [
        User(name: "1001", display: "Ada", password: password()),
        User(name: "1002", display: "Grace", password: password()),
      ], key: Key(name: "demo", secret: RandomToken.hex(bytes: 32)))
  }

  /// 80 random bits in letters and digits that are not mistaken for each other, in groups that a person can type.
  static func password() -> String {
    let alphabet = Array("abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKLMNPQRSTUVWXYZ")
    var random = SystemRandomNumberGenerator()
    let letters = (0..<15).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
    return stride(from: 0, to: 15, by: 5).map { String(letters[$0..<$0 + 5]) }.joined(separator: "-")
  }

  /// Those of an earlier start, or new ones that are written before they are returned.
  static func loadOrCreate(in directory: String) throws(DemoCredentialsError) -> DemoCredentials {
    let path = URL(fileURLWithPath: directory).appendingPathComponent(fileName).path
    func fail(_ problem: String) -> DemoCredentialsError { DemoCredentialsError(path: path, problem: problem) }
    if FileManager.default.fileExists(atPath: path) {
      guard let data = FileManager.default.contents(atPath: path) else {
        throw fail("cannot be read. Give this user read permission on it.")
      }
      do {
        return try JSONDecoder().decode(DemoCredentials.self, from: data)
      } catch {
        throw fail("is damaged. Remove it, and the users 1001 and 1002 (parley user remove), to get new ones.")
      }
    }
    let credentials = make()
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      try PrivateFile.write(try encoder.encode(credentials), to: path)
    } catch {
      throw fail("cannot be written (\(error)). Give this user write permission on the data directory.")
    }
    return credentials
  }
}

struct DemoCredentialsError: Error, CustomStringConvertible, Equatable {
  let path: String
  let problem: String
  var description: String { "\(path): \(problem)" }
}

/// A file that only its owner may read, from its first byte on.
enum PrivateFile {
  struct WriteError: Error, CustomStringConvertible {
    let code: Int32
    var description: String { String(cString: strerror(code)) }
  }

  /// Writes a new file beside the final one, syncs it and renames it: a crash leaves all of it or none.
  static func write(_ data: Data, to path: String) throws(WriteError) {
    let temporary = path + ".new"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw WriteError(code: errno) }
    var rest = [UInt8](data)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        let code = errno
        if code == EINTR { continue }
        close(descriptor)
        unlink(temporary)
        throw WriteError(code: code)
      }
      rest = rest.dropFirst(count)
    }
    let synced = fsync(descriptor) == 0
    let code = errno
    close(descriptor)
    guard synced, rename(temporary, path) == 0 else { throw WriteError(code: synced ? errno : code) }
  }
}
