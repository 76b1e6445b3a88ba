import Core
import Glibc

/// Which of the machine's own addresses the kernel would use towards a peer.
///
/// Found by connecting a UDP socket, which sends nothing. Answers are kept for a while: interfaces come and go.
struct RouteProbe {
  private var known: [IPAddress: (own: IPAddress, since: Instant)] = [:]
  private static let lifetime = Duration.seconds(60)
  private static let capacity = 4_096

  mutating func ownAddress(towards remote: IPAddress, now: Instant) -> IPAddress? {
    if let entry = known[remote], entry.since.duration(to: now) < Self.lifetime { return entry.own }
    guard let own = Self.probe(remote) else { return nil }
    if known.count >= Self.capacity { known.removeAll(keepingCapacity: true) }
    known[remote] = (own, now)
    return own
  }

  private static func probe(_ remote: IPAddress) -> IPAddress? {
    let descriptor = socket(
      remote.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    // Any port does; 9 is discard.
    guard Core.SocketAddress(ip: remote, port: 9).withSockaddr({ connect(descriptor, $0, $1) }) == 0 else { return nil }
    return Core.SocketAddress(ownAddressOf: descriptor)?.ip
  }
}
