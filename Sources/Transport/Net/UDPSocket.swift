// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// Owns one bound, non-blocking UDP socket.
final class UDPSocket {
  let descriptor: Int32
  let local: SocketAddress

  /// Binds. Port 0 lets the kernel choose.
  /// - Parameter sharesPort: Joins sockets on the same port that allow it too (SO_REUSEPORT).
  init(binding address: SocketAddress, sharesPort: Bool = false) throws(TransportError) {
    _ = DescriptorLimit.raised
    let family = address.ip.isIPv6 ? AF_INET6 : AF_INET
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let fd = socket(family, type, 0)
    guard fd >= 0 else { throw .system(call: "socket", code: errno, subject: "UDP") }
    if sharesPort {
      var on: Int32 = 1
      setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, socklen_t(MemoryLayout<Int32>.size))
    }
    let kernel = SocketStorage(address)
    let bound = withUnsafePointer(to: kernel.storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, kernel.length) }
    }
    guard bound == 0 else {
      let code = errno
      Glibc.close(fd)
      throw .system(call: "bind", code: code, subject: "\(address)")
    }
    descriptor = fd
    local = UDPSocket.localAddress(of: fd) ?? address
  }

  /// What a socket is bound to.
  static func localAddress(of descriptor: Int32) -> SocketAddress? {
    var name = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &name) { pointer in
      let result = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
      return result == 0 ? SocketAddress(kernel: UnsafeRawPointer(pointer)) : nil
    }
  }

  deinit { Glibc.close(descriptor) }
}
