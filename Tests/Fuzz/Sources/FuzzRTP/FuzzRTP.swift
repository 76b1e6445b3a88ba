import Core
import RTP

/// One input is both a packet to parse and a script of packets, pops and pauses for everything behind the parser.
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
  var buffer = JitterBuffer(clockRate: 8_000, packetDuration: 160)
  var statistics = ReceiveStatistics(clockRate: 8_000)
  var output = OutputSequence(ssrc: SSRC(9), firstSequence: 65_000, firstTimestamp: .max - 10_000, clockRate: 8_000)
  var events = TelephoneEventReceiver(clockRate: 8_000)
  var sender = TelephoneEventSender(clockRate: 8_000)
  var unwrapper = SequenceUnwrapper()
  var given: Set<Int64> = []
  var now = Instant.zero
  let payload = [UInt8](repeating: 7, count: 255)
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
    case 0, 1, 2, 3:
      var body = payload.prefix(Int(step[9]))
      if body.count >= 2 { (body[0], body[1]) = (step[1], step[2]) }
      _ = body.withUnsafeBytes {
        buffer.insert(
          sequence: sequence, timestamp: timestamp, payload: $0, carriesAudio: step[0] % 12 != 3, now: now)
      }
      statistics.receive(
        source: source, sequence: sequence, timestamp: timestamp, payloadOctets: body.count, now: now)
      stamp = output.relayed(source: source, sequence: sequence, timestamp: timestamp, marker: false, now: now)
    case 4, 5, 6:
      switch buffer.pop(now: now) {
      case .packet(let slot):
        let body = buffer.payload(of: slot)
        precondition(body.count == slot.count)
        if slot.count >= 2 {
          precondition(UInt16(body[0]) << 8 | UInt16(body[1]) == slot.sequence, "a payload under another number")
        }
      case .missing(let next?): precondition(buffer.payload(of: next).count == next.count)
      case .missing, .gap, .waiting: break
      }
    case 7: stamp = output.next(duration: timestamp, now: now)
    case 8: output.skip(duration: timestamp)
    case 9:
      let event = TelephoneEventPayload(event: step[9], isEnd: step[8] & 1 == 1, volume: step[1], duration: sequence)
      _ = events.receive(event, timestamp: timestamp, now: now)
      _ = events.advance(to: now)
    case 10:
      if step[9] & 1 == 1 { sender.enqueue(event: step[9], duration: .milliseconds(Int(sequence))) }
      stamp = sender.tick(&output, now: now)?.stamp
    default:
      switch step[9] % 5 {
      case 0: buffer.reset()
      case 1: buffer.setClockRate(Int(timestamp), packetDuration: UInt32(sequence))
      case 2: output.setClockRate(Int(timestamp))
      case 3: buffer.timeScaled(by: .milliseconds(Int(step[8]) - 128))
      default: _ = statistics.makeReportBlock(lastSenderReport: timestamp, delay: 0)
      }
    }
    if let stamp { precondition(given.insert(unwrapper.unwrap(stamp.sequence)).inserted, "a number given out twice") }
    precondition((0...JitterBuffer.slotCount).contains(buffer.bufferedPackets))
    precondition(buffer.targetDelay >= .milliseconds(20) && buffer.targetDelay <= .milliseconds(400))
    precondition(buffer.currentDelay >= .zero)
  }
}
