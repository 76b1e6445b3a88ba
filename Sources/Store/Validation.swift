package import Core

/// What is acceptable in users, trunks, numbers and routes; one place for the command line, REST and the configuration.
package enum DirectoryRules {
  /// Why this user cannot be stored, as a sentence; nil if it can.
  package static func problem(with user: User) -> String? {
    if let problem = nameProblem(user.name, "user name") { return problem }
    if let problem = textProblem(user.display, "display name") { return problem }
    if !isHex(user.ha1MD5, digits: 32) { return "The MD5 HA1 is not 32 lower-case hexadecimal digits." }
    if !isHex(user.ha1SHA256, digits: 64) { return "The SHA-256 HA1 is not 64 lower-case hexadecimal digits." }
    return nil
  }

  package static func problem(with trunk: Trunk) -> String? {
    if let problem = nameProblem(trunk.name, "trunk name") { return problem }
    if trunk.host.isEmpty || trunk.host.utf8.count > 255 || !trunk.host.utf8.allSatisfy(isHostByte) {
      return "\"\(trunk.host)\" is no host name or address."
    }
    if trunk.host.contains(":"), IPAddress(trunk.host) == nil {
      return "\"\(trunk.host)\" is no IPv6 address; give the port apart from the host."
    }
    if trunk.port == 0 { return "Port 0 cannot be called; 5060 is usual." }
    if !["udp", "tcp", "tls"].contains(trunk.transport) {
      return "\"\(trunk.transport)\" is no transport; use udp, tcp or tls."
    }
    if trunk.codecs.isEmpty { return "A trunk needs at least one codec of \(codecNames)." }
    if Set(trunk.codecs).count != trunk.codecs.count { return "A codec is listed twice." }
    for network in trunk.allow where !isNetwork(network) {
      return "\"\(network)\" is no network; write 192.0.2.0/24 or 2001:db8::/32."
    }
    for (value, what) in [(trunk.username, "user name"), (trunk.password, "password")] {
      if let value, let problem = textProblem(value, what) { return problem }
    }
    if trunk.register, trunk.username?.isEmpty ?? true { return "A trunk that registers needs a user name." }
    return nil
  }

  package static func problem(with rule: NumberRule) -> String? {
    let number = rule.number
    if number.isEmpty || number.utf8.count > 64 || !number.utf8.allSatisfy(isNameByte) {
      return "\"\(number)\" is no number; use digits, letters and any of + * # - . _ ~"
    }
    return targetProblem(rule.to)
  }

  package static func problem(with rule: RouteRule) -> String? {
    if rule.position < 0 || rule.position > 1_000_000 { return "The position must lie between 0 and 1000000." }
    if rule.match.isEmpty || rule.match.utf8.count > 500 { return "The match must have 1 to 500 characters." }
    let captures: Int
    do {
      captures = try captureCount(rule.match)
    } catch {
      return "\"\(rule.match)\" is no regular expression: \(error)."
    }
    if let number = rule.number {
      if let problem = textProblem(number, "number") { return problem }
      for reference in references(in: number) where reference > captures {
        return "The number uses $\(reference), but the match has \(captures) group\(captures == 1 ? "" : "s")."
      }
    }
    return targetProblem(rule.to)
  }

  /// Names of API keys.
  package static func problem(withKeyName name: String) -> String? { nameProblem(name, "key name") }

  package static var codecNames: String { AudioCodec.allCases.map(\.rawValue).joined(separator: ", ") }

  /// `192.0.2.0/24`, `2001:db8::/32` or an address alone.
  package static func isNetwork(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return false }
    guard parts.count == 2 else { return true }
    guard let prefix = Int(parts[1]), parts[1].utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return false }
    return prefix <= (address.isIPv6 ? 128 : 32)
  }

  private static func captureCount(_ pattern: String) throws -> Int {
    _ = try Regex(pattern)
    // A regex tells its groups only of a match, so count the parentheses that open one.
    var count = 0
    var inClass = false
    var escaped = false
    let bytes = Array(pattern.utf8)
    for (i, c) in bytes.enumerated() {
      if escaped {
        escaped = false
        continue
      }
      switch c {
      case UInt8(ascii: "\\"): escaped = true
      case UInt8(ascii: "["): inClass = true
      case UInt8(ascii: "]"): inClass = false
      case UInt8(ascii: "(") where !inClass:
        let next = i + 1 < bytes.count ? bytes[i + 1] : 0
        let named =
          next == UInt8(ascii: "?") && i + 3 < bytes.count
          && (bytes[i + 2] == UInt8(ascii: "P") || bytes[i + 2] == UInt8(ascii: "<"))
          && bytes[i + 3] != UInt8(ascii: "=") && bytes[i + 3] != UInt8(ascii: "!")
        if next != UInt8(ascii: "?") || named { count += 1 }
      default: break
      }
    }
    return count
  }

  /// The numbers behind `$`.
  private static func references(in number: String) -> [Int] {
    number.split(separator: "$", omittingEmptySubsequences: false).dropFirst().compactMap { part in
      Int(part.prefix(2).prefix { ("0"..."9").contains($0) })
    }
  }

  private static func targetProblem(_ target: RouteTarget) -> String? {
    switch target {
    case .user(let name), .trunk(let name), .room(let name), .app(let name), .queue(let name):
      nameProblem(name, "name in \"\(target)\"")
    case .echo, .milliwatt: nil
    }
  }

  private static func nameProblem(_ name: String, _ what: String) -> String? {
    if name.isEmpty { return "The \(what) is empty." }
    if name.utf8.count > 64 { return "The \(what) has more than 64 characters." }
    if !name.utf8.allSatisfy(isNameByte) {
      return "The \(what) \"\(name)\" may have letters, digits and any of + * # - . _ ~ only."
    }
    return nil
  }

  private static func textProblem(_ text: String, _ what: String) -> String? {
    if text.utf8.count > 256 { return "The \(what) has more than 256 bytes." }
    // They end up in SIP header fields, where a line break would start another one.
    if text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
      return "The \(what) has a control character."
    }
    return nil
  }

  private static func isHex(_ text: String, digits: Int) -> Bool {
    text.utf8.count == digits && text.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }
  }

  private static func isNameByte(_ c: UInt8) -> Bool {
    switch c {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "+*#-._~".utf8.contains(c)
    }
  }

  private static func isHostByte(_ c: UInt8) -> Bool {
    switch c {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "-._:".utf8.contains(c)
    }
  }
}
