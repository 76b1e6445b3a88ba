import Core
import LiveKitProtocol

/// How good everybody's connection is, every five seconds to those who receive from them and to themselves.
final class QualityBoard {
  static let interval: Duration = .seconds(5)

  private unowned let room: Room
  private var timer: RoomTimer?
  /// By listener: of whom it knows.
  private var known: [String: Set<String>] = [:]

  init(_ room: Room) { self.room = room }

  func start() {
    guard timer == nil else { return }
    timer = room.context.after(QualityBoard.interval) { [weak self] in
      guard let self else { return }
      self.timer = nil
      self.report()
      if self.room.present.contains(where: \.wasActive) { self.start() }
    }
  }

  func stop() { timer = nil }

  private func report() {
    var infos: [String: Livekit_ConnectionQualityInfo] = [:]
    var changed: Set<String> = []
    for participant in room.present where participant.wasActive && !participant.isHidden {
      if participant.quality.announce() { changed.insert(participant.sid) }
      let current = participant.quality.current
      var info = Livekit_ConnectionQualityInfo()
      info.participantSid = participant.sid
      info.quality = current.quality
      info.score = current.score
      infos[participant.sid] = info
    }
    var known: [String: Set<String>] = [:]
    defer { self.known = known }
    for participant in room.present where participant.signal != nil {
      let seen = Set(participant.subscribing.tracksByPublisher.keys).union([participant.sid]).intersection(infos.keys)
      known[participant.sid] = seen
      let isNews = !seen.isDisjoint(with: changed) || !seen.isSubset(of: self.known[participant.sid] ?? [])
      guard isNews, !seen.isEmpty else { continue }
      var update = Livekit_ConnectionQualityUpdate()
      update.updates = seen.sorted().compactMap { sid in
        guard var info = infos[sid] else { return nil }
        // Older clients do not know the word.
        if info.quality == .lost, participant.protocolVersion <= 10 { info.quality = .poor }
        return info
      }
      participant.send(.connectionQuality(update))
    }
  }
}
