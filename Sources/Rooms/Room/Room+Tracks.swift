import LiveKitProtocol
import SFU

// Tracks and who receives them.
extension Room {
  var liveTracks: [PublishedTrack] { present.flatMap(\.publishing.live) }

  /// A live track of anybody.
  func track(_ sid: String) -> PublishedTrack? {
    for participant in present {
      if let track = participant.publishing.track(sid), track.isLive { return track }
    }
    return nil
  }

  /// The others know the track by now.
  func trackStarted(_ track: PublishedTrack) {
    context.dependencies.onEvent(.trackPublished(info, track.publisher.briefInfo, track.info))
    for participant in present where participant !== track.publisher { participant.subscribing.reconcile(track) }
    recordings.trackStarted(track)
    if track.publisher.publishing.live.count == 1 { updateSoon() }
  }

  func trackEnded(_ track: PublishedTrack) {
    context.dependencies.onEvent(.trackUnpublished(info, track.publisher.briefInfo, track.info))
    speakers.ended(track)
    recordings.trackEnded(track)
    for participant in present { participant.subscribing.forget(track.sid) }
    if track.publisher.publishing.live.isEmpty { updateSoon() }
  }

  /// Media flows to a subscriber from now on. The publisher is told of the first one: agents wait for it.
  func subscriptionBegan(_ subscription: Subscription) {
    let track = subscription.track
    if !track.isReportedSubscribed {
      track.isReportedSubscribed = true
      var subscribed = Livekit_TrackSubscribed()
      subscribed.trackSid = track.sid
      track.publisher.send(.trackSubscribed(subscribed))
    }
    speakers.introduce(track.publisher, to: subscription.subscriber)
  }

  func subscriptionEnded(_ subscription: Subscription) {}

  /// The publisher says anew who may subscribe.
  func permissionsChanged(of publisher: Participant) {
    let tracks = publisher.publishing.live
    for participant in present where participant !== publisher {
      participant.subscribing.permissionsChanged(of: tracks)
    }
  }

  // MARK: From the router

  func receive(_ event: RouterEvent) {
    switch event {
    case .producerStarted(let id):
      if let track = context.producers[id]?.track { track.publisher.publishing.start(track) }
    case .wantedLayers(let id, let layer):
      if let track = context.producers[id]?.track { wanted(track, layer, worker: worker) }
    case .speakers(let levels): speakers.receive(levels)
    case .consumerState(let id, let isPaused):
      if let subscription = context.consumers[id]?.subscription { streamStateChanged(subscription, isPaused) }
    case .quality(let peer, let score):
      context.peers[peer]?.connection?.participant.quality.update(peer, score: Double(score))
    case .producerStalled, .producerResumed, .producerEnded, .layersSeen, .currentLayer: break
    }
  }

  /// What one of the room's workers found to be the highest layer that is watched there.
  func wanted(_ track: PublishedTrack, _ layer: Int?, worker: Int) {
    if track.subscribedQuality.want(track.demand.set(layer, worker: worker)) {
      track.publisher.publishing.reportQuality(track)
    }
  }

  private func streamStateChanged(_ subscription: Subscription, _ isPaused: Bool) {
    guard subscription.isPausedForBandwidth != isPaused else { return }
    subscription.isPausedForBandwidth = isPaused
    var state = Livekit_StreamStateInfo()
    state.participantSid = subscription.track.publisher.sid
    state.trackSid = subscription.track.sid
    state.state = isPaused ? .paused : .active
    var update = Livekit_StreamStateUpdate()
    update.streamStates = [state]
    subscription.subscriber.send(.streamStateUpdate(update))
  }
}
