import Core
import Logging
import SDP
import SIP

/// One party's side of a call: a SIP dialog, its offer/answer and its media leg on a worker.
///
/// A leg knows nothing of the other side; it reports to its `Call`. Renegotiation on one leg never touches another.
final class SIPLeg {
  enum Party {
    case user(String)
    case trunk(Trunk)
    /// A conference: this side has no far end of its own.
    case room(String)

    var name: String {
      switch self {
      case .user(let name): name
      case .trunk(let trunk): trunk.name
      case .room(let name): name
      }
    }
  }

  /// How the leg's media travels.
  enum Profile { case webRTC, rtp }

  enum Phase { case idle, inviting, cancelling, answered, ended }

  let id: LegID
  let isCaller: Bool
  let party: Party
  let core: B2BUA
  let host: MediaHost
  let callID: String
  let localTag: String
  /// Kept until the call is forgotten; `B2BUA.forget` breaks the cycle.
  var call: Call?
  /// Requests of ours whose responses come here.
  var clientTransactions: Set<ClientTransactionID> = []
  /// INVITEs of the far end whose ACK or CANCEL comes here.
  var serverInvites: Set<ServerTransactionID> = []

  /// Where requests go unless the dialog names something reachable.
  var destination: Destination
  /// RFC 5626 instance of the far end, to find it again on a new flow.
  var instance: String?
  var dialog: Dialog?
  var phase = Phase.idle
  var record: LegRecord

  // The INVITE, as server or as client.
  var inviteRequest: SIPRequest
  var serverInvite: ServerTransactionID?
  var clientInvite: ClientTransactionID?
  /// Our own re-INVITE or UPDATE that waits for its answer.
  var reinvite: ClientTransactionID?
  /// The request of `reinvite`.
  var refreshRequest: SIPRequest?
  /// How often `reinvite` was sent anew after a challenge or the like.
  var refreshAttempts = 0
  /// When to try a refused refresh again.
  var refreshAgain: Instant?
  /// INVITEs sent anew after 401, 407 or 422.
  var inviteRetries = 0
  /// When our INVITE was answered; forks may answer for 64·T1 more.
  var acceptedAt: Instant?
  /// The ACK of our 200 came, or will not come any more.
  var isAcknowledged = false
  var pendingBye: (transaction: ServerTransactionID, request: SIPRequest)?
  /// Our credentials towards a trunk that challenges.
  var credentials: DigestClient?
  /// The far end takes UPDATE (its Allow).
  var peerAllowsUpdate = false
  var sessionTimer: SessionTimer?
  /// Its connection or its media is gone, and awaited.
  var outage: Outage?
  /// Its media has been connected once.
  var wasConnected = false
  /// Of the far end's last REFER.
  var subscription: ReferSubscription?
  var hasBeenReferred = false
  /// The NOTIFY that waits for its answer.
  var notification: ClientTransactionID?

  // Offer/answer and media.
  let profile: Profile
  let codecs: [AudioCodec]
  var session: AudioSession?
  /// The session as it was with our offer outstanding: a fork's answer starts from here.
  var offered: AudioSession?
  var remoteOffer: SessionDescription?
  /// Why the caller's offer cannot be served; found before any media is set up.
  var offerFailure: (status: Int, reason: String)?
  var hasMedia = false
  var answerSDP: SessionDescription?
  /// Our offer of a delayed-offer INVITE waits for the ACK.
  var awaitsAnswerInACK = false

  init(
    id: LegID, isCaller: Bool, party: Party, core: B2BUA, host: MediaHost, callID: String, localTag: String,
    destination: Destination, request: SIPRequest, profile: Profile, codecs: [AudioCodec], index: Int
  ) {
    self.id = id
    self.isCaller = isCaller
    self.party = party
    self.core = core
    self.host = host
    self.callID = callID
    self.localTag = localTag
    self.destination = destination
    inviteRequest = request
    self.profile = profile
    self.codecs = codecs
    let kind: LegRecord.Kind =
      switch party {
      case .user: .user
      case .trunk: .trunk
      case .room: .room
      }
    record = LegRecord(index: index, kind: kind, party: party.name, sipCallID: callID, startedAt: .now())
    if kind != .room { note(destination) }
  }

  /// What the far end's messages say about its abilities.
  func learn(from headers: Headers) {
    if headers.contains(.allow) { peerAllowsUpdate = headers.allow.contains(.update) }
  }

  private func note(_ destination: Destination) {
    record.remoteAddress = "\(destination.remote)"
    record.transport = destination.transport.rawValue.lowercased()
  }

  /// The far end moved to another flow (RFC 5626 §4.2) or behind another NAT binding: what follows goes there.
  func moved(to destination: Destination) {
    guard self.destination != destination else { return }
    self.destination = destination
    note(destination)
  }

  var isUser: Bool { if case .user = party { true } else { false } }
  var isRoom: Bool { if case .room = party { true } else { false } }

  // MARK: Media

  /// Opens the media leg and makes the offer/answer machine. Does nothing the second time.
  func openMedia() async throws {
    guard session == nil else { return }
    // From here on there is something to close, even where opening fails half way.
    hasMedia = true
    let ssrc = SSRC(UInt32.random(in: 1...UInt32.max))
    let cname = RandomToken.hex(bytes: 8)
    let peer = destination.remote.ip
    let transport: LegTransport
    switch profile {
    case .webRTC:
      // The offerer controls (RFC 8445 §6.1.1).
      let local = try await host.openWebRTC(id, ssrc: ssrc, cname: cname, controlling: !isCaller, towards: peer)
      transport = .webRTC(parameters(local), address: Self.defaultAddress(local.candidates))
    case .rtp:
      let local = try await host.openRTP(id, ssrc: ssrc, cname: cname, towards: peer)
      transport = .rtp(address: local.address, port: local.rtp, rtcpPort: local.rtcp)
    }
    session = AudioSession(
      codecs: codecs, transport: transport, ssrc: ssrc, cname: cname,
      sessionID: UInt64.random(in: 1...UInt64(Int64.max)))
    // Carriers with silence suppression send RFC 3389 noise; browsers do not.
    session?.comfortNoise = profile == .rtp
  }

  func parameters(_ local: LocalWebRTC) -> TransportParameters {
    TransportParameters(
      ufrag: local.ufrag, pwd: local.password, candidates: local.candidates, iceLite: local.isICELite,
      fingerprint: Fingerprint(algorithm: "sha-256", value: local.fingerprint), setup: isCaller ? .passive : .actpass)
  }

  /// The address for `c=` and `m=`: the first UDP candidate (RFC 8839 §4.2.1.2 default candidate).
  static func defaultAddress(_ candidates: [String]) -> SocketAddress {
    for line in candidates {
      let fields = line.split(separator: " ")
      if fields.count > 5, fields[2].lowercased() == "udp", let ip = IPAddress(fields[4]), let port = UInt16(fields[5])
      {
        return SocketAddress(ip: ip, port: port)
      }
    }
    return SocketAddress(ip: IPAddress(v4: 0), port: 9)
  }

  /// Hands what offer and answer settled to the media worker.
  func applyNegotiated() async throws {
    guard let session, let audio = session.negotiated else { return }
    record.codec = audio.codec.rawValue
    try await host.configure(id, audio: audio, remote: session.remote.flatMap { hostedRemote($0, session) })
  }

  private func hostedRemote(_ remote: RemoteMedia, _ session: AudioSession) -> HostedRemote? {
    guard let webRTC = remote.transport else {
      guard profile == .rtp else { return nil }
      return .rtp(rtp: remote.rtp, rtcp: remote.rtcp, muxed: remote.rtcpMux)
    }
    guard profile == .webRTC else { return nil }
    return .webRTC(
      ufrag: webRTC.ufrag, password: webRTC.pwd, candidates: webRTC.candidates,
      fingerprintAlgorithm: webRTC.fingerprint.algorithm, fingerprint: webRTC.fingerprint.value,
      isLite: webRTC.iceLite, weAreDTLSServer: session.dtlsRole != .active)
  }

  /// The far end put us on hold.
  var isHeldByPeer: Bool { session?.isHeldByRemote ?? false }

  func closeMedia() async {
    guard hasMedia else { return }
    hasMedia = false
    if let counters = await host.close(id) {
      record.media = counters
      core.metrics.legEnded(counters, kind: record.kind)
    }
  }

  // MARK: Ending

  /// Ends the leg with BYE, CANCEL or a refusal, whichever its phase asks for.
  func hangUp(reason: String) {
    switch phase {
    case .answered:
      phase = .ended
      sayGoodbye(reason: reason)
    case .inviting: isCaller ? reject(480, cause: 480, reason: reason) : cancel(reason: nil)
    case .idle, .cancelling, .ended: break
    }
  }

  /// RFC 3261 §15: not before the ACK of our 200, since a BYE that overtakes it would find no dialog.
  private func sayGoodbye(reason: String) {
    guard var bye = dialog?.makeRequest(.bye) else { return }
    bye.headers.append(.reason, "SIP;cause=200;text=\"\(quoted(reason))\"")
    credentials?.authorize(&bye)
    let farewell = Farewell(request: bye, destination: core.inDialogDestination(of: self), credentials: credentials)
    if isCaller, !isAcknowledged, let serverInvite {
      core.deferredByes[serverInvite] = farewell
    } else {
      core.send(farewell)
    }
  }

  /// Answers the BYE that ended the call, now that its record is written.
  func answerPendingBye() {
    guard let (transaction, request) = pendingBye else { return }
    pendingBye = nil
    core.respond(makeResponse(200, to: request), to: transaction)
  }

  func quoted(_ text: String) -> String { text.filter { $0 != "\"" && $0 != "\\" && !$0.isNewline } }

  // MARK: Requests and responses

  /// Sends a request inside the dialog.
  func send(_ request: SIPRequest) -> ClientTransactionID {
    core.send(request, to: core.inDialogDestination(of: self), owner: .leg(self))
  }

  func makeResponse(_ status: Int, to request: SIPRequest, sdp: SessionDescription? = nil) -> SIPResponse {
    var response = SIPResponse(to: request, status: status, toTag: localTag)
    response.headers.set(.server, core.configuration.product)
    if request.method == .invite || request.method == .update, status < 300 {
      if status > 100 { response.headers.set(.contact, core.contactHeader(for: destination)) }
      response.headers.set(.allow, B2BUA.allow)
      response.headers.set(.supported, B2BUA.supported)
    }
    if let sdp {
      response.setBody(Array(sdp.description.utf8), contentType: "application/sdp")
    }
    return response
  }
}
