import Core
import RTP

/// Sender reports that went out, and what the subscriber reports back.
struct ConsumerReports: Sendable {
  // LSR as it will be echoed, and when it went out.
  private var middles: InlineArray<4, UInt32> = .init(repeating: 0)
  private var instants: InlineArray<4, Int64> = .init(repeating: 0)
  private var next = 0
  /// Packets when the last report was made.
  private(set) var packetsReported = -1
  /// Smoothed; nil before the first measurement.
  private(set) var roundTrip: Duration?
  /// The latest.
  private(set) var block: ReportBlock?

  init() {}

  mutating func sent(_ ntp: NTPTime, packets: Int, now: Instant) {
    middles[next] = ntp.middle
    instants[next] = now.nanoseconds
    next = (next + 1) & 3
    packetsReported = packets
  }

  /// - Returns: The round trip that the block measures; nil for one that names no recent report of ours.
  mutating func receive(_ block: ReportBlock, now: Instant) -> Duration? {
    self.block = block
    guard block.lastSenderReport != 0 else { return nil }
    for index in 0..<4 where middles[index] == block.lastSenderReport {
      let held = Int64(block.delaySinceLastSenderReport) * 1_000_000_000 / 65_536
      let elapsed = now.nanoseconds &- instants[index]
      // Some peers count DLSR wrongly; a negative result says so.
      guard held <= elapsed else { return nil }
      let measured = Duration.nanoseconds(elapsed - held)
      roundTrip = roundTrip.map { $0 * 0.75 + measured * 0.25 } ?? measured
      return measured
    }
    return nil
  }
}

/// What is known of one consumer.
package struct ConsumerStatistics: Hashable, Sendable {
  package var counters = ConsumerCounters()
  /// Layers that go through; nil for none.
  package var spatialLayer: Int?
  package var temporalLayer: Int?
  package var isPausedForBandwidth = false
  package var roundTrip: Duration?
  /// Of 256, by the last report block; nil before the first.
  package var fractionLost: UInt8?
  package var packetsLost: Int = 0
  /// Milliseconds.
  package var jitter: Double = 0

  package init() {}
}

extension Consumer {
  /// A sender report with the state of `now`; nil before the first packet and while nothing was sent since the last one.
  ///
  /// Time line: the stream's own mapping, which the publisher's reports keep, shifted as the packets are, so that audio
  /// and video of a publisher stay together over layer switches.
  func senderReport(now: Instant, clock: NTPClock) -> SenderReport? {
    guard forwarder.runs.hasBegun, forwarder.counters.packets > 0, forwarder.counters.packets != reports.packetsReported
    else { return nil }
    let index = forwarder.stream
    let timestamp: UInt32
    if index >= 0, index < producer.streams.count, let source = producer.streams[index].rtpTimestamp(at: now) {
      timestamp = source &+ forwarder.runs.current.timestampOffset
    } else {
      guard let at = forwarder.munger.highestAt else { return nil }
      let elapsed = (now - at).inSeconds * Double(forwarder.munger.clockRate)
      timestamp = forwarder.munger.highestTimestamp &+ UInt32(truncatingIfNeeded: Int64(elapsed))
    }
    let ntp = clock.ntp(at: now)
    reports.sent(ntp, packets: forwarder.counters.packets, now: now)
    return SenderReport(
      sender: parameters.ssrc, ntp: ntp, rtpTimestamp: timestamp,
      packetCount: UInt32(truncatingIfNeeded: forwarder.counters.packets),
      octetCount: UInt32(truncatingIfNeeded: forwarder.counters.octets),
      blocks: [])
  }

  /// A report block on our stream (or on its retransmission stream: only the round trip is taken).
  ///
  /// - Returns: The round trip that it measures.
  @discardableResult
  func receive(_ block: ReportBlock, now: Instant) -> Duration? {
    guard block.source == parameters.ssrc else { return nil }
    // The subscriber knows the stream: it needs no MID in its packets any more (RFC 8843 §15).
    extensions.isMIDKnown = true
    return reports.receive(block, now: now)
  }

  var statistics: ConsumerStatistics {
    var statistics = ConsumerStatistics()
    statistics.counters = counters
    let layers = layers
    statistics.spatialLayer = layers?.spatial
    statistics.temporalLayer = layers?.temporal
    statistics.isPausedForBandwidth = isPausedForBandwidth
    statistics.roundTrip = reports.roundTrip
    if let block = reports.block {
      statistics.fractionLost = block.fractionLost
      statistics.packetsLost = Int(block.cumulativeLost)
      statistics.jitter = Double(block.jitter) * 1000 / Double(forwarder.munger.clockRate)
    }
    return statistics
  }

  /// Bytes that the consumer takes, roughly.
  var memory: Int {
    MemoryLayout<Forwarder>.size + MemoryLayout<PayloadTypeMap>.size + MemoryLayout<ConsumerReports>.size
      + MemoryLayout<ConsumerParameters>.size + MemoryLayout<ExtensionPlan>.size + 128 + forwarder.sent.memory
  }
}
