package import Core
package import LiveKitProtocol

/// One signalling connection of one participant. A resumed participant gets a new one.
package struct SessionID: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// How the server ends a signalling connection.
package enum SignalClose: Sendable, Hashable {
  /// WebSocket status 1000: this was the end; nobody is to come back.
  case normal
  /// WebSocket status 1001: the client resumes at once.
  case goingAway
  /// Drop the socket without a closing handshake.
  case cut
}

/// The sending half of one signalling connection. Called on the signalling loop; keeps the order of the calls and sends
/// everything that was given to it before it closes.
package protocol SignalSink: Sendable {
  func send(_ response: Livekit_SignalResponse)
  func close(_ code: SignalClose)
}

/// All that a WebSocket upgrade to `/rtc` or `/rtc/v1` says. The token's signature and times have been verified.
package struct JoinRequest: Sendable {
  /// An attempt to go on with a session whose socket was lost.
  package struct Reconnect: Sendable {
    package var participantSID: String
    package var reason: Livekit_ReconnectReason

    package init(participantSID: String, reason: Livekit_ReconnectReason = .rrUnknown) {
      self.participantSID = participantSID
      self.reason = reason
    }
  }

  package var claims: AccessClaims
  package var clientInfo: Livekit_ClientInfo
  package var autoSubscribe = true
  package var adaptiveStream = false
  /// Whether the subscriber lets the server pause tracks for bandwidth; nil where the client says nothing.
  package var subscriberAllowPause: Bool?
  /// The client's protocol number: `protocol` of the query or of `ClientInfo`.
  package var protocolVersion = 0
  /// `/rtc/v1`: one peer connection, which the client offers.
  package var isSinglePeerConnection = false
  package var publisherOffer: Livekit_SessionDescription?
  package var addTrackRequests: [Livekit_AddTrackRequest] = []
  package var syncState: Livekit_SyncState?
  /// Of the join request itself, over those of the token; taken only where the token lets the participant change them.
  package var metadata = ""
  package var attributes: [String: String] = [:]
  package var reconnect: Reconnect?
  /// Set for WHIP and WHEP, which have no signalling connection.
  package var endpoint: EndpointRole?
  /// Where the socket comes from; decides which of the server's addresses the peer is told.
  package var remote: IPAddress

  package init(claims: AccessClaims, clientInfo: Livekit_ClientInfo, remote: IPAddress) {
    self.claims = claims
    self.clientInfo = clientInfo
    self.remote = remote
    protocolVersion = Int(clientInfo.protocol)
  }
}

/// Why a join is refused before the upgrade: an HTTP status and a text that users see.
package struct JoinRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  package var status: Int
  package var text: String

  package init(status: Int, text: String) {
    self.status = status
    self.text = text
  }

  package var description: String { "\(status) \(text)" }
}

/// Why a server call failed, by Twirp's codes.
package struct RoomError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: String, Sendable {
    case invalidArgument = "invalid_argument"
    case notFound = "not_found"
    case alreadyExists = "already_exists"
    case permissionDenied = "permission_denied"
    case failedPrecondition = "failed_precondition"
    case resourceExhausted = "resource_exhausted"
    case deadlineExceeded = "deadline_exceeded"
    case unimplemented
    case unavailable
    case unknown
  }

  package var code: Code
  package var message: String
  /// More for programs, by name.
  package var details: [String: String] = [:]

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { "\(code.rawValue): \(message)" }
}

/// What webhooks tell. Participants and rooms are as they were at that moment.
package enum RoomEvent: Sendable {
  case roomStarted(Livekit_Room)
  case roomFinished(Livekit_Room)
  /// The participant's primary peer connection works.
  case participantJoined(Livekit_Room, Livekit_ParticipantInfo)
  case participantLeft(Livekit_Room, Livekit_ParticipantInfo)
  /// It left without ever having been connected.
  case participantConnectionAborted(Livekit_Room, Livekit_ParticipantInfo)
  /// The participant has sid and identity only.
  case trackPublished(Livekit_Room, Livekit_ParticipantInfo, Livekit_TrackInfo)
  case trackUnpublished(Livekit_Room, Livekit_ParticipantInfo, Livekit_TrackInfo)
  /// A recording began, changed, or ended with its file.
  case egressStarted(Livekit_EgressInfo)
  case egressUpdated(Livekit_EgressInfo)
  case egressEnded(Livekit_EgressInfo)
  /// A room that is to be recorded from its start on; no webhook.
  case egressWanted(Livekit_Room, Livekit_RoomEgress)
}
