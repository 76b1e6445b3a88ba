// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// A socket on the shared port that is connected to one peer: what comes from there arrives at the peer's own worker,
/// whatever the kernel would choose, and what is sent there needs no route to be found.
final class PathSocket {
  /// What one worker may have. Kernels before 6.13 compare every datagram of the port with every connected socket, so
  /// there only the busiest peers get one.
  static let limit = isHashed ? 16_384 : 32

  let descriptor: Int32
  fileprivate(set) var watch: UInt64 = 0

  /// Nil where the system has no more descriptors, or refuses.
  init?(local: SocketAddress, remote: SocketAddress) {
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(local.ip.isIPv6 ? AF_INET6 : AF_INET, type, 0)
    guard descriptor >= 0 else { return nil }
    PortSockets.share(descriptor)
    guard PathSocket.name(descriptor, local, bind), PathSocket.name(descriptor, remote, connect) else {
      Glibc.close(descriptor)
      return nil
    }
    self.descriptor = descriptor
  }

  deinit { Glibc.close(descriptor) }

  private static func name(
    _ descriptor: Int32, _ address: SocketAddress,
    _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Bool {
    let kernel = SocketStorage(address)
    return withUnsafePointer(to: kernel.storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(descriptor, $0, kernel.length) == 0 }
    }
  }

  /// Whether the kernel finds connected UDP sockets by a hash of both addresses.
  private static let isHashed: Bool = {
    var names = utsname()
    guard uname(&names) == 0 else { return false }
    let release = withUnsafeBytes(of: &names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
    guard numbers.count == 2 else { return false }
    return numbers[0] > 6 || numbers[0] == 6 && numbers[1] >= 13
  }()
}

extension PortLane {
  /// A socket of its own for `path`, read from now on; nil beyond the limit.
  func connect(_ path: PeerPath) -> PathSocket? {
    guard !isClosed, !path.isStream, pathSockets < PathSocket.limit,
      sockets.datagram.indices.contains(Int(path.base)),
      let socket = PathSocket(local: sockets.datagram[Int(path.base)].local, remote: path.remote)
    else { return nil }
    let (descriptor, base) = (socket.descriptor, Int(path.base))
    let watch = LaneWatch { [unowned self] now in self.readDatagrams(descriptor, base, now) }
    guard let id = try? worker.poll.add(descriptor, isUrgent: false, handler: watch) else { return nil }
    socket.watch = id
    pathSockets += 1
    return socket
  }

  func disconnect(_ socket: PathSocket) {
    worker.poll.remove(socket.watch)
    pathSockets -= 1
  }
}
