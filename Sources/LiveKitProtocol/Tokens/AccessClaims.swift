package import Core

/// What an access token says, with all defaults applied.
package struct AccessClaims: Sendable, Equatable {
  /// The API key that signed it.
  package var issuer: String
  /// The participant's identity; empty in tokens of servers.
  package var identity: String
  package var id = ""
  package var name = ""
  package var kind = Livekit_ParticipantInfo.Kind.standard
  package var kindDetails: [Livekit_ParticipantInfo.KindDetail] = []
  package var metadata = ""
  package var attributes: [String: String] = [:]
  package var video: VideoGrant
  package var sip = SIPGrant()
  /// The room that a join creates.
  package var roomConfiguration: Livekit_RoomConfiguration?
  package var roomPreset = ""
  /// SHA-256 of a webhook's body, standard base64.
  package var sha256 = ""
  package var notBefore: WallTime?
  package var expires: WallTime?

  package init(issuer: String = "", identity: String, video: VideoGrant = VideoGrant()) {
    self.issuer = issuer
    self.identity = identity
    self.video = video
  }
}

/// Rights in and over rooms.
package struct VideoGrant: Sendable, Equatable {
  package var roomCreate = false
  package var roomList = false
  package var roomRecord = false
  package var ingressAdmin = false
  /// Over `room` alone.
  package var roomAdmin = false
  package var roomJoin = false
  package var room = ""
  package var destinationRoom = ""

  package var canPublish = true
  package var canSubscribe = true
  package var canPublishData = true
  /// Empty: every source. A name that nobody knows stands as `.unknown` and allows nothing.
  package var canPublishSources: [Livekit_TrackSource] = []
  package var canUpdateOwnMetadata = false
  package var canSubscribeMetrics = false
  package var canManageAgentSession = false

  package var hidden = false
  package var recorder = false
  package var agent = false

  package init() {}
}

/// Rights over the telephony of rooms.
package struct SIPGrant: Sendable, Equatable {
  package var admin = false
  package var call = false

  package init(admin: Bool = false, call: Bool = false) {
    self.admin = admin
    self.call = call
  }
}
