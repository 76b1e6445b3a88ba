import Audio
import Bridge
import Core
import SFU
import Transport

// Phones in rooms: a room has a conference from its first phone to its last.
extension RoomMedia {
  func runPhones(_ command: RoomMediaCommand) {
    switch command {
    case .openPhone(let id, let room, let producer, let port):
      open(id, in: room) { conference, now throws(AudioError) in
        try conference.openPhone(id, producer: producer, port: port, now: now)
      }
    case .openAnnouncer(let id, let room, let producer):
      open(id, in: room) { conference, now throws(AudioError) in
        try conference.openAnnouncer(id, producer: producer, now: now)
      }
    case .closePhone(let id): closePhone(id)
    case .setPhoneMuted(let id, let isMuted):
      if let room = phones[id] { rooms[room]?.conference?.setMuted(id, isMuted) }
    case .announce(let id, let room, let clip, let listeners):
      announce(id, in: room) { $0.announce(id, clip, to: listeners, toAll: false) }
    case .announceToAll(let id, let room, let clip):
      announce(id, in: room) { $0.announce(id, clip, to: nil, toAll: true) }
    case .endAnnouncement(let id, let room): rooms[room]?.conference?.endAnnouncement(id)
    case .setProducerMixed(let id, let roomID, let isMixed):
      guard let room = rooms[roomID] else { return }
      if isMixed {
        room.unmixed.remove(id)
        if room.audio[id] != nil { room.conference?.take(id) }
      } else {
        room.unmixed.insert(id)
        room.conference?.drop(id)
      }
    default: break
    }
  }

  private func open(
    _ id: PeerID, in roomID: MediaRoomID,
    _ body: (RoomConference, Instant) throws(AudioError) -> Void
  ) {
    guard let room = rooms[roomID] else { return }
    closePhone(id)
    let conference = room.conference ?? makeConference(for: room)
    do throws(AudioError) {
      try body(conference, worker.now)
      phones[id] = roomID
      adjustTicker()
    } catch {
      report(.phoneFailed(id, "\(error)"))
      endConference(of: room)
    }
  }

  private func makeConference(for room: HostedRoom) -> RoomConference {
    let conference = RoomConference(
      router: room.router, complexity: opusComplexity, now: worker.now, clock: { [worker] in worker.now },
      onAnnouncementEnded: { [weak self] id in self?.assumeIsolated { $0.report(.announcementEnded(id)) } })
    room.conference = conference
    for producer in room.audio.keys where !room.unmixed.contains(producer) { conference.take(producer) }
    return conference
  }

  func closePhone(_ id: PeerID) {
    guard let roomID = phones.removeValue(forKey: id), let room = rooms[roomID] else { return }
    room.conference?.closePhone(id)
    endConference(of: room)
    adjustTicker()
  }

  /// Where no phone is left.
  private func endConference(of room: HostedRoom) {
    guard let conference = room.conference, conference.isEmpty else { return }
    conference.close()
    room.conference = nil
  }

  /// With the room, whoever is in it.
  func closeConference(of room: HostedRoom) {
    guard let conference = room.conference else { return }
    for id in conference.peerIDs { phones[id] = nil }
    conference.close()
    room.conference = nil
  }

  private func announce(_ id: AnnouncementID, in room: MediaRoomID, _ body: (RoomConference) -> Void) {
    // Whoever waits for the end gets it, also where nobody listens.
    guard let conference = rooms[room]?.conference else { return report(.announcementEnded(id)) }
    body(conference)
  }

  // MARK: Tracks of browsers

  func audioAdded(_ id: ProducerID, of peer: PeerID, in room: HostedRoom) {
    room.audio[id] = peer
    if !room.unmixed.contains(id) { room.conference?.take(id) }
  }

  func producerRemoved(_ id: ProducerID, from room: HostedRoom) {
    room.unmixed.remove(id)
    guard room.audio.removeValue(forKey: id) != nil else { return }
    room.conference?.drop(id)
  }

  func peerRemoved(_ id: PeerID, from room: HostedRoom) {
    for (producer, peer) in room.audio where peer == id { producerRemoved(producer, from: room) }
  }
}
