// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// A second socket on the address of one of libnice's, which the kernel gives RTP and RTCP only; STUN and DTLS stay with
/// libnice, whose way of receiving costs several times a packet's other costs.
///
/// Both sockets form a group of SO_REUSEPORT, and a classic BPF program picks by the first byte (RFC 7983 §7):
/// 128…191 the second, everything else the first.
enum MediaSocket {
  /// Nil where the kernel refuses any part; libnice then goes on receiving media.
  static func split(from descriptor: Int32) -> UDPSocket? {
    var on: Int32 = 1
    // The kernel forms the group when the second socket binds; the first may get the option late.
    guard setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, socklen_t(MemoryLayout<Int32>.size)) == 0,
      let local = UDPSocket.localAddress(of: descriptor),
      let socket = try? UDPSocket(binding: local, sharesPort: true)
    else { return nil }
    // ldb [0]; jge 128, next, first; jge 192, first, second; first: ret 0; second: ret 1.
    var program = [
      sock_filter(code: 0x30, jt: 0, jf: 0, k: 0), sock_filter(code: 0x35, jt: 0, jf: 1, k: 128),
      sock_filter(code: 0x35, jt: 0, jf: 1, k: 192), sock_filter(code: 0x06, jt: 0, jf: 0, k: 0),
      sock_filter(code: 0x06, jt: 0, jf: 0, k: 1),
    ]
    let attached = program.withUnsafeMutableBufferPointer { instructions in
      var filter = sock_fprog(len: UInt16(instructions.count), filter: instructions.baseAddress)
      return setsockopt(
        socket.descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, socklen_t(MemoryLayout<sock_fprog>.size))
    }
    return attached == 0 ? socket : nil
  }
}
