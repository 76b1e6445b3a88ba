import Core
import LiveKitProtocol
import Logging
import SDP
import SFU

/// One peer connection of a participant, as the control plane knows it. `PublisherPeer` answers, `SubscriberPeer` offers.
class PeerConnection {
  enum Link {
    /// The worker has not told our transport parameters yet.
    case opening
    case connecting
    case connected
    /// It worked; no pair works now.
    case interrupted
    case closed
  }

  let id: PeerID
  unowned let participant: Participant
  let context: RoomContext
  /// Nil until the worker has told our transport parameters.
  var session: MultiplexedSession?
  private(set) var link = Link.opening
  /// ICE and DTLS were done at some time.
  private(set) var wasConnected = false
  private var candidates = CandidateGate()
  private var lastRemote: RemoteTransport?
  private var hasDataChannels = false
  private var bandwidth = BandwidthMode.none
  var negotiationTimer: RoomTimer?
  var debounceTimer: RoomTimer?
  var renegotiation = RenegotiationState()

  init(_ participant: Participant) {
    self.participant = participant
    context = participant.context
    id = PeerID(rawValue: context.nextID())
  }

  var isConnected: Bool { link == .connected }
  var isOpen: Bool { link != .closed }

  // MARK: What subclasses do

  /// Nothing is published through it.
  var receivesOnly: Bool { false }
  var role: MultiplexedSession.Role { .answerer }
  /// Channels that we make; the client makes those of a connection that it offers.
  var ownChannels: [DataChannelLabel] { [] }
  /// Our transport parameters are known.
  func opened() {}
  /// They are new.
  func restarted() {}
  /// What is sent changed: an exchange is due.
  func changed() {}

  var policy: MediaPolicy { PeerConnection.policy(context.configuration, endpoint: participant.endpoint) }

  static func policy(_ configuration: RoomConfiguration, endpoint: EndpointRole?) -> MediaPolicy {
    var policy = MediaPolicy.room.restricted(
      to: configuration.enabledCodecs.compactMap { $0.split(separator: "/").last.map(String.init) })
    if endpoint != nil {
      policy.acceptsDataChannels = false
      policy.repeatsCandidates = true
      // Players offer to send as well, or name tracks in sections that only receive.
      policy.sendsOnBidirectionalSections = true
      // Players that know nothing better often offer REMB and never send it; without it they are sent what there is.
      if endpoint != .publisher { policy = policy.removing(feedback: "goog-remb") }
    }
    return policy
  }

  // MARK: Life

  func open() {
    context.register(self)
    if receivesOnly { participant.room.place(id) }
    participant.order(
      .openPeer(
        id, room: participant.room.mediaID, towards: participant.remote, isControlling: role == .offerer))
  }

  func close() {
    guard link != .closed else { return }
    link = .closed
    negotiationTimer = nil
    debounceTimer = nil
    participant.quality.remove(id)
    context.unregister(self)
    participant.order(.closePeer(id))
  }

  // MARK: From the worker

  func receive(opened local: TransportParameters) {
    guard link == .opening else { return }
    link = .connecting
    session = MultiplexedSession(role: role, transport: local, policy: policy, sessionID: context.randomNumber())
    opened()
  }

  func receive(restarted local: TransportParameters) {
    guard link != .closed, session != nil else { return }
    session?.updateTransport(local)
    restarted()
  }

  func receiveConnected() {
    guard link == .connecting || link == .interrupted else { return }
    link = .connected
    wasConnected = true
    participant.connected(self)
  }

  func receiveInterrupted() {
    guard link == .connected else { return }
    link = .interrupted
    participant.interrupted(self)
  }

  func receiveFailed(_ reason: String) {
    guard link != .closed else { return }
    participant.failed(self, reason)
  }

  /// The client ended the connection.
  func receiveClosed() {
    guard link != .closed else { return }
    participant.closedByClient(self)
  }

  // MARK: Descriptions

  /// Tells the worker what the far end said about its transport.
  func setRemote(_ parameters: TransportParameters, weAreServer: Bool) {
    for line in candidates.describe(ufrag: parameters.ufrag) { participant.order(.addCandidate(id, line)) }
    let remote = RemoteTransport(parameters: parameters, isDTLSServer: weAreServer)
    guard remote != lastRemote else { return }
    lastRemote = remote
    participant.order(.setRemote(id, remote))
  }

  func receive(candidate json: String) {
    guard link != .closed, let line = candidates.receive(json) else { return }
    participant.order(.addCandidate(id, line))
  }

  /// The far end takes data channels.
  func openDataChannels(_ parameters: DataChannelParameters?) {
    guard let parameters, !hasDataChannels else { return }
    hasDataChannels = true
    participant.order(
      .openDataChannels(id, channels: ownChannels, remoteMaximumMessageSize: parameters.maximumMessageSize))
  }

  // MARK: Subscriptions

  func add(_ subscription: Subscription) {
    guard session != nil else { return }
    do throws(NegotiationError) {
      _ = try session?.addSender(subscription.sender)
      changed()
    } catch {
      context.logger.debug("track cannot be offered", metadata: ["error": "\(error)"])
      if error == .noCodec { participant.subscribing.refused(subscription.track.sid) }
    }
  }

  func remove(_ subscription: Subscription) {
    if session?.removeSender(trackID: subscription.track.sid) == true { changed() }
  }

  /// How we learn what the path to the client carries.
  func configureBandwidth(_ sections: [SettledSection]) {
    let video = sections.filter { $0.kind == .video && $0.direction.sends && !$0.isRefused }
    guard !video.isEmpty else { return }
    let feedback = Set(video.flatMap { $0.codecs.flatMap(\.feedback) })
    let numbersPackets = video.contains { $0.extensions[ExtensionURI.transportWideCC] != nil }
    let mode: BandwidthMode =
      feedback.contains("transport-cc") && numbersPackets
      ? .transportCC : feedback.contains("goog-remb") ? .remb : .none
    guard mode != bandwidth else { return }
    bandwidth = mode
    participant.order(.configurePeer(id, bandwidth: mode))
  }

  /// No answer, or no offer, in time: this connection cannot be used any more.
  func awaitExchange() {
    negotiationTimer = context.after(context.configuration.negotiationTimeout) { [weak self] in
      guard let self, self.link != .closed, self.participant.signal != nil else { return }
      self.context.logger.info("negotiation timed out", metadata: self.participant.loggerMetadata)
      self.participant.reconnectFully(.stateMismatch)
    }
  }
}
