import Core
import RTP

/// One input is both a packet to parse and a script of packets and pauses for everything behind the parser.
func fuzzRTP(_ bytes: [UInt8]) {
  parse(bytes)
  play(bytes)
}

private func parse(_ bytes: [UInt8]) {
  guard let header = try? RTPHeader(parsing: bytes) else { return }
  precondition(header.payload.upperBound + header.padding == bytes.count, "bytes unaccounted for")
  header.forEachExtensionElement(in: bytes.span.bytes) {
    precondition(
      $0 != 0 && $1.lowerBound >= header.extensionData.lowerBound && $1.upperBound <= header.extensionData.upperBound)
  }
  _ = TelephoneEventPayload(parsing: bytes.span.bytes.extracting(header.payload))
}

/// Ten bytes a step: what, sequence (2), timestamp (4), milliseconds, source, length.
private func play(_ bytes: [UInt8]) {
  var statistics = ReceiveStatistics(clockRate: 8_000)
  var output = OutputSequence(ssrc: SSRC(9), firstSequence: 65_000, firstTimestamp: .max - 10_000, clockRate: 8_000)
  var events = TelephoneEventReceiver(clockRate: 8_000)
  var unwrapper = SequenceUnwrapper()
  var given: Set<Int64> = []
  var now = Instant.zero
  var at = 0
  while at + 10 <= bytes.count {
    let step = bytes[at..<(at + 10)].map { $0 }
    at += 10
    let sequence = UInt16(step[1]) << 8 | UInt16(step[2])
    let timestamp = step[3..<7].reduce(0) { $0 << 8 | UInt32($1) }
    now = now + .milliseconds(Int(step[7]))
    let source = SSRC(UInt32(step[8] & 3))
    var stamp: OutputSequence.Stamp?
    switch step[0] % 12 {
    case 0, 1, 2, 3, 4, 5, 6:
      statistics.receive(
        source: source, sequence: sequence, timestamp: timestamp, payloadOctets: Int(step[9]), now: now)
      stamp = output.relayed(source: source, sequence: sequence, timestamp: timestamp, marker: false, now: now)
    case 7: stamp = output.next(duration: timestamp, now: now)
    case 8: output.skip(duration: timestamp)
    case 9:
      let event = TelephoneEventPayload(event: step[9], isEnd: step[8] & 1 == 1, volume: step[1], duration: sequence)
      _ = events.receive(event, timestamp: timestamp, now: now)
      _ = events.advance(to: now)
    case 10: output.setClockRate(Int(timestamp))
    default: _ = statistics.makeReportBlock(lastSenderReport: timestamp, delay: 0)
    }
    if let stamp { precondition(given.insert(unwrapper.unwrap(stamp.sequence)).inserted, "a number given out twice") }
  }
}
