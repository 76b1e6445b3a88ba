package import Core

/// What the signalling side counts.
package struct GatewayMetrics: Sendable {
  let callsActive: Gauge
  let callsStarted: Counter
  let callsAnswered: Counter
  let registrations: Gauge
  let challenged: Counter
  let messages: Counter
  let answerDelay: Histogram
  let ringDelay: Histogram
  private let registry: MetricsRegistry

  package init(registry: MetricsRegistry) {
    self.registry = registry
    callsActive = registry.gauge("parley_calls_active", "Calls being set up or running.")
    callsStarted = registry.counter("parley_calls_started_total", "Calls that passed authentication.")
    callsAnswered = registry.counter("parley_calls_answered_total", "Calls that were answered.")
    answerDelay = registry.histogram(
      "parley_call_answer_seconds", "From the INVITE to the 200 of calls that were answered, ringing included.")
    ringDelay = registry.histogram(
      "parley_call_ring_seconds", "From the INVITE to the first ringing, or to the 200 where nothing rang.")
    registrations = registry.gauge("parley_registrations", "Registered contacts.")
    messages = registry.counter("parley_sip_messages_total", "Texts between users (MESSAGE).")
    challenged = registry.counter("parley_sip_challenges_total", "Requests without credentials that were challenged.")
  }

  func answered(_ record: CallRecord) {
    callsAnswered.increment()
    guard let answeredAt = record.answeredAt else { return }
    func seconds(to time: WallTime) -> Double {
      Double(max(0, time.milliseconds - record.startedAt.milliseconds)) / 1000
    }
    answerDelay.observe(seconds(to: answeredAt))
    ringDelay.observe(seconds(to: record.ringingAt ?? answeredAt))
  }

  /// A leg with its final counters. Legs that never received a packet have nothing to say about their path.
  func legEnded(_ media: MediaCounters, kind: LegRecord.Kind) {
    guard media.packetsReceived > 0 else { return }
    let labels = [("party", kind.rawValue)]
    let lost = max(0, media.packetsLost)
    registry.histogram(
      "parley_leg_loss_ratio", "Received RTP of ended legs that was lost, 0 to 1.", bounds: GatewayMetrics.ratios,
      labels: labels
    )
    .observe(Double(lost) / Double(lost + media.packetsReceived))
    registry.histogram(
      "parley_leg_jitter_seconds", "Interarrival jitter of ended legs at their end (RFC 3550).",
      bounds: GatewayMetrics.delays, labels: labels
    )
    .observe(media.jitter / 1000)
    if let roundTrip = media.roundTrip {
      registry.histogram(
        "parley_leg_round_trip_seconds", "Round trip of ended legs by RTCP.", bounds: GatewayMetrics.delays,
        labels: labels
      )
      .observe(roundTrip / 1000)
    }
  }

  private static let ratios: [Double] = [0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5]
  /// Seconds.
  private static let delays: [Double] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1]

  func callEnded(_ outcome: CallRecord.Outcome) {
    registry.counter(
      "parley_calls_ended_total", "Calls that ended, by outcome.", labels: [("outcome", outcome.rawValue)]
    )
    .increment()
  }

  /// A refused request; `why` comes from a fixed set of words.
  func refused(_ why: String) {
    registry.counter("parley_sip_refused_total", "SIP requests refused, by reason.", labels: [("reason", why)])
      .increment()
  }
}
