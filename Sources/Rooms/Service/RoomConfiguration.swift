package import Core
package import LiveKitProtocol

/// What rooms need to know; all from the configuration file.
package struct RoomConfiguration: Sendable {
  /// Rooms come into being with their first participant; otherwise only by `CreateRoom`.
  package var autoCreate = true
  /// How long a room waits for its first participant, where the room does not say.
  package var emptyTimeout: Duration = .seconds(300)
  /// How long it stays after the last one left, where the room does not say.
  package var departureTimeout: Duration = .seconds(20)
  /// Participants of one room, where the room does not say; 0 is no limit.
  package var maximumParticipants: UInt32 = 0
  /// Rooms at the same time; 0 is no limit.
  package var maximumRooms = 0
  /// Participants of all rooms together; 0 is no limit.
  package var maximumSessions = 0
  /// Peers of one room that only receive and live on one media worker before others take the next ones; 0: a room stays on
  /// its worker.
  package var receiversPerWorker = 100
  /// Share of a core that a media worker may be busy before it takes no more participants; above 1: always takes them.
  package var maximumLoad = 0.9
  /// Tracks that one participant may publish at the same time.
  package var maximumTracks = 64
  /// Whether an administrator may switch a track on that its publisher muted.
  package var enableRemoteUnmute = false
  /// `audio/opus`, `video/VP8` … in order of preference.
  package var enabledCodecs = ["audio/opus", "audio/red", "video/VP8", "video/H264", "video/VP9", "video/AV1"]
  package var iceServers: [Livekit_ICEServer] = []
  package var pingInterval: Duration = .seconds(5)
  package var pingTimeout: Duration = .seconds(15)
  /// How long a participant whose socket was lost may come back.
  package var resumeTimeout: Duration = .seconds(30)
  /// From the join to a connected primary peer connection.
  package var joinTimeout: Duration = .seconds(60)
  package var negotiationTimeout: Duration = .seconds(15)
  /// Bytes of `metadata`, UTF-8.
  package var maximumMetadata = 512 * 1024
  /// Bytes of all attributes' names and values together, UTF-8.
  package var maximumAttributes = 64 * 1024
  /// Characters of room names, identities and participants' names.
  package var maximumNameLength = 256
  /// How long `drain` spreads its farewells.
  package var drainSpread: Duration = .seconds(5)
  /// Whether tracks may be paused for want of bandwidth where the client does not say.
  package var allowsPause = true
  /// Between the key frames that a recording asks its publishers for.
  package var recordingKeyFrameInterval: Duration = .seconds(10)
  package var serverVersion = "1.9.0"
  package var region = ""
  /// `ND_…`.
  package var nodeID = "ND_parley"

  package init() {}
}

/// What `RoomService` needs of its surroundings. Every closure is called on the signalling loop.
package struct RoomDependencies: Sendable {
  /// One a media worker. Their events come back through `RoomService.media`.
  package var media: [any RoomMediaPort]
  /// Asks for a call of `RoomService.advance` at the given time, at the latest.
  package var requestWake: @Sendable (Instant) -> Void
  package var onEvent: @Sendable (RoomEvent) -> Void
  /// A token with the same identity and the given grants, for `refresh_token`; nil where none can be made.
  package var mintToken: @Sendable (AccessClaims) -> String?
  /// A host on the phone switches the recording of a room on or off; false where that is not served.
  package var onHostRecording: @Sendable (_ room: String, _ isOn: Bool) -> Bool = { _, _ in false }
  /// The monotonic clock.
  package var now: @Sendable () -> Instant
  package var wallTime: @Sendable () -> WallTime
  /// Of SIDs, SSRCs and session numbers; tests give a fixed one.
  package var seed: UInt64

  package init(
    media: [any RoomMediaPort], requestWake: @escaping @Sendable (Instant) -> Void,
    onEvent: @escaping @Sendable (RoomEvent) -> Void, mintToken: @escaping @Sendable (AccessClaims) -> String?,
    now: @escaping @Sendable () -> Instant = { .now() }, wallTime: @escaping @Sendable () -> WallTime = { .now() },
    seed: UInt64 = .random(in: 0...UInt64.max)
  ) {
    self.media = media
    self.requestWake = requestWake
    self.onEvent = onEvent
    self.mintToken = mintToken
    self.now = now
    self.wallTime = wallTime
    self.seed = seed
  }
}
