internal import Core

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

  /// What a peer is told to reach us at: the bound addresses, or the advertised ones of their family; loopback only for
  /// peers on loopback, or when there is nothing else.
  static func addresses(_ configuration: SinglePort.Configuration, towards peer: IPAddress) -> [IPAddress] {
    var result: [IPAddress] = []
    func append(_ address: IPAddress) { if !result.contains(address) { result.append(address) } }
    let isAlone = configuration.addresses.allSatisfy(\.isLoopback) && configuration.advertisedAddresses.isEmpty
    if peer.isLoopback || isAlone { configuration.addresses.filter(\.isLoopback).forEach(append) }
    for address in configuration.addresses where !address.isLoopback {
      let advertised = configuration.advertisedAddresses.filter { $0.isIPv6 == address.isIPv6 }
      if advertised.isEmpty { append(address) } else { advertised.forEach(append) }
    }
    // Bound to loopback alone, behind a proxy of packets.
    if configuration.addresses.allSatisfy(\.isLoopback) { configuration.advertisedAddresses.forEach(append) }
    return result
  }
}
