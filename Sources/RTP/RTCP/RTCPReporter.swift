package import Core

/// Says when RTCP is due on one leg, writes it, and reads what the far end reports (RFC 3550 §6).
///
/// Drive it with every RTP packet sent and received and every RTCP packet received; when `nextDeadline` has passed call
/// `makeReport`.
package struct RTCPReporter: Sendable {
  /// What an RTCP compound of the far end brought.
  package struct Outcome: Hashable, Sendable {
    /// The far end's round trip became known or changed.
    package var roundTripUpdated = false
    /// The far end said BYE for a source.
    package var goodbye = false
    /// RFC 4585 and others, for who cares.
    package var feedback: [RTCPPacket] = []

    package init() {}
  }

  package let ssrc: SSRC
  package let cname: String
  /// What was received; drives our report blocks.
  package private(set) var statistics: ReceiveStatistics
  /// By the last report of the far end that named a recent SR of ours; nil before.
  package private(set) var roundTrip: Duration?
  /// The far end's latest block about our source; nil before.
  package private(set) var remoteReport: ReportBlock?
  package private(set) var packetsSent = 0
  /// Payload bytes.
  package private(set) var octetsSent = 0
  /// When the far end's RTCP last came: a muted or held peer still sends it.
  package private(set) var lastReportArrival: Instant?
  package private(set) var nextDeadline: Instant

  private let interval: Duration
  private var random: SeededRandom
  private var sendClockRate: Int
  /// Timestamp and time of the last RTP packet sent.
  private var lastSent: (timestamp: UInt32, at: Instant)?
  private var sentSinceReport = false
  /// The last SRs that we sent: LSR as the far end will echo it, and when.
  private var sentReports: [(middle: UInt32, at: Instant)] = []
  private var remoteSenderReport: (source: SSRC, middle: UInt32, at: Instant)?

  /// - Parameters:
  ///   - clockRate: Of sent and received timestamps, in hertz; `setClockRate` follows a codec change.
  ///   - interval: Mean distance of reports; the first comes after half of it (RFC 3550 §6.2).
  ///   - seed: For the randomised distances.
  package init(
    ssrc: SSRC, cname: String, clockRate: Int, interval: Duration = .seconds(5), seed: UInt64, now: Instant
  ) {
    self.ssrc = ssrc
    self.cname = cname
    self.interval = interval
    sendClockRate = ClockRate.clamp(clockRate)
    statistics = ReceiveStatistics(clockRate: clockRate)
    random = SeededRandom(seed: seed)
    nextDeadline = now
    nextDeadline = now + randomised(interval / 2)
  }

  /// RFC 3550 §6.3.1: half to one and a half of the mean.
  private mutating func randomised(_ mean: Duration) -> Duration {
    mean * Double.random(in: 0.5...1.5, using: &random)
  }

  /// Another codec took over, in either direction; nil leaves a direction alone.
  package mutating func setClockRate(sending: Int? = nil, receiving: Int? = nil) {
    if let sending, ClockRate.bounds.contains(sending) { sendClockRate = sending }
    if let receiving { statistics.setClockRate(receiving) }
  }

  /// Counts an RTP packet that we sent.
  package mutating func sent(timestamp: UInt32, payloadOctets: Int, now: Instant) {
    packetsSent &+= 1
    octetsSent &+= payloadOctets
    lastSent = (timestamp, now)
    sentSinceReport = true
  }

  /// Counts an RTP packet that we received.
  @discardableResult
  package mutating func received(
    _ header: RTPHeader, now: Instant, measuresJitter: Bool = true
  ) -> ReceiveStatistics.Verdict {
    statistics.receive(
      source: header.ssrc, sequence: header.sequence, timestamp: header.timestamp, payloadOctets: header.payload.count,
      now: now, measuresJitter: measuresJitter)
  }

  /// Reads a compound of the far end.
  package mutating func receive(_ packets: [RTCPPacket], now: Instant) -> Outcome {
    var outcome = Outcome()
    lastReportArrival = now
    for packet in packets {
      switch packet {
      case .senderReport(let report):
        remoteSenderReport = (report.sender, report.ntp.middle, now)
        read(report.blocks, now, &outcome)
      case .receiverReport(_, let blocks): read(blocks, now, &outcome)
      case .goodbye(let sources, _):
        if statistics.source.map({ sources.contains($0) }) ?? true { outcome.goodbye = true }
      case .sourceDescription, .application, .extendedReport, .other: break
      default: outcome.feedback.append(packet)
      }
    }
    return outcome
  }

  private mutating func read(_ blocks: [ReportBlock], _ now: Instant, _ outcome: inout Outcome) {
    for block in blocks where block.source == ssrc {
      remoteReport = block
      // Only an SR that we did send counts: a made-up LSR measures nothing.
      guard block.lastSenderReport != 0,
        let sent = sentReports.last(where: { $0.middle == block.lastSenderReport })
      else { continue }
      let held = Duration.nanoseconds(Int64(block.delaySinceLastSenderReport) * 1_000_000_000 / 65_536)
      let elapsed = now - sent.at
      // Some peers count DLSR wrongly; a negative result says so.
      guard held <= elapsed else { continue }
      roundTrip = elapsed - held
      outcome.roundTripUpdated = true
    }
  }

  /// A compound of SR (if we sent since the report before, else RR) and SDES, and sets the next deadline.
  package mutating func makeReport(now: Instant, wall: WallTime) -> [UInt8] {
    let packets = report(now: now, wall: wall)
    nextDeadline = now + randomised(interval)
    return RTCPPacket.compound(packets)
  }

  /// The last compound of a leg: report, SDES and BYE.
  package mutating func makeGoodbye(now: Instant, wall: WallTime, reason: String? = nil) -> [UInt8] {
    RTCPPacket.compound(report(now: now, wall: wall) + [.goodbye(sources: [ssrc], reason: reason)])
  }

  private mutating func report(now: Instant, wall: WallTime) -> [RTCPPacket] {
    var delay: UInt32 = 0
    var middle: UInt32 = 0
    if let remote = remoteSenderReport, remote.source == statistics.source {
      middle = remote.middle
      delay = UInt32(clamping: Int64((now - remote.at).inSeconds * 65_536))
    }
    let blocks = statistics.makeReportBlock(lastSenderReport: middle, delay: delay).map { [$0] } ?? []
    let description = RTCPPacket.sourceDescription([SourceDescription(source: ssrc, cname: cname)])
    guard sentSinceReport, let lastSent else { return [.receiverReport(sender: ssrc, blocks: blocks), description] }
    sentSinceReport = false
    let ntp = NTPTime(wall)
    if sentReports.count == 8 { sentReports.removeFirst() }
    sentReports.append((ntp.middle, now))
    // The media clock went on since the last packet (RFC 3550 §6.4.1).
    let elapsed = Int64((now - lastSent.at).inSeconds * Double(sendClockRate))
    return [
      .senderReport(
        SenderReport(
          sender: ssrc, ntp: ntp, rtpTimestamp: lastSent.timestamp &+ UInt32(truncatingIfNeeded: elapsed),
          packetCount: UInt32(truncatingIfNeeded: packetsSent), octetCount: UInt32(truncatingIfNeeded: octetsSent),
          blocks: blocks)), description,
    ]
  }

  /// The counters of the leg so far. `packetsRejected` is the transport's to add.
  package var counters: MediaCounters {
    var result = MediaCounters()
    result.packetsSent = packetsSent
    result.packetsReceived = statistics.packetsReceived
    result.octetsSent = octetsSent
    result.octetsReceived = statistics.octetsReceived
    result.packetsLost = statistics.packetsLost
    result.jitter = statistics.jitterMilliseconds
    result.roundTrip = roundTrip.map { $0.inMilliseconds }
    return result
  }
}
