import Core
import Gateway

/// How callers get into rooms.
struct DialInSection: Sendable {
  var greeting = false
  var name = false
  var attempts = 3
  var hostTimeout = Duration.seconds(1_800)
  var numbers: [DialInNumber] = []
}

/// A called number that leads into a room, perhaps through a PIN.
struct DialInNumber: Sendable {
  var number = ""
  var room = ""
  var pin: Secret?
  var hostPIN: Secret?
  var waitForHost = false

  static let settings: [Setting<DialInNumber>] = [
    Setting("number", \.number, .text("text"), in: DialInNumber(), required: true, "Such as +15550100 or 700."),
    Setting("room", \.room, .text("text"), in: DialInNumber(), required: true, "The room's name."),
    Setting("pin", \.pin, pinKind.optional(), in: DialInNumber(), fallback: "(none)", "What callers have to enter."),
    Setting(
      "host-pin", \.hostPIN, pinKind.optional(), in: DialInNumber(), fallback: "(none)",
      "What makes a caller the host, who may lock the room, mute all, record and end it by keys."),
    Setting(
      "wait-for-host", \.waitForHost, .flag, in: DialInNumber(),
      "Whether callers hear music until a host is there: by PIN, or by a token with roomAdmin."),
  ]

  private static let pinKind = Kind<Secret>.scalar(
    "1 to 16 digits", isSecret: true,
    parse: { text in
      (1...PINCode.longest).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        ? Secret(text) : nil
    }, show: { _ in "(secret)" })

  /// Older than every rule that is made later, so that it wins where both are as specific.
  func rule(at index: Int) -> DispatchRule {
    var rule = DispatchRule(
      id: "SDR_number_\(index + 1)", name: number, target: .direct(room: room),
      createdAt: WallTime(milliseconds: Int64(index)))
    rule.numbers = [number]
    rule.pin = pin?.revealed
    rule.hostPIN = hostPIN?.revealed
    rule.waitsForHost = waitForHost
    return rule
  }
}

extension Configuration {
  static let dialIn: [Setting<Configuration>] = [
    Setting(
      "rooms.dial-in.numbers", \.rooms.dialIn.numbers,
      Kind<DialInNumber>.record("a number", DialInNumber(), DialInNumber.settings).list(), in: Configuration(),
      "Numbers that lead into rooms, beside those of provision.numbers with room: and the dispatch rules of the API."),
    Setting(
      "rooms.dial-in.greeting", \.rooms.dialIn.greeting, .flag, in: Configuration(),
      "Whether callers are welcomed and told how many are there, also where no PIN is asked for. Otherwise such calls go "
        + "straight into their room."),
    Setting(
      "rooms.dial-in.name", \.rooms.dialIn.name, .flag, in: Configuration(),
      "Whether callers say their name, which the other phones in the room then hear."),
    Setting(
      "rooms.dial-in.attempts", \.rooms.dialIn.attempts, .integer(1...10), in: Configuration(),
      "Wrong PINs until the call is ended. Who calls again and goes on guessing is locked out for ever longer times."),
    Setting(
      "rooms.dial-in.host-timeout", \.rooms.dialIn.hostTimeout, .duration(.seconds(10) ... .seconds(86_400)),
      in: Configuration(), "How long callers wait for the host."),
  ]

  var dialInMenu: DialInMenu.Configuration {
    let section = rooms.dialIn
    var menu = DialInMenu.Configuration(languages: speech.languages)
    menu.greets = section.greeting
    menu.asksForName = section.name
    menu.attempts = section.attempts
    menu.hostTimeout = section.hostTimeout
    return menu
  }

  var dialInRules: [DispatchRule] { rooms.dialIn.numbers.enumerated().map { $1.rule(at: $0) } }
}
