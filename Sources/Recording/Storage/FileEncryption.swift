import Core
import Crypto
import Foundation
import Glibc

/// Files encrypted at rest: AES-256-GCM in chunks, so that any part can be read without the rest.
///
///     file  = "PARLEYGC" version(4) chunkSize(4) prefix(7) chunk+
///     chunk = ciphertext(chunkSize, the last one shorter) tag(16)
///
/// Big-endian. The nonce of a chunk is prefix, number(4), last(1): moved, missing and cut chunks do not open.
package enum FileEncryption {
  static let magic = Array("PARLEYGC".utf8)
  static let headLength = 23
  static let tagLength = 16
  static let chunkSize = 64 * 1024

  /// - Parameter key: 32 bytes.
  package static func encrypt(_ source: String, to target: String, key: [UInt8]) throws(RecordingError) {
    let file = try UploadFile(path: source)
    let output = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard output >= 0 else { throw RecordingError(errno, path: target) }
    defer { close(output) }
    let symmetric = SymmetricKey(data: key)
    var prefix = [UInt8](repeating: 0, count: 7)
    var random = SystemRandomNumberGenerator()
    for index in prefix.indices { prefix[index] = .random(in: 0...255, using: &random) }
    try write(magic + [0, 0, 0, 1] + bigEndian(UInt32(chunkSize)) + prefix, to: output, target)
    let chunks = max(1, (file.size + chunkSize - 1) / chunkSize)
    guard chunks <= Int(UInt32.max) else { throw .container("\(source) is too long to be encrypted") }
    for number in 0..<chunks {
      let offset = number * chunkSize
      let plain = try file.read(offset, min(chunkSize, file.size - offset))
      do {
        let sealed = try AES.GCM.seal(
          plain, using: symmetric, nonce: nonce(prefix, number, isLast: number == chunks - 1))
        try write(Array(sealed.ciphertext) + Array(sealed.tag), to: output, target)
      } catch let error as RecordingError {
        throw error
      } catch {
        throw .container("\(source) cannot be encrypted: \(error)")
      }
    }
    guard fsync(output) == 0 else { throw RecordingError(errno, path: target) }
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(RecordingError) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw RecordingError(errno, path: path) }
      done += count
    }
  }

  static func bigEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) }
  }

  static func nonce(_ prefix: [UInt8], _ number: Int, isLast: Bool) throws -> AES.GCM.Nonce {
    try AES.GCM.Nonce(data: prefix + bigEndian(UInt32(truncatingIfNeeded: number)) + [isLast ? 1 : 0])
  }
}

/// Reads an encrypted file, any part of it.
package final class DecryptingReader: Sendable {
  /// Bytes of the plain file.
  package let size: Int
  private let file: UploadFile
  private let path: String
  private let key: SymmetricKey
  private let prefix: [UInt8]
  private let chunkSize: Int
  private let chunks: Int

  /// - Throws: `.container` for a file that is none of ours.
  package init(path: String, key: [UInt8]) throws(RecordingError) {
    self.path = path
    self.key = SymmetricKey(data: key)
    file = try UploadFile(path: path)
    guard file.size >= FileEncryption.headLength + FileEncryption.tagLength else {
      throw .container("\(path) is not an encrypted file")
    }
    let head = try file.read(0, FileEncryption.headLength)
    guard Array(head[..<8]) == FileEncryption.magic, Array(head[8..<12]) == [0, 0, 0, 1] else {
      throw .container("\(path) is not an encrypted file")
    }
    chunkSize = head[12..<16].reduce(0) { $0 << 8 | Int($1) }
    guard (1...(16 << 20)).contains(chunkSize) else { throw .container("\(path) is not an encrypted file") }
    prefix = Array(head[16...])
    let body = file.size - FileEncryption.headLength
    let whole = chunkSize + FileEncryption.tagLength
    chunks = (body + whole - 1) / whole
    size = body - chunks * FileEncryption.tagLength
    guard size >= 0 else { throw .container("\(path) is cut short") }
  }

  /// - Throws: `.container` where a chunk was changed or the key is another.
  package func read(_ range: Range<Int>) throws(RecordingError) -> [UInt8] {
    let range = range.clamped(to: 0..<size)
    guard !range.isEmpty else { return [] }
    var result: [UInt8] = []
    for number in (range.lowerBound / chunkSize)...((range.upperBound - 1) / chunkSize) {
      let start = number * chunkSize
      let plain = try chunk(number)
      let from = max(range.lowerBound - start, 0)
      let to = min(range.upperBound - start, plain.count)
      if from < to { result += plain[from..<to] }
    }
    return result
  }

  private func chunk(_ number: Int) throws(RecordingError) -> [UInt8] {
    let whole = chunkSize + FileEncryption.tagLength
    let offset = FileEncryption.headLength + number * whole
    let bytes = try file.read(offset, min(whole, file.size - offset))
    guard bytes.count >= FileEncryption.tagLength else { throw .container("\(path) is cut short") }
    do {
      let nonce = try FileEncryption.nonce(prefix, number, isLast: number == chunks - 1)
      let box = try AES.GCM.SealedBox(
        nonce: nonce, ciphertext: bytes.dropLast(FileEncryption.tagLength),
        tag: bytes.suffix(FileEncryption.tagLength))
      return Array(try AES.GCM.open(box, using: key))
    } catch {
      throw .container("\(path) was changed, or its key is another")
    }
  }
}
