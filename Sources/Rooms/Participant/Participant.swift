import Core
import LiveKitProtocol
import Logging
import SFU

/// One participant of a room, from the join to the end, over all its sockets. Routes between its sub-machines.
final class Participant {
  /// Which lets the participant go when it has left.
  let room: Room
  let context: RoomContext
  let sid: String
  let identity: String
  let joinedAt: WallTime
  let client: Livekit_ClientInfo
  let protocolVersion: Int
  let isSinglePeerConnection: Bool
  /// Came by WHIP, WHEP or telephone.
  let endpoint: EndpointRole?
  let autoSubscribe: Bool
  let adaptiveStream: Bool
  let allowsPause: Bool
  let remote: IPAddress

  var claims: AccessClaims
  var name: String
  var metadata: String
  var attributes: [String: String]
  var permission: Livekit_ParticipantPermission
  /// Rises with every change that others are told.
  var version: UInt32 = 0
  var state = Livekit_ParticipantInfo.State.joining
  var disconnectReason = Livekit_DisconnectReason.unknownReason

  /// The present socket; nil between its loss and a resume.
  var signal: SignalConnection?
  private(set) var publishing: Publishing! = nil
  private(set) var subscribing: Subscribing! = nil
  /// Opened with its first offer.
  var publisher: PublisherPeer?
  /// With two connections: the one that we offer.
  var subscriber: SubscriberPeer?
  /// Of a WHEP viewer: its only one.
  var viewer: ViewerPeer?
  /// Of a telephone.
  var phone: PhoneSession?
  var sequences = ReliableSequences()
  /// Nonces of user packets seen lately.
  var nonces = RecentNonces()
  var quality = QualityRecord()
  var budget: SignalBudget
  /// ICE and DTLS of the primary connection were done at some time.
  var wasActive = false
  /// It closed a connection of its own accord.
  var isLeaving = false

  // Timers, by what they wait for.
  var pingTimer: RoomTimer?
  var joinTimer: RoomTimer?
  var resumeTimer: RoomTimer?
  var tokenTimer: RoomTimer?
  var failureTimer: RoomTimer?
  var drainTimer: RoomTimer?

  init(room: Room, sid: String, request: JoinRequest, joinedAt: WallTime) {
    self.room = room
    context = room.context
    self.sid = sid
    identity = request.claims.identity
    self.joinedAt = joinedAt
    client = request.clientInfo
    protocolVersion = request.protocolVersion
    isSinglePeerConnection = request.isSinglePeerConnection
    endpoint = request.endpoint
    autoSubscribe = request.autoSubscribe
    adaptiveStream = request.adaptiveStream
    allowsPause = request.subscriberAllowPause ?? room.context.configuration.allowsPause
    remote = request.remote
    budget = SignalBudget(now: room.context.now)
    claims = request.claims
    name = request.claims.name
    metadata = request.claims.metadata
    attributes = request.claims.attributes
    permission = request.claims.permission
    if permission.canUpdateMetadata {
      if !request.metadata.isEmpty { metadata = request.metadata }
      attributes.merge(request.attributes) { $1 }
    }
    publishing = Publishing(self)
    subscribing = Subscribing(self)
  }

  var isHidden: Bool { permission.hidden }
  /// Neither left nor removed.
  var isPresent: Bool { state != .disconnected }
  /// Agents, recorders and egress do not keep a room open.
  var holdsRoom: Bool { !permission.agent && !permission.recorder && kind != .egress && kind != .agent }
  var kind: Livekit_ParticipantInfo.Kind { claims.kind }

  /// The subscriber's side of its tracks and data: its own connection, or the only one.
  var receiving: PeerConnection? { viewer ?? (isSinglePeerConnection ? publisher : subscriber) }
  /// The connection whose success makes the participant active.
  var primary: PeerConnection? { viewer ?? (isSubscriberPrimary ? subscriber : publisher) }
  var isSubscriberPrimary: Bool { !isSinglePeerConnection && claims.video.canSubscribe }

  // MARK: What others see

  var info: Livekit_ParticipantInfo {
    var info = Livekit_ParticipantInfo()
    info.sid = sid
    info.identity = identity
    info.name = name
    info.state = state
    info.metadata = metadata
    info.attributes = attributes
    info.joinedAt = joinedAt.milliseconds / 1000
    info.joinedAtMs = joinedAt.milliseconds
    info.version = version
    info.permission = permission
    info.kind = kind
    info.kindDetails = claims.kindDetails
    info.region = context.configuration.region
    info.clientProtocol = client.clientProtocol
    info.capabilities = client.capabilities
    info.disconnectReason = disconnectReason
    if state != .disconnected {
      info.tracks = publishing.announced
      info.isPublisher = !info.tracks.isEmpty
    }
    return info
  }

  /// For webhooks about tracks.
  var briefInfo: Livekit_ParticipantInfo {
    var info = Livekit_ParticipantInfo()
    info.sid = sid
    info.identity = identity
    return info
  }

  /// Something that others see is different now.
  func changed(tellsItself: Bool = false) {
    guard isPresent else { return }
    version &+= 1
    room.announce(self, includingItself: tellsItself)
  }

  // MARK: Signals

  func send(_ message: Livekit_SignalResponse.OneOf_Message) { signal?.send(message) }

  func order(_ command: RoomMediaCommand) { room.order(command) }

  var loggerMetadata: Logger.Metadata {
    ["room": "\(room.name)", "identity": "\(identity)", "participant": "\(sid)"]
  }
}
