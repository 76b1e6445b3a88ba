// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// The sockets of one worker on the shared port: one UDP socket an address, and one listening TCP socket an address.
struct PortSockets {
  /// In the order of `Configuration.addresses`.
  private(set) var datagram: [UDPSocket] = []
  private(set) var listeners: [StreamListenerSocket] = []

  /// What every socket of the port may hold unread: a burst of all peers at once. The kernel's limit may be lower.
  static let receiveBuffer: Int32 = 4 * 1024 * 1024
  static let sendBuffer: Int32 = 2 * 1024 * 1024

  /// None.
  init() {}

  /// Binds all; a port of 0 becomes the one that the kernel chose.
  /// - Parameter isFirst: Of the port's workers. It binds alone and shares only then: another process that holds the port
  ///   is noticed, where SO_REUSEPORT would silently share it with a second server of the same user.
  init(configuration: inout SinglePort.Configuration, isFirst: Bool) throws(TransportError) {
    for address in configuration.addresses {
      let local = SocketAddress(ip: address, port: configuration.port)
      let socket: UDPSocket
      do throws(TransportError) {
        socket = try UDPSocket(binding: local, sharesPort: !isFirst)
      } catch {
        // An address of the moment, such as a tentative IPv6 one; later workers bind what the first could.
        guard isFirst, configuration.skipsMissingAddresses, error.isAddressMissing, configuration.addresses.count > 1
        else { throw error }
        configuration.addresses.removeAll { $0 == address }
        continue
      }
      configuration.port = socket.local.port
      PortSockets.share(socket.descriptor)
      PortSockets.enlarge(socket.descriptor)
      datagram.append(socket)
    }
    guard configuration.overTCP else { return }
    for address in configuration.addresses {
      listeners.append(
        try StreamListenerSocket(binding: SocketAddress(ip: address, port: configuration.port), isFirst: isFirst))
    }
  }

  static func share(_ descriptor: Int32) {
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  private static func enlarge(_ descriptor: Int32) {
    func set(_ forced: Int32, _ plain: Int32, _ size: Int32) {
      var size = size
      let length = socklen_t(MemoryLayout<Int32>.size)
      // Beyond the system's limit only with CAP_NET_ADMIN.
      if setsockopt(descriptor, SOL_SOCKET, forced, &size, length) != 0 {
        setsockopt(descriptor, SOL_SOCKET, plain, &size, length)
      }
    }
    set(SO_RCVBUFFORCE, SO_RCVBUF, receiveBuffer)
    set(SO_SNDBUFFORCE, SO_SNDBUF, sendBuffer)
  }
}

/// Owns one listening, non-blocking TCP socket that shares its port.
final class StreamListenerSocket {
  let descriptor: Int32

  init(binding address: SocketAddress, isFirst: Bool) throws(TransportError) {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let fd = socket(address.ip.isIPv6 ? AF_INET6 : AF_INET, type, 0)
    guard fd >= 0 else { throw .system(call: "socket", code: errno, subject: "TCP") }
    var on: Int32 = 1
    let length = socklen_t(MemoryLayout<Int32>.size)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, length)
    if !isFirst { PortSockets.share(fd) }
    let kernel = SocketStorage(address)
    let bound = withUnsafePointer(to: kernel.storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, kernel.length) }
    }
    if bound == 0 { PortSockets.share(fd) }
    guard bound == 0, listen(fd, 128) == 0 else {
      let code = errno
      Glibc.close(fd)
      throw .system(call: bound == 0 ? "listen" : "bind", code: code, subject: "\(address), TCP")
    }
    descriptor = fd
  }

  deinit { Glibc.close(descriptor) }
}
