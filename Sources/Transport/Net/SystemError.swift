// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Glibc

/// EADDRINUSE.
let addressInUse: Int32 = EADDRINUSE

/// EADDRNOTAVAIL.
let addressMissing: Int32 = EADDRNOTAVAIL

/// EAFNOSUPPORT.
let familyMissing: Int32 = EAFNOSUPPORT

/// The C library's words for an error number.
func systemErrorText(_ code: Int32) -> String {
  var buffer = [CChar](repeating: 0, count: 128)
  // The XSI form, which Swift imports, fills the buffer and returns 0.
  guard strerror_r(code, &buffer, buffer.count) == 0 else { return "unknown error" }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// The limit of open file descriptors of this process.
package enum DescriptorLimit {
  /// Raised to the hard limit at the first use: each browser needs three descriptors, each trunk leg two.
  package static let raised: UInt64 = {
    var limit = rlimit()
    // Resource 7 is RLIMIT_NOFILE; Glibc imports it as an enumeration that getrlimit does not take directly.
    guard getrlimit(__rlimit_resource_t(7), &limit) == 0 else { return 0 }
    if limit.rlim_cur < limit.rlim_max {
      limit.rlim_cur = limit.rlim_max
      if setrlimit(__rlimit_resource_t(7), &limit) != 0 { getrlimit(__rlimit_resource_t(7), &limit) }
    }
    return UInt64(limit.rlim_cur)
  }()
}
