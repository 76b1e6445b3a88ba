package import Core
import Crypto
import Foundation
import Glibc
package import Logging

/// A file where it is to stay.
package struct StoredFile: Hashable, Sendable {
  package var file: RecordingFile
  /// Its path below the directory, or its key in the bucket.
  package var name: String
  /// For people: an absolute path, or a URL.
  package var location: String
}

/// Puts finished files where they are to stay: into the directory, encrypted if a key is configured, or into a bucket.
package struct RecordingStorage: Sendable {
  package var directory: String
  /// Where recordings go that name no bucket of their own.
  package var bucket: BucketDestination?
  /// In front of the names in `bucket`.
  package var prefix: String
  /// 32 bytes; nil: files are not encrypted.
  package var encryptionKey: [UInt8]?
  package var logger: Logger

  package init(
    directory: String, bucket: BucketDestination? = nil, prefix: String = "", encryptionKey: [UInt8]? = nil,
    logger: Logger
  ) {
    self.directory = directory
    self.bucket = bucket
    self.prefix = prefix
    self.encryptionKey = encryptionKey
    self.logger = logger
  }

  /// Returns when the file is safe; the rendered one is gone then.
  /// - Parameter id: Of the recording, which makes equal names differ.
  package func store(
    _ rendered: RenderedMedia, id: String, destination: RecordingDestination, queue: RenderQueue
  ) async throws(RecordingError) -> StoredFile {
    var path = rendered.path
    var name = Self.named(destination.path, rendered.container)
    if let encryptionKey {
      let encrypted = rendered.path + ".enc"
      let plain = rendered.path
      try await queue.perform { () throws(RecordingError) in
        try FileEncryption.encrypt(plain, to: encrypted, key: encryptionKey)
      }
      path = encrypted
      name += ".enc"
    }
    let (hashed, plain) = (path, rendered.path)
    let (sha256, size) = try await queue.perform { () throws(RecordingError) in try Self.sha256(of: hashed) }
    var file = RecordingFile(
      name: rendered.hasVideo ? "video" : "audio", location: "", format: rendered.container.fileExtension,
      contentType: encryptionKey == nil
        ? rendered.container.contentType(hasVideo: rendered.hasVideo) : "application/octet-stream",
      bytes: size, sha256: sha256, duration: rendered.duration.inSeconds)
    if let bucket = destination.bucket ?? bucket {
      let key = destination.bucket == nil ? prefix + name : name
      let client = try S3Client(bucket, logger: logger)
      do {
        _ = try await client.upload(
          path, to: key, contentType: file.contentType, sha256: sha256, record: directory + "/" + id + ".upload")
      } catch let error as RecordingError {
        throw error
      } catch {
        throw .container("upload to \(bucket.bucket): \(error)")
      }
      file.location = "s3://\(bucket.bucket)/\(key)"
      unlink(path)
      unlink(plain)
      return StoredFile(file: file, name: key, location: client.location(key))
    }
    let taken = try place(path, name, id)
    if path != plain { unlink(plain) }
    file.location = taken
    return StoredFile(file: file, name: taken, location: directory + "/" + taken)
  }

  /// A URL of a file in the configured bucket, for whoever may have it; nil for files elsewhere.
  package func presignedURL(of location: String, expires: Duration) -> String? {
    guard let bucket, location.hasPrefix("s3://\(bucket.bucket)/"), let client = try? S3Client(bucket, logger: logger)
    else { return nil }
    return client.presignedURL(String(location.dropFirst("s3://\(bucket.bucket)/".count)), expires: expires)
  }

  /// Moves a file to its name below the directory; to another one if that exists.
  private func place(_ path: String, _ name: String, _ id: String) throws(RecordingError) -> String {
    var name = name
    var target = directory + "/" + name
    if access(target, F_OK) == 0 {
      let parts = name.split(separator: "/", omittingEmptySubsequences: false)
      name = (parts.dropLast() + ["\(id)-\(parts.last ?? "")"]).joined(separator: "/")
      target = directory + "/" + name
    }
    do {
      try FileManager.default.createDirectory(
        atPath: String(target[..<(target.lastIndex(of: "/") ?? target.startIndex)]), withIntermediateDirectories: true)
    } catch {
      throw .container("\(target): \(error.localizedDescription)")
    }
    guard rename(path, target) == 0 else { throw RecordingError(errno, path: target) }
    // The name, too, must survive.
    let folder = open(String(target[..<(target.lastIndex(of: "/") ?? target.startIndex)]), O_RDONLY | O_CLOEXEC)
    if folder >= 0 {
      _ = fsync(folder)
      close(folder)
    }
    return name
  }

  /// With the extension of what it holds.
  static func named(_ path: String, _ container: MediaContainer) -> String {
    let suffix = "." + container.fileExtension
    return path.lowercased().hasSuffix(suffix) ? path : path + suffix
  }

  static func sha256(of path: String) throws(RecordingError) -> (hex: String, size: Int) {
    let file = try UploadFile(path: path)
    var hash = SHA256()
    var offset = 0
    while offset < file.size {
      let bytes = try file.read(offset, min(1 << 20, file.size - offset))
      hash.update(data: bytes)
      offset += bytes.count
    }
    return (Hex.encode(Array(hash.finalize())), file.size)
  }
}
