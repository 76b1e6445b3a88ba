import Core
import Foundation
import Glibc

/// How far a multipart upload is. On the disk before the next part begins.
struct UploadRecord: Codable, Hashable, Sendable {
  var bucket: String
  var key: String
  /// Of the file.
  var sha256: String
  var partSize: Int
  var upload = ""
  /// Entity tags by number, from 1.
  var parts: [Int: String] = [:]

  init(bucket: String, key: String, sha256: String, partSize: Int) {
    self.bucket = bucket
    self.key = key
    self.sha256 = sha256
    self.partSize = partSize
  }

  static func read(_ path: String) -> UploadRecord? {
    guard let data = FileManager.default.contents(atPath: path) else { return nil }
    return try? JSONDecoder().decode(UploadRecord.self, from: data)
  }

  func write(_ path: String) throws { try DurableFile.write(JSONEncoder().encode(self), to: path) }
}

/// Small files that are whole or absent.
enum DurableFile {
  static func write(_ data: Data, to path: String) throws(RecordingError) {
    let partial = path + ".part"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw RecordingError(errno, path: partial) }
    defer { close(descriptor) }
    let written = data.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    guard written == data.count, fsync(descriptor) == 0, rename(partial, path) == 0 else {
      let error = RecordingError(errno, path: path)
      unlink(partial)
      throw error
    }
  }
}

/// A file that is read in pieces.
final class UploadFile: Sendable {
  let size: Int
  private let path: String
  private let descriptor: Int32

  init(path: String) throws(RecordingError) {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw RecordingError(errno, path: path) }
    var status = stat()
    size = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  deinit { close(descriptor) }

  func read(_ offset: Int, _ count: Int) throws(RecordingError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let got = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress.map { $0 + have }, count - have, off_t(offset + have))
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { throw RecordingError(got < 0 ? errno : EIO, path: path) }
      have += got
    }
    return bytes
  }
}
