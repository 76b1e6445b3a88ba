package import Core

/// What the signalling side counts.
package struct GatewayMetrics: Sendable {
  let callsActive: Gauge
  let callsStarted: Counter
  let callsAnswered: Counter
  let registrations: Gauge
  let challenged: Counter
  private let registry: MetricsRegistry

  package init(registry: MetricsRegistry) {
    self.registry = registry
    callsActive = registry.gauge("parley_calls_active", "Calls being set up or running.")
    callsStarted = registry.counter("parley_calls_started_total", "Calls that passed authentication.")
    callsAnswered = registry.counter("parley_calls_answered_total", "Calls that were answered.")
    registrations = registry.gauge("parley_registrations", "Registered contacts.")
    challenged = registry.counter("parley_sip_challenges_total", "Requests without credentials that were challenged.")
  }

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
