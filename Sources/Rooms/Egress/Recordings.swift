import Core
import LiveKitProtocol
import Logging
import SFU

/// The recordings of one room: which tracks each of them takes, and when it is over. Confined to the signalling loop.
final class Recordings {
  private final class Entry {
    let id: RoomRecordingID
    let part: RecordedPart
    let recorder: any RoomRecorder
    /// By track.
    var taps: [String: any PacketTap & Sendable] = [:]

    init(id: RoomRecordingID, part: RecordedPart, recorder: any RoomRecorder) {
      self.id = id
      self.part = part
      self.recorder = recorder
    }

    func wants(_ track: PublishedTrack) -> Bool {
      switch part {
      case .room(let audio, let video): return track.kind == .audio ? audio : video
      case .participant(let identity, let screenShare):
        return track.publisher.identity == identity && track.isScreenShare == screenShare
      case .tracks(let sids): return sids.contains(track.sid)
      }
    }
  }

  private unowned let room: Room
  private var entries: [Entry] = []
  private var keyFrameTimer: RoomTimer?

  init(_ room: Room) { self.room = room }

  var isEmpty: Bool { entries.isEmpty }

  // MARK: Orders

  /// - Throws: `.notFound` where the room does not have what is to be recorded.
  func start(_ part: RecordedPart, recorder: any RoomRecorder) throws(RoomError) -> RoomRecordingID {
    switch part {
    case .room: break
    case .participant(let identity, _):
      guard room.participant(identity) != nil else { throw RoomError(.notFound, "participant does not exist") }
    case .tracks(let sids):
      for sid in sids {
        guard let track = room.track(sid) else { throw RoomError(.notFound, "track \(sid) is not found") }
        guard track.info.encryption == .none else {
          throw RoomError(.failedPrecondition, "track \(sid) is encrypted end to end")
        }
      }
    }
    let entry = Entry(id: RoomRecordingID(rawValue: room.context.nextID()), part: part, recorder: recorder)
    entries.append(entry)
    for track in room.liveTracks where entry.wants(track) { add(track, to: entry) }
    requestKeyFrames()
    if entries.count == 1 { room.sendUpdate() }
    room.context.logger.info(
      "recording started", metadata: ["room": "\(room.name)", "recording": "\(entry.id.rawValue)"])
    return entry.id
  }

  /// False where it is over already.
  func stop(_ id: RoomRecordingID) -> Bool {
    guard let entry = entries.first(where: { $0.id == id }) else { return false }
    end(entry, .stopped)
    return true
  }

  private func end(_ entry: Entry, _ reason: RecordingEnd) {
    entries.removeAll { $0 === entry }
    let sids = Array(entry.taps.keys)
    entry.taps = [:]
    for sid in sids {
      if let track = room.track(sid) { setTap(track) }
    }
    if entries.isEmpty {
      keyFrameTimer = nil
      if !room.isClosed { room.sendUpdate() }
    }
    entry.recorder.ended(reason)
    room.context.logger.info(
      "recording ended", metadata: ["room": "\(room.name)", "recording": "\(entry.id.rawValue)", "reason": "\(reason)"])
  }

  // MARK: What happens in the room

  func trackStarted(_ track: PublishedTrack) {
    for entry in entries where entry.wants(track) { add(track, to: entry) }
  }

  func trackEnded(_ track: PublishedTrack) {
    for entry in entries where entry.taps.removeValue(forKey: track.sid) != nil {
      entry.recorder.remove(track.sid)
      if case .tracks = entry.part, entry.taps.isEmpty { end(entry, .sourceEnded) }
    }
  }

  func muteChanged(_ track: PublishedTrack) {
    for entry in entries where entry.taps[track.sid] != nil { entry.recorder.setMuted(track.sid, track.info.muted) }
    if !track.info.muted { requestKeyFrame(track) }
  }

  /// Its codecs, or its publisher's name.
  func changed(_ track: PublishedTrack) {
    for entry in entries where entry.taps[track.sid] != nil { entry.recorder.update(description(of: track)) }
  }

  func left(_ participant: Participant) {
    for entry in entries {
      if case .participant(participant.identity, _) = entry.part { end(entry, .sourceEnded) }
    }
  }

  func speakersChanged(_ identities: [String]) {
    for entry in entries { entry.recorder.speak(identities) }
  }

  func roomClosed() {
    for entry in entries { end(entry, .roomClosed) }
  }

  // MARK: Taps

  private func add(_ track: PublishedTrack, to entry: Entry) {
    // Nobody here could read the packets.
    guard track.info.encryption == .none, entry.taps[track.sid] == nil,
      let tap = entry.recorder.add(description(of: track))
    else { return }
    entry.taps[track.sid] = tap
    setTap(track)
    requestKeyFrame(track)
    if keyFrameTimer == nil { scheduleKeyFrames() }
  }

  private func setTap(_ track: PublishedTrack) {
    let taps = entries.compactMap { $0.taps[track.sid] }
    let tap: (any PacketTap & Sendable)? = taps.count > 1 ? TapFan(taps) : taps.first
    room.context.order(.setTap(track.producer, room: room.mediaID, tap), worker: room.worker)
  }

  /// At the beginning, so that there is a picture; later, so that players can jump and damage ends.
  private func requestKeyFrames() {
    for track in room.liveTracks { requestKeyFrame(track) }
  }

  private func requestKeyFrame(_ track: PublishedTrack) {
    guard track.kind == .video, !track.info.muted, entries.contains(where: { $0.taps[track.sid] != nil })
    else { return }
    room.context.order(.requestKeyFrame(track.producer, room: room.mediaID), worker: room.worker)
  }

  private func scheduleKeyFrames() {
    keyFrameTimer = room.context.after(room.context.configuration.recordingKeyFrameInterval) { [weak self] in
      guard let self, !self.entries.isEmpty else { return }
      self.requestKeyFrames()
      self.scheduleKeyFrames()
    }
  }

  private func description(of track: PublishedTrack) -> RecordedTrack {
    let publisher = track.publisher
    return RecordedTrack(
      sid: track.sid, kind: track.kind, source: track.info.source, isMuted: track.info.muted,
      identity: publisher.identity, participantName: publisher.name.isEmpty ? publisher.identity : publisher.name,
      participantSID: publisher.sid, codecs: track.parameters?.codecs ?? [])
  }
}
