/// How a leg is doing, in the numbers that a call's page shows.
package struct MediaQuality: Sendable, Hashable {
  /// Interarrival jitter of what we receive, in milliseconds (RFC 3550 §6.4.1).
  package var jitter = 0.0
  /// By RTCP, in milliseconds; nil before the first report.
  package var roundTrip: Double?
  /// Share of packets that never reached us, 0…1.
  package var lossFraction = 0.0
  /// Share of our packets that the far end lost lately, by its last report, 0…1.
  package var remoteLossFraction = 0.0
  /// Share of what was played that had to be made up, 0…1. Zero where packets are relayed.
  package var concealedFraction = 0.0
  /// Delay added by the jitter buffer, in milliseconds. Zero where packets are relayed.
  package var playoutDelay = 0.0
  /// What a listener on the other side of this leg may think of it, 1…4.5 (ITU-T G.107, default values throughout).
  package var meanOpinionScore = 1.0

  package init() {}

  /// The E-model with delay and random loss only. `equipment` is the codec's Ie, `robustness` its Bpl (G.113
  /// appendix I); `delay` is one way, in milliseconds.
  static func meanOpinionScore(delay: Double, loss: Double, equipment: Double, robustness: Double) -> Double {
    let delay = max(0, delay.isFinite ? delay : 0)
    let percent = max(0, min(100, loss.isFinite ? loss * 100 : 0))
    let delayImpairment = 0.024 * delay + (delay > 177.3 ? 0.11 * (delay - 177.3) : 0)
    let equipmentImpairment = equipment + (95 - equipment) * percent / (percent + robustness)
    let rating = 93.2 - delayImpairment - equipmentImpairment
    if rating <= 0 { return 1 }
    if rating >= 100 { return 4.5 }
    return max(1, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6)
  }
}
