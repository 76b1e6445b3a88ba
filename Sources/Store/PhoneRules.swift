package import Core

/// What is acceptable in trunks and dispatch rules of rooms; one place for LiveKit's service and REST.
package enum PhoneRules {
  /// Numbers, addresses, attributes of one trunk or rule.
  private static let maximumItems = 1_000
  private static let maximumText = 4_096
  package static let longestPIN = 16

  /// Why this trunk cannot be stored, as a sentence; nil if it can.
  package static func problem(with trunk: InboundRoomTrunk) -> String? {
    if let problem = texts(
      [("name", trunk.name), ("metadata", trunk.metadata)] + credentials(trunk.username, trunk.password),
      lists: [
        ("numbers", trunk.numbers), ("allowed addresses", trunk.allowedAddresses),
        ("allowed numbers", trunk.allowedNumbers),
      ],
      maps: [("headers_to_attributes", trunk.headersToAttributes)])
    {
      return problem
    }
    if let problem = halfCredentials(trunk.username, trunk.password) { return problem }
    if trunk.numbers.isEmpty, trunk.allowedAddresses.isEmpty, !trunk.hasCredentials {
      return "For security, one of the fields must be set: numbers, allowed addresses, or user name with password."
    }
    for number in trunk.numbers + trunk.allowedNumbers {
      if let problem = numberProblem(number) { return problem }
    }
    for address in trunk.allowedAddresses where !DirectoryRules.isNetwork(address) && !isHost(address) {
      return "\"\(address)\" is neither a network nor an address nor a host name."
    }
    if let seconds = trunk.maximumDuration, !(seconds > 0 && seconds <= 86_400) {
      return "The longest call must have more than 0 and at most 86400 seconds."
    }
    return nil
  }

  package static func problem(with trunk: OutboundRoomTrunk) -> String? {
    if let problem = texts(
      [("name", trunk.name), ("metadata", trunk.metadata)] + credentials(trunk.username, trunk.password),
      lists: [("numbers", trunk.numbers)], maps: [("headers", trunk.headers)])
    {
      return problem
    }
    if let problem = halfCredentials(trunk.username, trunk.password) { return problem }
    guard trunk.numbers.first != nil else { return "An outbound trunk needs at least one number to call from." }
    for number in trunk.numbers {
      if number == "*" { continue }
      if let problem = numberProblem(number) { return problem }
    }
    guard OutboundAddress(trunk.address) != nil else {
      return "\"\(trunk.address)\" is no host name or address, with or without a port."
    }
    guard ["auto", "udp", "tcp", "tls"].contains(trunk.transport) else {
      return "\"\(trunk.transport)\" is no transport; use auto, udp, tcp or tls."
    }
    return headersProblem(trunk.headers)
  }

  package static func problem(with rule: DispatchRule) -> String? {
    if let problem = texts(
      [("name", rule.name), ("metadata", rule.metadata), ("room preset", rule.roomPreset)],
      lists: [("trunks", rule.trunks), ("callers", rule.callers), ("numbers", rule.numbers)],
      maps: [("attributes", rule.attributes)])
    {
      return problem
    }
    switch rule.target {
    case .direct(let room):
      if room.isEmpty { return "A direct rule needs a room name." }
      if let problem = text(room, "room name", most: 128) { return problem }
    case .individual(let prefix, _), .callee(let prefix, _):
      if let problem = text(prefix, "room prefix", most: 64) { return problem }
    }
    for (pin, what) in [(rule.pin, "PIN"), (rule.hostPIN, "host's PIN")] {
      guard let pin, !pin.isEmpty else { continue }
      guard pin.utf8.count <= longestPIN, pin.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
        return "The \(what) must have 1 to \(longestPIN) digits."
      }
    }
    if let pin = rule.pin, !pin.isEmpty, pin == rule.hostPIN { return "The host's PIN must differ from the PIN." }
    if rule.waitsForHost, rule.hostPIN?.isEmpty ?? true {
      return "A rule whose callers wait for a host needs a host's PIN."
    }
    for number in rule.numbers + rule.callers {
      if let problem = numberProblem(number) { return problem }
    }
    return nil
  }

  /// Header fields that a trunk may add to our requests: no field that the call itself depends on, and no second line.
  package static func headersProblem(_ headers: [String: String]) -> String? {
    for (name, value) in headers {
      guard !name.isEmpty, name.utf8.count <= 64, name.utf8.allSatisfy(isTokenByte) else {
        return "\"\(name)\" is no name of a header field."
      }
      if reserved.contains(name.lowercased()) { return "The header field \(name) is the server's own." }
      if let problem = text(value, "value of \(name)", most: 1_024) { return problem }
    }
    return nil
  }

  private static let reserved: Set<String> = [
    "via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "contact", "m", "max-forwards", "route", "record-route",
    "content-length", "l", "content-type", "c", "content-encoding", "e", "authorization", "proxy-authorization",
    "require", "proxy-require", "supported", "k", "allow", "session-expires", "x", "min-se", "replaces", "refer-to",
    "r",
    "expires", "rseq", "rack",
  ]

  // MARK: Conflicts

  /// Two trunks that would take the same call without either being more specific.
  static func conflict(of trunk: InboundRoomTrunk, with other: InboundRoomTrunk) -> String? {
    guard overlap(trunk.numbers, other.numbers), overlap(trunk.allowedNumbers, other.allowedNumbers),
      Set(trunk.allowedAddresses) == Set(other.allowedAddresses),
      (trunk.hasCredentials ? trunk.username : nil) == (other.hasCredentials ? other.username : nil)
    else { return nil }
    return "Conflicting inbound SIP Trunks: this one and \"\(other.id)\" (\(other.name)) take the same calls."
  }

  /// Two rules that would take the same call with the same PIN.
  static func conflict(of rule: DispatchRule, with other: DispatchRule) -> String? {
    let (one, two) = (pins(of: rule), pins(of: other))
    guard overlap(rule.trunks, other.trunks), overlap(rule.numbers, other.numbers),
      overlap(rule.callers, other.callers), one.isEmpty == two.isEmpty, one.isEmpty || !one.isDisjoint(with: two)
    else { return nil }
    return "Dispatch rule for the same trunk, number, and PIN combination already exists in dispatch rule "
      + "\"\(other.id)\" (\(other.name))."
  }

  private static func pins(of rule: DispatchRule) -> Set<String> {
    Set([rule.pin, rule.hostPIN].compactMap { $0 }.filter { !$0.isEmpty })
  }

  private static func overlap(_ one: [String], _ other: [String]) -> Bool {
    one.isEmpty && other.isEmpty || !Set(one.map(bare)).isDisjoint(with: other.map(bare))
  }

  private static func bare(_ number: String) -> Substring { number.first == "+" ? number.dropFirst() : number[...] }

  // MARK: Texts

  private static func credentials(_ username: String?, _ password: String?) -> [(String, String)] {
    [("user name", username ?? ""), ("password", password ?? "")]
  }

  private static func halfCredentials(_ username: String?, _ password: String?) -> String? {
    (username?.isEmpty ?? true) == (password?.isEmpty ?? true)
      ? nil : "User name and password must be given together."
  }

  private static func texts(
    _ texts: [(String, String)], lists: [(String, [String])], maps: [(String, [String: String])]
  ) -> String? {
    for (what, value) in texts {
      if let problem = text(value, what, most: maximumText) { return problem }
    }
    for (what, list) in lists {
      if list.count > maximumItems { return "There are more than \(maximumItems) \(what)." }
      for value in list {
        if value.isEmpty { return "One of the \(what) is empty." }
        if let problem = text(value, what, most: 256) { return problem }
      }
    }
    for (what, map) in maps {
      if map.count > 100 { return "There are more than 100 \(what)." }
      for (key, value) in map {
        if key.isEmpty { return "A name in \(what) is empty." }
        if let problem = text(key, what, most: 256) ?? text(value, what, most: maximumText) { return problem }
      }
    }
    return nil
  }

  private static func text(_ text: String, _ what: String, most: Int) -> String? {
    if text.utf8.count > most { return "The \(what) has more than \(most) bytes." }
    // Metadata is often JSON in several lines; nothing else has a reason for control characters.
    let allowed: Set<UInt32> = what == "metadata" ? [0x09, 0x0A, 0x0D] : []
    if text.unicodeScalars.contains(where: { ($0.value < 0x20 || $0.value == 0x7F) && !allowed.contains($0.value) }) {
      return "The \(what) has a control character."
    }
    return nil
  }

  private static func numberProblem(_ number: String) -> String? {
    guard number.utf8.count <= 64, number.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "@") }) else {
      return "\"\(number)\" is no number."
    }
    return nil
  }

  private static func isHost(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 255 && text.utf8.contains { 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 }
      && text.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || $0 == 0x2D || $0 == 0x2E
      }
  }

  private static func isTokenByte(_ c: UInt8) -> Bool {
    switch c {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "-.!%*_+`'~".utf8.contains(c)
    }
  }
}

/// `host`, `host:port`, `[2001:db8::1]:port`, or the same as a SIP URI without user.
package struct OutboundAddress: Sendable, Hashable {
  /// Without brackets.
  package let host: String
  package let port: UInt16?
  /// `;transport=` of a URI, lower case.
  package let transport: String?

  package init?(_ text: String) {
    var rest = text[...]
    var transport: String?
    for scheme in ["sips:", "sip:"] where rest.lowercased().hasPrefix(scheme) {
      rest = rest.dropFirst(scheme.count)
      if scheme == "sips:" { transport = "tls" }
      break
    }
    if let semicolon = rest.firstIndex(of: ";") {
      for parameter in rest[semicolon...].split(separator: ";") {
        let pair = parameter.split(separator: "=", maxSplits: 1)
        if pair.count == 2, pair[0].lowercased() == "transport" { transport = pair[1].lowercased() }
      }
      rest = rest[..<semicolon]
    }
    var port: UInt16?
    if rest.first == "[" {
      guard let end = rest.firstIndex(of: "]") else { return nil }
      let tail = rest[rest.index(after: end)...]
      if !tail.isEmpty {
        guard tail.first == ":", let given = UInt16(tail.dropFirst()), given > 0 else { return nil }
        port = given
      }
      rest = rest[rest.index(after: rest.startIndex)..<end]
      guard IPAddress(String(rest))?.isIPv6 == true else { return nil }
    } else if rest.filter({ $0 == ":" }).count == 1, let colon = rest.firstIndex(of: ":") {
      guard let given = UInt16(rest[rest.index(after: colon)...]), given > 0 else { return nil }
      port = given
      rest = rest[..<colon]
    }
    let isIPv6 = rest.contains(":")
    guard !rest.isEmpty, rest.utf8.count <= 255,
      isIPv6
        ? IPAddress(String(rest)) != nil
        : rest.utf8.allSatisfy({
          0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F
        })
    else { return nil }
    if let transport, !["udp", "tcp", "tls"].contains(transport) { return nil }
    host = String(rest)
    self.port = port
    self.transport = transport
  }
}
