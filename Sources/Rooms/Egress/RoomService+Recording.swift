package import LiveKitProtocol

// Recordings, for whoever writes them.
extension RoomService {
  /// Shows the recorder what is asked for of a room, until the source ends or `stopRecording`. Everybody in the room sees
  /// that it is recorded.
  package func startRecording(
    of name: String, _ part: RecordedPart, recorder: any RoomRecorder
  ) throws(RoomError) -> (id: RoomRecordingID, room: Livekit_Room) {
    defer { context.flush() }
    guard let room = core.room(name) else { throw RoomError(.notFound, "requested room does not exist") }
    let id = try room.recordings.start(part, recorder: recorder)
    return (id, room.info)
  }

  /// The recorder hears `ended` before this returns. False where it was over.
  @discardableResult
  package func stopRecording(_ id: RoomRecordingID, of name: String) -> Bool {
    defer { context.flush() }
    return core.room(name)?.recordings.stop(id) ?? false
  }

  /// What a room is, for events about it; nil once it is closed.
  package func roomInfo(_ name: String) -> Livekit_Room? { core.room(name)?.info }

  /// A live track as it is now.
  package func trackInfo(_ sid: String, in name: String) -> (track: Livekit_TrackInfo, identity: String)? {
    core.room(name)?.track(sid).map { ($0.info, $0.publisher.identity) }
  }
}
