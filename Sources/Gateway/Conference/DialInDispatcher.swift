package import Core

/// A call from outside that is for a room, as far as dispatching looks at it.
package struct DialInCall: Sendable, Hashable {
  /// The id of the inbound room trunk that took it, or the name of the trunk.
  package var trunk: String
  /// As called, `+15550100`.
  package var called: String
  /// Empty where the caller does not tell.
  package var caller: String
  /// Where it came from.
  package var hostname: String
  /// Attributes from its header fields.
  package var attributes: [String: String]
  /// Seconds; of the trunk.
  package var maximumDuration: Double?

  package init(trunk: String, called: String, caller: String, hostname: String = "") {
    self.trunk = trunk
    self.called = called
    self.caller = caller
    self.hostname = hostname
    attributes = [:]
  }
}

/// The place that a rule gives to a caller.
package struct DialInPlace: Sendable, Hashable {
  package var room: String
  package var identity: String
  /// What others see, such as `Phone +15550100`.
  package var name: String
  package var metadata = ""
  package var attributes: [String: String] = [:]
  /// Nil for a room that a number leads to without a rule.
  package var ruleID: String?
  /// Entered the host's PIN.
  package var isHost = false
  package var waitsForHost = false
  package var roomPreset = ""
  /// LiveKit's `RoomConfiguration`; empty: none.
  package var roomConfiguration: [UInt8] = []
  /// Seconds.
  package var maximumDuration: Double?

  package init(room: String, identity: String, name: String) {
    self.room = room
    self.identity = identity
    self.name = name
  }
}

/// What becomes of a caller.
package enum DispatchAnswer: Sendable, Hashable {
  case admitted(DialInPlace)
  /// A rule is there, but it wants a PIN.
  case pinRequired
  case wrongPIN
  /// No rule takes this call.
  case noRule
}

/// Which trunk an INVITE from outside belongs to.
package enum InboundMatch: Sendable, Hashable {
  /// Take it.
  case trunk(InboundRoomTrunk)
  /// One that wants a digest first.
  case challenge
  case none
}

/// Inbound room trunks and dispatch rules, and what they decide. An immutable snapshot.
///
/// Of several rules that take a call, the most specific wins: one that names the trunk before one for all trunks; then one
/// that names the called number, then one that names the caller; then one with a PIN before one without; then a direct
/// one before an individual one before one by callee; at last the oldest.
package struct DialInDispatcher: Sendable {
  package let trunks: [InboundRoomTrunk]
  package let rules: [DispatchRule]
  private let networks: [String: [Network]]

  /// - Parameter addresses: what the host names among the trunks' allowed addresses resolve to.
  package init(
    trunks: [InboundRoomTrunk] = [], rules: [DispatchRule] = [], addresses: [String: [IPAddress]] = [:]
  ) {
    self.trunks = trunks
    self.rules = rules.sorted { ($0.createdAt.milliseconds, $0.id) < ($1.createdAt.milliseconds, $1.id) }
    var networks: [String: [Network]] = [:]
    for trunk in trunks {
      networks[trunk.id] = trunk.allowedAddresses.flatMap { text in
        Network(text).map { [$0] } ?? (addresses[text] ?? []).compactMap { Network("\($0.unmapped)") }
      }
    }
    self.networks = networks
  }

  package var isEmpty: Bool { trunks.isEmpty && rules.isEmpty }

  // MARK: Trunks

  /// The trunk of an INVITE that has proved nothing yet.
  ///
  /// A trunk that names the called number goes before one for all numbers, one that names the source's address before
  /// one that takes calls from everywhere.
  package func match(source: IPAddress, called: String, caller: String) -> InboundMatch {
    let candidates = candidates(source: source, called: called, caller: caller)
    let best = candidates.map(Self.specificity).max() ?? 0
    let winners = candidates.filter { Self.specificity($0) == best }
    if let open = winners.first(where: { !$0.hasCredentials }) { return .trunk(open) }
    return winners.isEmpty ? .none : .challenge
  }

  /// The trunk of an INVITE that proved to come from `username`.
  package func match(username: String, source: IPAddress, called: String, caller: String) -> InboundRoomTrunk? {
    candidates(source: source, called: called, caller: caller)
      .filter { $0.hasCredentials && $0.username == username }
      .max { Self.specificity($0) < Self.specificity($1) }
  }

  private func candidates(source: IPAddress, called: String, caller: String) -> [InboundRoomTrunk] {
    let source = source.unmapped
    return trunks.filter { trunk in
      // Without any of the three it would take every call of the world.
      guard !trunk.numbers.isEmpty || !trunk.allowedAddresses.isEmpty || trunk.hasCredentials else { return false }
      return Self.lists(trunk.numbers, called) && Self.lists(trunk.allowedNumbers, caller)
        && (trunk.allowedAddresses.isEmpty || (networks[trunk.id] ?? []).contains { $0.contains(source) })
    }
  }

  private static func specificity(_ trunk: InboundRoomTrunk) -> Int {
    (trunk.numbers.isEmpty ? 0 : 4) + (trunk.allowedAddresses.isEmpty ? 0 : 2) + (trunk.allowedNumbers.isEmpty ? 0 : 1)
  }

  /// Whether a list of numbers takes this one; an empty list takes all.
  private static func lists(_ numbers: [String], _ number: String) -> Bool {
    numbers.isEmpty || numbers.contains { isSame($0, number) }
  }

  /// Carriers write a number with and without its plus.
  package static func isSame(_ one: String, _ other: String) -> Bool {
    func bare(_ text: String) -> Substring {
      let normal = DialledNumber.normalized(text)
      return normal.first == "+" ? normal.dropFirst() : normal[...]
    }
    return bare(one) == bare(other)
  }

  // MARK: Rules

  /// Whether any rule takes calls of this trunk to this number.
  package func takes(_ call: DialInCall) -> Bool { rules.contains { Self.applies($0, to: call) } }

  /// Where a call goes.
  ///
  /// A PIN is compared with those of all rules that take the call, in a time that does not depend on how much of it is
  /// right or on which rule it is for.
  /// - Parameter pin: what the caller entered; nil and empty: nothing yet.
  package func dispatch(
    _ call: DialInCall, pin: String? = nil, random: inout some RandomNumberGenerator
  ) -> DispatchAnswer {
    let candidates = rules.filter { Self.applies($0, to: call) }
    guard !candidates.isEmpty else { return .noRule }
    guard let pin, !pin.isEmpty else {
      guard let rule = Self.best(candidates) else { return .noRule }
      return rule.asksForPIN
        ? .pinRequired : .admitted(place(of: rule, call, isHost: false, random: &random))
    }
    var right: [DispatchRule] = []
    var hosted: Set<String> = []
    for rule in candidates where rule.asksForPIN {
      let isGuest = PINCode.isEqual(pin, rule.pin ?? "")
      let isHost = PINCode.isEqual(pin, rule.hostPIN ?? "")
      if isGuest || isHost { right.append(rule) }
      if isHost { hosted.insert(rule.id) }
    }
    if let rule = Self.best(right) {
      return .admitted(place(of: rule, call, isHost: hosted.contains(rule.id), random: &random))
    }
    // Digits that nobody asked for: a key pressed by accident.
    if let open = Self.best(candidates), !open.asksForPIN {
      return .admitted(place(of: open, call, isHost: false, random: &random))
    }
    return .wrongPIN
  }

  private static func applies(_ rule: DispatchRule, to call: DialInCall) -> Bool {
    (rule.trunks.isEmpty || rule.trunks.contains(call.trunk)) && lists(rule.numbers, call.called)
      && lists(rule.callers, call.caller)
  }

  /// The most specific one; rules are in order of age.
  private static func best(_ rules: [DispatchRule]) -> DispatchRule? {
    func rank(_ rule: DispatchRule) -> Int {
      var rank = rule.trunks.isEmpty ? 0 : 100
      if !rule.numbers.isEmpty { rank += 50 }
      if !rule.callers.isEmpty { rank += 25 }
      if rule.asksForPIN { rank += 10 }
      switch rule.target {
      case .direct: rank += 2
      case .individual: rank += 1
      case .callee: break
      }
      return rank
    }
    var best: (rule: DispatchRule, rank: Int)?
    for rule in rules where best.map({ rank(rule) > $0.rank }) ?? true { best = (rule, rank(rule)) }
    return best?.rule
  }

  private func place(
    of rule: DispatchRule, _ call: DialInCall, isHost: Bool, random: inout some RandomNumberGenerator
  ) -> DialInPlace {
    let unique = Self.token(&random)
    let shown = rule.hidesNumber ? Self.masked(call.caller) : call.caller
    let room: String
    switch rule.target {
    case .direct(let name): room = name
    case .individual(let prefix, let isRandom):
      // Who hides the number must not find it in the room's name; who has none shares no room with others.
      let own = rule.hidesNumber || call.caller.isEmpty ? "" : call.caller
      room = Self.joined([prefix, own, isRandom || own.isEmpty ? unique : ""])
    case .callee(let prefix, let isRandom): room = Self.joined([prefix, call.called, isRandom ? unique : ""])
    }
    var place = DialInPlace(
      room: String(room.unicodeScalars.prefix(256)),
      identity: "sip_" + (rule.hidesNumber || call.caller.isEmpty ? unique : call.caller),
      name: shown.isEmpty ? "Phone" : "Phone \(shown)")
    place.metadata = rule.metadata
    place.attributes = call.attributes.merging(rule.attributes) { $1 }
    place.attributes[PhoneAttribute.trunkID] = call.trunk
    place.attributes[PhoneAttribute.ruleID] = rule.id
    place.attributes[PhoneAttribute.trunkPhoneNumber] = call.called
    if !rule.hidesNumber {
      place.attributes[PhoneAttribute.phoneNumber] = call.caller
      if !call.hostname.isEmpty { place.attributes[PhoneAttribute.hostname] = call.hostname }
    }
    place.ruleID = rule.id
    place.isHost = isHost
    place.waitsForHost = rule.waitsForHost && !isHost
    place.roomPreset = rule.roomPreset
    place.roomConfiguration = rule.roomConfiguration
    place.maximumDuration = call.maximumDuration
    return place
  }

  private static func joined(_ parts: [String]) -> String { parts.filter { !$0.isEmpty }.joined(separator: "_") }

  /// The last four digits; of a short number the last one.
  private static func masked(_ number: String) -> String { String(number.suffix(number.count > 4 ? 4 : 1)) }

  private static func token(_ random: inout some RandomNumberGenerator) -> String {
    let alphabet = Array("23456789abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ")
    return String((0..<12).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
  }
}

/// Digits that open a room.
package enum PINCode {
  /// Longest PIN that a rule may have.
  package static let longest = 16

  /// Compares in a time that depends on neither text. A `secret` that is empty or too long is equal to nothing.
  package static func isEqual(_ entered: String, _ secret: String) -> Bool {
    // One more than the longest, so that a longer entry differs by its length alone and costs the same.
    func padded(_ text: String) -> (bytes: [UInt8], count: UInt8) {
      var bytes = [UInt8](repeating: 0, count: longest)
      var count: UInt8 = 0
      for byte in text.utf8.prefix(longest + 1) {
        if count < UInt8(longest) { bytes[Int(count)] = byte }
        count += 1
      }
      return (bytes, count)
    }
    let (one, other) = (padded(entered), padded(secret))
    var difference = one.count ^ other.count
    for i in 0..<longest { difference |= one.bytes[i] ^ other.bytes[i] }
    return difference == 0 && other.count != 0 && other.count <= UInt8(longest)
  }
}
