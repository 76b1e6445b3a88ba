import Core
import FoundationEssentials
import LiveKitProtocol
import SDP

/// All WHIP and WHEP sessions. Each is an ordinary participant with one peer connection that the client offered.
/// Confined to the signalling loop.
final class Endpoints {
  private unowned let core: RoomCore
  private var sessions: [String: EndpointSession] = [:]

  init(_ core: RoomCore) { self.core = core }

  private var context: RoomContext { core.context }
  var count: Int { sessions.count }

  // MARK: POST

  func open(_ request: EndpointRequest, _ completion: @escaping (Result<EndpointAnswer, EndpointRefusal>) -> Void) {
    do throws(EndpointRefusal) {
      let offer = try parse(request.offer)
      let sections = try read(offer)
      var join = JoinRequest(claims: request.claims, clientInfo: Livekit_ClientInfo(), remote: request.remote)
      join.endpoint = request.role
      join.isSinglePeerConnection = true
      join.protocolVersion = 17
      join.publisherOffer = Livekit_SessionDescription()
      join.publisherOffer?.type = "offer"
      join.publisherOffer?.sdp = offer.description
      join.autoSubscribe = request.role != .publisher
      join.subscriberAllowPause = false
      switch request.role {
      case .publisher:
        join.addTrackRequests = try tracks(sections, request.claims)
        guard !join.addTrackRequests.isEmpty else {
          throw EndpointRefusal(.unacceptableOffer, "the offer sends no audio or video that this server takes")
        }
      case .viewer:
        guard sections.contains(where: { $0.direction.receives && $0.kind != .application && !$0.isUnusable }) else {
          throw EndpointRefusal(.unacceptableOffer, "the offer receives no audio or video that this server sends")
        }
      case .phone: throw EndpointRefusal(.forbidden, "phones come by SIP")
      }
      let session = EndpointSession(offer: offer, owner: request.owner) { [weak self] in self?.sessions[$0.id] = nil }
      session.await(context) { [context] result in
        completion(
          result.map {
            EndpointAnswer(
              id: session.id, entityTag: session.entityTag, answer: $0.description,
              iceServers: context.configuration.iceServers)
          })
      }
      sessions[session.id] = session
      do {
        session.session = try core.join(join, sink: session)
      } catch {
        sessions[session.id] = nil
        throw EndpointRefusal(error)
      }
    } catch {
      completion(.failure(error))
    }
  }

  private func parse(_ bytes: [UInt8]) throws(EndpointRefusal) -> SessionDescription {
    do {
      return try SessionDescription(parsing: bytes, limits: .rooms)
    } catch {
      throw EndpointRefusal(.malformedOffer, "\(error)")
    }
  }

  /// What the offer's sections are to us, by a session that is thrown away.
  private func read(_ offer: SessionDescription) throws(EndpointRefusal) -> [RemoteSection] {
    let nobody = TransportParameters(
      ufrag: "none", pwd: "none", candidates: [], fingerprint: Fingerprint(algorithm: "sha-256", value: ""))
    var session = MultiplexedSession(
      role: .answerer, transport: nobody, policy: PeerConnection.policy(context.configuration, endpoint: .publisher),
      sessionID: 1)
    do {
      return try session.receiveOffer(offer).sections
    } catch {
      switch error {
      case .noTransport, .tooManySections: throw EndpointRefusal(.unacceptableOffer, "\(error)")
      default: throw EndpointRefusal(.malformedOffer, "\(error)")
      }
    }
  }

  /// An announcement for each section that sends. The first of a kind is the camera or the microphone, a second one the
  /// screen: an encoder has no way to say so.
  private func tracks(
    _ sections: [RemoteSection], _ claims: AccessClaims
  ) throws(EndpointRefusal) -> [Livekit_AddTrackRequest] {
    var requests: [Livekit_AddTrackRequest] = []
    for section in sections where section.direction.sends && !section.isUnusable {
      guard section.kind == .audio || section.kind == .video else { continue }
      let isAudio = section.kind == .audio
      var request = Livekit_AddTrackRequest()
      let isNamed = section.trackID.map { id in !requests.contains { $0.cid == id } && id.utf8.count <= 200 } ?? false
      request.cid = isNamed ? section.trackID ?? "" : "mid-" + section.mid
      request.type = isAudio ? .audio : .video
      switch requests.count(where: { $0.type == request.type }) {
      case 0: request.source = isAudio ? .microphone : .camera
      case 1: request.source = isAudio ? .screenShareAudio : .screenShare
      default: request.source = .unknown
      }
      if isAudio {
        // An encoder's sound is music as often as speech.
        request.disableRed = true
        request.stereo = section.codecs.contains { $0.formatParameters.contains("sprop-stereo=1") }
        request.disableDtx = request.stereo
      }
      guard claims.permission.allows(request.source) else {
        throw EndpointRefusal(.forbidden, "the token does not allow to publish \(isAudio ? "audio" : "video")")
      }
      requests.append(request)
    }
    return requests
  }

  // MARK: PATCH

  func patch(
    _ id: String, owner: [UInt8], ifMatch: String?, body: [UInt8],
    _ completion: @escaping (Result<EndpointPatch, EndpointRefusal>) -> Void
  ) {
    do throws(EndpointRefusal) {
      let session = try find(id, owner)
      let fragment: SDPFragment
      do {
        fragment = try SDPFragment(parsing: body)
      } catch {
        throw EndpointRefusal(.malformedFragment, "\(error)")
      }
      guard let ifMatch else {
        throw EndpointRefusal(.preconditionMissing, "If-Match has to name the ICE session")
      }
      let before = SDPFragment(session.offer)
      let restarts = fragment.ufrag != nil && fragment.ufrag != before?.ufrag
      guard ifMatch == session.entityTag || (ifMatch == "*" && restarts) else {
        throw EndpointRefusal(.preconditionFailed, "the ICE session is another one by now")
      }
      guard restarts else {
        for line in fragment.candidates { trickle(line, fragment.ufrag, session) }
        return completion(.success(.trickled))
      }
      guard fragment.pwd != nil else { throw EndpointRefusal(.malformedFragment, "a=ice-ufrag without a=ice-pwd") }
      guard !session.isBusy else { throw EndpointRefusal(.busy, "an ICE restart is under way") }
      try restart(session, fragment, completion)
    } catch {
      completion(.failure(error))
    }
  }

  private func restart(
    _ session: EndpointSession, _ fragment: SDPFragment,
    _ completion: @escaping (Result<EndpointPatch, EndpointRefusal>) -> Void
  ) throws(EndpointRefusal) {
    let offer = fragment.restart(session.offer)
    // A fragment that could not be answered must not cost the session.
    _ = try read(offer)
    session.offer = offer
    session.await(context) { result in
      switch result {
      case .success(let answer):
        guard let ours = SDPFragment(answer) else {
          return completion(.failure(EndpointRefusal(.failed, "nothing is sent or received any more")))
        }
        session.renewEntityTag()
        completion(.success(.restarted(ours.description, entityTag: session.entityTag)))
      case .failure(let error): completion(.failure(error))
      }
    }
    var request = Livekit_SignalRequest()
    request.offer.type = "offer"
    request.offer.sdp = offer.description
    send(request, session)
  }

  private func trickle(_ line: String, _ ufrag: String?, _ session: EndpointSession) {
    var candidate = ["candidate": line]
    candidate["usernameFragment"] = ufrag
    guard let json = try? JSONEncoder().encode(candidate) else { return }
    var request = Livekit_SignalRequest()
    request.trickle.target = .publisher
    request.trickle.candidateInit = String(decoding: json, as: UTF8.self)
    send(request, session)
  }

  private func send(_ request: Livekit_SignalRequest, _ session: EndpointSession) {
    if let id = session.session { core.receive(request, from: id) }
  }

  // MARK: DELETE

  func close(_ id: String, owner: [UInt8]) throws(EndpointRefusal) {
    let session = try find(id, owner)
    var request = Livekit_SignalRequest()
    request.leave.reason = .clientInitiated
    send(request, session)
    sessions[id] = nil
  }

  /// A stranger learns nothing about which sessions there are.
  private func find(_ id: String, _ owner: [UInt8]) throws(EndpointRefusal) -> EndpointSession {
    guard let session = sessions[id], session.owner == owner else {
      throw EndpointRefusal(.sessionNotFound, "there is no such session, or not any more")
    }
    return session
  }
}
