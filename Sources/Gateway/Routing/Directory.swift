package import Core

/// Who may call, over which trunks, and where numbers lead. An immutable snapshot; a change makes a new one.
package struct Directory: Sendable {
  private let usersByName: [String: User]
  private let trunksByName: [String: Trunk]
  private let numbers: [String: NumberRule]
  private let routes: [CompiledRoute]
  /// In the order given, for matching sources.
  package let trunks: [Trunk]
  /// Which calls from outside go into rooms by rules.
  package let dialIn: DialInDispatcher
  /// Over which rooms call out, oldest first. No route and no user leads to them.
  package let roomTrunks: [OutgoingRoomTrunk]

  /// A route with its expression compiled.
  private struct CompiledRoute: Sendable {
    let rule: RouteRule
    // Proof of safety: a `Regex` is immutable after construction; only its type-erased storage lacks the annotation.
    nonisolated(unsafe) let expression: Regex<AnyRegexOutput>
  }

  /// Routes whose expression does not compile; they are skipped and must be reported.
  package let invalidRoutes: [RouteRule]

  package init(
    users: [User] = [], trunks: [Trunk] = [], numbers: [NumberRule] = [], routes: [RouteRule] = [],
    dialIn: DialInDispatcher = DialInDispatcher(), roomTrunks: [OutgoingRoomTrunk] = []
  ) {
    self.dialIn = dialIn
    self.roomTrunks = roomTrunks
    usersByName = Dictionary(users.filter(\.enabled).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.trunks = trunks.filter(\.enabled)
    trunksByName = Dictionary(self.trunks.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.numbers = Dictionary(
      numbers.map { (DialledNumber.normalized($0.number), $0) }, uniquingKeysWith: { first, _ in first })
    var compiled: [CompiledRoute] = []
    var invalid: [RouteRule] = []
    for rule in routes.sorted(by: { $0.position < $1.position }) {
      if let expression = try? Regex(rule.match) {
        compiled.append(CompiledRoute(rule: rule, expression: expression))
      } else {
        invalid.append(rule)
      }
    }
    self.routes = compiled
    invalidRoutes = invalid
  }

  package func user(_ name: String) -> User? { usersByName[name] }
  package func trunk(_ name: String) -> Trunk? { trunksByName[name] }

  /// Where a number dialled by a user leads; nil when nothing matches (404).
  ///
  /// Order: numbers and extensions, user names, then routes by position.
  package func route(dialledByUser dialled: String) -> RoutedCall? {
    let number = DialledNumber.normalized(dialled)
    if let rule = numbers[number] { return RoutedCall(target: rule.to, number: number, record: rule.record) }
    if usersByName[dialled] != nil { return RoutedCall(target: .user(dialled), number: dialled) }
    for route in routes {
      guard let match = try? route.expression.wholeMatch(in: number) else { continue }
      let rewritten = route.rule.number.map { substitute($0, match.output) } ?? number
      return RoutedCall(target: route.rule.to, number: rewritten, record: route.rule.record)
    }
    return nil
  }

  /// Where a number called from a trunk leads. Only numbers count: a carrier reaches no extension by its bare name
  /// and no other trunk by an outbound route, so a stranger cannot be relayed at our cost.
  package func route(calledFromTrunk called: String) -> RoutedCall? {
    let number = DialledNumber.normalized(called)
    let alternatives = number.first == "+" ? [number, String(number.dropFirst())] : [number, "+" + number]
    for candidate in alternatives {
      if let rule = numbers[candidate] { return RoutedCall(target: rule.to, number: number, record: rule.record) }
    }
    return nil
  }

  package func roomTrunk(_ id: String) -> OutgoingRoomTrunk? { roomTrunks.first { $0.trunk.name == id } }

  /// Where a phone in a room is transferred to: whatever a user may dial, else over a room trunk. That is the one which
  /// the phone was rung over, or the one that has the number which the phone called, or the oldest.
  package func route(transferTo dialled: String, phoneOf trunk: String?, called: String) -> RoutedCall? {
    if let routed = route(dialledByUser: dialled) { return routed }
    let chosen =
      trunk.flatMap { roomTrunk($0) }
      ?? roomTrunks.first { $0.numbers.contains { DialInDispatcher.isSame($0, called) } } ?? roomTrunks.first
    return chosen.map {
      RoutedCall(target: .trunk($0.trunk.name), number: DialledNumber.normalized(dialled))
    }
  }

  /// Into a room, where a dispatch rule takes the call; the room itself is known after the PIN.
  package func route(_ call: DialInCall) -> RoutedCall? {
    guard dialIn.takes(call) else { return nil }
    return RoutedCall(target: .room(""), number: call.called, dialIn: call)
  }

  /// Replaces `$0`…`$9` by the captures of the match.
  private func substitute(_ template: String, _ output: AnyRegexOutput) -> String {
    var result = ""
    var dollar = false
    for character in template {
      if dollar, let index = character.wholeNumberValue, character.isASCII {
        if index < output.count, let text = output[index].substring { result += text }
        dollar = false
      } else if dollar {
        result.append("$")
        result.append(character)
        dollar = false
      } else if character == "$" {
        dollar = true
      } else {
        result.append(character)
      }
    }
    return dollar ? result + "$" : result
  }

  /// The trunk that a source address belongs to: its own address first, then its allowed networks.
  /// `addresses` gives the resolved addresses of a trunk's host.
  package func trunk(from source: IPAddress, addresses: (Trunk) -> [IPAddress]) -> Trunk? {
    let source = source.unmapped
    if let trunk = trunks.first(where: { addresses($0).contains(source) }) { return trunk }
    return trunks.first { trunk in trunk.allow.contains { Network($0)?.contains(source) == true } }
  }
}

/// A trunk over which rooms call out.
package struct OutgoingRoomTrunk: Sendable, Hashable {
  /// Its name is the room trunk's id.
  package let trunk: Trunk
  /// Ours there; the first one calls.
  package let numbers: [String]

  package init(trunk: Trunk, numbers: [String]) {
    self.trunk = trunk
    self.numbers = numbers.filter { $0 != "*" }
  }
}

/// A routed call: what rings and under which number.
package struct RoutedCall: Sendable, Hashable {
  package let target: RouteTarget
  /// The number to send on, or the extension dialled.
  package let number: String
  /// What `DialInDispatcher.dispatch` is to be asked; the target's room is empty then.
  package let dialIn: DialInCall?
  /// The number or route says that the call is recorded.
  package let record: Bool

  package init(target: RouteTarget, number: String, dialIn: DialInCall? = nil, record: Bool = false) {
    self.target = target
    self.number = number
    self.dialIn = dialIn
    self.record = record
  }
}

/// An IP network, `192.0.2.0/24`; a bare address is a network of one.
package struct Network: Sendable, Hashable {
  package let address: IPAddress
  package let prefix: Int

  package init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = IPAddress(parts[0]) else { return nil }
    let width = address.isIPv6 ? 128 : 32
    var prefix = width
    if parts.count == 2 {
      guard let given = Int(parts[1]), (0...width).contains(given) else { return nil }
      prefix = given
    }
    self.address = address
    self.prefix = prefix
  }

  package func contains(_ other: IPAddress) -> Bool { other.isInside(address, prefix: prefix) }
}

/// Telephone numbers as people write them.
package enum DialledNumber {
  /// Removes the visual separators of RFC 3966 §5.1.1 and spaces, and turns the international prefix `00` into `+`,
  /// from anything that looks like a telephone number; other text (a user name) stays as it is.
  package static func normalized(_ text: String) -> String {
    var digits: [UInt8] = []
    for c in text.utf8 {
      switch c {
      case 0x30...0x39, UInt8(ascii: "*"), UInt8(ascii: "#"): digits.append(c)
      case UInt8(ascii: "+") where digits.isEmpty: digits.append(c)
      case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: " "),
        UInt8(ascii: "/"):
        continue
      default: return text
      }
    }
    guard !digits.isEmpty else { return text }
    // Eight digits behind 00: short codes such as 0012 stay what they are.
    if digits.count >= 10, digits[0] == 0x30, digits[1] == 0x30 {
      digits.replaceSubrange(0..<2, with: [UInt8(ascii: "+")])
    }
    return String(decoding: digits, as: UTF8.self)
  }
}
