/// A recording of a call or a room, as the catalogue knows it.
package struct RecordingRecord: Sendable, Hashable, Codable {
  package enum State: String, Sendable, Hashable, Codable, CaseIterable {
    /// Packets are being written.
    case recording
    /// Over; its files are being made.
    case rendering
    /// Its files are complete, synced and hashed.
    case saved
    /// There is no file, or there will be none; `reason` says why.
    case failed
  }

  package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
    /// Both sides of a call.
    case call
    /// What is heard and seen in a room, as one.
    case room
    /// One participant of a room.
    case participant
    /// One track of a room.
    case track
  }

  /// URL-safe and unique.
  package var id: String
  package var tenant: TenantID
  package var kind: Kind
  /// The call's identifier.
  package var call: String?
  /// The room's name.
  package var room: String?
  package var state: State
  /// Why it ended, or why it failed, in words.
  package var reason: String
  package var startedAt: WallTime
  package var endedAt: WallTime?
  /// Of rendering, 0…1.
  package var progress: Double
  /// The spool file inside the directory of recordings, as long as it is kept.
  package var spool: String?
  /// For the owner.
  package var attributes: [String: String]
  package var files: [RecordingFile]

  package init(
    id: String, tenant: TenantID = .default, kind: Kind, call: String? = nil, room: String? = nil,
    startedAt: WallTime, spool: String? = nil, attributes: [String: String] = [:]
  ) {
    self.id = id
    self.tenant = tenant
    self.kind = kind
    self.call = call
    self.room = room
    state = .recording
    reason = ""
    self.startedAt = startedAt
    progress = 0
    self.spool = spool
    self.attributes = attributes
    files = []
  }

  /// Bytes of all files.
  package var bytes: Int { files.reduce(0) { $0 + $1.bytes } }
  /// Seconds of the longest file; nil before there is one.
  package var duration: Double? { files.map(\.duration).max() }
}

/// One file of a recording.
package struct RecordingFile: Sendable, Hashable, Codable {
  /// What it holds: `audio`, a track's identifier.
  package var name: String
  /// A path inside the directory of recordings, or a URL such as `s3://bucket/key`.
  package var location: String
  /// `ogg`, `wav`, `webm`, `mp4`.
  package var format: String
  package var contentType: String
  package var bytes: Int
  /// Lower-case hexadecimal, of the file as it lies there.
  package var sha256: String
  /// Seconds.
  package var duration: Double

  package init(
    name: String, location: String, format: String, contentType: String, bytes: Int, sha256: String, duration: Double
  ) {
    self.name = name
    self.location = location
    self.format = format
    self.contentType = contentType
    self.bytes = bytes
    self.sha256 = sha256
    self.duration = duration
  }
}
