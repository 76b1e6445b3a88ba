import Core
import LiveKitProtocol
import SDP
import SFU

/// What one participant receives: which tracks it wants, may have and gets.
final class Subscribing {
  private unowned let participant: Participant
  /// By SID of the track: what the client, or the server's API, said about it.
  private var wishes: [String: Bool] = [:]
  private var settings: [String: TrackSettings] = [:]
  /// By SID of the track.
  private(set) var subscriptions: [String: Subscription] = [:]
  /// Asked for before they were published; each is given up after a while.
  private var awaited: [String: RoomTimer] = [:]
  /// Tracks of which the client was told that it may not have them.
  private var denied: Set<String> = []

  private static let maximumWishes = 4096
  static let patience: Duration = .seconds(60)
  static let codecPatience: Duration = .seconds(15)

  init(_ participant: Participant) { self.participant = participant }

  private var context: RoomContext { participant.context }

  /// How many tracks come from each participant, by its SID. Kept, as who hears whom is asked several times a second.
  private(set) var tracksByPublisher: [String: Int] = [:]

  // MARK: Wishes

  func update(_ request: Livekit_UpdateSubscription) {
    let sids = Set(request.trackSids).union(request.participantTracks.flatMap(\.trackSids))
    set(sids, request.subscribe)
  }

  /// Also for the server's API.
  func set(_ sids: Set<String>, _ wanted: Bool) {
    for sid in sids where sid.utf8.count <= 64 {
      guard wishes[sid] != nil || wishes.count < Subscribing.maximumWishes else { return }
      wishes[sid] = wanted
      if let track = participant.room.track(sid) {
        reconcile(track)
      } else if wanted {
        awaitPublication(of: sid)
      } else {
        awaited[sid] = nil
      }
    }
  }

  private func awaitPublication(of sid: String) {
    guard awaited[sid] == nil else { return }
    awaited[sid] = context.after(Subscribing.patience) { [weak self] in
      guard let self, self.awaited.removeValue(forKey: sid) != nil else { return }
      self.wishes[sid] = nil
      self.fail(sid, .seTrackNotfound)
    }
  }

  private func fail(_ sid: String, _ error: Livekit_SubscriptionError) {
    var response = Livekit_SubscriptionResponse()
    response.trackSid = sid
    response.err = error
    participant.send(.subscriptionResponse(response))
  }

  /// Whether the track should be on its way to this participant.
  private func wants(_ track: PublishedTrack) -> Bool {
    guard track.isLive, track.publisher !== participant, participant.isPresent, participant.permission.canSubscribe,
      isAllowed(track)
    else { return false }
    if let endpoint = participant.endpoint, !endpoint.receives(from: track.publisher.identity) { return false }
    return wishes[track.sid] ?? (participant.autoSubscribe && !track.publisher.isHidden)
  }

  private func isAllowed(_ track: PublishedTrack) -> Bool {
    track.publisher.publishing.permissions.allows(
      identity: participant.identity, sid: participant.sid, track: track.sid)
  }

  // MARK: Reconciliation

  /// Brings one track to where it should be.
  func reconcile(_ track: PublishedTrack) {
    tellPermission(track)
    let wanted = wants(track)
    switch (wanted, subscriptions[track.sid]) {
    case (true, nil): begin(track)
    case (false, let subscription?): stop(subscription)
    case (true, _?), (false, nil): break
    }
  }

  func reconcileAll() {
    for track in participant.room.liveTracks { reconcile(track) }
  }

  private func begin(_ track: PublishedTrack) {
    awaited[track.sid] = nil
    let subscription = Subscription(subscriber: participant, track: track)
    subscriptions[track.sid] = subscription
    tracksByPublisher[track.publisher.sid, default: 0] += 1
    track.subscriptions[ObjectIdentifier(participant)] = subscription
    participant.receiving?.add(subscription)
  }

  private func stop(_ subscription: Subscription) {
    subscriptions[subscription.track.sid] = nil
    let publisher = subscription.track.publisher.sid
    if let count = tracksByPublisher[publisher] { tracksByPublisher[publisher] = count > 1 ? count - 1 : nil }
    subscription.track.subscriptions[ObjectIdentifier(participant)] = nil
    subscription.unbind()
    participant.receiving?.remove(subscription)
    participant.room.subscriptionEnded(subscription)
  }

  func trackEnded(_ subscription: Subscription) {
    stop(subscription)
    forget(subscription.track.sid)
  }

  /// The track is gone, whether it was subscribed or not.
  func forget(_ sid: String) {
    wishes[sid] = nil
    settings[sid] = nil
    denied.remove(sid)
  }

  /// The participant is gone; its connections are closed by then.
  func endAll() {
    for subscription in Array(subscriptions.values) {
      subscription.track.subscriptions[ObjectIdentifier(participant)] = nil
      subscription.unbind()
    }
    subscriptions = [:]
    tracksByPublisher = [:]
    awaited = [:]
  }

  /// Another connection takes over, which knows nothing yet.
  func attachAll(to peer: PeerConnection) {
    for subscription in subscriptions.values { peer.add(subscription) }
  }

  // MARK: Negotiated

  /// Offer and answer gave the track a section.
  func settled(_ trackID: String, _ section: SettledSection) {
    guard let subscription = subscriptions[trackID] else { return }
    subscription.isRefused = false
    let first = !subscription.isBound
    subscription.bind(section, preferences: preferences(subscription.track))
    if first { participant.room.subscriptionBegan(subscription) }
  }

  /// The connection that receives works.
  func connected() {
    for subscription in subscriptions.values.sorted(by: { $0.track.sid < $1.track.sid }) { subscription.start() }
  }

  /// The client has no codec for the track.
  func refused(_ trackID: String) {
    guard let subscription = subscriptions[trackID], !subscription.isRefused else { return }
    subscription.isRefused = true
    subscription.unbind()
    fail(trackID, .seCodecUnsupported)
  }

  // MARK: Settings

  func update(_ request: Livekit_UpdateTrackSettings) {
    for sid in Set(request.trackSids).prefix(Subscribing.maximumWishes) where sid.utf8.count <= 64 {
      guard settings[sid] != nil || settings.count < Subscribing.maximumWishes else { return }
      settings[sid] = TrackSettings(request)
      if let subscription = subscriptions[sid] { applySettings(subscription) }
    }
  }

  /// Switches off what a resuming client has switched off.
  func disable(_ sids: [String]) {
    for sid in sids.prefix(Subscribing.maximumWishes) {
      settings[sid, default: TrackSettings()].isDisabled = true
      if let subscription = subscriptions[sid] { applySettings(subscription) }
    }
  }

  func applySettings(_ subscription: Subscription) { subscription.apply(preferences(subscription.track)) }

  private func preferences(_ track: PublishedTrack) -> ConsumerPreferences {
    (settings[track.sid] ?? TrackSettings()).preferences(for: track.info, qualities: track.qualities)
  }

  // MARK: Permissions

  /// The publisher of these tracks changed its mind.
  func permissionsChanged(of tracks: [PublishedTrack]) {
    for track in tracks { reconcile(track) }
  }

  /// Tells the client when it may no longer have a track, or may again.
  private func tellPermission(_ track: PublishedTrack) {
    guard track.isLive, track.publisher !== participant, participant.isPresent else { return }
    let allowed = isAllowed(track)
    guard allowed == denied.contains(track.sid) else { return }
    if allowed { denied.remove(track.sid) } else { denied.insert(track.sid) }
    var update = Livekit_SubscriptionPermissionUpdate()
    update.participantSid = track.publisher.sid
    update.trackSid = track.sid
    update.allowed = allowed
    participant.send(.subscriptionPermissionUpdate(update))
  }
}
