package import Core
import Glibc
package import NIOCore

typealias Address = Core.SocketAddress

/// Conversions to the kernel's `sockaddr_in` and `sockaddr_in6`, by byte offset: with member import visibility their
/// fields belong to whichever C module was built first.
///
/// ```
/// sockaddr_in   0 family (host order) · 2 port · 4 address                             16 bytes
/// sockaddr_in6  0 family (host order) · 2 port · 4 flow info · 8 address · 24 scope    28 bytes
/// ```
extension Core.SocketAddress {
  /// Nil for anything but IPv4 and IPv6. An IPv4-mapped address becomes IPv4.
  package init?(_ nio: NIOCore.SocketAddress?) {
    let address: Core.SocketAddress? =
      switch nio {
      case .v4(let v4): withUnsafeBytes(of: v4.address) { Core.SocketAddress(sockaddr: $0) }
      case .v6(let v6): withUnsafeBytes(of: v6.address) { Core.SocketAddress(sockaddr: $0) }
      default: nil
      }
    guard let address else { return nil }
    self = address
  }

  /// From the kernel's form; nil for other families.
  init?(sockaddr raw: UnsafeRawBufferPointer) {
    let port = UInt16(bigEndian: raw.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    switch Int32(raw.loadUnaligned(as: UInt16.self)) {
    case AF_INET:
      let value = UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
      self.init(ip: IPAddress(v4: value), port: port)
    case AF_INET6:
      let high = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      let low = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
      self.init(ip: IPAddress(v6High: high, low: low).unmapped, port: port)
    default: return nil
    }
  }

  package var nio: NIOCore.SocketAddress {
    // Cannot fail: the text is that of an address.
    try! NIOCore.SocketAddress(ipAddress: ip.description, port: Int(port))
  }

  /// Runs `body` with the kernel's form of the address.
  func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) throws -> R) rethrows -> R {
    var storage = sockaddr_storage()
    return try withUnsafeMutableBytes(of: &storage) { raw in
      let length: Int
      raw.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
      if let v4 = ip.v4 {
        raw.storeBytes(of: UInt16(AF_INET), as: UInt16.self)
        raw.storeBytes(of: v4.bigEndian, toByteOffset: 4, as: UInt32.self)
        length = 16
      } else {
        raw.storeBytes(of: UInt16(AF_INET6), as: UInt16.self)
        let bytes = ip.bytes
        UnsafeMutableRawBufferPointer(rebasing: raw[8..<24]).copyBytes(from: bytes)
        length = 28
      }
      return try body(raw.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(length))
    }
  }
}
