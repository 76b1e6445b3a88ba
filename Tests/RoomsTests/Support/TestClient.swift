import Core
import LiveKitProtocol
import SDP
import Synchronization
import Testing

@testable import Rooms

/// A client of the rooms, as far as signalling goes. Used on the test's thread alone, hence unchecked.
final class TestClient: SignalSink, @unchecked Sendable {
  let identity: String
  let isSinglePeerConnection: Bool
  var session = SessionID(rawValue: 0)
  private(set) var messages: [Livekit_SignalResponse.OneOf_Message] = []
  private(set) var closes: [SignalClose] = []
  private var unread = 0
  /// Whether offers of the server are answered.
  var answers = true
  var answerID: UInt32 = 0
  /// Codecs of this client's descriptions.
  var policy = MediaPolicy.room {
    didSet { subscriber = TestClient.session(.answerer, identity + "s", policy) }
  }
  private var subscriber: MultiplexedSession
  /// Also the client of one connection; sections for receiving are senders without a track there.
  private var publisher: MultiplexedSession
  private var offers: UInt32 = 0
  private var awaitsAnswer = false
  private var restarts = 0

  init(identity: String, isSinglePeerConnection: Bool) {
    self.identity = identity
    self.isSinglePeerConnection = isSinglePeerConnection
    subscriber = TestClient.session(.answerer, identity + "s", .room)
    publisher = TestClient.session(.offerer, identity + "p", .room)
  }

  private static func session(_ role: MultiplexedSession.Role, _ name: String, _ policy: MediaPolicy)
    -> MultiplexedSession
  {
    MultiplexedSession(role: role, transport: parameters(name), policy: policy, sessionID: 1)
  }

  private static func parameters(_ name: String) -> TransportParameters {
    TransportParameters(
      ufrag: "client" + name, pwd: "clientpasswordclientpass", candidates: [],
      fingerprint: Fingerprint(
        algorithm: "sha-256", value: (1...32).map { Hex.encode([UInt8($0)]) }.joined(separator: ":")), setup: .actpass)
  }

  // MARK: SignalSink

  func send(_ response: Livekit_SignalResponse) {
    if let message = response.message { messages.append(message) }
  }

  func close(_ code: SignalClose) { closes.append(code) }

  // MARK: What it was told

  var join: Livekit_JoinResponse? {
    for case .join(let join) in messages { return join }
    return nil
  }
  var sid: String { join?.participant.sid ?? "" }
  var roomName: String? { join?.room.name }
  /// SIDs by what the client calls its tracks.
  var published: [String: String] {
    var found: [String: String] = [:]
    for case .trackPublished(let response) in messages { found[response.cid] = response.track.sid }
    return found
  }
  var updates: [Livekit_ParticipantInfo] {
    messages.flatMap { message -> [Livekit_ParticipantInfo] in
      if case .update(let update) = message { update.participants } else { [] }
    }
  }
  /// The latest word about somebody.
  func info(_ identity: String) -> Livekit_ParticipantInfo? {
    updates.last { $0.identity == identity } ?? join?.otherParticipants.first { $0.identity == identity }
  }
  var leaves: [Livekit_LeaveRequest] {
    messages.compactMap { if case .leave(let leave) = $0 { leave } else { nil } }
  }
  var serverOffers: [Livekit_SessionDescription] {
    messages.compactMap { if case .offer(let offer) = $0 { offer } else { nil } }
  }
  var serverAnswers: [Livekit_SessionDescription] {
    messages.compactMap { if case .answer(let answer) = $0 { answer } else { nil } }
  }
  var requirements: [Livekit_MediaSectionsRequirement] {
    messages.compactMap { if case .mediaSectionsRequirement(let requirement) = $0 { requirement } else { nil } }
  }
  /// Tracks in the latest offer of the server that are sent, or in the latest answer with one connection.
  var receivedTracks: Set<String> {
    guard let sdp = (isSinglePeerConnection ? serverAnswers : serverOffers).last?.sdp,
      let description = try? SessionDescription(parsing: sdp, limits: .rooms)
    else { return [] }
    return Set(
      description.media.filter { $0.hasAttribute("sendonly") || $0.hasAttribute("sendrecv") }.compactMap {
        $0.attribute("msid")?.split(separator: " ").last.map(String.init)
      })
  }
  func forgetMessages() {
    messages = []
    unread = 0
  }

  // MARK: What it does

  /// Answers what is new; false when there was nothing.
  func step(_ core: RoomCore) -> Bool {
    guard unread < messages.count else { return false }
    let new = messages[unread...]
    unread = messages.count
    for message in new {
      switch message {
      case .offer(let offer) where answers: answer(offer, core)
      case .answer(let answer): receive(answer)
      default: break
      }
    }
    return true
  }

  private func answer(_ offer: Livekit_SessionDescription, _ core: RoomCore) {
    do {
      let remote = try subscriber.receiveOffer(try SessionDescription(parsing: offer.sdp, limits: .rooms))
      if remote.iceRestarted {
        restarts += 1
        subscriber.updateTransport(TestClient.parameters(identity + "s\(restarts)"))
      }
      var plans: [String: ReceiverPlan] = [:]
      for section in remote.sections { plans[section.mid] = ReceiverPlan() }
      var message = Livekit_SessionDescription()
      message.type = "answer"
      message.sdp = try subscriber.makeAnswer(receiving: plans).description
      message.id = answerID
      send(.answer(message), core)
    } catch { Issue.record("client cannot answer: \(error)") }
  }

  private func receive(_ answer: Livekit_SessionDescription) {
    guard awaitsAnswer else { return }
    awaitsAnswer = false
    do {
      _ = try publisher.receiveAnswer(try SessionDescription(parsing: answer.sdp, limits: .rooms))
    } catch { Issue.record("client cannot take the answer: \(error)") }
  }

  func addTrack(_ cid: String, _ type: Livekit_TrackType) throws {
    try publisher.enableDataChannels()
    try publisher.addSender(
      SenderDescription(
        kind: type == .audio ? .audio : .video, streamID: "-", trackID: cid, ssrc: SSRC(UInt32.random(in: 1...9999)),
        retransmissionSSRC: type == .video ? SSRC(UInt32.random(in: 10_000...99_999)) : nil, cname: identity))
  }

  func removeTrack(_ cid: String) { publisher.removeSender(trackID: cid) }

  func restartPublisher() {
    restarts += 1
    publisher.updateTransport(TestClient.parameters(identity + "p\(restarts)"))
  }

  func offerPublisher(_ core: RoomCore) {
    do {
      var message = Livekit_SessionDescription()
      message.type = "offer"
      message.sdp = try publisher.makeOffer().description
      offers += 1
      message.id = offers
      awaitsAnswer = true
      send(.offer(message), core)
    } catch { Issue.record("client cannot offer: \(error)") }
  }

  func send(_ message: Livekit_SignalRequest.OneOf_Message, _ core: RoomCore) {
    var request = Livekit_SignalRequest()
    request.message = message
    core.receive(request, from: session)
  }
}
