/// An IPv4 or IPv6 address, in network order, without port.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// 4 bytes for IPv4, 16 for IPv6, most significant first. `high` is zero for IPv4.
  private let high: UInt64
  private let low: UInt64
  package let isIPv6: Bool

  package init(v4 value: UInt32) {
    high = 0
    low = UInt64(value)
    isIPv6 = false
  }

  package init(v6High high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
    isIPv6 = true
  }

  /// From 4 or 16 network-order bytes; anything else is nil.
  package init?(bytes: [UInt8]) {
    switch bytes.count {
    case 4: self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      self.init(
        v6High: bytes[0..<8].reduce(0) { $0 << 8 | UInt64($1) },
        low: bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) })
    default: return nil
    }
  }

  /// The IPv4 address as a host-order number; nil for IPv6.
  package var v4: UInt32? { isIPv6 ? nil : UInt32(truncatingIfNeeded: low) }

  /// 4 or 16 network-order bytes.
  package var bytes: [UInt8] {
    func split(_ v: UInt64, _ n: Int) -> [UInt8] {
      (0..<n).map { UInt8(truncatingIfNeeded: v >> (8 * UInt64(n - 1 - $0))) }
    }
    return isIPv6 ? split(high, 8) + split(low, 8) : split(low, 4)
  }

  /// The address as two numbers, `high` zero for IPv4; for tables that must not allocate.
  package var words: (high: UInt64, low: UInt64) { (high, low) }

  package var isLoopback: Bool { isIPv6 ? (high == 0 && low == 1) : low >> 24 == 127 }
  package var isUnspecified: Bool { high == 0 && low == 0 }
  package var isMulticast: Bool { isIPv6 ? high >> 56 == 0xFF : (low >> 28) == 0xE }
  package var isLinkLocal: Bool { isIPv6 ? high >> 54 == 0x3FA : low >> 16 == 0xA9FE }
  /// RFC 1918, RFC 4193 or RFC 6598 space: not reachable from the public network.
  package var isPrivate: Bool {
    if isIPv6 { return high >> 57 == 0x7E }
    return low >> 24 == 10 || low >> 20 == 0xAC1 || low >> 16 == 0xC0A8 || low >> 22 == 0x191
  }
  /// An IPv4 address written inside IPv6 (`::ffff:a.b.c.d`) as IPv4; else itself.
  package var unmapped: IPAddress {
    isIPv6 && high == 0 && low >> 32 == 0xFFFF ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : self
  }

  /// Whether the first `prefix` bits equal those of `network`.
  package func isInside(_ network: IPAddress, prefix: Int) -> Bool {
    guard isIPv6 == network.isIPv6 else { return false }
    func same(_ a: UInt64, _ b: UInt64, _ bits: Int, of width: Int) -> Bool {
      bits <= 0 || bits > 64 ? bits <= 0 : (a ^ b) >> UInt64(width - min(bits, width)) == 0
    }
    if !isIPv6 { return same(low, network.low, min(prefix, 32), of: 32) }
    return same(high, network.high, min(prefix, 64), of: 64) && same(low, network.low, min(prefix - 64, 64), of: 64)
  }

  /// Parses dotted IPv4 or RFC 4291 IPv6 text (no brackets, no zone).
  package init?(_ text: some StringProtocol) {
    if text.utf8.contains(UInt8(ascii: ":")) {
      guard let parsed = IPAddress.parseV6(text) else { return nil }
      self = parsed
    } else {
      guard let parsed = IPAddress.parseV4(text) else { return nil }
      self.init(v4: parsed)
    }
  }

  private static func parseV4(_ text: some StringProtocol) -> UInt32? {
    var value: UInt32 = 0
    var octet: UInt32 = 0
    var digits = 0
    var dots = 0
    for c in text.utf8 {
      switch c {
      case 0x30...0x39:
        octet = octet * 10 + UInt32(c - 0x30)
        digits += 1
        if digits > 3 || octet > 255 { return nil }
      case 0x2E:
        if digits == 0 { return nil }
        value = value << 8 | octet
        octet = 0
        digits = 0
        dots += 1
      default: return nil
      }
    }
    return dots == 3 && digits > 0 ? value << 8 | octet : nil
  }

  private static func parseV6(_ text: some StringProtocol) -> IPAddress? {
    var groups: [UInt16] = []
    var compressedAt: Int?
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count >= 3, parts.count <= 9 else { return nil }
    var index = 0
    while index < parts.count {
      let part = parts[index]
      if part.isEmpty {
        let atStart = index == 0
        let atEnd = index == parts.count - 1
        if atStart {
          guard parts[1].isEmpty else { return nil }
          index += 1
          if parts.count > 2, index == parts.count - 1 { return nil }
        } else if atEnd {
          // Only legal directly behind the compression ("1::").
          return compressedAt == groups.count ? assemble(groups, compressedAt) : nil
        }
        guard compressedAt == nil else { return nil }
        compressedAt = groups.count
      } else if part.utf8.contains(UInt8(ascii: ".")) {
        guard index == parts.count - 1, let v4 = parseV4(part) else { return nil }
        groups.append(UInt16(v4 >> 16))
        groups.append(UInt16(v4 & 0xFFFF))
      } else {
        guard part.utf8.count <= 4, part.utf8.allSatisfy({ Hex.value(of: $0) != nil }), let v = UInt16(part, radix: 16)
        else { return nil }
        groups.append(v)
      }
      index += 1
    }
    return assemble(groups, compressedAt)
  }

  private static func assemble(_ groups: [UInt16], _ compressedAt: Int?) -> IPAddress? {
    var all = groups
    if let at = compressedAt {
      guard groups.count < 8 else { return nil }
      all.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: at)
    }
    guard all.count == 8 else { return nil }
    return IPAddress(
      v6High: all[0..<4].reduce(0) { $0 << 16 | UInt64($1) }, low: all[4..<8].reduce(0) { $0 << 16 | UInt64($1) })
  }

  /// Canonical text: dotted IPv4, or IPv6 by RFC 5952 without brackets.
  package var description: String {
    if let v4 { return "\(v4 >> 24).\(v4 >> 16 & 255).\(v4 >> 8 & 255).\(v4 & 255)" }
    let groups =
      (0..<4).map { UInt16(truncatingIfNeeded: high >> (48 - 16 * UInt64($0))) }
      + (0..<4).map { UInt16(truncatingIfNeeded: low >> (48 - 16 * UInt64($0))) }
    // The longest run of two or more zero groups is compressed (RFC 5952 §4.2).
    var best: Range<Int>?
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > max(1, best?.count ?? 1) { best = start..<end }
      start = max(end, start + 1)
    }
    guard let best else { return groups.map { String($0, radix: 16) }.joined(separator: ":") }
    let head = groups[..<best.lowerBound].map { String($0, radix: 16) }.joined(separator: ":")
    let tail = groups[best.upperBound...].map { String($0, radix: 16) }.joined(separator: ":")
    return head + "::" + tail
  }
}

/// An IP address and a UDP or TCP port.
package struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  package var ip: IPAddress
  package var port: UInt16

  package init(ip: IPAddress, port: UInt16) {
    self.ip = ip
    self.port = port
  }

  /// Parses `192.0.2.1:5060` or `[2001:db8::1]:5060`.
  package init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    var host = text[..<colon]
    if host.first == "[" {
      guard host.last == "]" else { return nil }
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard let ip = IPAddress(host) else { return nil }
    self.init(ip: ip, port: port)
  }

  package var description: String { ip.isIPv6 ? "[\(ip)]:\(port)" : "\(ip):\(port)" }
}
