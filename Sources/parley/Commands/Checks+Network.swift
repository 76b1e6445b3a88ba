import Core
import Foundation

extension Checks {
  /// Tries every listener's address and port.
  func listenerFindings() -> [Finding] {
    var findings: [Finding] = []
    func tryAll(_ setting: String, _ addresses: [SocketAddress], udp: Bool) {
      for address in addresses {
        let subject = "\(setting) \(address)\(udp ? "/udp" : "/tcp")"
        switch PortProbe.bind(address, udp: udp) {
        case 0: findings.append(Finding(.ok, subject, "free."))
        case EADDRINUSE:
          findings.append(
            Finding(
              .fail, subject, "in use by another program, or by a running Parley.",
              remedy: "Stop it (ss -lpn shows it), or change \(setting)."))
        case EACCES:
          findings.append(
            Finding(
              .fail, subject, "this user may not listen there.",
              remedy: "Use a port above 1023, or give the program CAP_NET_BIND_SERVICE."))
        case EADDRNOTAVAIL:
          findings.append(
            Finding(
              .fail, subject, "no interface has this address.",
              remedy: "Use 0.0.0.0 or [::], or an address that ip address lists."))
        case let code:
          findings.append(
            Finding(.fail, subject, String(cString: strerror(code)) + ".", remedy: "Change \(setting)."))
        }
      }
    }
    tryAll("http.listen", configuration.http.listen.map { [$0] } ?? [], udp: false)
    tryAll("http.tls.listen", configuration.http.tls.listen.map { [$0] } ?? [], udp: false)
    tryAll("sip.udp", configuration.sip.udp, udp: true)
    tryAll("sip.tcp", configuration.sip.tcp, udp: false)
    tryAll("sip.tls", configuration.sip.tls, udp: false)
    return findings
  }

  func mediaPortFindings() -> [Finding] {
    let ports = configuration.media.ports
    var findings: [Finding] = []
    for address in configuration.sip.udp where ports.contains(address.port) {
      findings.append(
        Finding(
          .fail, "media.ports", "\(ports.lowerBound)-\(ports.upperBound) includes the SIP port \(address.port).",
          remedy: "Move media.ports or sip.udp."))
    }
    if let range = EphemeralPorts.range(), range.overlaps(ports) {
      findings.append(
        Finding(
          .warn, "media.ports",
          "overlaps \(range.lowerBound)-\(range.upperBound), from which the kernel gives ports to other programs.",
          remedy: "Move media.ports, or set net.ipv4.ip_local_reserved_ports."))
    }
    // Both legs of a call take RTP and RTCP ports, or an ICE port unless browsers are all on one.
    let calls = ports.count / 4
    if calls < min(configuration.sip.limits.calls, 50) {
      findings.append(
        Finding(
          .warn, "media.ports", "has room for \(calls) calls only.", remedy: "Widen it; a call uses up to four ports."))
    }
    return findings.isEmpty ? [Finding(.ok, "media.ports", "room for \(calls) calls.")] : findings
  }

  /// What SDP and candidates will name, and who can reach that.
  func addressFindings() -> [Finding] {
    let local = Interfaces.addresses()
    let advertised = configuration.media.address
    if advertised.isEmpty {
      let usable = local.filter { !$0.isLoopback }
      guard let first = usable.first(where: { !$0.isPrivate }) ?? usable.first else {
        return [
          Finding(
            .warn, "media.address", "this machine has no address but loopback: only callers on it can be heard.",
            remedy: "Connect a network, or set media.address.")
        ]
      }
      if usable.allSatisfy(\.isPrivate) {
        return [
          Finding(
            .warn, "media.address", "guessed \(first), a private address: peers outside this network cannot reach it.",
            remedy:
              "Behind NAT set media.address to the public address and forward sip and media ports; in a local network all is well."
          )
        ]
      }
      return [Finding(.ok, "media.address", "guessed \(first).")]
    }
    return advertised.map { address in
      if local.contains(address) { return Finding(.ok, "media.address", "\(address) is one of this machine's.") }
      let browsers =
        configuration.media.ice == .singlePort ? "UDP and TCP \(configuration.media.port) and " : ""
      return Finding(
        .ok, "media.address",
        "\(address) is not this machine's: a NAT must forward \(browsers)UDP \(configuration.media.ports.lowerBound)-"
          + "\(configuration.media.ports.upperBound) unchanged.")
    }
  }
}

/// Binds a socket for a moment.
enum PortProbe {
  /// 0, or the error's number.
  static func bind(_ address: SocketAddress, udp: Bool) -> Int32 {
    let type = udp ? Int32(SOCK_DGRAM.rawValue) : Int32(SOCK_STREAM.rawValue)
    let descriptor = socket(address.ip.isIPv6 ? AF_INET6 : AF_INET, type, 0)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    // A server that has just stopped leaves connections in TIME_WAIT, which do not hinder it.
    if !udp { setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size) }
    if address.ip.isIPv6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
    let result: Int32
    if address.ip.isIPv6 {
      var storage = sockaddr_in6()
      storage.sin6_family = sa_family_t(AF_INET6)
      storage.sin6_port = address.port.bigEndian
      withUnsafeMutableBytes(of: &storage.sin6_addr) { $0.copyBytes(from: address.ip.bytes) }
      result = withUnsafePointer(to: &storage) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          Foundation.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
      }
    } else {
      var storage = sockaddr_in()
      storage.sin_family = sa_family_t(AF_INET)
      storage.sin_port = address.port.bigEndian
      withUnsafeMutableBytes(of: &storage.sin_addr) { $0.copyBytes(from: address.ip.bytes) }
      result = withUnsafePointer(to: &storage) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          Foundation.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
    if result != 0 { return errno }
    // Two TCP sockets may bind the same port with SO_REUSEADDR; only one may listen.
    if !udp, listen(descriptor, 1) != 0 { return errno }
    return 0
  }
}

enum EphemeralPorts {
  /// The ports that the kernel gives to programs that ask for any.
  static func range() -> ClosedRange<UInt16>? {
    guard let text = try? String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8) else {
      return nil
    }
    let numbers = text.split(whereSeparator: { $0 == "\t" || $0 == " " || $0 == "\n" }).compactMap { UInt16($0) }
    guard numbers.count == 2, numbers[0] <= numbers[1] else { return nil }
    return numbers[0]...numbers[1]
  }
}

enum Interfaces {
  /// Addresses of all interfaces that are up, loopback included, link-local ones not.
  static func addresses() -> [IPAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var addresses: [IPAddress] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard entry.ifa_flags & UInt32(IFF_UP) != 0, let raw = entry.ifa_addr else { continue }
      let address: IPAddress?
      switch Int32(raw.pointee.sa_family) {
      case AF_INET:
        address = raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
          withUnsafeBytes(of: pointer.pointee.sin_addr) { IPAddress(bytes: Array($0)) }
        }
      case AF_INET6:
        address = raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
          withUnsafeBytes(of: pointer.pointee.sin6_addr) { IPAddress(bytes: Array($0)) }
        }
      default: address = nil
      }
      if let address, !address.isLinkLocal, !addresses.contains(address) { addresses.append(address) }
    }
    return addresses
  }
}
