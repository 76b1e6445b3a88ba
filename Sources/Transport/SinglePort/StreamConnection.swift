// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// One accepted ICE-TCP connection (RFC 6544, passive): frames of RFC 4571 in and out. Owns the descriptor.
///
///      0                   1
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
///     |            length             | RTP, RTCP, DTLS or STUN …
final class StreamConnection {
  /// Longer frames end the connection: no packet on a media path is longer.
  static let maximumFrame = 2048
  private static let headLength = 2

  let path: PeerPath
  private(set) var descriptor: Int32
  let accepted: Instant
  /// For `poll.remove`.
  var watch: UInt64 = 0
  /// Whether a check on it was right.
  var isProved = false
  /// Wants to be told when it can be written to.
  private(set) var isBlocked = false

  /// A frame's beginning.
  private var input: [UInt8] = []
  /// What the kernel did not take yet, from `outputStart` on.
  private var output: [UInt8] = []
  private var outputStart = 0
  private let backlog: Int

  init(descriptor: Int32, path: PeerPath, accepted: Instant, backlog: Int) {
    self.descriptor = descriptor
    self.path = path
    self.accepted = accepted
    self.backlog = backlog
  }

  deinit { close() }

  func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Gives the descriptor to another worker, with what was read and not used.
  func release(unused: UnsafeRawBufferPointer) -> (descriptor: Int32, bytes: [UInt8]) {
    defer { descriptor = -1 }
    return (descriptor, Array(unused))
  }

  // MARK: In

  enum Reading: Equatable {
    case goesOn
    /// More may be waiting.
    case limited
    /// Closed by the peer, broken, or framed wrongly.
    case ended
  }

  /// Reads once into `buffer` and gives whole frames to `body`, which may change them in place; its second argument is
  /// everything from that frame's head on. Stops when `body` gives false.
  func read(
    into buffer: UnsafeMutableRawBufferPointer,
    _ body: (UnsafeMutableRawBufferPointer, UnsafeRawBufferPointer) -> Bool
  ) -> Reading {
    guard descriptor >= 0, let base = buffer.baseAddress, buffer.count > 2 * StreamConnection.maximumFrame else {
      return .ended
    }
    let kept = input.count
    if kept > 0 { buffer.copyBytes(from: input) }
    let count = recv(descriptor, base + kept, buffer.count - kept, Int32(MSG_DONTWAIT))
    if count == 0 { return .ended }
    guard count > 0 else { return errno == EAGAIN || errno == EINTR ? .goesOn : .ended }
    let filled = kept + count
    input.removeAll(keepingCapacity: true)
    switch StreamConnection.frames(UnsafeMutableRawBufferPointer(rebasing: buffer[..<filled]), body) {
    case .rest(let start):
      if start < filled { input.append(contentsOf: buffer[start..<filled]) }
      return filled == buffer.count ? .limited : .goesOn
    case .stopped: return .goesOn
    case .tooLong: return .ended
    }
  }

  /// Bytes handed over with a descriptor: taken as if read.
  func feed(
    _ bytes: [UInt8], _ body: (UnsafeMutableRawBufferPointer, UnsafeRawBufferPointer) -> Bool
  ) -> Reading {
    var bytes = bytes
    let count = bytes.count
    let outcome = bytes.withUnsafeMutableBytes { StreamConnection.frames($0, body) }
    switch outcome {
    case .rest(let start):
      input = start < count ? Array(bytes[start...]) : []
      return .goesOn
    case .stopped: return .goesOn
    case .tooLong: return .ended
    }
  }

  enum Framing: Equatable {
    /// A frame begins there and is not whole.
    case rest(Int)
    case stopped
    case tooLong
  }

  static func frames(
    _ bytes: UnsafeMutableRawBufferPointer, _ body: (UnsafeMutableRawBufferPointer, UnsafeRawBufferPointer) -> Bool
  ) -> Framing {
    var start = 0
    while start + headLength <= bytes.count {
      let length = Int(RTPFields.uint16(UnsafeRawBufferPointer(bytes), at: start))
      guard length <= maximumFrame else { return .tooLong }
      let end = start + headLength + length
      guard end <= bytes.count else { break }
      let frame = UnsafeMutableRawBufferPointer(rebasing: bytes[(start + headLength)..<end])
      if !body(frame, UnsafeRawBufferPointer(rebasing: bytes[start...])) { return .stopped }
      start = end
    }
    return .rest(start)
  }

  // MARK: Out

  /// Sends one frame or keeps what the kernel does not take. False when the peer is too far behind, or gone: the frame is
  /// then dropped whole.
  func send(_ frame: UnsafeRawBufferPointer) -> Bool {
    guard descriptor >= 0, frame.count <= 0xFFFF, let base = frame.baseAddress else { return false }
    let total = StreamConnection.headLength + frame.count
    var head = UInt16(truncatingIfNeeded: frame.count).bigEndian
    guard output.isEmpty else {
      guard output.count - outputStart + total <= backlog else { return false }
      withUnsafeBytes(of: &head) { output.append(contentsOf: $0) }
      output.append(contentsOf: frame)
      return true
    }
    let written = withUnsafeMutableBytes(of: &head) { head in
      withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { parts in
        parts[0] = iovec(iov_base: head.baseAddress, iov_len: head.count)
        parts[1] = iovec(iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: frame.count)
        var message = msghdr()
        message.msg_iov = parts.baseAddress
        message.msg_iovlen = 2
        return sendmsg(descriptor, &message, StreamConnection.flags)
      }
    }
    guard written < total else { return true }
    guard written >= 0 || errno == EAGAIN || errno == EINTR else { return false }
    withUnsafeBytes(of: &head) { head in
      var rest = max(0, written)
      if rest < head.count { output.append(contentsOf: head[rest...]) }
      rest = max(0, rest - head.count)
      output.append(contentsOf: frame[rest...])
    }
    isBlocked = true
    return true
  }

  /// Sends what is kept. False when the connection is broken.
  func flush() -> Bool {
    guard descriptor >= 0 else { return false }
    while outputStart < output.count {
      let written = output.withUnsafeBytes { bytes in
        Glibc.send(
          descriptor, bytes.baseAddress.map { $0 + outputStart }, bytes.count - outputStart, StreamConnection.flags)
      }
      guard written > 0 else { return errno == EAGAIN || errno == EINTR }
      outputStart += written
    }
    output.removeAll(keepingCapacity: output.capacity <= 16 * 1024)
    outputStart = 0
    isBlocked = false
    return true
  }

  private static let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
}
