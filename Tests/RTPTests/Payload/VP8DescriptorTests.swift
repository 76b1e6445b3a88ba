import RTP
import Testing

@Suite struct VP8DescriptorTests {
  private func parse(_ bytes: [UInt8]) -> VP8Descriptor? { VP8Descriptor(parsing: bytes.span.bytes) }

  @Test func readsTheSingleRequiredByte() throws {
    let plain = try #require(parse([0x10, 0x01, 0xAA]))
    #expect(plain.length == 1 && plain.startsFrame && !plain.isKeyFrame)
    #expect(plain.pictureID == nil && plain.tl0PictureIndex == nil && plain.temporalLayer == nil)
    #expect(try #require(parse([0x00, 0x00])).startsFrame == false)
  }

  @Test func readsEveryOptionalFieldAndWhereItStands() throws {
    // X|S, I|L|T|K, M|picture 0x1234, TL0 0x56, TID 2 | Y | KEYIDX 9, then a delta frame.
    let vp8 = try #require(parse([0x90, 0xF0, 0x92, 0x34, 0x56, 0xA9, 0x01]))
    #expect(vp8.length == 6)
    #expect(vp8.pictureID == 0x1234 && vp8.pictureIDIsLong && vp8.pictureIDOffset == 2)
    #expect(vp8.tl0PictureIndex == 0x56 && vp8.tl0PictureIndexOffset == 4)
    #expect(vp8.temporalLayer == 2 && vp8.isLayerSync && vp8.keyIndex == 9 && vp8.layerByteOffset == 5)
  }

  @Test func readsAShortPictureID() throws {
    let vp8 = try #require(parse([0x90, 0x80, 0x7F, 0x01]))
    #expect(vp8.pictureID == 0x7F && !vp8.pictureIDIsLong && vp8.length == 3)
  }

  @Test func knowsAKeyFrameAndItsSizeByItsFirstPacketAlone() throws {
    let header: [UInt8] = [0x00, 0x00, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01]
    let key = try #require(parse([0x10] + header))
    #expect(key.isKeyFrame && key.width == 640 && key.height == 360)
    // A later partition, a continuation: the same bits mean nothing there.
    #expect(try #require(parse([0x11] + header)).isKeyFrame == false)
    #expect(try #require(parse([0x00] + header)).isKeyFrame == false)
    let short = try #require(parse([0x10, 0x00]))
    #expect(short.isKeyFrame && short.width == 0)
  }

  @Test(
    arguments: [
      [], [0x10], [0x90], [0x90, 0x80], [0x90, 0x80, 0x80], [0x90, 0x80, 0x80, 0x01], [0x90, 0x40], [0x90, 0x20],
      [0x90, 0xF0, 0x92, 0x34, 0x56, 0xA9],
    ] as [[UInt8]])
  func refusesWhatIsCutShort(bytes: [UInt8]) {
    #expect(parse(bytes) == nil)
  }
}
