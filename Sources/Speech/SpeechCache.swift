package import Audio
import Core
import Crypto
import Foundation

/// Which sound it is: SHA-256 over engine, voice, speed and text.
package struct SpeechKey: Hashable, Sendable {
  /// 64 hexadecimal digits: the name of the file.
  package let name: String

  package init(engine: String, voice: String, speed: Double, text: String) {
    var hash = SHA256()
    // The version of what is done to the sound before it is kept, then each part with its length: no two differ only in
    // where a part ends.
    for part in ["parley 1", engine, voice, "\(speed)", text] {
      let bytes = [UInt8](part.utf8)
      hash.update(data: withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { [UInt8]($0) })
      hash.update(data: bytes)
    }
    name = Hex.encode(hash.finalize())
  }
}

/// Speech on the disk, one WAV file each, the least recently used ones removed beyond a size. All of it may be deleted at
/// any time: what is missing or damaged is made again. A directory that cannot be written to only costs time.
package actor SpeechCache {
  private nonisolated let queue = SlowQueue(label: "speech-cache")
  package nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

  private struct Entry {
    var bytes: Int
    /// Higher is more recent.
    var use: Int
  }

  private let directory: URL
  private let limit: Int
  private var entries: [String: Entry] = [:]
  private var total = 0
  private var uses = 0
  private var isOpen = false

  /// - Parameters:
  ///   - directory: created at the first use.
  ///   - limit: bytes of all files.
  package init(directory: String, limit: Int) {
    self.directory = URL(fileURLWithPath: directory, isDirectory: true)
    self.limit = max(0, limit)
  }

  package var size: Int {
    open()
    return total
  }

  package var count: Int {
    open()
    return entries.count
  }

  package func clip(_ key: SpeechKey) -> AudioClip? {
    open()
    guard var entry = entries[key.name] else { return nil }
    let file = file(key.name)
    guard let data = try? Data(contentsOf: file), let clip = try? WAVReader.read([UInt8](data)) else {
      forget(key.name)
      try? FileManager.default.removeItem(at: file)
      return nil
    }
    uses += 1
    entry.use = uses
    entries[key.name] = entry
    // The order of use outlives the process.
    try? FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: file.path)
    return clip
  }

  package func keep(_ clip: AudioClip, for key: SpeechKey) {
    open()
    let bytes = clip.wav
    guard bytes.count <= limit else { return }
    let file = file(key.name)
    // Written beside and renamed: a file is whole or not there.
    guard (try? Data(bytes).write(to: file, options: .atomic)) != nil else { return }
    forget(key.name)
    uses += 1
    entries[key.name] = Entry(bytes: bytes.count, use: uses)
    total += bytes.count
    evict()
  }

  private func file(_ name: String) -> URL { directory.appendingPathComponent(name + ".wav", isDirectory: false) }

  private func forget(_ name: String) {
    if let old = entries.removeValue(forKey: name) { total -= old.bytes }
  }

  /// Reads what an earlier process left.
  private func open() {
    guard !isOpen else { return }
    isOpen = true
    try? FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let properties: Set<URLResourceKey> = [.fileSizeKey, .contentModificationDateKey]
    let files =
      (try? FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: Array(properties))) ?? []
    let found = files.compactMap { file -> (name: String, bytes: Int, date: Date)? in
      let name = file.deletingPathExtension().lastPathComponent
      // Only what this cache has written is ever removed.
      guard file.pathExtension == "wav", name.utf8.count == 64, Hex.decode(name) != nil,
        let values = try? file.resourceValues(forKeys: properties), let bytes = values.fileSize
      else { return nil }
      return (name, bytes, values.contentModificationDate ?? .distantPast)
    }
    for file in found.sorted(by: { $0.date < $1.date }) {
      uses += 1
      entries[file.name] = Entry(bytes: file.bytes, use: uses)
      total += file.bytes
    }
    evict()
  }

  private func evict() {
    guard total > limit else { return }
    // A little more than needed, so that it is not done for each new file.
    for (name, _) in entries.sorted(by: { $0.value.use < $1.value.use }) {
      guard total > limit / 10 * 9 else { return }
      try? FileManager.default.removeItem(at: file(name))
      forget(name)
    }
  }
}
