import Core

extension MultiplexedSession {
  // MARK: The far end offers

  /// Takes an offer. Its sections are ours to look at; `makeAnswer` or `rollback` follows.
  package mutating func receiveOffer(_ description: SessionDescription) throws(NegotiationError) -> RemoteOffer {
    guard role == .answerer else { throw state == .haveLocalOffer ? .glare : .wrongRole }
    guard state == .stable else { throw .offerOutstanding }
    let (remotes, group) = try read(description)
    guard remotes.count >= sections.count else { throw .sectionsChanged }
    for (section, remote) in zip(sections, remotes) where !section.isRefused {
      guard section.mid == remote.mid, section.kind == remote.kind else { throw .sectionsChanged }
    }
    let read = try readTransport(of: description, remotes, bundle: group)
    // Every section may be off in a later offer; the transport then is what it was.
    guard let transport = read?.0 ?? remoteTransport else { throw .noTransport }
    let restarted = remoteTransport.map { $0.ufrag != transport.ufrag || $0.pwd != transport.pwd } ?? false

    saved = Saved(
      remotes: sections.map(\.remote), identities: sections.map(\.identity), transport: remoteTransport,
      bundle: bundle, allowsMixedExtensions: allowsMixedExtensions)
    for (index, remote) in remotes.enumerated() {
      let identity = Section.Identity(mid: remote.mid, hasMid: remote.hasMid, kind: remote.kind)
      if index == sections.count {
        sections.append(Section(identity: identity))
      }
      sections[index].identity = identity
      sections[index].remote = remote
    }
    remoteTransport = transport
    bundle = group
    allowsMixedExtensions =
      description.hasAttribute("extmap-allow-mixed")
      || description.media.contains { $0.hasAttribute("extmap-allow-mixed") }
    state = .haveRemoteOffer
    return RemoteOffer(
      transport: transport, trickles: read?.trickles ?? false, iceRestarted: restarted, sections: remotes)
  }

  /// Answers the offer. `receiving`: by mid, what we take of what the far end sends; everything else that it sends is
  /// declined by direction. What we send goes where it went before, and what waits into free sections.
  package mutating func makeAnswer(receiving: [String: ReceiverPlan] = [:]) throws(NegotiationError)
    -> SessionDescription
  {
    guard state == .haveRemoteOffer, let remoteTransport else { throw .noOfferOutstanding }
    displaceSenders()
    placeSenders()
    dtlsRole = role(against: remoteTransport.setup, weAnswer: true)
    var media: [MediaDescription] = []
    for index in sections.indices {
      let settled = settle(sections[index], plan: receiving[sections[index].mid])
      sections[index].settled = settled
      sections[index].isRefused = settled.isRefused
      sections[index].answered = settled.sender
      sections[index].isNew = false
      if sections[index].occupancy == .leaving { sections[index].occupancy = .rested }
      guard let remote = sections[index].remote else { continue }
      media.append(
        answerSection(settled, remote: remote, hasMid: sections[index].identity.hasMid, plan: receiving[settled.mid]))
    }
    state = .stable
    saved = nil
    isTransportNew = false
    return publish(describe(media, bundle: answeredBundle, setup: dtlsRole ?? .passive))
  }

  /// More sections that the far end would have to offer for what waits: LiveKit's `media_sections_requirement`.
  /// Sections that rest for this one exchange are not counted on. Tracks in `unsupportedTracks` are left out.
  package var missingSections: (audio: Int, video: Int) {
    let missing = waiting.filter { !unsupportedTracks.contains($0.trackID) }
    func short(_ kind: SectionKind) -> Int {
      let free = sections.count { $0.kind == kind && isFree($0) }
      return max(0, missing.count { $0.kind == kind } - free)
    }
    return (short(.audio), short(.video))
  }

  /// Something of ours waits for an offer of the far end: a track to begin, or one to end. Tracks without codec do not.
  package var needsRemoteOffer: Bool {
    guard role == .answerer else { return false }
    return waiting.contains { !unsupportedTracks.contains($0.trackID) }
      || sections.contains { $0.sender?.trackID != $0.answered?.trackID } || (isTransportNew && dtlsRole != nil)
  }

  // MARK: Placing

  /// Takes our tracks out of sections that no longer take them.
  private mutating func displaceSenders() {
    for index in sections.indices {
      guard let sender = sections[index].sender, let remote = sections[index].remote else { continue }
      if remote.isUnusable || !remote.direction.receives || sender.select(from: remote.codecs).isEmpty {
        sections[index].sender = nil
        sections[index].occupancy = .leaving
        waiting.insert(sender, at: 0)
      }
    }
  }

  /// Free for one of our tracks in this exchange.
  private func isFree(_ section: Section) -> Bool {
    guard let remote = section.remote, !remote.isUnusable, section.sender == nil else { return false }
    guard section.occupancy == .fresh || section.occupancy == .rested else { return false }
    if policy.sendsOnBidirectionalSections { return remote.direction.receives }
    // One that names a track has carried, or will carry, the far end's own (native clients unpublish that way).
    return remote.direction == .recvonly && remote.trackID == nil
  }

  private mutating func placeSenders() {
    var left: [SenderDescription] = []
    unsupportedTracks = []
    for sender in waiting {
      let free = sections.indices.filter { sections[$0].kind == sender.kind && isFree(sections[$0]) }
      let usable = free.filter { index in
        sections[index].remote.map { !sender.select(from: $0.codecs).isEmpty } ?? false
      }
      // A line of its own first, one that carried another track if there is no other.
      guard let index = usable.first(where: { sections[$0].occupancy == .fresh }) ?? usable.first else {
        if !free.isEmpty { unsupportedTracks.insert(sender.trackID) }
        left.append(sender)
        continue
      }
      sections[index].sender = sender
      sections[index].occupancy = .used
    }
    waiting = left
  }

  // MARK: Settling

  private func settle(_ section: Section, plan: ReceiverPlan?) -> SettledSection {
    guard let remote = section.remote, !remote.isUnusable else {
      return SettledSection(
        mid: section.mid, kind: section.kind, direction: .inactive, codecs: [], extensions: [:], encodings: [],
        isRefused: true)
    }
    if section.kind == .application {
      return SettledSection(
        mid: section.mid, kind: .application, direction: .sendrecv, codecs: [], extensions: [:], encodings: [],
        dataChannels: remote.dataChannels, isRefused: false)
    }
    var codecs = remote.codecs
    if let sender = section.sender { codecs = sender.select(from: codecs) }
    var receives = plan != nil && remote.direction.sends
    if receives, let wanted = plan?.codecs {
      let chosen = wanted.flatMap { wish in codecs.filter { wish.names($0) } }
      // Nothing in common with what the track needs: the section stays, quiet.
      if chosen.isEmpty { receives = false } else { codecs = chosen }
    }
    let direction = Direction(sends: section.sender != nil, receives: receives)
    return SettledSection(
      mid: section.mid, kind: section.kind, direction: direction, codecs: codecs, extensions: remote.extensions,
      encodings: receives ? remote.encodings : [], sender: section.sender, isRefused: false,
      maximumBitrate: remote.maximumBitrate)
  }

  /// The accepted mids, the far end's tagged one first (RFC 8843 §7.3.3); nil where the offer had no group.
  private var answeredBundle: [String]? {
    let accepted = sections.filter { !$0.isRefused }.map(\.mid)
    guard !bundle.isEmpty else { return nil }
    return bundle.filter { accepted.contains($0) }
  }
}
