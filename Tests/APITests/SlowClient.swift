import Core
import Glibc
import NetworkSupport

/// A TCP connection that is never read, with as little receive buffer as the kernel gives.
final class SlowClient {
  private let descriptor: CInt

  init(to remote: Core.SocketAddress) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var size: CInt = 1
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
    var storage = [UInt8](repeating: 0, count: 16)
    storage[0] = UInt8(AF_INET)
    storage[2] = UInt8(remote.port >> 8)
    storage[3] = UInt8(remote.port & 255)
    storage.replaceSubrange(4..<8, with: remote.ip.bytes)
    let result = storage.withUnsafeBytes {
      connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 16)
    }
    guard result == 0 else { throw RawClient.Failure(description: "cannot connect to \(remote)") }
  }

  deinit { close(descriptor) }

  func send(_ text: String) {
    let bytes = Array(text.utf8)
    _ = Glibc.send(descriptor, bytes, bytes.count, 0)
  }
}

/// Waits until something has become true. A minute is for machines that run many tests at once; it takes milliseconds.
func until(_ what: String, _ isTrue: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while try await !isTrue() {
    if ContinuousClock.now > deadline { throw RawClient.Failure(description: "never: \(what)") }
    try await Task.sleep(for: .milliseconds(10))
  }
}
