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

  @discardableResult
  func send(_ bytes: [UInt8], to target: SocketAddress) -> Bool {
    let kernel = SocketStorage(target)
    return withUnsafePointer(to: kernel.storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(fd, bytes, bytes.count, 0, $0, kernel.length) == bytes.count
      }
    }
  }

  /// One datagram, waiting up to `limit` milliseconds.
  func receive(_ limit: Int32 = 2000) -> (bytes: [UInt8], from: SocketAddress)? {
    var item = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
    guard poll(&item, 1, limit) == 1 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var name = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let count = withUnsafeMutablePointer(to: &name) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(fd, &buffer, buffer.count, 0, $0, &length) }
    }
    guard count >= 0, let from = withUnsafePointer(to: &name, { SocketAddress(kernel: UnsafeRawPointer($0)) }) else {
      return nil
    }
    return (Array(buffer.prefix(count)), from)
  }

  /// How many descriptors this process has open.
  static var openDescriptors: Int {
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
  }
}
