import LiveKitProtocol
import SDP
import SFU

/// What one participant publishes: matches the tracks that it announces with the sections of its offers.
final class Publishing {
  unowned let participant: Participant
  /// In the order of their announcement.
  private(set) var tracks: [PublishedTrack] = []
  /// Announced under a name that another track still has.
  private var queued: [Livekit_AddTrackRequest] = []
  /// Sections that send, with nothing announced for them yet: the client offers and announces at the same time.
  private var unmatched: [String: (section: SettledSection, trackID: String?)] = [:]
  private(set) var permissions = SubscriptionPermissions()

  init(_ participant: Participant) { self.participant = participant }

  private var context: RoomContext { participant.context }

  /// What others are told.
  var announced: [Livekit_TrackInfo] { tracks.filter(\.isLive).map(\.info) }
  var live: [PublishedTrack] { tracks.filter(\.isLive) }

  func track(_ sid: String) -> PublishedTrack? { tracks.first { $0.sid == sid } }

  // MARK: Announcement

  func add(_ request: Livekit_AddTrackRequest) {
    func refuse(_ reason: Livekit_RequestResponse.Reason, _ message: String) {
      participant.refuse(reason, message) { $0.request = .addTrack(request) }
    }
    guard participant.permission.allows(request.source) else {
      refuse(.notAllowed, "does not have permission to publish this source")
      return
    }
    guard request.type == .audio || request.type == .video, request.cid.utf8.count <= 256,
      request.name.count <= context.configuration.maximumNameLength, request.layers.count <= 8,
      request.simulcastCodecs.count <= 8
    else {
      refuse(.invalidRequest, "unusable track")
      return
    }
    if !request.sid.isEmpty, let existing = track(request.sid) {
      // Another codec of a track that is there already; one is enough, as none was asked for.
      respond(request.cid, existing.info)
      return
    }
    guard tracks.count + queued.count < context.configuration.maximumTracks else {
      refuse(.limitExceeded, "too many tracks")
      return
    }
    if let same = tracks.first(where: { $0.cids.contains(request.cid) }) {
      if same.stage == .pending { respond(request.cid, same.info) } else { queued.append(request) }
      return
    }
    begin(request)
  }

  private func begin(_ request: Livekit_AddTrackRequest) {
    let sid = context.makeSID(.track, TrackDescription.sidDetail(request.type, request.source))
    let cids = Set([request.cid] + request.simulcastCodecs.map(\.cid)).subtracting([""])
    let track = PublishedTrack(
      publisher: participant, producer: ProducerID(rawValue: context.nextID()),
      info: TrackDescription.info(of: request, sid: sid), cids: cids)
    tracks.append(track)
    context.producers[track.producer] = RoomContext.WeakTrack(track: track)
    respond(request.cid, track.info)
    if let mid = matchingSection(for: track), let found = unmatched.removeValue(forKey: mid) {
      settle(track, found.section)
    }
  }

  /// A track that needs no announcement.
  func adopt(_ track: PublishedTrack) {
    tracks.append(track)
    context.producers[track.producer] = RoomContext.WeakTrack(track: track)
  }

  private func respond(_ cid: String, _ info: Livekit_TrackInfo) {
    var response = Livekit_TrackPublishedResponse()
    response.cid = cid
    response.track = info
    participant.send(.trackPublished(response))
  }

  // MARK: Matching

  /// How a section that sends is to be answered. Also remembers whose it is.
  func plan(for section: RemoteSection) -> ReceiverPlan {
    guard let track = match(mid: section.mid, trackID: section.trackID, kind: section.kind) else {
      return ReceiverPlan()
    }
    return ReceiverPlan(
      codecs: preferredCodecs(track, section), opusDTX: !track.info.disableDtx, opusStereo: track.info.stereo,
      opusMaximumAverageBitrate: track.info.stereo ? 510_000 : nil)
  }

  /// One codec for video: the one that the client announced, else the first of its offer. It could send others as well, but
  /// subscribers are offered one. RED goes before Opus where the track may use it.
  private func preferredCodecs(_ track: PublishedTrack, _ section: RemoteSection) -> [SenderCodec]? {
    let names = section.codecs.map(\.encodingName)
    guard track.kind == .video else {
      let hasRED = names.contains { $0.lowercased() == "red" }
      let wantsRED = hasRED && !track.info.disableRed && !track.info.stereo && track.info.encryption == .none
      return (wantsRED ? [SenderCodec("red")] : []) + [SenderCodec("opus")]
    }
    let announced = track.info.codecs.first?.mimeType.dropFirst("video/".count).lowercased()
    let codec = names.first { $0.lowercased() == announced } ?? names.first
    return codec.map { [SenderCodec($0)] }
  }

  private func match(mid: String, trackID: String?, kind: SectionKind) -> PublishedTrack? {
    if let known = tracks.first(where: { $0.mid == mid }) { return known }
    let pending = tracks.filter { $0.stage == .pending && $0.mid == nil && ($0.kind == .audio) == (kind == .audio) }
    var found: PublishedTrack?
    if let trackID { found = pending.first { $0.cids.contains(trackID) } }
    // Some browsers rename tracks in their SDP.
    if found == nil, trackID == nil || participant.isFirefox || participant.client.sdk == .unknown {
      found = pending.first
    }
    found?.mid = mid
    return found
  }

  private func matchingSection(for track: PublishedTrack) -> String? {
    let candidates = unmatched.filter { ($0.value.section.kind == .audio) == (track.kind == .audio) }
    if let named = candidates.first(where: { $0.value.trackID.map(track.cids.contains) ?? false }) { return named.key }
    guard participant.isFirefox || participant.client.sdk == .unknown else {
      return candidates.first { $0.value.trackID == nil }?.key
    }
    return candidates.keys.min()
  }

  /// Takes what an answer of ours settled: new tracks begin, those that are no longer sent end.
  /// - Parameter trackIDs: what the client calls the track of each section.
  func settle(_ sections: [SettledSection], trackIDs: [String: String]) {
    unmatched = [:]
    var sending: Set<String> = []
    for section in sections where section.direction.receives && !section.isRefused {
      guard section.kind == .audio || section.kind == .video else { continue }
      sending.insert(section.mid)
      let trackID = trackIDs[section.mid]
      // A section that goes on with another track: the old one ended without a word.
      if let old = tracks.first(where: { $0.mid == section.mid }), old.stage != .pending, let trackID,
        !old.cids.contains(trackID), tracks.contains(where: { $0.stage == .pending && $0.cids.contains(trackID) })
      {
        end(old)
      }
      if let track = match(mid: section.mid, trackID: trackID, kind: section.kind) {
        settle(track, section)
      } else {
        unmatched[section.mid] = (section, trackID)
      }
    }
    for track in tracks {
      if let mid = track.mid, !sending.contains(mid) {
        if track.stage == .pending { track.mid = nil } else { end(track) }
      }
    }
  }

  private func settle(_ track: PublishedTrack, _ section: SettledSection) {
    guard let peer = participant.publisher else { return }
    track.describe(section)
    track.qualities = TrackDescription.qualities(section.encodings, track.info)
    let parameters = TrackDescription.producerParameters(
      section, kind: track.kind, muted: track.info.muted, isScreenShare: track.isScreenShare)
    if track.stage == .pending {
      track.stage = .negotiated
      participant.order(.addProducer(track.producer, peer: peer.id, parameters))
    } else {
      participant.order(.updateProducer(track.producer, room: participant.room.mediaID, parameters))
    }
    track.parameters = parameters
    participant.room.recordings.changed(track)
    announceMuted(track)
  }

  /// A muted track sends nothing that could announce it: the connection has to do.
  private func announceMuted(_ track: PublishedTrack) {
    if track.stage == .negotiated, track.info.muted, participant.publisher?.isConnected == true { start(track) }
  }

  func connected() {
    for track in tracks { announceMuted(track) }
  }

  // MARK: Life

  /// Media came: others learn of the track, and those who want it get it.
  func start(_ track: PublishedTrack) {
    guard track.stage == .negotiated else { return }
    track.stage = .live
    participant.changed()
    participant.room.trackStarted(track)
  }

  func end(_ track: PublishedTrack) {
    guard track.stage != .ended else { return }
    let wasLive = track.isLive
    let wasNegotiated = track.stage >= .negotiated
    track.stage = .ended
    tracks.removeAll { $0 === track }
    context.producers[track.producer] = nil
    if wasLive { participant.changed() }
    for subscription in Array(track.subscriptions.values) {
      subscription.subscriber.subscribing.trackEnded(subscription)
    }
    if wasNegotiated { participant.order(.removeProducer(track.producer, room: participant.room.mediaID)) }
    if wasLive { participant.room.trackEnded(track) }
    if let next = queued.firstIndex(where: { track.cids.contains($0.cid) }), participant.isPresent {
      begin(queued.remove(at: next))
    }
  }

  func endAll() {
    queued = []
    for track in tracks { end(track) }
  }

  // MARK: Changes

  /// The client's mute.
  func mute(_ sid: String, _ muted: Bool) {
    guard let track = track(sid) else {
      participant.refuse(.notFound, "no such track") {
        $0.mute.sid = sid
        $0.mute.muted = muted
      }
      return
    }
    setMuted(track, muted)
  }

  /// Stops or resumes forwarding, and tells the others.
  func setMuted(_ track: PublishedTrack, _ muted: Bool) {
    guard track.info.muted != muted else { return }
    track.info.muted = muted
    if track.stage >= .negotiated {
      participant.order(.setProducerMuted(track.producer, room: participant.room.mediaID, muted))
      if let phone = participant.phone { participant.order(.setPhoneMuted(phone.peer, muted)) }
    }
    if track.isLive { participant.changed() }
    participant.room.recordings.muteChanged(track)
    announceMuted(track)
    if !muted { reportQuality(track) }
  }

  /// Who watches which layers, to the publisher.
  func reportQuality(_ track: PublishedTrack) {
    if let update = track.subscribedQuality.update(for: track.info, qualities: track.qualities) {
      participant.send(.subscribedQualityUpdate(update))
    }
  }

  func update(_ request: Livekit_UpdateLocalAudioTrack) {
    guard let track = track(request.trackSid), track.kind == .audio, request.features.count <= 32 else { return }
    track.info.audioFeatures = request.features
    track.info.stereo = request.features.contains(.tfStereo)
    track.info.disableDtx = request.features.contains(.tfNoDtx)
    if track.isLive { participant.changed() }
  }

  func update(_ request: Livekit_UpdateLocalVideoTrack) {
    guard let track = track(request.trackSid), track.kind == .video else { return }
    track.info.width = request.width
    track.info.height = request.height
    if track.isLive { participant.changed() }
  }

  func update(_ request: Livekit_UpdateVideoLayers) {
    guard let track = track(request.trackSid), track.kind == .video, request.layers.count <= 8 else { return }
    track.info.layers = request.layers
    if !track.info.codecs.isEmpty { track.info.codecs[0].layers = request.layers }
    for subscription in track.subscriptions.values { subscription.subscriber.subscribing.applySettings(subscription) }
    if track.isLive { participant.changed() }
  }

  /// Who may subscribe, as the publisher decides.
  func update(_ request: Livekit_SubscriptionPermission) {
    permissions.update(request)
    participant.room.permissionsChanged(of: participant)
  }

  /// Tracks that may no longer be published end, and the client is told to stop them.
  func permissionChanged() {
    for track in tracks where !participant.permission.allows(track.info.source) {
      if let phone = participant.phone {
        phone.silence(track)
        continue
      }
      var response = Livekit_TrackUnpublishedResponse()
      response.trackSid = track.sid
      participant.send(.trackUnpublished(response))
      end(track)
    }
  }

  /// The client came back on a new socket, or its last messages may not have reached it.
  func resumed() {
    for track in tracks where track.isLive {
      track.subscribedQuality.forgetTold()
      reportQuality(track)
    }
  }
}
