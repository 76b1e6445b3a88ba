package import Core

#if canImport(Glibc)
  import Glibc
#endif

/// The machine's own addresses, as peers see them.
package enum LocalAddresses {
  /// Addresses of all interfaces that are up, without link-local and loopback ones.
  package static func interfaces() -> [IPAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var result: [IPAddress] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard entry.ifa_flags & UInt32(IFF_UP) != 0, let address = ipAddress(of: entry.ifa_addr),
        !address.isLinkLocal, !address.isLoopback, !address.isUnspecified, !result.contains(address)
      else { continue }
      result.append(address)
    }
    return result
  }

  /// The source address that the kernel would use towards `peer`; nil where there is no route.
  package static func source(towards peer: IPAddress) -> IPAddress? {
    if peer.isLoopback { return peer.isIPv6 ? peer : IPAddress(v4: 0x7F00_0001) }
    let descriptor = socket(peer.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var storage = sockaddr_storage()
    let length = fill(&storage, with: SocketAddress(ip: peer, port: 9))
    let connected = withUnsafePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, length) }
    }
    guard connected == 0 else { return nil }
    var own = sockaddr_storage()
    var ownLength = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &own) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        getsockname(descriptor, address, &ownLength) == 0 ? ipAddress(of: address) : nil
      }
    }
  }

  /// The addresses of a host name by the system's resolver. Blocks: not for an event loop or a media worker.
  package static func resolve(_ host: String) -> [IPAddress] {
    if let address = IPAddress(host) { return [address] }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var result: [IPAddress] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ai_next
      if let address = ipAddress(of: entry.ai_addr), !result.contains(address) { result.append(address) }
    }
    return result
  }

  private static func ipAddress(of pointer: UnsafeMutablePointer<sockaddr>?) -> IPAddress? {
    guard let pointer else { return nil }
    switch Int32(pointer.pointee.sa_family) {
    case AF_INET:
      return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        IPAddress(v4: UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
      }
    case AF_INET6:
      return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
        withUnsafeBytes(of: &$0.pointee.sin6_addr) { IPAddress(bytes: Array($0)) }
      }
    default: return nil
    }
  }

  private static func fill(_ storage: inout sockaddr_storage, with address: SocketAddress) -> socklen_t {
    withUnsafeMutablePointer(to: &storage) { pointer in
      if address.ip.isIPv6 {
        return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
          $0.pointee.sin6_family = sa_family_t(AF_INET6)
          $0.pointee.sin6_port = address.port.bigEndian
          withUnsafeMutableBytes(of: &$0.pointee.sin6_addr) { $0.copyBytes(from: address.ip.bytes) }
          return socklen_t(MemoryLayout<sockaddr_in6>.size)
        }
      }
      return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        $0.pointee.sin_family = sa_family_t(AF_INET)
        $0.pointee.sin_port = address.port.bigEndian
        $0.pointee.sin_addr.s_addr = (address.ip.v4 ?? 0).bigEndian
        return socklen_t(MemoryLayout<sockaddr_in>.size)
      }
    }
  }
}
