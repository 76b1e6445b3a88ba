import Core
import RTP
import Testing

@Suite struct H264DescriptorTests {
  private func parse(_ bytes: [UInt8]) -> H264Descriptor? { H264Descriptor(parsing: bytes.span.bytes) }

  @Test func knowsParameterSetsAndIntraPictures() throws {
    #expect(try #require(parse([0x67, 0x42])).hasSequenceParameterSet)
    #expect(try #require(parse([0x65, 0x88])).startsIDR)
    let delta = try #require(parse([0x41, 0x9A]))
    #expect(!delta.isKeyFrame && delta.startsUnit && !delta.isNonReference)
    #expect(try #require(parse([0x01, 0x9A])).isNonReference)
  }

  @Test func looksIntoAggregates() throws {
    let aggregate = try #require(parse([0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68, 0, 2, 0x65, 0x88]))
    #expect(aggregate.hasSequenceParameterSet && aggregate.startsIDR)
    #expect(parse([0x78, 0, 3, 0x67, 0x42]) == nil)
    #expect(parse([0x78, 0, 0]) == nil)
    #expect(parse([0x78, 0]) == nil)
  }

  @Test func takesOnlyTheFirstFragmentForAStart() throws {
    #expect(try #require(parse([0x7C, 0x85, 0x88])).startsIDR)
    let later = try #require(parse([0x7C, 0x05, 0x88]))
    #expect(!later.startsIDR && !later.startsUnit)
    #expect(parse([0x7C]) == nil)
    #expect(parse([]) == nil)
    #expect(parse([0x1F]) == nil)
  }
}

@Suite struct REDTests {
  @Test func findsRedundantAndPrimaryBlocks() {
    // Two redundant blocks of 2 and 1 bytes, 1,920 and 960 units old, then the primary.
    let payload: [UInt8] = [0xEF, 0x1E, 0x00, 0x02, 0xEF, 0x0F, 0x00, 0x01, 0x6F, 1, 2, 3, 4, 5]
    var blocks: [RED.Block] = []
    #expect(RED.forEachBlock(in: payload.span.bytes) { blocks.append($0) })
    #expect(blocks.map(\.timestampOffset) == [1_920, 960, 0])
    #expect(blocks.map(\.data) == [9..<11, 11..<12, 12..<14])
    #expect(blocks.allSatisfy { $0.payloadType == PayloadType(111) })
    #expect(RED.primary(in: payload.span.bytes)?.data == 12..<14)
  }

  @Test func acceptsAPrimaryAlone() {
    for count in 0...2 {
      let payload: [UInt8] = [0x6F] + [UInt8](repeating: 9, count: count)
      #expect(RED.primary(in: payload.span.bytes)?.data == 1..<(1 + count))
    }
  }

  @Test(
    arguments: [[], [0xEF], [0xEF, 0, 0, 1], [0xEF, 0, 0, 2, 0x6F, 1], [0xEF, 0x0F, 0x03, 0xFF, 0x6F, 1]] as [[UInt8]])
  func refusesBlocksThatReachPastTheEnd(payload: [UInt8]) {
    #expect(RED.primary(in: payload.span.bytes) == nil)
  }
}

@Suite struct RTXTests {
  private func unwrap(_ packet: [UInt8], room: Int = 64) throws -> [UInt8] {
    let header = try RTPHeader(parsing: packet)
    var out = [UInt8](repeating: 0xEE, count: room)
    let length = out.withUnsafeMutableBytes { buffer in
      packet.withUnsafeBytes {
        RTX.unwrap($0, header: header, ssrc: SSRC(0x1111_2222), payloadType: PayloadType(96), into: buffer)
      }
    }
    return Array(out.prefix(length))
  }

  @Test func givesBackTheOriginalWithItsExtension() throws {
    let packet: [UInt8] =
      [0x90, 0xE1, 0, 9, 0, 0, 0, 7, 9, 9, 9, 9, 0xBE, 0xDE, 0, 1, 0x10, 0x85, 0, 0, 0xAB, 0xCD, 1, 2, 3]
    let original = try unwrap(packet)
    let header = try RTPHeader(parsing: original)
    #expect(header.ssrc == SSRC(0x1111_2222) && header.sequence == 0xABCD && header.timestamp == 7)
    #expect(header.payloadType == PayloadType(96) && header.marker)
    #expect(Array(original[header.payload]) == [1, 2, 3])
    #expect(header.extensionElement(1, in: original.span.bytes) == 17..<18)
  }

  @Test func cutsPaddingOff() throws {
    let packet: [UInt8] = [0xA0, 97, 0, 9, 0, 0, 0, 7, 9, 9, 9, 9, 0, 5, 1, 2, 0, 0, 3]
    let original = try unwrap(packet)
    let header = try RTPHeader(parsing: original)
    #expect(header.padding == 0 && Array(original[header.payload]) == [1, 2])
  }

  @Test func givesNothingForProbesAndTooShortABuffer() throws {
    #expect(try unwrap([0x80, 97, 0, 9, 0, 0, 0, 7, 9, 9, 9, 9]).isEmpty)
    #expect(try unwrap([0x80, 97, 0, 9, 0, 0, 0, 7, 9, 9, 9, 9, 1, 2]).isEmpty)
    #expect(try unwrap([0x80, 97, 0, 9, 0, 0, 0, 7, 9, 9, 9, 9, 0, 1, 5, 6, 7], room: 14).isEmpty)
  }
}
