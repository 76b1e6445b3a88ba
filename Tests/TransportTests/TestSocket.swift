import Core
import Glibc

@testable import Transport

/// A UDP socket of the test's own, on loopback.
final class TestSocket: Sendable {
  private let fd: Int32
  let address: SocketAddress
  var port: UInt16 { address.port }

  init(_ ip: IPAddress = IPAddress(v4: 0x7F00_0001), port: UInt16 = 0) throws {
    let socket = try UDPSocket(binding: SocketAddress(ip: ip, port: port))
    fd = dup(socket.descriptor)
    address = socket.local
  }

  deinit { Glibc.close(fd) }

  // Structs of the system are only pointed to, never built: their Swift owner depends on the build order of C modules.

  @discardableResult
  func send(_ bytes: [UInt8], to target: SocketAddress) -> Bool {
    let kernel = SocketStorage(target)
    return withUnsafePointer(to: kernel.storage) { pointer in
      let name = UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self)
      return sendto(fd, bytes, bytes.count, 0, name, kernel.length) == bytes.count
    }
  }

  /// One datagram, waiting up to `limit` milliseconds.
  func receive(_ limit: Int32 = 2000) -> (bytes: [UInt8], from: SocketAddress)? {
    var item = (descriptor: fd, events: Int16(POLLIN), result: Int16(0))
    let ready = withUnsafeMutablePointer(to: &item) {
      poll(UnsafeMutableRawPointer($0).assumingMemoryBound(to: pollfd.self), 1, limit)
    }
    guard ready == 1 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var name = [UInt64](repeating: 0, count: 16)
    var length = socklen_t(128)
    let count = name.withUnsafeMutableBytes { raw in
      recvfrom(fd, &buffer, buffer.count, 0, raw.baseAddress?.assumingMemoryBound(to: sockaddr.self), &length)
    }
    let from = name.withUnsafeBytes { raw in raw.baseAddress.flatMap { SocketAddress(kernel: $0) } }
    guard count >= 0, let from else { return nil }
    return (Array(buffer.prefix(count)), from)
  }

  /// How many UDP sockets of this machine are bound to ports of the range.
  static func bound(in range: ClosedRange<UInt16>) -> Int {
    var count = 0
    for path in ["/proc/net/udp", "/proc/net/udp6"] {
      guard let file = fopen(path, "r") else { continue }
      defer { fclose(file) }
      var line = [CChar](repeating: 0, count: 512)
      while fgets(&line, 512, file) != nil {
        // `  12: 0100007F:92E0 00000000:0000 07 …`
        let bytes = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let text = fields[1].split(separator: ":").last, let port = UInt16(text, radix: 16)
        else {
          continue
        }
        if range.contains(port) { count += 1 }
      }
    }
    return count
  }

  /// How many descriptors this process has open. Suites that run beside open and close some too.
  static var openDescriptors: Int {
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
  }
}
