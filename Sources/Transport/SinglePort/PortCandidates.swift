package import Core

/// The `candidate:` lines of a single port (RFC 8839 §5.1, RFC 6544 §4.5): the same for all peers but for loopback.
enum PortCandidates {
  /// Local preference falls with the order of configuration. The type preference of host candidates is 126; TCP is below
  /// every UDP candidate (RFC 8421 §4, RFC 6544 §4.2: direction preference 2 for passive in the upper three bits).
  static func lines(_ configuration: SinglePort.Configuration, towards peer: IPAddress) -> [String] {
    let addresses = addresses(configuration, towards: peer)
    var lines: [String] = []
    for (index, address) in addresses.enumerated() {
      let preference = max(0, 65_535 - index)
      let priority = 126 << 24 | preference << 8 | 255
      lines.append("candidate:\(index + 1) 1 udp \(priority) \(address) \(configuration.port) typ host")
    }
    guard configuration.overTCP else { return lines }
    for (index, address) in addresses.enumerated() {
      let preference = 2 << 13 | max(0, 8191 - index)
      let priority = 90 << 24 | preference << 8 | 255
      lines.append(
        "candidate:\(addresses.count + index + 1) 1 tcp \(priority) \(address) \(configuration.port) typ host "
          + "tcptype passive")
    }
    return lines
  }

  private static func addresses(_ configuration: SinglePort.Configuration, towards peer: IPAddress) -> [IPAddress] {
    SinglePort.candidateAddresses(
      bound: configuration.addresses, advertised: configuration.advertisedAddresses, isOnLoopback: peer.isLoopback)
  }
}

extension SinglePort {
  /// What a peer is told to reach us at: the bound addresses, or the advertised ones of their family; loopback only for
  /// peers on loopback, or when there is nothing else.
  package static func candidateAddresses(
    bound: [IPAddress], advertised: [IPAddress], isOnLoopback: Bool
  ) -> [IPAddress] {
    var result: [IPAddress] = []
    func append(_ address: IPAddress) { if !result.contains(address) { result.append(address) } }
    // Bound to loopback alone: behind something that forwards packets, or for peers on this machine.
    let isInside = bound.allSatisfy(\.isLoopback)
    if isOnLoopback || (isInside && advertised.isEmpty) { bound.filter(\.isLoopback).forEach(append) }
    for address in bound where !address.isLoopback {
      let outside = advertised.filter { $0.isIPv6 == address.isIPv6 }
      if outside.isEmpty { append(address) } else { outside.forEach(append) }
    }
    if isInside { advertised.forEach(append) }
    return result
  }
}
