import Core
import LiveKitProtocol
import Logging
import SDP

/// The connection that the client offers: what it publishes and, where it is the only one, also what it receives.
final class PublisherPeer: PeerConnection {
  /// Came before our transport parameters, or while new ones are on their way; the latest counts.
  private var heldOffer: Livekit_SessionDescription?
  /// The offer whose ICE restart the worker is carrying out.
  private var restarting: (offer: RemoteOffer, id: UInt32)?

  /// What the client was asked for last, and when it may be asked for the same again.
  private var lastWant: Want?
  private var nextAsk = Instant.zero
  private var patience = Duration.zero

  private struct Want: Equatable {
    var audio: Int
    var video: Int
    var waiting: Int
  }

  // MARK: Offers of the client

  func receive(offer: Livekit_SessionDescription) {
    guard isOpen else { return }
    guard session != nil, restarting == nil else {
      heldOffer = offer
      return
    }
    do {
      let description = try SessionDescription(parsing: offer.sdp, limits: .rooms)
      guard let remote = try session?.receiveOffer(description) else { return }
      _ = renegotiation.answered(id: 0)
      negotiationTimer = nil
      if remote.iceRestarted {
        // New credentials of ours belong into the answer (RFC 8839 §4.4.1.1.1).
        restarting = (remote, offer.id)
        setRemote(remote.transport, weAreServer: session?.dtlsRole != .active)
      } else {
        answer(remote, id: offer.id)
      }
    } catch { refuse(error) }
  }

  override func opened() {
    if participant.isSinglePeerConnection { participant.subscribing.attachAll(to: self) }
    takeHeldOffer()
  }

  override func restarted() {
    guard let (offer, id) = restarting else { return }
    restarting = nil
    answer(offer, id: id)
    takeHeldOffer()
  }

  private func takeHeldOffer() {
    guard let held = heldOffer else { return }
    heldOffer = nil
    receive(offer: held)
  }

  private func answer(_ offer: RemoteOffer, id: UInt32) {
    var plans: [String: ReceiverPlan] = [:]
    var trackIDs: [String: String] = [:]
    for section in offer.sections where section.direction.sends && !section.isUnusable {
      guard section.kind == .audio || section.kind == .video else { continue }
      plans[section.mid] = participant.publishing.plan(for: section)
      trackIDs[section.mid] = section.trackID
    }
    do throws(NegotiationError) {
      guard let description = try session?.makeAnswer(receiving: plans), let session else { return }
      var answer = Livekit_SessionDescription()
      answer.type = "answer"
      answer.sdp = description.description
      answer.id = id
      if participant.isSinglePeerConnection { answer.midToTrackID = session.tracksByMid }
      participant.send(.answer(answer))
      setRemote(offer.transport, weAreServer: session.dtlsRole != .active)
      let sections = session.settledSections
      openDataChannels(sections.first { $0.kind == .application && !$0.isRefused }?.dataChannels)
      participant.publishing.settle(sections, trackIDs: trackIDs)
      settleSenders(session)
    } catch { refuse(error) }
  }

  private func refuse(_ error: any Error) {
    context.logger.info("offer refused", metadata: participant.loggerMetadata.merging(["error": "\(error)"]) { $1 })
    participant.reconnectFully(.stateMismatch)
  }

  // MARK: What goes to the client

  /// Only the client offers: it is asked to, with the sections that it has to add.
  override func changed() {
    guard participant.isSinglePeerConnection else { return }
    // Before the first offer everything waits for it anyway.
    guard session?.remoteTransport != nil else { return }
    step(renegotiation.change(now: context.now))
  }

  private func settleSenders(_ session: MultiplexedSession) {
    guard participant.isSinglePeerConnection else { return }
    let settled = session.settledSections.filter { $0.direction.sends }
    for section in settled {
      if let sender = section.sender { participant.subscribing.settled(sender.trackID, section) }
    }
    for trackID in session.unsupportedTracks { participant.subscribing.refused(trackID) }
    configureBandwidth(settled)
    if session.needsRemoteOffer { step(renegotiation.change(now: context.now)) }
  }

  private func step(_ step: RenegotiationState.Step) {
    switch step {
    case .nothing: break
    case .wait(let delay):
      debounceTimer = context.after(delay) { [weak self] in
        guard let self else { return }
        self.debounceTimer = nil
        self.step(self.renegotiation.next(now: self.context.now))
      }
    case .offer: requireOffer()
    }
  }

  private func requireOffer() {
    guard isOpen, !renegotiation.isAwaitingAnswer, participant.signal != nil, let session, session.needsRemoteOffer
    else {
      return
    }
    let missing = session.missingSections
    let now = context.now
    let want = Want(audio: missing.audio, video: missing.video, waiting: session.senders.count)
    if want != lastWant { patience = .zero }
    guard want != lastWant || now >= nextAsk else {
      // The client does not do what it is asked: it is asked less and less often.
      debounceTimer = context.after(nextAsk - now) { [weak self] in
        guard let self else { return }
        self.debounceTimer = nil
        self.requireOffer()
      }
      return
    }
    lastWant = want
    nextAsk = now + patience
    patience = min(max(patience * 3, .milliseconds(300)), .seconds(10))
    var requirement = Livekit_MediaSectionsRequirement()
    requirement.numAudios = UInt32(missing.audio)
    requirement.numVideos = UInt32(missing.video)
    _ = renegotiation.offered(now: context.now)
    participant.send(.mediaSectionsRequirement(requirement))
    awaitExchange()
  }

  /// The client came back and offers by itself; what it was asked before may not have reached it.
  func resume() {
    renegotiation.abandonOffer()
    negotiationTimer = nil
    if restarting == nil, session?.state == .haveRemoteOffer { session?.rollback() }
    if participant.isSinglePeerConnection, session?.needsRemoteOffer == true {
      // Its offer comes with its sync state; should it not, it is asked.
      debounceTimer = context.after(.seconds(5)) { [weak self] in
        guard let self else { return }
        self.debounceTimer = nil
        self.changed()
      }
    }
  }
}
