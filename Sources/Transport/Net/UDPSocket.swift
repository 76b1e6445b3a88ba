internal import CLinux
internal import Core
internal import Glibc

/// Owns one bound, non-blocking UDP socket.
final class UDPSocket {
  let descriptor: Int32
  let local: SocketAddress

  /// Binds. Port 0 lets the kernel choose.
  init(binding address: SocketAddress, receiveBuffer: Int32? = nil) throws(TransportError) {
    _ = DescriptorLimit.raised
    let family = address.ip.isIPv6 ? AF_INET6 : AF_INET
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let fd = socket(family, type, 0)
    guard fd >= 0 else { throw .system(call: "socket", code: errno, subject: "UDP") }
    if var size = receiveBuffer {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
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
    var name = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let local = withUnsafeMutablePointer(to: &name) { pointer -> SocketAddress? in
      let result = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &length) }
      return result == 0 ? SocketAddress(kernel: UnsafeRawPointer(pointer)) : nil
    }
    descriptor = fd
    self.local = local ?? address
  }

  deinit { Glibc.close(descriptor) }
}
