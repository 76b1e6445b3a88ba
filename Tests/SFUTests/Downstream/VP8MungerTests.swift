import RTP
import Testing

@testable import SFU

/// A payload with every field.
private func descriptor(
  _ pictureID: UInt16, tl0: UInt8 = 0, layer: UInt8 = 0, key: UInt8 = 0, long: Bool = true
) -> VP8Descriptor {
  var bytes: [UInt8] = [0x90, 0xF0]
  if long {
    bytes += [UInt8(pictureID >> 8) | 0x80, UInt8(pictureID & 0xFF)]
  } else {
    bytes.append(UInt8(pictureID & 0x7F))
  }
  bytes += [tl0, layer << 6 | key, 0x01]
  guard let descriptor = bytes.withUnsafeBytes({ VP8Descriptor(parsing: $0) }) else {
    preconditionFailure("our own bytes")
  }
  return descriptor
}

@Suite struct VP8MungerTests {
  @Test func closesOverDroppedPictures() {
    var munger = VP8Munger(firstPictureID: 7)
    munger.join(descriptor(1_000))
    #expect(munger.forward(descriptor(1_000)) == 7)
    #expect(munger.forward(descriptor(1_000)) == 7)
    munger.drop(descriptor(1_001, layer: 2))
    munger.drop(descriptor(1_001, layer: 2))
    #expect(munger.forward(descriptor(1_002, layer: 1)) == 8)
    munger.drop(descriptor(1_003, layer: 2))
    #expect(munger.forward(descriptor(1_004)) == 9)
    // Late packets of each.
    #expect(munger.forward(descriptor(1_002, layer: 1)) == 8)
    #expect(munger.forward(descriptor(1_003, layer: 2)) == nil)
    #expect(munger.forward(descriptor(1_000)) == 7)
    #expect(munger.forward(descriptor(999)) == nil)
  }

  @Test func keepsRoomForLostPictures() {
    var munger = VP8Munger(firstPictureID: 0)
    munger.join(descriptor(5))
    #expect(munger.forward(descriptor(5)) == 0)
    #expect(munger.forward(descriptor(8)) == 3)
    #expect(munger.forward(descriptor(6)) == 1)
  }

  @Test func wrapsAtFifteenBits() {
    var munger = VP8Munger(firstPictureID: 0x7FFE)
    munger.join(descriptor(0x7FFD))
    var ours: [UInt16] = []
    for index in 0..<6 { ours.append(munger.forward(descriptor((0x7FFD + UInt16(index)) & 0x7FFF)) ?? 0xFFFF) }
    #expect(ours == [0x7FFE, 0x7FFF, 0, 1, 2, 3])
  }

  @Test func followsShortPictureIDsThatWrapAndThatGrow() {
    var munger = VP8Munger(firstPictureID: 100)
    munger.join(descriptor(126, long: false))
    #expect(munger.forward(descriptor(126, long: false)) == 100)
    #expect(munger.forward(descriptor(127, long: false)) == 101)
    // Grown to 15 bits.
    #expect(munger.forward(descriptor(128)) == 102)
    #expect(munger.forward(descriptor(0x7FFF)) == nil)
    var wrapping = VP8Munger(firstPictureID: 100)
    wrapping.join(descriptor(127, long: false))
    #expect(wrapping.forward(descriptor(127, long: false)) == 100)
    #expect(wrapping.forward(descriptor(0, long: false)) == 101)
  }

  @Test func putsAJoiningSourceBehindTheLast() {
    var munger = VP8Munger(firstPictureID: 10)
    munger.join(descriptor(1, tl0: 200, key: 30))
    #expect(munger.tl0Offset == 0 && munger.keyOffset == 0)
    _ = munger.forward(descriptor(1, tl0: 200, key: 30))
    _ = munger.forward(descriptor(2, tl0: 201, key: 31))
    munger.join(descriptor(9_000, tl0: 3, key: 3))
    #expect(munger.forward(descriptor(9_000, tl0: 3, key: 3)) == 12)
    #expect(3 &+ munger.tl0Offset == 202)
    #expect((3 &+ munger.keyOffset) & 0x1F == 0)
  }
}
