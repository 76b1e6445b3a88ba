import Core
import LiveKitProtocol

/// Who left lately: a participant that resumes has to be told of those it missed.
struct Departures {
  static let span: Duration = .seconds(90)
  private static let maximum = 512

  private var entries: [(time: Instant, info: Livekit_ParticipantInfo)] = []

  mutating func add(_ info: Livekit_ParticipantInfo, now: Instant) {
    entries.removeAll { $0.time + Departures.span < now || $0.info.identity == info.identity }
    if entries.count >= Departures.maximum { entries.removeFirst() }
    entries.append((now, info))
  }

  func recent(now: Instant) -> [Livekit_ParticipantInfo] {
    entries.filter { $0.time + Departures.span >= now }.map(\.info)
  }
}
