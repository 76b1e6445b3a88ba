import Core
import Glibc
import NetworkSupport

/// A UDP socket on the loopback.
final class UDPClient {
  let descriptor: CInt
  let local: SocketAddress

  init(ipv6: Bool = false) throws {
    let descriptor = socket(ipv6 ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    var storage = [UInt8](repeating: 0, count: 28)
    storage[0] = UInt8(ipv6 ? AF_INET6 : AF_INET)
    if ipv6 { storage[23] = 1 } else { storage.replaceSubrange(4..<8, with: [127, 0, 0, 1]) }
    let size = socklen_t(ipv6 ? 28 : 16)
    var length = size
    let bound = storage.withUnsafeMutableBytes { raw -> Bool in
      let address = raw.baseAddress!.assumingMemoryBound(to: sockaddr.self)
      return bind(descriptor, address, size) == 0 && getsockname(descriptor, address, &length) == 0
    }
    self.descriptor = descriptor
    guard bound else { throw RawClient.Failure(description: "cannot bind a UDP socket") }
    let port = UInt16(storage[2]) << 8 | UInt16(storage[3])
    local = SocketAddress(ipv6 ? "[::1]:\(port)" : "127.0.0.1:\(port)")!
    var timeout = timeval(tv_sec: 0, tv_usec: 20_000)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8], to remote: SocketAddress) {
    var storage = [UInt8](repeating: 0, count: 28)
    storage[0] = UInt8(remote.ip.isIPv6 ? AF_INET6 : AF_INET)
    storage[2] = UInt8(remote.port >> 8)
    storage[3] = UInt8(remote.port & 255)
    let start = remote.ip.isIPv6 ? 8 : 4
    storage.replaceSubrange(start..<(start + remote.ip.bytes.count), with: remote.ip.bytes)
    _ = storage.withUnsafeBytes { raw in
      sendto(
        descriptor, bytes, bytes.count, 0, raw.baseAddress!.assumingMemoryBound(to: sockaddr.self),
        remote.ip.isIPv6 ? 28 : 16)
    }
  }

  func send(_ text: String, to remote: SocketAddress) { send(Array(text.utf8), to: remote) }

  /// What has arrived, or nil when nothing does within `patience`.
  func receive(patience: Duration = .seconds(10)) async -> String? {
    let deadline = ContinuousClock.now + patience
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while ContinuousClock.now < deadline {
      let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count >= 0 { return String(decoding: buffer[..<count], as: UTF8.self) }
      try? await Task.sleep(for: .milliseconds(3))
    }
    return nil
  }
}
