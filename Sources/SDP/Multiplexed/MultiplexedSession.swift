/// The offer/answer machine of one peer connection with many media sections on one transport (RFC 9429, RFC 8843).
///
/// One side of it always offers. As the answerer (LiveKit's publisher connection, its single connection, WHIP, WHEP) the
/// session puts what we send into sections that the far end offered for receiving; as the offerer (LiveKit's subscriber
/// connection) it makes the sections itself. A value: no clock, no randomness, no transport.
package struct MultiplexedSession: Sendable {
  package enum Role: Hashable, Sendable {
    case answerer, offerer
  }

  package enum State: Hashable, Sendable {
    case stable, haveLocalOffer, haveRemoteOffer
  }

  package let role: Role
  package var policy: MediaPolicy
  /// Ours. `setup` is the DTLS role that we prefer in answers; `actpass` prefers `passive`.
  package private(set) var transport: TransportParameters
  package internal(set) var state = State.stable
  /// The far end's by its latest description; nil before the first.
  package internal(set) var remoteTransport: TransportParameters?
  /// Our DTLS role, `active` (client) or `passive`; nil before the first exchange.
  package internal(set) var dtlsRole: DTLSSetup?

  let sessionID: UInt64
  var sections: [Section] = []
  /// Answerer: what has no section yet, oldest first.
  var waiting: [SenderDescription] = []
  /// Answerer: tracks that the far end has a free section for, but no codec. By kind of nothing else than that.
  package internal(set) var unsupportedTracks: Set<String> = []
  /// Mids of the far end's bundle group, or of what it answered.
  var bundle: [String] = []
  var allowsMixedExtensions = true
  /// Answerer: what an unanswered offer would bring back.
  var saved: Saved?
  /// Offerer: sections of the outstanding offer.
  var offeredCount = 0
  var nextMid = 0
  var isTransportNew = false
  private var version: UInt64 = 0

  /// From so many sections on a free one is used again whatever it carried: descriptions may not grow without end.
  static let crowd = 64
  private var localDescription: SessionDescription?

  struct Saved: Sendable {
    var remotes: [RemoteSection?]
    var identities: [Section.Identity]
    var transport: TransportParameters?
    var bundle: [String]
    var allowsMixedExtensions: Bool
  }

  struct Section: Sendable {
    struct Identity: Hashable, Sendable {
      var mid: String
      var hasMid: Bool
      var kind: SectionKind
    }

    /// How free a section is for another track. A line that just went quiet stays so for a whole exchange: some clients
    /// take a track that replaces another without a pause for the same track.
    enum Occupancy: Hashable, Sendable {
      case fresh, used, leaving, rested
    }

    var identity: Identity
    /// The far end's latest word.
    var remote: RemoteSection?
    var sender: SenderDescription?
    /// Offerer: what the last offer carried, and what the last answered one did.
    var offered: SenderDescription?
    var answered: SenderDescription?
    /// Offerer: streams that its offers carried so far.
    var carried: Set<String> = []
    var isNew = true
    var occupancy = Occupancy.fresh
    /// Refused with port 0 in the last exchange: its place may be taken over by another section (RFC 9429 §5.2.2).
    var isRefused = false
    var settled: SettledSection?

    var mid: String { identity.mid }
    var kind: SectionKind { identity.kind }
  }

  package init(role: Role, transport: TransportParameters, policy: MediaPolicy = .room, sessionID: UInt64) {
    self.role = role
    self.transport = transport
    self.policy = policy
    // A description's identifier is a positive 63-bit number (RFC 9429 §5.2.1).
    self.sessionID = sessionID & (UInt64.max >> 1)
  }

  // MARK: What both roles have

  /// Every section of the last completed exchange, in order.
  package var settledSections: [SettledSection] { sections.compactMap(\.settled) }

  /// The section of that name in the last completed exchange.
  package func settled(mid: String) -> SettledSection? { sections.first { $0.mid == mid }?.settled }

  /// The section in which that track is sent, as of the last completed exchange. Nil while it waits for one.
  package func settled(trackID: String) -> SettledSection? {
    sections.first { $0.settled?.sender?.trackID == trackID }?.settled
  }

  /// What we send or would like to send.
  package var senders: [SenderDescription] { sections.compactMap(\.sender) + waiting }

  /// Track by mid, of the last completed exchange: LiveKit's `mid_to_track_id`.
  package var tracksByMid: [String: String] {
    var map: [String: String] = [:]
    for section in sections {
      guard let settled = section.settled, settled.direction.sends, let sender = settled.sender else { continue }
      map[settled.mid] = sender.trackID
    }
    return map
  }

  /// What the next exchange shall send. As the offerer the track has a section at once, whose mid is returned; as the
  /// answerer it gets one, if the far end has one to spare, when the next offer is answered.
  @discardableResult
  package mutating func addSender(_ sender: SenderDescription) throws(NegotiationError) -> String? {
    guard !senders.contains(where: { $0.trackID == sender.trackID }) else { throw .duplicateTrack(sender.trackID) }
    guard !sender.select(from: policy.codecs(sender.kind)).isEmpty else { throw .noCodec }
    switch role {
    case .offerer: return try placeInOffer(sender)
    case .answerer:
      waiting.append(sender)
      return nil
    }
  }

  /// Stops sending a track with the next exchange. False: there is none of that name.
  @discardableResult
  package mutating func removeSender(trackID: String) -> Bool {
    if let index = waiting.firstIndex(where: { $0.trackID == trackID }) {
      waiting.remove(at: index)
      unsupportedTracks.remove(trackID)
      return true
    }
    guard let index = sections.firstIndex(where: { $0.sender?.trackID == trackID }) else { return false }
    sections[index].sender = nil
    switch role {
    case .answerer: sections[index].occupancy = .leaving
    // One that no offer has shown is as free as before.
    case .offerer: if sections[index].offered?.trackID == trackID { sections[index].occupancy = .leaving }
    }
    return true
  }

  /// New ICE credentials, candidates or certificate for the descriptions made from now on. Before answering an offer
  /// with `iceRestarted` new credentials are due (RFC 8839 §4.4.1); as the offerer new ones make the next offer restart.
  package mutating func updateTransport(_ transport: TransportParameters) {
    if transport.ufrag != self.transport.ufrag || transport.pwd != self.transport.pwd { isTransportNew = true }
    self.transport = transport
  }

  /// Forgets an offer that came to nothing: ours that nobody answers, or the far end's that cannot be answered.
  /// What was added or removed since stays so.
  package mutating func rollback() {
    switch state {
    case .stable: return
    case .haveLocalOffer:
      for i in sections.indices { sections[i].offered = sections[i].answered }
    case .haveRemoteOffer:
      guard let saved else { break }
      for i in saved.remotes.indices where i < sections.count {
        sections[i].remote = saved.remotes[i]
        sections[i].identity = saved.identities[i]
      }
      sections.removeLast(max(0, sections.count - saved.remotes.count))
      remoteTransport = saved.transport
      bundle = saved.bundle
      allowsMixedExtensions = saved.allowsMixedExtensions
    }
    saved = nil
    state = .stable
  }

  // MARK: Shared between the steps

  /// Numbers the description: `o=`'s version rises with every change of what was made last (RFC 3264 §8).
  mutating func publish(_ description: SessionDescription) -> SessionDescription {
    var result = description
    result.origin.sessionVersion = String(version)
    if result != localDescription {
      version &+= 1
      result.origin.sessionVersion = String(version)
    }
    localDescription = result
    return result
  }

  /// Reads every section; does not look at what was before.
  func read(_ description: SessionDescription) throws(NegotiationError) -> (sections: [RemoteSection], bundle: [String])
  {
    guard description.media.count <= policy.maximumSections else { throw .tooManySections(policy.maximumSections) }
    // Reading takes several passes over a section's lines, and over the session's for each section.
    guard description.attributes.count <= 512, description.media.allSatisfy({ $0.attributes.count <= 1024 }) else {
      throw .tooManyLines
    }
    let group = description.groups("BUNDLE").first.map { Array($0.prefix(policy.maximumSections)) }
    let members = group.map { Set($0) }
    var mids: Set<String> = []
    var result: [RemoteSection] = []
    var carriesTransport = false
    for (index, media) in description.media.enumerated() {
      if let mid = media.mid, !Self.isMid(mid) { throw .invalidMid }
      let mid = media.mid ?? String(index)
      guard mids.insert(mid).inserted else { throw .duplicateMid(mid) }
      // Without a bundle the first section that is switched on gets the transport, alone.
      let isBundled = members.map { $0.contains(mid) } ?? !carriesTransport
      let section = RemoteSection(media, index: index, of: description, policy: policy, isBundled: isBundled)
      if !section.isUnusable { carriesTransport = true }
      result.append(section)
    }
    return (result, group ?? [])
  }

  /// The transport of the bundle's tagged section (RFC 8843 §9.2): the first of the group that is not refused.
  func readTransport(
    of description: SessionDescription, _ remotes: [RemoteSection], bundle: [String]
  ) throws(NegotiationError) -> (TransportParameters, trickles: Bool)? {
    let tagged =
      bundle.lazy.compactMap { mid in remotes.firstIndex { $0.mid == mid && !$0.isUnusable } }.first
      ?? remotes.firstIndex { !$0.isUnusable }
    guard let tagged else { return nil }
    let media = description.media[tagged]
    do {
      let parameters = try AudioSession.readTransportParameters(media, of: description)
      let trickles =
        (media.iceOptions + description.iceOptions).contains("trickle") && !media.endOfCandidates
        && !description.hasAttribute("end-of-candidates")
      return (parameters, trickles)
    } catch {
      throw error == .missingFingerprint ? .missingFingerprint : .invalidICECredentials
    }
  }

  /// Our DTLS role against what the far end says about its own; an established one stays if it may.
  func role(against setup: DTLSSetup, weAnswer: Bool) -> DTLSSetup {
    switch setup {
    case .active: return .passive
    case .passive: return .active
    case .actpass, .holdconn:
      if let dtlsRole { return dtlsRole }
      // An answer must decide (RFC 5763 §5); one that does not waits for us.
      return !weAnswer || transport.setup == .active ? .active : .passive
    }
  }

  /// RFC 5888 §4: a token. Longer ones than 32 bytes do not occur.
  private static func isMid(_ text: String) -> Bool {
    (1...32).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }
}
