import Core

extension Configuration {
  static let rooms: [Setting<Configuration>] = [
    Setting(
      "rooms.auto-create", \.rooms.autoCreate, .flag, in: Configuration(),
      "Whether the first participant of a room makes it. Otherwise only CreateRoom of the server API does, and a join to "
        + "any other room is answered 404."),
    Setting(
      "rooms.empty-timeout", \.rooms.emptyTimeout, .duration(.seconds(1) ... .seconds(86_400)), in: Configuration(),
      "How long a room waits for its first participant, where the room itself does not say."),
    Setting(
      "rooms.departure-timeout", \.rooms.departureTimeout, .duration(.seconds(0) ... .seconds(86_400)),
      in: Configuration(), "How long a room stays after the last participant left, where the room itself does not say."),
    Setting(
      "rooms.max-participants", \.rooms.maxParticipants, .integer(0...100_000), in: Configuration(),
      "Participants of one room, where the room itself does not say; 0 is no limit."),
    Setting(
      "rooms.max-rooms", \.rooms.maxRooms, .integer(0...1_000_000), in: Configuration(),
      "Rooms at a time; 0 is no limit. A join that would make one more is answered 503."),
    Setting(
      "rooms.max-sessions", \.rooms.maxSessions, .integer(0...1_000_000), in: Configuration(),
      "Participants of all rooms together; 0 is no limit. One more is answered 503."),
    Setting(
      "rooms.receivers-per-worker", \.rooms.receiversPerWorker, .integer(0...100_000), in: Configuration(),
      "Receivers of one room that a media worker takes before other workers get the next ones, so that a large room uses "
        + "every core; 0 keeps a room on its worker."),
    Setting(
      "rooms.max-load", \.rooms.maxLoad, .integer(10...100), in: Configuration(),
      "Percent of a core that a media worker may be busy for three seconds before joins to its rooms are answered 503."
    ),
    Setting(
      "rooms.remote-unmute", \.rooms.remoteUnmute, .flag, in: Configuration(),
      "Whether a room administrator may switch on a microphone or camera that its owner switched off."),
    Setting(
      "rooms.loudest", \.rooms.loudest, .integer(0...1000), in: Configuration(),
      "How many talkers of a room are forwarded at a time, by the level that their clients measure; 0 forwards everybody."
    ),
    Setting(
      "rooms.record", \.rooms.record, .flag, in: Configuration(),
      "Whether every room is recorded from its start on, as one file with all that is heard and seen. Its participants "
        + "see that it is."),
  ]

  static let webhookSettings: [Setting<Configuration>] = [
    Setting(
      "webhooks.urls", \.webhooks.urls,
      Kind<String>.text("an http or https URL without user name, such as https://example.com/hook", accepts: isWebURL)
        .list(orNone: "off"), in: Configuration(),
      "Where events of rooms are posted, signed as LiveKit signs them. Each URL gets every event, in order a room, again "
        + "and again until it answers 2xx or 4xx."),
    Setting(
      "webhooks.key", \.webhooks.key, Kind<String>.text("the name of a key").optional(), in: Configuration(),
      fallback: "(the only key)", "The API key whose secret signs webhooks."),
    Setting(
      "webhooks.give-up", \.webhooks.giveUp, .duration(.seconds(1) ... .seconds(30 * 86_400)), in: Configuration(),
      "How long a webhook is tried, ever more slowly, before it is given up. parley webhooks replay sends it again."),
    Setting(
      "webhooks.keep", \.webhooks.keep, .duration(.seconds(60) ... .seconds(365 * 86_400)), in: Configuration(),
      "How long delivered and failed webhooks are kept for replay."),
  ]

  static let isWebURL: @Sendable (String) -> Bool = { text in
    guard let scheme = ["http://", "https://"].first(where: { text.lowercased().hasPrefix($0) }) else { return false }
    let rest = text.dropFirst(scheme.count)
    let host = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    return HostPort(String(host)) != nil && rest.utf8.allSatisfy { (0x21...0x7E).contains($0) }
  }
}
