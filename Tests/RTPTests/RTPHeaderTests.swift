import Core
import RTP
import Testing

@Suite struct RTPHeaderTests {
  @Test func readsAPlainPacket() throws {
    let packet: [UInt8] = [0x80, 0xEF, 0x12, 0x34, 0, 0, 0x01, 0x40, 0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3]
    let header = try RTPHeader(parsing: packet)
    #expect(header.marker && header.payloadType == PayloadType(111))
    #expect(header.sequence == 0x1234 && header.timestamp == 320 && header.ssrc == SSRC(0xDEAD_BEEF))
    #expect(header.payload == 12..<15 && header.csrcs.isEmpty && header.extensionProfile == nil && header.padding == 0)
    #expect(header.serialized(payload: [1, 2, 3]) == packet)
  }

  @Test func findsThePayloadBehindCSRCsExtensionAndBeforePadding() throws {
    var packet: [UInt8] = [0xB2, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]
    packet += [0, 0, 0, 10, 0, 0, 0, 11]
    packet += [0xBE, 0xDE, 0, 1, 0x10, 0x85, 0, 0]
    packet += [7, 7, 7]
    packet += [0, 0, 0, 0, 5]
    let header = try RTPHeader(parsing: packet)
    #expect(header.csrcs == 12..<20)
    #expect(header.extensionProfile == RTPHeader.oneByteProfile && header.extensionData == 24..<28)
    #expect(header.payload == 28..<31 && header.padding == 5)
    #expect(header.extensionElement(1, in: packet.span.bytes) == 25..<26)
    #expect(AudioLevel(byte: packet[25]) == AudioLevel(byte: 0x85))
    #expect(AudioLevel(byte: 0x85).isVoice && AudioLevel(byte: 0x85).attenuation == 5)
  }

  @Test func acceptsAPacketOfPaddingOnly() throws {
    let header = try RTPHeader(parsing: [0xA0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4])
    #expect(header.payload == 12..<12 && header.padding == 4)
  }

  @Test(arguments: [
    ([], RTPParseError.tooShort), ([UInt8](repeating: 0x80, count: 11), .tooShort),
    ([0x40] + [UInt8](repeating: 0, count: 12), .wrongVersion),
    ([0x8F] + [UInt8](repeating: 0, count: 40), .truncated),
    ([0x90] + [UInt8](repeating: 0, count: 11), .truncated),
    ([0x90] + [UInt8](repeating: 0, count: 13) + [0xFF, 0xFF], .truncated),
    ([0xA0] + [UInt8](repeating: 0, count: 11), .truncated),
    ([0xA0] + [UInt8](repeating: 0, count: 12), .truncated),
    ([0xA0] + [UInt8](repeating: 0, count: 11) + [0, 3], .truncated),
  ])
  func refusesWhatDoesNotAddUp(packet: [UInt8], error: RTPParseError) {
    #expect(throws: error) { try RTPHeader(parsing: packet) }
  }

  @Test func writesNothingIntoTooShortABuffer() {
    let header = RTPHeader(payloadType: PayloadType(0), sequence: 1, timestamp: 2, ssrc: SSRC(3))
    var short = [UInt8](repeating: 9, count: 15)
    let written = short.withUnsafeMutableBytes { buffer in
      [UInt8](repeating: 1, count: 4).withUnsafeBytes { header.write(payload: $0, into: buffer) }
    }
    #expect(written == 0)
    #expect(short.allSatisfy { $0 == 9 })
    var tiny = [UInt8](repeating: 9, count: 11)
    #expect(tiny.withUnsafeMutableBytes { header.write(into: $0) } == 0)
  }

  @Test func tellsRTCPFromRTPOnOnePort() {
    func isRTCP(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { RTPHeader.isRTCP($0) } }
    #expect(isRTCP([0x80, 200]) && isRTCP([0x81, 201, 0, 7]) && isRTCP([0x80, 206]))
    // 111 with the marker bit is 239; static types with it are 128…162.
    #expect(
      !isRTCP([0x80, 111]) && !isRTCP([0x80, 239]) && !isRTCP([0x80, 0x80]) && !isRTCP([0x00, 200]) && !isRTCP([0x80]))
  }

  @Test func readsOneByteElementsWithPaddingAndTheEnd() throws {
    // id 1 of 1 byte, padding, id 3 of 3 bytes, id 15 ends.
    let data: [UInt8] = [0x10, 0xAA, 0, 0x32, 1, 2, 3, 0xF0, 0x20, 9, 0, 0]
    let packet: [UInt8] = [0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 3] + data
    let header = try RTPHeader(parsing: packet)
    var found: [UInt8: Range<Int>] = [:]
    header.forEachExtensionElement(in: packet.span.bytes) { found[$0] = $1 }
    #expect(found == [1: 17..<18, 3: 20..<23])
    #expect(header.extensionElement(2, in: packet.span.bytes) == nil)
  }

  @Test func readsTwoByteElementsOfAnyLength() throws {
    let data: [UInt8] = [0, 20, 0, 21, 2, 8, 9, 0]
    let packet: [UInt8] = [0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x07, 0, 2] + data
    let header = try RTPHeader(parsing: packet)
    #expect(header.extensionElement(20, in: packet.span.bytes) == 19..<19)
    #expect(header.extensionElement(21, in: packet.span.bytes) == 21..<23)
  }

  @Test func anElementBeyondTheEndStopsTheWalk() throws {
    let packet: [UInt8] = [0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xBE, 0xDE, 0, 1, 0x10, 1, 0x2F, 2]
    let header = try RTPHeader(parsing: packet)
    #expect(header.extensionElement(1, in: packet.span.bytes) != nil)
    #expect(header.extensionElement(2, in: packet.span.bytes) == nil)
    // A header used on another, shorter packet finds nothing.
    #expect(header.extensionElement(1, in: [UInt8](repeating: 0, count: 14).span.bytes) == nil)
  }

  @Test(
    arguments: [
      [1: [0x7F]], [1: [1], 14: [UInt8](repeating: 5, count: 16)], [1: [1], 15: [2]], [1: [], 2: [3]],
      [3: [UInt8](repeating: 8, count: 17)],
    ] as [[UInt8: [UInt8]]])
  func writesElementsThatReadTheSame(elements: [UInt8: [UInt8]]) throws {
    let bytes = RTPHeader.extensionBytes(elements.map { (id: $0.key, data: $0.value) })
    #expect(bytes.count % 4 == 0)
    let packet: [UInt8] = [0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3] + bytes
    let header = try RTPHeader(parsing: packet)
    var found: [UInt8: [UInt8]] = [:]
    header.forEachExtensionElement(in: packet.span.bytes) { found[$0] = Array(packet[$1]) }
    #expect(found == elements)
    #expect(RTPHeader.extensionBytes([]).isEmpty)
  }

  @Test func junkNeverTraps() {
    var random = SeededRandom(seed: 1)
    var parsed = 0
    for round in 0..<20_000 {
      var bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if !bytes.isEmpty, round % 4 != 0 { bytes[0] = bytes[0] & 0x3F | 0x80 }
      if bytes.count > 16, round % 3 == 0 { (bytes[14], bytes[15]) = (0, bytes[15] & 7) }
      guard let header = try? RTPHeader(parsing: bytes) else { continue }
      parsed += 1
      if header.payload.upperBound + header.padding != bytes.count { Issue.record("\(bytes)") }
      header.forEachExtensionElement(in: bytes.span.bytes) {
        if $1.upperBound > header.extensionData.upperBound { Issue.record("\(bytes)") }
      }
      _ = TelephoneEventPayload(parsing: bytes.span.bytes.extracting(header.payload))
    }
    #expect(parsed > 1_000)
  }
}
