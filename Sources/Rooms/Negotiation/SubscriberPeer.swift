import LiveKitProtocol
import Logging
import SDP

/// The connection of a two-connection client that the server offers: what it receives, and its data from us.
final class SubscriberPeer: PeerConnection {
  private var isRestarting = false

  override var role: MultiplexedSession.Role { .offerer }
  override var receivesOnly: Bool { true }
  override var ownChannels: [DataChannelLabel] { [.reliable, .lossy, .dataTrack] }

  override func opened() {
    try? session?.enableDataChannels()
    participant.subscribing.attachAll(to: self)
    // The client waits for an offer even if there is nothing to receive.
    step(renegotiation.change(now: context.now))
  }

  override func changed() { step(renegotiation.change(now: context.now)) }

  /// The client came back: the path is looked for anew, with an offer that carries everything.
  func resume() {
    voidOffer()
    guard session != nil, !isRestarting else { return }
    isRestarting = true
    participant.order(.restartICE(id))
  }

  override func restarted() {
    isRestarting = false
    voidOffer()
    step(renegotiation.change(now: context.now))
  }

  private func voidOffer() {
    if renegotiation.isAwaitingAnswer { session?.rollback() }
    renegotiation.abandonOffer()
    negotiationTimer = nil
  }

  // MARK: Offer and answer

  private func step(_ step: RenegotiationState.Step) {
    switch step {
    case .nothing: break
    case .wait(let delay):
      debounceTimer = context.after(delay) { [weak self] in
        guard let self else { return }
        self.debounceTimer = nil
        self.step(self.renegotiation.next(now: self.context.now))
      }
    case .offer: offer()
    }
  }

  private func offer() {
    // Without a socket the change waits for the resume; a restart brings its own offer.
    guard isOpen, !isRestarting, participant.signal != nil, session != nil else { return }
    do throws(NegotiationError) {
      guard let description = try session?.makeOffer() else { return }
      var offer = Livekit_SessionDescription()
      offer.type = "offer"
      offer.sdp = description.description
      offer.id = renegotiation.offered(now: context.now)
      participant.send(.offer(offer))
      awaitExchange()
    } catch {
      context.logger.error("offer failed", metadata: ["error": "\(error)"])
      participant.reconnectFully(.stateMismatch)
    }
  }

  func receive(answer: Livekit_SessionDescription) {
    guard isOpen, renegotiation.isAwaitingAnswer, answer.id == 0 || answer.id == renegotiation.lastID else { return }
    do {
      let description = try SessionDescription(parsing: answer.sdp, limits: .rooms)
      guard let accepted = try session?.receiveAnswer(description) else { return }
      _ = renegotiation.answered(id: answer.id)
      negotiationTimer = nil
      setRemote(accepted.transport, weAreServer: session?.dtlsRole == .passive)
      openDataChannels(accepted.dataChannels)
      for sender in accepted.senders {
        if sender.isRefused {
          participant.subscribing.refused(sender.trackID)
        } else if sender.section.direction.sends {
          participant.subscribing.settled(sender.trackID, sender.section)
        }
      }
      configureBandwidth(accepted.senders.map(\.section))
      // A line that was given up is free for others after one whole round with nothing on it.
      if session?.needsOffer == true { step(renegotiation.change(now: context.now)) }
      step(renegotiation.next(now: context.now))
    } catch {
      context.logger.info("answer refused", metadata: participant.loggerMetadata.merging(["error": "\(error)"]) { $1 })
      participant.reconnectFully(.stateMismatch)
    }
  }
}
