import Core

/// One of our tracks in the far end's answer.
package struct AnsweredSender: Hashable, Sendable {
  package var trackID: String
  package var section: SettledSection
  /// The far end refused the section, or takes none of the codecs: nothing can be sent.
  package var isRefused: Bool
}

/// The far end's answer to our offer.
package struct RemoteAnswer: Hashable, Sendable {
  package var transport: TransportParameters
  package var trickles: Bool
  package var iceRestarted: Bool
  package var senders: [AnsweredSender]
  /// Nil where the offer had none or they were refused.
  package var dataChannels: DataChannelParameters?
}

extension MultiplexedSession {
  // MARK: We offer

  /// A section for data channels, in offers from now on.
  package mutating func enableDataChannels() throws(NegotiationError) {
    guard role == .offerer else { throw .wrongRole }
    guard !sections.contains(where: { $0.kind == .application && !$0.isRefused }) else { return }
    try appendSection(.application)
  }

  /// Something that the last offer did not say.
  package var needsOffer: Bool {
    guard role == .offerer else { return false }
    return isTransportNew || sections.contains { $0.isNew || $0.sender?.trackID != $0.offered?.trackID }
  }

  /// Finds a section: one that rested a whole exchange and never carried this stream, or a new one, or any that rested.
  /// LiveKit's native SDK takes a stream that comes back to its old section for one that it has already announced.
  mutating func placeInOffer(_ sender: SenderDescription) throws(NegotiationError) -> String {
    let free = sections.indices.filter {
      sections[$0].kind == sender.kind && sections[$0].sender == nil && !sections[$0].isRefused
        && (sections[$0].occupancy == .fresh || sections[$0].occupancy == .rested)
    }
    let isCrowded = sections.count >= min(MultiplexedSession.crowd, policy.maximumSections)
    if let index = free.first(where: { !sections[$0].carried.contains(sender.streamID) })
      ?? (isCrowded ? free.first : nil)
    {
      sections[index].sender = sender
      sections[index].occupancy = .used
      return sections[index].mid
    }
    let index = try appendSection(sender.kind)
    sections[index].sender = sender
    sections[index].occupancy = .used
    return sections[index].mid
  }

  /// A new section, in the place of a refused one where there is one (RFC 9429 §5.2.2).
  @discardableResult
  private mutating func appendSection(_ kind: SectionKind) throws(NegotiationError) -> Int {
    let identity = Section.Identity(mid: String(nextMid), hasMid: true, kind: kind)
    if state == .stable, let index = sections.firstIndex(where: { $0.isRefused && $0.sender == nil }) {
      sections[index] = Section(identity: identity)
      nextMid += 1
      return index
    }
    guard sections.count < policy.maximumSections else { throw .tooManySections(policy.maximumSections) }
    sections.append(Section(identity: identity))
    nextMid += 1
    return sections.count - 1
  }

  /// Offers what is sent now. New credentials from `updateTransport` restart ICE.
  package mutating func makeOffer() throws(NegotiationError) -> SessionDescription {
    guard role == .offerer else { throw .wrongRole }
    guard state == .stable else { throw .offerOutstanding }
    var media: [MediaDescription] = []
    for index in sections.indices {
      sections[index].offered = sections[index].sender
      if let stream = sections[index].sender?.streamID { sections[index].carried.insert(stream) }
      sections[index].isNew = false
      media.append(offerSection(sections[index]))
    }
    offeredCount = sections.count
    isTransportNew = false
    state = .haveLocalOffer
    let mids = sections.filter { !$0.isRefused }.map(\.mid)
    return publish(describe(media, bundle: mids.isEmpty ? nil : mids, setup: .actpass))
  }

  /// Takes the answer to our offer.
  package mutating func receiveAnswer(_ description: SessionDescription) throws(NegotiationError) -> RemoteAnswer {
    guard role == .offerer else { throw .wrongRole }
    guard state == .haveLocalOffer else { throw .noOfferOutstanding }
    guard description.media.count == offeredCount else { throw .mismatchedAnswer }
    let (remotes, group) = try read(description)
    for (section, remote) in zip(sections, remotes) {
      guard remote.kind == section.kind, remote.mid == section.mid || !remote.hasMid else { throw .mismatchedAnswer }
    }
    guard let (transport, trickles) = try readTransport(of: description, remotes, bundle: group) else {
      throw .noTransport
    }
    let restarted = remoteTransport.map { $0.ufrag != transport.ufrag || $0.pwd != transport.pwd } ?? false
    dtlsRole = role(against: transport.setup, weAnswer: false)
    remoteTransport = transport
    bundle = group

    var result = RemoteAnswer(transport: transport, trickles: trickles, iceRestarted: restarted, senders: [])
    for (index, remote) in remotes.enumerated() {
      sections[index].remote = remote
      let settled = settle(sections[index], remote: remote)
      sections[index].settled = settled
      sections[index].answered = sections[index].offered
      sections[index].isRefused = settled.isRefused
      if let sender = sections[index].offered {
        let cannot = settled.isRefused || settled.codecs.isEmpty
        result.senders.append(AnsweredSender(trackID: sender.trackID, section: settled, isRefused: cannot))
        // A refused section sends nothing any more; the track is not offered again by itself.
        if settled.isRefused, sections[index].sender?.trackID == sender.trackID { sections[index].sender = nil }
        if settled.isRefused {
          sections[index].offered = nil
          sections[index].answered = nil
        }
      } else if sections[index].sender == nil, sections[index].occupancy == .leaving {
        sections[index].occupancy = .rested
      }
      if remote.kind == .application, !settled.isRefused { result.dataChannels = remote.dataChannels }
    }
    state = .stable
    return result
  }

  private func settle(_ section: Section, remote: RemoteSection) -> SettledSection {
    var settled = SettledSection(
      mid: section.mid, kind: section.kind, direction: .inactive, codecs: [], extensions: [:], encodings: [],
      isRefused: remote.isUnusable, maximumBitrate: remote.maximumBitrate)
    guard !remote.isUnusable else { return settled }
    if section.kind == .application {
      settled.direction = .sendrecv
      settled.dataChannels = remote.dataChannels
      return settled
    }
    settled.extensions = remote.extensions
    guard let sender = section.offered else { return settled }
    settled.codecs = sender.select(from: remote.codecs)
    settled.sender = sender
    settled.direction = Direction(sends: remote.direction.receives && !settled.codecs.isEmpty, receives: false)
    return settled
  }
}
