import Core
import RTP

struct CongestionConfiguration: Hashable, Sendable {
  /// Bits a second before anything is known.
  var initialBitrate = 300_000
  var minimumBitrate = 40_000
  var maximumBitrate = 30_000_000

  init() {}
}

/// Google's congestion control as published in draft-ietf-rmcat-gcc-02, sender's side, with the follow-up practice
/// (trendline, probing, application-limited flows): what one path may be sent, from feedback, REMB and report blocks.
///
/// Drive it so: `sent` for every packet, one `receive` for every report, `tick` every few milliseconds.
struct CongestionController: Sendable {
  /// A receiver that says nothing for so long, though packets are on their way to it, is out of reach.
  private static let silence = Duration.seconds(1)
  private static let silenceStep = Duration.milliseconds(500)
  /// The last packets before a pause may be lost without a report on them.
  private static let silencePackets = 10
  /// After a probe its own queue drains; over-use seen meanwhile is of our making.
  private static let probeShadow = Duration.milliseconds(150)
  /// A receiver that never reports what it agreed to report is sent without an estimate after this time.
  private static let patience = Duration.seconds(3)

  let mode: BandwidthMode
  private(set) var history = SendHistory()
  private var groups = PacketGroups()
  private(set) var trendline = TrendlineEstimator()
  private(set) var detector = OveruseDetector()
  private(set) var acknowledged = AcknowledgedBitrate()
  private(set) var rate: RateController
  private(set) var loss = LossController()
  private(set) var limit = ApplicationLimit()
  private(set) var probes: ProbeController
  private var probeEstimator = ProbeEstimator()
  private var report = FeedbackReport()
  /// The receiver's own estimate.
  private(set) var receiverMaximum: Int?
  /// Highest sequence number and losses of each of our streams, where report blocks are all there is.
  private var reported: [SSRC: (highest: UInt32, lost: Int32)] = [:]
  private var shadowUntil: Instant?
  private var lastScale: Instant?
  /// Mean of |d(i)|, milliseconds: how far arrivals stray.
  private(set) var jitter = 0.0
  private(set) var standingQueue = StandingQueue()
  private(set) var roundTrip: Duration?
  private var firstSent: Instant?
  private var hasReport = false
  /// Nothing came within `patience`.
  private var isMute = false

  init(mode: BandwidthMode, configuration: CongestionConfiguration = CongestionConfiguration()) {
    self.mode = mode
    rate = RateController(
      initial: configuration.initialBitrate, minimum: configuration.minimumBitrate,
      maximum: configuration.maximumBitrate)
    probes = ProbeController(duration: mode == .remb ? .milliseconds(400) : .milliseconds(25))
  }

  /// Bits a second of RTP; nil where nothing limits.
  var target: Int? {
    switch isMute ? .none : mode {
    case .transportCC:
      var target = rate.bitrate
      if let cap = loss.cap { target = min(target, cap) }
      if let receiverMaximum { target = min(target, Double(receiverMaximum)) }
      if standingQueue.isDraining { target *= StandingQueue.drain }
      return max(Int(target), rate.minimum)
    case .remb:
      var target = receiverMaximum.map(Double.init) ?? rate.bitrate
      if let cap = loss.cap { target = min(target, cap) }
      return max(Int(min(target, Double(rate.maximum))), rate.minimum)
    case .none: return loss.cap.map { max(Int($0), rate.minimum) }
    }
  }

  /// A packet leaves. Returns its transport-wide sequence number, where it bears one.
  mutating func sent(bytes: Int, isTracked: Bool, cluster: UInt8, now: Instant) -> UInt16? {
    limit.sent(bytes: bytes)
    if firstSent == nil { firstSent = now }
    guard mode == .transportCC else { return nil }
    guard isTracked else {
      history.addUntracked(bytes: bytes)
      return nil
    }
    return history.add(bytes: bytes, cluster: cluster, now: now)
  }

  // MARK: Reports

  mutating func receive(_ feedback: TransportFeedback, now: Instant) {
    guard mode == .transportCC else { return }
    history.receive(feedback, into: &report)
    guard !report.acknowledged.isEmpty || report.lost > 0 else { return }
    lastScale = nil
    if !hasReport || isMute {
      probes.restart()
      hasReport = true
      isMute = false
      loss.clear()
    }
    let before = target ?? rate.maximum
    var probed: Int?
    for packet in report.acknowledged {
      acknowledged.add(bytes: packet.bytes &+ packet.untracked, arrival: packet.arrival)
      if packet.cluster != 0, let result = probeEstimator.add(packet) { probed = result }
      if let delta = groups.add(sentAt: packet.sentAt, arrival: packet.arrival) {
        trendline.add(delta)
        jitter += (min(abs(delta.variation), 100) - jitter) / 32
        detector.update(slope: trendline.slope, groups: trendline.count, sent: delta.sent, now: delta.arrival)
      }
    }
    if let last = report.acknowledged.last {
      // The last packet waited least for the feedback.
      let sample = min(max(now - last.sentAt, .milliseconds(1)), .seconds(2))
      roundTrip = roundTrip.map { ($0 * 7 + sample) / 8 } ?? sample
      standingQueue.add(sample, now: now)
      rate.roundTrip = roundTrip ?? sample
    }
    var usage = detector.usage
    if usage == .overuse, let shadow = shadowUntil, let last = report.acknowledged.last, last.sentAt <= shadow {
      usage = .underuse
    }
    rate.update(
      usage: usage, acknowledged: acknowledged.bitrate, recent: acknowledged.recent, slope: trendline.slope,
      isLimited: limit.since != nil, now: now)
    if let probed {
      let estimate = Int(rate.bitrate)
      if detector.usage != .overuse || probed > Int(rate.bitrate) {
        rate.raise(to: probed, now: now)
        loss.raise(to: probed)
      }
      probes.receive(result: probed, estimate: estimate, now: now)
    }
    loss.add(
      expected: report.acknowledged.count - report.recovered + report.lost, lost: report.lost - report.recovered,
      bitrate: rate.bitrate, delivered: acknowledged.bitrate.map(Double.init),
      roundTrip: roundTrip ?? .milliseconds(200), now: now)
    noteFall(from: before, now: now)
  }

  /// A REMB, bits a second.
  mutating func receive(maximumBitrate: UInt64, now: Instant) {
    let before = target
    if mode == .remb {
      hasReport = true
      isMute = false
    }
    receiverMaximum = max(Int(clamping: maximumBitrate), rate.minimum)
    if mode == .remb, let before { noteFall(from: before, now: now) }
  }

  /// Report blocks on streams that we send.
  mutating func receive(_ blocks: [ReportBlock], now: Instant) {
    guard mode != .transportCC || isMute else { return }
    var expected = 0
    var lost = 0
    for block in blocks {
      if let last = reported[block.source] {
        let step = Int(Int32(bitPattern: block.extendedHighestSequence &- last.highest))
        guard step > 0, step < 65_536 else { continue }
        expected += step
        lost += min(max(Int(block.cumulativeLost) - Int(last.lost), -step), step)
      } else if reported.count >= 1024 {
        // More streams than any peer has of us: it made them up.
        continue
      }
      reported[block.source] = (block.extendedHighestSequence, block.cumulativeLost)
    }
    let sent = Double(max(limit.sentBitrate, rate.minimum))
    let bitrate = mode == .none || isMute ? sent : Double(target ?? rate.maximum)
    loss.add(
      expected: expected, lost: lost, bitrate: bitrate, delivered: sent * (1 - min(loss.fraction, 1)),
      roundTrip: roundTrip ?? .milliseconds(200), now: now)
  }

  /// A stream of ours is no more.
  mutating func forget(_ ssrc: SSRC) { reported[ssrc] = nil }

  /// Measured by report blocks. Used where no feedback tells it.
  mutating func receive(roundTrip measured: Duration) {
    guard mode != .transportCC, measured > .zero else { return }
    roundTrip = min(measured, .seconds(2))
  }

  // MARK: Time

  mutating func tick(now: Instant) {
    if let target { limit.update(target: target, now: now) } else { limit.update(target: rate.maximum, now: now) }
    if !hasReport, !isMute, let firstSent, now - firstSent > Self.patience { isMute = mode != .none }
    guard mode == .transportCC, hasReport, history.unanswered >= Self.silencePackets,
      let since = history.unansweredSince, let lastSent = history.lastSent, now - lastSent < Self.silenceStep
    else { return }
    let patience = max(Self.silence, rate.roundTrip * 3)
    guard now - since > patience, now - (lastScale ?? since) >= Self.silenceStep else { return }
    lastScale = now
    let before = target ?? 0
    rate.scale(by: 0.7, now: now)
    noteFall(from: before, now: now)
  }

  /// A probe to send now, if one is due.
  ///
  /// - Parameter isUrgent: Somebody is paused for want of bandwidth.
  mutating func nextProbe(wanted: Int?, isUrgent: Bool, isQueueEmpty: Bool, now: Instant) -> ProbeCluster? {
    guard mode != .none, let target else { return nil }
    let isCalm =
      isQueueEmpty && !standingQueue.isDraining && detector.usage == .normal && lastScale == nil
      && loss.fraction - loss.inherent < 0.1
    guard
      let cluster = probes.next(
        estimate: target, wanted: wanted, jitter: jitter, isUrgent: isUrgent, isCalm: isCalm, now: now)
    else { return nil }
    probeEstimator.begin(cluster: cluster.id, bytes: cluster.bytes, packets: ProbeCluster.packets)
    return cluster
  }

  /// The probe could not be sent.
  mutating func cancelProbe(now: Instant) { probes.cancel(now: now) }

  /// The last packet of a probe has left.
  mutating func probeSent(now: Instant) { shadowUntil = now + Self.probeShadow }

  private mutating func noteFall(from before: Int, now: Instant) {
    if let target, target < before { probes.fell(from: before, to: target, now: now) }
  }
}
