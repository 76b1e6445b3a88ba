import Core
import RTP

/// One input is a byte that names the codec and a row of packets: two bytes of length, one of what happens to number and
/// time, then the payload. They go through the sorter and the assembler as a recording's do.
func fuzzFrames(_ bytes: [UInt8]) {
  guard let first = bytes.first else { return }
  var assembler = VideoFrameAssembler(VideoPayload.allCases[Int(first) % VideoPayload.allCases.count])
  var sorter = PacketSorter()
  var (sequence, timestamp) = (UInt16(65_530), UInt32(4_294_960_000))
  var arrival = Instant(nanoseconds: 1_000_000_000)
  var given = 0
  var frames = 0
  func take(_ some: [EncodedFrame]) {
    for frame in some {
      precondition(frame.width >= 0 && frame.height >= 0, "a picture of negative size")
      precondition(!frame.bytes.isEmpty, "an empty picture")
      frames += 1
    }
  }
  var offset = 1
  while offset + 3 <= bytes.count, given < 256 {
    let length = min((Int(bytes[offset]) << 8 | Int(bytes[offset + 1])) & 0x7FF, bytes.count - offset - 3)
    let change = bytes[offset + 2]
    let payload = Array(bytes[(offset + 3)..<(offset + 3 + length)])
    offset += 3 + length
    given += 1
    sequence &+= change & 3 == 3 ? UInt16(change >> 4) &* 40 : 1
    if change & 4 != 0 { timestamp &+= 3_000 }
    arrival = arrival + .milliseconds(Int64(change >> 3))
    let packet: [UInt8] =
      [0x80, change & 8 != 0 ? 0xE0 : 0x60, UInt8(sequence >> 8), UInt8(truncatingIfNeeded: sequence)]
      + (0..<4).map { UInt8(truncatingIfNeeded: timestamp >> (24 - 8 * UInt32($0))) } + [0, 0, 0, 7] + payload
    guard let header = try? RTPHeader(parsing: packet) else { continue }
    sorter.push(header, payload: payload, arrival: arrival) { take(assembler.push($0)) }
  }
  sorter.finish { take(assembler.push($0)) }
  take(assembler.finish())
  precondition(frames <= 32 * given + 32, "more pictures than packets can hold")
}
