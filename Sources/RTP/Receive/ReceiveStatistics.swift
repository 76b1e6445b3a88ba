package import Core

/// Loss and jitter of one received source (RFC 3550 §A.1, §A.3, §A.8). Totals go on when the far end starts a new source
/// or jumps in its sequence numbers.
package struct ReceiveStatistics: Hashable, Sendable {
  /// What a packet's sequence number said.
  package enum Verdict: Hashable, Sendable {
    case accepted
    /// Far from everything before it; counted once a second packet confirms the new numbering.
    case suspicious
    /// A new source or new numbering starts with this packet.
    case restarted
  }

  /// RFC 3550 §A.1: the largest gap that is a gap, and the oldest packet that is merely late.
  package static let maximumDropout = 3_000
  package static let maximumMisorder = 100

  package private(set) var source: SSRC?
  /// Hertz of the timestamps.
  package private(set) var clockRate: Int
  /// Packets of all sources, duplicates included.
  package private(set) var packetsReceived = 0
  /// Payload bytes of all sources.
  package private(set) var octetsReceived = 0
  /// When the last packet came.
  package private(set) var lastArrival: Instant?

  private var base: Int64 = 0
  private var highest: Int64 = 0
  private var receivedSinceBase: Int64 = 0
  /// Losses of earlier numberings.
  private var lostBefore: Int64 = 0
  private var expectedPrior: Int64 = 0
  private var receivedPrior: Int64 = 0
  private var probe: UInt16?
  /// Arrival minus timestamp, in timestamp units.
  private var transit: Int64?
  /// In 1/16 timestamp units, as §A.8 keeps it.
  private var scaledJitter: Int64 = 0

  package init(clockRate: Int) { self.clockRate = ClockRate.clamp(clockRate) }

  /// Another codec took over: the jitter in hand is converted and the next packet starts a new comparison.
  package mutating func setClockRate(_ rate: Int) {
    guard rate != clockRate, ClockRate.bounds.contains(rate) else { return }
    scaledJitter = scaledJitter &* Int64(rate) / Int64(clockRate)
    clockRate = rate
    transit = nil
  }

  /// Counts a packet.
  ///
  /// - Parameter measuresJitter: false for packets whose timestamp is not the time of sampling, such as telephone events.
  @discardableResult
  package mutating func receive(
    source: SSRC, sequence: UInt16, timestamp: UInt32, payloadOctets: Int, now: Instant, measuresJitter: Bool = true
  ) -> Verdict {
    var verdict = Verdict.accepted
    if source != self.source {
      restart(source, sequence)
      verdict = .restarted
    } else {
      let delta = Int(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: highest)))
      if delta >= Self.maximumDropout || delta <= -Self.maximumMisorder {
        guard probe == sequence else {
          probe = sequence &+ 1
          return .suspicious
        }
        restart(source, sequence)
        verdict = .restarted
      } else {
        if delta > 0 { highest += Int64(delta) }
        probe = nil
      }
    }
    packetsReceived &+= 1
    octetsReceived &+= payloadOctets
    receivedSinceBase += 1
    lastArrival = now
    if measuresJitter { updateJitter(timestamp, now) }
    return verdict
  }

  private mutating func restart(_ source: SSRC, _ sequence: UInt16) {
    if self.source != nil { lostBefore += highest - base + 1 - receivedSinceBase }
    self.source = source
    // One cycle of head-room: a packet reordered before the first stays positive.
    base = Int64(sequence)
    highest = base
    receivedSinceBase = 0
    expectedPrior = 0
    receivedPrior = 0
    probe = nil
    transit = nil
  }

  private mutating func updateJitter(_ timestamp: UInt32, _ now: Instant) {
    let rate = Int64(clockRate)
    let ns = now.nanoseconds
    let arrival = (ns / 1_000_000_000) &* rate &+ (ns % 1_000_000_000) &* rate / 1_000_000_000
    let current = arrival &- Int64(timestamp)
    defer { transit = current }
    guard let transit else { return }
    // Both wrap with the 32-bit timestamp.
    let difference = Int64(Int32(truncatingIfNeeded: current &- transit)).magnitude
    // A jump of the far end's clock is no jitter.
    guard difference < UInt64(rate) * 2 else { return }
    scaledJitter += Int64(difference) - (scaledJitter + 8) >> 4
  }

  /// In timestamp units.
  package var jitter: UInt32 { UInt32(clamping: scaledJitter >> 4) }
  package var jitterMilliseconds: Double { Double(scaledJitter) / 16 * 1000 / Double(clockRate) }

  /// Cycles and highest sequence number of the current numbering.
  package var extendedHighestSequence: UInt32 { UInt32(truncatingIfNeeded: highest) }

  /// Expected minus received over all sources; duplicates can make it negative.
  package var packetsLost: Int {
    guard source != nil else { return 0 }
    return Int(lostBefore + (highest - base + 1) - receivedSinceBase)
  }

  /// Expected packets over the current numbering.
  package var packetsExpected: Int { source == nil ? 0 : Int(highest - base + 1) }

  /// A report block about the source; starts a new interval for the fraction lost. Nil before the first packet.
  package mutating func makeReportBlock(lastSenderReport: UInt32, delay: UInt32) -> ReportBlock? {
    guard let source else { return nil }
    let expected = highest - base + 1
    let expectedInterval = expected - expectedPrior
    let lostInterval = expectedInterval - (receivedSinceBase - receivedPrior)
    expectedPrior = expected
    receivedPrior = receivedSinceBase
    let fraction = expectedInterval <= 0 || lostInterval <= 0 ? 0 : (lostInterval << 8) / expectedInterval
    return ReportBlock(
      source: source, fractionLost: UInt8(clamping: fraction),
      cumulativeLost: Int32(min(max(expected - receivedSinceBase, -0x80_0000), 0x7F_FFFF)),
      extendedHighestSequence: extendedHighestSequence, jitter: jitter, lastSenderReport: lastSenderReport,
      delaySinceLastSenderReport: delay)
  }
}
