import LiveKitProtocol

/// What a token lets its bearer do, as the room uses it.
extension AccessClaims {
  /// The permissions of a participant who joins with this token.
  var permission: Livekit_ParticipantPermission {
    var permission = Livekit_ParticipantPermission()
    permission.canSubscribe = video.canSubscribe
    permission.canPublish = video.canPublish
    permission.canPublishData = video.canPublishData
    permission.canPublishSources = video.canPublishSources
    permission.canUpdateMetadata = video.canUpdateOwnMetadata
    permission.canSubscribeMetrics = video.canSubscribeMetrics
    permission.canManageAgentSession = video.canManageAgentSession
    permission.hidden = video.hidden
    permission.recorder = video.recorder
    permission.agent = video.agent
    return permission
  }

  /// The same bearer with other permissions, for a refreshed token.
  func replacing(
    permission: Livekit_ParticipantPermission, name: String, metadata: String, attributes: [String: String]
  ) -> AccessClaims {
    var claims = self
    claims.name = name
    claims.metadata = metadata
    claims.attributes = attributes
    claims.video.canSubscribe = permission.canSubscribe
    claims.video.canPublish = permission.canPublish
    claims.video.canPublishData = permission.canPublishData
    claims.video.canPublishSources = permission.canPublishSources
    claims.video.canUpdateOwnMetadata = permission.canUpdateMetadata
    claims.video.canSubscribeMetrics = permission.canSubscribeMetrics
    claims.video.canManageAgentSession = permission.canManageAgentSession
    claims.video.hidden = permission.hidden
    claims.video.recorder = permission.recorder
    claims.video.agent = permission.agent
    return claims
  }
}

extension Livekit_ParticipantPermission {
  /// Whether a track of that source may be published.
  func allows(_ source: Livekit_TrackSource) -> Bool {
    canPublish && (canPublishSources.isEmpty || canPublishSources.contains(source))
  }
}
