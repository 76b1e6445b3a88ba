import LiveKitProtocol
import Logging
import SDP
import SFU

/// The connection of a WHEP viewer. Its sections are offered once and for all: each becomes a slot with sources of its
/// own, and a track that comes later takes the next free slot without another word on the wire.
final class ViewerPeer: PeerConnection {
  private struct Slot {
    let sender: SenderDescription
    var section: SettledSection?
    /// Whose packets it carries, or carried: sources are not used twice, as their packet numbers would jump.
    var trackSID: String?
  }

  private var slots: [Slot] = []
  private var waiting: [Subscription] = []
  private var heldOffer: Livekit_SessionDescription?
  private var restarting: RemoteOffer?

  override var receivesOnly: Bool { true }

  // MARK: The offer

  func receive(offer: Livekit_SessionDescription) {
    guard isOpen else { return }
    guard session != nil, restarting == nil else {
      heldOffer = offer
      return
    }
    do {
      let description = try SessionDescription(parsing: offer.sdp, limits: .rooms)
      guard let remote = try session?.receiveOffer(description) else { return }
      if remote.iceRestarted {
        restarting = remote
        setRemote(remote.transport, weAreServer: session?.dtlsRole != .active)
      } else {
        try makeSlots(for: remote)
        try answer(remote)
      }
    } catch { refuse(error) }
  }

  override func opened() {
    guard let held = heldOffer else { return }
    heldOffer = nil
    receive(offer: held)
  }

  override func restarted() {
    guard let offer = restarting else { return }
    restarting = nil
    do throws(NegotiationError) { try answer(offer) } catch { refuse(error) }
    opened()
  }

  private func answer(_ offer: RemoteOffer) throws(NegotiationError) {
    guard let description = try session?.makeAnswer(), let session else { return }
    var answer = Livekit_SessionDescription()
    answer.type = "answer"
    answer.sdp = description.description
    participant.send(.answer(answer))
    setRemote(offer.transport, weAreServer: session.dtlsRole != .active)
    for index in slots.indices { slots[index].section = session.settled(trackID: slots[index].sender.trackID) }
    configureBandwidth(session.settledSections)
    fill()
  }

  private func refuse(_ error: any Error) {
    context.logger.info("offer refused", metadata: participant.loggerMetadata.merging(["error": "\(error)"]) { $1 })
    participant.leave(.stateMismatch, action: .disconnect)
  }

  // MARK: Slots

  /// One for each section that receives; those for which a track is there already bear its name and codecs.
  private func makeSlots(for offer: RemoteOffer) throws(NegotiationError) {
    guard slots.isEmpty else { return }
    var known = waiting
    for section in offer.sections where section.direction.receives && !section.isUnusable {
      guard section.kind == .audio || section.kind == .video else { continue }
      let index = known.firstIndex { $0.sender.kind == section.kind && !$0.codecs(in: section.codecs).isEmpty }
      let sender =
        index.map { known.remove(at: $0).sender }
        ?? SenderDescription(
          kind: section.kind, streamID: "room", trackID: "slot-" + section.mid, ssrc: context.makeSSRC(),
          retransmissionSSRC: section.kind == .video ? context.makeSSRC() : nil, cname: participant.room.sid)
      guard !slots.contains(where: { $0.sender.trackID == sender.trackID }) else { continue }
      _ = try session?.addSender(sender)
      slots.append(Slot(sender: sender))
    }
  }

  /// Gives free slots to what waits, its own one first.
  private func fill() {
    var left: [Subscription] = []
    for subscription in waiting {
      if !bind(subscription) { left.append(subscription) }
    }
    waiting = left
  }

  private func bind(_ subscription: Subscription) -> Bool {
    let sid = subscription.track.sid
    let named = slots.firstIndex { $0.sender.trackID == sid }
    // Nobody else's: one that was made for a track that has ended since will do.
    let free = slots.indices.first { index in
      let slot = slots[index]
      guard slot.trackSID == nil, slot.sender.kind == subscription.sender.kind, let section = slot.section,
        !waiting.contains(where: { $0.track.sid == slot.sender.trackID })
      else { return false }
      return section.direction.sends && !subscription.codecs(in: section.codecs).isEmpty
    }
    guard let index = named ?? free, let section = slots[index].section, section.direction.sends else { return false }
    slots[index].trackSID = sid
    let sender = slots[index].sender
    subscription.adopt(ssrc: sender.ssrc, retransmissionSSRC: sender.retransmissionSSRC, cname: sender.cname)
    var settled = section
    settled.codecs = subscription.codecs(in: section.codecs)
    participant.subscribing.settled(sid, settled)
    return true
  }

  // MARK: Subscriptions

  override func add(_ subscription: Subscription) {
    guard isOpen else { return }
    if !bind(subscription) { waiting.append(subscription) }
  }

  override func remove(_ subscription: Subscription) { waiting.removeAll { $0 === subscription } }
}

extension Subscription {
  /// Of a section's codecs those that the publisher sends, in their profiles.
  func codecs(in section: [SectionCodec]) -> [SectionCodec] {
    let wanted = sender.codecs
    return wanted.isEmpty ? section : wanted.flatMap { wish in section.filter { wish.names($0) } }
  }
}
