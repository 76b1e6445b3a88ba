package import Core
package import LiveKitProtocol
package import SFU

/// One recording of a room, as the control plane orders it.
package struct RoomRecordingID: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// What of a room is recorded.
package enum RecordedPart: Hashable, Sendable {
  /// Everybody, also those who join later.
  case room(audio: Bool, video: Bool)
  /// One participant's microphone and camera, or its screen with the sound of that.
  case participant(identity: String, screenShare: Bool)
  /// The tracks of these SIDs.
  case tracks([String])
}

/// A track as a recording has to know it.
package struct RecordedTrack: Sendable {
  package var sid: String
  package var kind: MediaKind
  package var source: Livekit_TrackSource
  package var isMuted: Bool
  package var identity: String
  /// What people see; the identity where there is none.
  package var participantName: String
  package var participantSID: String
  /// By payload type, as the publisher sends.
  package var codecs: [CodecParameters]

  package init(
    sid: String, kind: MediaKind, source: Livekit_TrackSource, isMuted: Bool, identity: String,
    participantName: String, participantSID: String, codecs: [CodecParameters]
  ) {
    self.sid = sid
    self.kind = kind
    self.source = source
    self.isMuted = isMuted
    self.identity = identity
    self.participantName = participantName
    self.participantSID = participantSID
    self.codecs = codecs
  }
}

/// Why a recording's room has nothing more for it.
package enum RecordingEnd: String, Hashable, Sendable {
  /// `stopRecording` was called.
  case stopped
  case roomClosed
  /// The track, or the participant, is gone.
  case sourceEnded
}

/// Takes what is recorded of a room. Called on the signalling loop, except for the taps, which the media worker calls.
package protocol RoomRecorder: Sendable {
  /// A track begins; nil refuses it.
  func add(_ track: RecordedTrack) -> (any PacketTap & Sendable)?
  /// Its codecs were negotiated anew, or its participant has another name.
  func update(_ track: RecordedTrack)
  func setMuted(_ sid: String, _ muted: Bool)
  func remove(_ sid: String)
  /// Identities of those who speak now, the loudest first.
  func speak(_ identities: [String])
  /// Nothing comes after this. Called once.
  func ended(_ reason: RecordingEnd)
}
