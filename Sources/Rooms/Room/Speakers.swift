import LiveKitProtocol
import SFU

/// Who speaks: turns the router's levels of tracks into those of participants, and tells everybody of those they hear.
final class Speakers {
  private unowned let room: Room
  /// By track; silent ones are absent.
  private var levels: [ProducerID: (participant: String, level: Float)] = [:]

  init(_ room: Room) { self.room = room }

  /// Those whose level changed, and those who stopped.
  func receive(_ changes: [SpeakerLevel]) {
    var touched: Set<String> = []
    for change in changes {
      guard let track = room.context.producers[change.producer]?.track else { continue }
      touched.insert(track.publisher.sid)
      levels[change.producer] = change.isActive ? (track.publisher.sid, change.level) : nil
    }
    tell(touched)
  }

  func ended(_ track: PublishedTrack) {
    if levels.removeValue(forKey: track.producer) != nil { tell([track.publisher.sid]) }
  }

  func left(_ participant: Participant) {
    levels = levels.filter { $0.value.participant != participant.sid }
  }

  /// One who begins to hear somebody learns that he speaks already.
  func introduce(_ speaker: Participant, to listener: Participant) {
    guard let info = info(speaker.sid) else { return }
    var changed = Livekit_SpeakersChanged()
    changed.speakers = [info]
    listener.send(.speakersChanged(changed))
  }

  private func info(_ sid: String) -> Livekit_SpeakerInfo? {
    guard let level = levels.values.filter({ $0.participant == sid }).map(\.level).max() else { return nil }
    var info = Livekit_SpeakerInfo()
    info.sid = sid
    info.level = level
    info.active = true
    return info
  }

  /// Identities of those who speak, the loudest first.
  var speaking: [String] {
    var loudest: [String: Float] = [:]
    for (sid, level) in levels.values { loudest[sid] = max(loudest[sid] ?? 0, level) }
    return loudest.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
      .compactMap { room.participant(sid: $0.key)?.identity }
  }

  private func tell(_ sids: Set<String>) {
    guard !sids.isEmpty else { return }
    if !room.recordings.isEmpty { room.recordings.speakersChanged(speaking) }
    let infos = sids.map { sid in
      info(sid)
        ?? {
          var stopped = Livekit_SpeakerInfo()
          stopped.sid = sid
          return stopped
        }()
    }.sorted { ($0.level, $1.sid) > ($1.level, $0.sid) }
    for participant in room.present where participant.signal != nil {
      let heard = participant.subscribing.tracksByPublisher
      var changed = Livekit_SpeakersChanged()
      changed.speakers = infos.filter { $0.sid == participant.sid || heard[$0.sid] != nil }
      if !changed.speakers.isEmpty { participant.send(.speakersChanged(changed)) }
    }
  }
}
