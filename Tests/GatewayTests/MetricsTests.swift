import Core
import Testing

@testable import Gateway

/// What calls leave in `/metrics`.
@Suite struct MetricsTests {
  private let registry = MetricsRegistry()
  private var metrics: GatewayMetrics { GatewayMetrics(registry: registry) }

  private func value(_ name: String) -> Double? {
    registry.prometheusText().split(separator: "\n").first { $0.hasPrefix(name + " ") }
      .flatMap { Double($0.dropFirst(name.count + 1)) }
  }

  private func record(ringing: Int64?, answered: Int64?) -> CallRecord {
    var record = CallRecord(
      id: "c", from: "a", to: "b", direction: .outbound, startedAt: WallTime(milliseconds: 1_700_000_000_000))
    record.ringingAt = ringing.map { WallTime(milliseconds: 1_700_000_000_000 + $0) }
    record.answeredAt = answered.map { WallTime(milliseconds: 1_700_000_000_000 + $0) }
    return record
  }

  @Test func measureHowLongCallsRingAndTakeToBeAnswered() {
    metrics.answered(record(ringing: 80, answered: 4000))
    metrics.answered(record(ringing: nil, answered: 20))
    #expect(value("parley_calls_answered_total") == 2)
    #expect(value("parley_call_answer_seconds_count") == 2)
    #expect(value("parley_call_answer_seconds_sum") == 4.02)
    #expect(value("parley_call_ring_seconds_sum") == 0.1)
    #expect(value(#"parley_call_ring_seconds_bucket{le="0.025"}"#) == 1)
    #expect(value(#"parley_call_ring_seconds_bucket{le="0.1"}"#) == 2)
  }

  @Test func aClockThatWasSetBackCountsAsNothing() {
    metrics.answered(record(ringing: nil, answered: -5000))
    #expect(value("parley_call_answer_seconds_sum") == 0)
  }

  @Test func sayWhatEndedLegsLost() {
    var media = MediaCounters()
    media.packetsReceived = 96
    media.packetsLost = 4
    media.jitter = 7
    media.roundTrip = 40
    metrics.legEnded(media, kind: .trunk)
    #expect(value(#"parley_leg_loss_ratio_sum{party="trunk"}"#) == 0.04)
    #expect(value(#"parley_leg_loss_ratio_bucket{party="trunk",le="0.03"}"#) == 0)
    #expect(value(#"parley_leg_loss_ratio_bucket{party="trunk",le="0.05"}"#) == 1)
    #expect(value(#"parley_leg_jitter_seconds_sum{party="trunk"}"#) == 0.007)
    #expect(value(#"parley_leg_round_trip_seconds_bucket{party="trunk",le="0.05"}"#) == 1)
  }

  @Test func legsWithoutMediaOrReportsSayNothing() {
    metrics.legEnded(MediaCounters(), kind: .user)
    #expect(value(#"parley_leg_loss_ratio_count{party="user"}"#) == nil)
    var media = MediaCounters()
    media.packetsReceived = 10
    // Duplicates make the loss negative (RFC 3550 §A.3).
    media.packetsLost = -2
    metrics.legEnded(media, kind: .user)
    #expect(value(#"parley_leg_loss_ratio_sum{party="user"}"#) == 0)
    #expect(value(#"parley_leg_round_trip_seconds_count{party="user"}"#) == nil)
  }
}
