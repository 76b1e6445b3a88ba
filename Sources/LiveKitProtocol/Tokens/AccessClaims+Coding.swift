import Core
import SwiftProtobuf

extension AccessClaims {
  init(_ claims: Livekit_AccessTokenClaims) {
    self.init(issuer: claims.iss, identity: claims.sub, video: VideoGrant(claims.video))
    id = claims.jti
    name = claims.name
    kind = Self.kinds.first { $0.name == claims.kind }?.kind ?? .standard
    kindDetails = claims.kindDetails.compactMap { text in Self.kindDetails.first { $0.name == text }?.detail }
    metadata = claims.metadata
    attributes = claims.attributes
    sip = SIPGrant(admin: claims.sip.admin, call: claims.sip.call)
    roomConfiguration = claims.hasRoomConfig ? claims.roomConfig : nil
    roomPreset = claims.roomPreset
    sha256 = claims.sha256
    notBefore = claims.hasNbf ? WallTime(numericDate: claims.nbf) : nil
    expires = claims.hasExp ? WallTime(numericDate: claims.exp) : nil
  }

  /// All but the times.
  var claims: Livekit_AccessTokenClaims {
    var claims = Livekit_AccessTokenClaims()
    claims.iss = issuer
    claims.sub = identity
    claims.jti = id
    claims.name = name
    // Absent is standard.
    claims.kind = kind == .standard ? "" : Self.kinds.first { $0.kind == kind }?.name ?? ""
    claims.kindDetails = kindDetails.compactMap { detail in Self.kindDetails.first { $0.detail == detail }?.name }
    claims.metadata = metadata
    claims.attributes = attributes
    if video != VideoGrant() { claims.video = video.grant }
    if sip != SIPGrant() {
      claims.sip.admin = sip.admin
      claims.sip.call = sip.call
    }
    if let roomConfiguration { claims.roomConfig = roomConfiguration }
    claims.roomPreset = roomPreset
    claims.sha256 = sha256
    return claims
  }

  private static let kinds: [(name: String, kind: Livekit_ParticipantInfo.Kind)] = [
    ("standard", .standard), ("ingress", .ingress), ("egress", .egress), ("sip", .sip), ("agent", .agent),
    ("connector", .connector), ("bridge", .bridge),
  ]

  private static let kindDetails: [(name: String, detail: Livekit_ParticipantInfo.KindDetail)] = [
    ("cloud_agent", .cloudAgent), ("forwarded", .forwarded), ("connector_whatsapp", .connectorWhatsapp),
    ("connector_twilio", .connectorTwilio), ("bridge_rtsp", .bridgeRtsp), ("simulation", .simulation),
  ]
}

extension VideoGrant {
  init(_ grant: Livekit_VideoGrant) {
    self.init()
    roomCreate = grant.roomCreate
    roomList = grant.roomList
    roomRecord = grant.roomRecord
    ingressAdmin = grant.ingressAdmin
    roomAdmin = grant.roomAdmin
    roomJoin = grant.roomJoin
    room = grant.room
    destinationRoom = grant.destinationRoom
    canPublish = grant.hasCanPublish ? grant.canPublish : true
    canSubscribe = grant.hasCanSubscribe ? grant.canSubscribe : true
    canPublishData = grant.hasCanPublishData ? grant.canPublishData : canPublish
    canPublishSources = grant.canPublishSources.map { text in
      Self.sources.first { $0.name == text.lowercased() }?.source ?? .unknown
    }
    canUpdateOwnMetadata = grant.canUpdateOwnMetadata
    canSubscribeMetrics = grant.canSubscribeMetrics
    canManageAgentSession = grant.canManageAgentSession
    hidden = grant.hidden
    recorder = grant.recorder
    agent = grant.agent
  }

  var grant: Livekit_VideoGrant {
    var grant = Livekit_VideoGrant()
    grant.roomCreate = roomCreate
    grant.roomList = roomList
    grant.roomRecord = roomRecord
    grant.ingressAdmin = ingressAdmin
    grant.roomAdmin = roomAdmin
    grant.roomJoin = roomJoin
    grant.room = room
    grant.destinationRoom = destinationRoom
    grant.canPublish = canPublish
    grant.canSubscribe = canSubscribe
    grant.canPublishData = canPublishData
    // A source that nobody knows must not vanish: an empty list would allow everything.
    grant.canPublishSources = canPublishSources.map { source in
      Self.sources.first { $0.source == source }?.name ?? "unknown"
    }
    if canUpdateOwnMetadata { grant.canUpdateOwnMetadata = true }
    if canSubscribeMetrics { grant.canSubscribeMetrics = true }
    if canManageAgentSession { grant.canManageAgentSession = true }
    grant.hidden = hidden
    grant.recorder = recorder
    grant.agent = agent
    return grant
  }

  /// How tokens, and command lines, name sources.
  package static let sources: [(name: String, source: Livekit_TrackSource)] = [
    ("camera", .camera), ("microphone", .microphone), ("screen_share", .screenShare),
    ("screen_share_audio", .screenShareAudio),
  ]
}

extension WallTime {
  /// Seconds since 1970 (RFC 7519 §2); ends of the scale stand for what is beyond them.
  init(numericDate seconds: Double) {
    let limit = 1e15
    let milliseconds = seconds.isNaN ? 0 : min(max(seconds * 1000, -limit), limit)
    self.init(milliseconds: Int64(milliseconds))
  }

  /// Seconds since 1970, rounded down.
  var wholeSeconds: Int64 {
    let (quotient, remainder) = milliseconds.quotientAndRemainder(dividingBy: 1000)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
