import Core
import RTP

/// Parses a compound, writes what came out and parses that; then lets a reporter read it.
func fuzzRTCP(_ bytes: [UInt8]) {
  guard let packets = try? RTCPCompound.parse(bytes) else { return }
  let written = RTCPPacket.compound(packets)
  if !written.isEmpty {
    guard let again = try? RTCPCompound.parse(written) else { preconditionFailure("what was written does not parse") }
    // Text may be repaired and cut once; after that it must stay.
    let third = try? RTCPCompound.parse(RTCPPacket.compound(again))
    precondition(third == again, "what was written reads otherwise")
  }
  var reporter = RTCPReporter(ssrc: SSRC(1), cname: "c", clockRate: 8_000, seed: 1, now: .zero)
  reporter.sent(timestamp: 7, payloadOctets: 160, now: .zero)
  _ = reporter.makeReport(now: Instant(nanoseconds: 1_000_000_000), wall: WallTime(milliseconds: 0))
  _ = reporter.receive(packets, now: Instant(nanoseconds: 2_000_000_000))
  reporter.received(
    RTPHeader(payloadType: PayloadType(0), sequence: 1, timestamp: 2, ssrc: SSRC(2)),
    now: Instant(nanoseconds: 3_000_000_000))
  let report = reporter.makeReport(now: Instant(nanoseconds: .max), wall: WallTime(milliseconds: .max))
  precondition((try? RTCPCompound.parse(report)) != nil, "our report does not parse")
  precondition((reporter.roundTrip ?? .zero) >= .zero, "negative round trip")
}
