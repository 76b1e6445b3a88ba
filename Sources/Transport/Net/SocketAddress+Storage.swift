// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// A socket address as the kernel takes it, with its length.
///
/// Written by byte offsets: several C modules include `<netinet/in.h>`, and which of them Swift takes `sockaddr_in`
/// from depends on the order in which they are built.
///
///     IPv4: family(2) port(2) address(4) zero(8)      IPv6: family(2) port(2) flow(4) address(16) scope(4)
struct SocketStorage {
  var storage = sockaddr_storage()
  /// Bytes of `storage` in use; 0 for none.
  var length: socklen_t = 0

  init() {}

  init(_ address: SocketAddress) {
    length = address.ip.isIPv6 ? 28 : 16
    withUnsafeMutableBytes(of: &storage) { bytes in
      bytes.storeBytes(of: sa_family_t(address.ip.isIPv6 ? AF_INET6 : AF_INET), as: sa_family_t.self)
      bytes.storeBytes(of: address.port.bigEndian, toByteOffset: 2, as: UInt16.self)
      let octets = address.ip.bytes
      UnsafeMutableRawBufferPointer(rebasing: bytes[(octets.count == 16 ? 8 : 4)...]).copyBytes(from: octets)
    }
  }
}

extension SocketAddress {
  /// From the kernel's form; nil for families other than IPv4 and IPv6. IPv4 inside IPv6 comes out as IPv4.
  @inline(__always)
  init?(kernel address: UnsafeRawPointer) {
    switch Int32(address.loadUnaligned(as: sa_family_t.self)) {
    case AF_INET:
      let port = UInt16(bigEndian: address.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
      let ip = UInt32(bigEndian: address.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
      self.init(ip: IPAddress(v4: ip), port: port)
    case AF_INET6:
      let port = UInt16(bigEndian: address.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
      let high = UInt64(bigEndian: address.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      let low = UInt64(bigEndian: address.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
      self.init(ip: IPAddress(v6High: high, low: low).unmapped, port: port)
    default: return nil
    }
  }
}
