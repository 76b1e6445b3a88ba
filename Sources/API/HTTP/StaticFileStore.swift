import Core
import Crypto
import Glibc
import HummingbirdCore
import NIOCore
import NIOPosix
import Synchronization

/// A file as it is served.
struct StaticFile: Sendable {
  let bytes: ByteBuffer
  let contentType: String
  /// Strong: a hash of the content.
  let entityTag: String
}

/// Finds and remembers the files of one folder.
final class StaticFileStore: Sendable {
  enum Answer: Sendable {
    case none
    case file(StaticFile)
    /// The folder's path needs its slash.
    case redirect(String)
  }

  private struct Entry {
    let modified: Int64
    let size: Int
    let file: StaticFile
  }

  /// Larger files are not served: pages and sounds are small, and recordings have a route of their own.
  static let maximumFileSize = 16 << 20
  private static let maximumCachedBytes = 64 << 20

  private let folder: String
  private let cache = Mutex<(entries: [String: Entry], bytes: Int)>(([:], 0))

  init(folder: String) {
    self.folder = folder
  }

  func find(_ path: String) async -> Answer {
    guard let components = Self.components(of: path) else { return .none }
    return (try? await NIOThreadPool.singleton.runIfActive { self.look(components, isFolder: path.hasSuffix("/")) })
      ?? .none
  }

  /// The decoded parts of a path; nil when one of them could lead outside the folder or to a hidden file.
  static func components(of path: String) -> [String]? {
    var components: [String] = []
    for part in path.split(separator: "/") {
      guard let name = decode(part), !name.hasPrefix("."),
        !name.utf8.contains(where: { $0 < 0x20 || $0 == 0x2F || $0 == 0x5C })
      else { return nil }
      components.append(name)
    }
    return components
  }

  /// Percent decoding; nil when it is broken or does not give UTF-8.
  private static func decode(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(Hex.value), let low = rest.popFirst().flatMap(Hex.value) else {
        return nil
      }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  // MARK: On the blocking pool

  private func look(_ components: [String], isFolder: Bool) -> Answer {
    let path = ([folder] + components).joined(separator: "/")
    var status = stat()
    guard stat(path, &status) == 0, isInside(path) else { return .none }
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      guard isFolder || components.isEmpty else {
        return .redirect("/" + components.map(Self.encode).joined(separator: "/") + "/")
      }
      return look(components + ["index.html"], isFolder: false)
    case S_IFREG where !isFolder || components.isEmpty:
      return load(path, status).map { .file($0) } ?? .none
    default: return .none
    }
  }

  private static func encode(_ name: String) -> String {
    name.utf8.map { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: String(UnicodeScalar(byte))
      default: "%" + Hex.encode([byte])
      }
    }.joined()
  }

  /// Whether the file is in the folder once all symbolic links are followed.
  private func isInside(_ path: String) -> Bool {
    guard let root = Self.resolved(folder), let real = Self.resolved(path) else { return false }
    return real == root || real.hasPrefix(root == "/" ? "/" : root + "/")
  }

  private static func resolved(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  private func load(_ path: String, _ status: stat) -> StaticFile? {
    let modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
    let size = Int(status.st_size)
    guard size <= Self.maximumFileSize else { return nil }
    if let entry = cache.withLock({ $0.entries[path] }), entry.modified == modified, entry.size == size {
      return entry.file
    }
    guard let bytes = Self.read(path, size: size) else { return nil }
    let digest = SHA256.hash(data: bytes.readableBytesView)
    let file = StaticFile(
      bytes: bytes, contentType: ContentType.of(path), entityTag: "\"\(Hex.encode(Array(digest.prefix(12))))\"")
    cache.withLock { cache in
      if let old = cache.entries.removeValue(forKey: path) { cache.bytes -= old.size }
      if cache.bytes + size > Self.maximumCachedBytes { cache = ([:], 0) }
      cache.entries[path] = Entry(modified: modified, size: size, file: file)
      cache.bytes += size
    }
    return file
  }

  private static func read(_ path: String, size: Int) -> ByteBuffer? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var buffer = ByteBufferAllocator().buffer(capacity: size)
    // A file that grows meanwhile is cut at the size that was seen; the next request sees the new one.
    while buffer.readableBytes < size {
      let missing = size - buffer.readableBytes
      let count = buffer.withUnsafeMutableWritableBytes {
        Glibc.read(descriptor, $0.baseAddress!, min($0.count, missing))
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { return nil }
      if count == 0 { break }
      buffer.moveWriterIndex(forwardBy: count)
    }
    return buffer
  }
}

/// Media types by file name extension.
enum ContentType {
  static func of(_ path: String) -> String {
    let name = path.split(separator: "/").last ?? ""
    guard let dot = name.lastIndex(of: ".") else { return "application/octet-stream" }
    return table[name[name.index(after: dot)...].lowercased()] ?? "application/octet-stream"
  }

  private static let table = [
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "webmanifest": "application/manifest+json",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "ico": "image/x-icon",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "webm": "video/webm",
    "mp4": "video/mp4",
    "woff2": "font/woff2",
    "wasm": "application/wasm",
    "yaml": "application/yaml",
    "yml": "application/yaml",
  ]
}
