import Crypto
import Glibc

/// Size and SHA-256 of a file.
package enum FileHash {
  package static func sha256(of path: String) throws(RecordingError) -> (hex: String, bytes: Int) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw RecordingError(errno, path: path) }
    defer { close(descriptor) }
    var hash = SHA256()
    var bytes = 0
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { room.deallocate() }
    while true {
      let count = read(descriptor, room.baseAddress, room.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw RecordingError(errno, path: path) }
      if count == 0 { break }
      hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: room[0..<count]))
      bytes += count
    }
    var hex = ""
    let digits = Array("0123456789abcdef")
    for byte in hash.finalize() {
      hex.append(digits[Int(byte >> 4)])
      hex.append(digits[Int(byte & 15)])
    }
    return (hex, bytes)
  }
}
