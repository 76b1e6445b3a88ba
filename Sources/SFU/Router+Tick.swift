package import Core
import RTP

/// What is not done at every tick. A value.
struct TickSchedule {
  private var nextRefresh: Instant?
  private var nextScore: Instant?

  static let refreshInterval = Duration.milliseconds(100)
  static let scoreInterval = Duration.seconds(5)

  init() {}

  mutating func isRefreshDue(now: Instant) -> Bool { Self.isDue(&nextRefresh, Self.refreshInterval, now) }
  mutating func isScoreDue(now: Instant) -> Bool { Self.isDue(&nextScore, Self.scoreInterval, now) }

  private static func isDue(_ next: inout Instant?, _ interval: Duration, _ now: Instant) -> Bool {
    guard let due = next else {
      next = now + interval
      return false
    }
    guard now >= due else { return false }
    // A late tick skips rather than catches up.
    next = max(due + interval, now)
    return true
  }
}

extension Router {
  /// Feedback, pacing and allocation; reports, rates and speakers as they fall due. Call it every 5 ms.
  package func tick(now: Instant) {
    context.advance(to: now)
    let refreshes = schedule.isRefreshDue(now: now)
    if refreshes { refresh(now: now) }
    for peer in peerList {
      peer.tickUpstream(now: now)
      if refreshes { for consumer in peer.consumers { consumer.advance(to: now) } }
      peer.sender.tick(now: now)
      if peer.reports.isDue(now: now, random: &context.random) { peer.sendReports(now: now) }
    }
    if speakers.isDue(now: now) { updateSpeakers(now: now) }
    if schedule.isScoreDue(now: now) { for peer in peerList { score(peer) } }
  }

  private func refresh(now: Instant) {
    for producer in producerList {
      producer.refresh(now: now)
      if let event = producer.checkStall(now: now) { context.emit(event) }
      if producer.dynacast.advance(to: now) {
        context.emit(.wantedLayers(producer.id, maximumSpatialLayer: producer.dynacast.announced))
      }
    }
  }

  private func updateSpeakers(now: Instant) {
    var observations: [(ProducerID, ActiveSpeakers.Observation)] = []
    for producer in producerList where producer.parameters.kind == .audio {
      observations.append((producer.id, producer.isMuted ? .init() : producer.observation))
      producer.observation = .init()
    }
    guard !observations.isEmpty || speakers.isAnyoneActive else {
      speakers.skip(now: now)
      return
    }
    let changes = speakers.update(observations, now: now)
    guard !changes.isEmpty else { return }
    for change in changes { markSpeaking(change) }
    context.emit(.speakers(changes))
  }

  /// The allocator favours the pictures of who speaks.
  private func markSpeaking(_ change: SpeakerLevel) {
    guard let producer = producers[change.producer], let peer = peers[producer.peer] else { return }
    for video in peer.producers where video.parameters.kind == .video {
      for sink in video.sinks { (sink as? Consumer)?.isSpeaking = change.isActive }
    }
  }

  private func score(_ peer: Peer) {
    var loss = 0.0
    var hasMedia = false
    for producer in peer.producers {
      for stream in producer.streams where stream.isActive {
        hasMedia = true
        loss = max(loss, stream.fractionLost)
      }
    }
    for consumer in peer.consumers {
      guard let fraction = consumer.statistics.fractionLost else { continue }
      hasMedia = true
      loss = max(loss, Double(fraction) / 256)
    }
    guard hasMedia else { return }
    let score = ConnectionScore.score(loss: loss, roundTrip: peer.sender.roundTrip?.inSeconds ?? 0)
    context.emit(.quality(peer.id, score: score))
  }
}
