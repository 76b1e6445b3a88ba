import RTP
import Testing

@Suite struct VP9DescriptorTests {
  private func parse(_ bytes: [UInt8]) -> VP9Descriptor? { VP9Descriptor(parsing: bytes.span.bytes) }

  @Test func readsLayersOfNonFlexibleMode() throws {
    // I|P|L|B, long picture ID 0x0102, TID 1 | U | SID 2 | D, TL0PICIDX 7.
    let vp9 = try #require(parse([0xE8, 0x81, 0x02, 0x35, 0x07, 0xFF]))
    #expect(vp9.length == 5 && vp9.isInterPicturePredicted && vp9.startsFrame && !vp9.endsFrame && !vp9.isFlexible)
    #expect(vp9.pictureID == 0x0102 && vp9.pictureIDIsLong && vp9.pictureIDOffset == 1)
    #expect(vp9.temporalLayer == 1 && vp9.isSwitchingUpPoint && vp9.spatialLayer == 2 && vp9.dependsOnLowerLayer)
    #expect(vp9.tl0PictureIndex == 7 && vp9.tl0PictureIndexOffset == 4)
    #expect(!vp9.isKeyFrame)
  }

  @Test func passesOverReferencesOfFlexibleMode() throws {
    let vp9 = try #require(parse([0xF4, 0x05, 0x00, 0x03, 0x05, 0x02, 0xAA]))
    #expect(vp9.isFlexible && vp9.endsFrame && vp9.tl0PictureIndex == nil)
    #expect(vp9.length == 6)
    // Four references are one too many.
    #expect(parse([0xF4, 0x05, 0x00, 0x03, 0x05, 0x03, 0x02, 0xAA]) == nil)
  }

  @Test func readsTheScalabilityStructureOfAKeyFrame() throws {
    var bytes: [UInt8] = [0x8A, 0x01]
    // Three spatial layers with sizes, a group of two pictures.
    bytes += [0x58, 0x01, 0x40, 0x00, 0xB4, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xD0]
    bytes += [0x02, 0x00, 0x24, 0x01]
    let vp9 = try #require(parse(bytes + [0xAA]))
    #expect(vp9.isKeyFrame && vp9.spatialLayerCount == 3 && vp9.width == 1280 && vp9.height == 720)
    #expect(Int(vp9.length) == bytes.count)
    #expect(parse(bytes) == nil, "nothing behind it")
    #expect(parse(Array(bytes.dropLast())) == nil)
  }

  @Test func takesOnlyTheLowestLayerOfAKeyPictureForAKeyFrame() throws {
    // L|B without P: SID 0, then SID 1 that depends on it.
    #expect(try #require(parse([0x28, 0x00, 0x00, 0xAA])).isKeyFrame)
    #expect(try #require(parse([0x28, 0x03, 0x00, 0xAA])).isKeyFrame == false)
  }

  @Test(arguments: [[], [0x80], [0x80, 0x81], [0x20], [0x20, 0x00], [0x50], [0x02], [0x02, 0x10]] as [[UInt8]])
  func refusesWhatIsCutShort(bytes: [UInt8]) {
    #expect(parse(bytes) == nil)
  }
}
