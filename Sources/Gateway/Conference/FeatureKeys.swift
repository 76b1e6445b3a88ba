import Core

/// How many keys of a phone are taken: as many as fingers press. INFO requests could come by the hundred, and each key
/// goes to everybody in the room.
struct KeyBudget {
  /// At once, and then a second.
  static let burst = 40
  static let rate = 8
  private var left = Double(KeyBudget.burst)
  private var last: Instant

  init(now: Instant) { last = now }

  /// False for a key that is to be ignored.
  mutating func take(now: Instant) -> Bool {
    left = min(Double(Self.burst), left + (now - last).inSeconds * Double(Self.rate))
    last = now
    guard left >= 1 else { return false }
    left -= 1
    return true
  }
}

/// What a phone in a conference can do by keys.
enum FeatureCode: Hashable, Sendable {
  case toggleMute, toggleHand, sayMenu, sayParticipants
  // Hosts only.
  case toggleRecording, toggleLock, toggleMuteAll, endConference
}

/// Tells feature codes from other keys. A key that belongs to no code is passed on at once; `*` waits for what follows.
struct FeatureKeys {
  static let codes: [String: FeatureCode] = [
    "*0": .sayMenu, "*1": .toggleRecording, "*2": .toggleLock, "*3": .toggleMuteAll, "*4": .sayParticipants,
    "*6": .toggleMute, "*9": .toggleHand,
    // Twice, so that no slip of a finger sends everybody home.
    "*88": .endConference,
  ]

  enum Meaning: Hashable {
    case code(FeatureCode)
    /// Ordinary keys, in order.
    case keys(String)
  }

  /// The beginning of a code.
  private(set) var pending = ""

  /// Nil while a code may still follow.
  mutating func press(_ key: Character) -> Meaning? {
    guard !pending.isEmpty || key == "*" else { return .keys(String(key)) }
    pending.append(key)
    if let code = Self.codes[pending] {
      pending = ""
      return .code(code)
    }
    if Self.codes.keys.contains(where: { $0.hasPrefix(pending) }) { return nil }
    return expire()
  }

  /// No further key came in time: what was pressed is no code.
  mutating func expire() -> Meaning? {
    guard !pending.isEmpty else { return nil }
    defer { pending = "" }
    return .keys(pending)
  }
}

/// Keys that are to be pressed for a far end, with pauses: `w` and `,` wait half a second.
struct DigitScript {
  static let limit = 256
  private var rest: Substring

  /// Nil where a character is neither key nor pause, or there are more than 256.
  init?(_ text: String) {
    let allowed = Set("0123456789*#ABCDW,")
    let text = text.uppercased().filter { !$0.isWhitespace }
    guard text.count <= Self.limit, text.allSatisfy(allowed.contains) else { return nil }
    rest = Substring(text)
  }

  enum Step: Hashable {
    case keys(String)
    case pause(Duration)
  }

  /// Puts another script behind this one, as far as there is room.
  mutating func append(_ other: DigitScript) {
    if rest.count + other.rest.count <= Self.limit { rest += other.rest }
  }

  /// The next keys or the next pause; nil at the end.
  mutating func next() -> Step? {
    let keys = rest.prefix { $0 != "W" && $0 != "," }
    if !keys.isEmpty {
      // As many as the sender's queue surely takes.
      let part = keys.prefix(32)
      rest = rest.dropFirst(part.count)
      return .keys(String(part))
    }
    let pauses = rest.prefix { $0 == "W" || $0 == "," }
    guard !pauses.isEmpty else { return nil }
    rest = rest.dropFirst(pauses.count)
    return .pause(.milliseconds(500) * pauses.count)
  }
}
