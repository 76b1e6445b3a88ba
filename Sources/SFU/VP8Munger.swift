import RTP

/// Picture identifiers and indices of VP8 (RFC 7741 §4.2) in one space through switches of the source and dropped temporal
/// layers. Pure arithmetic.
///
/// Picture IDs close over dropped pictures, as receivers take a gap for a loss; TL0PICIDX and KEYIDX only follow the
/// source, because base layer frames are never dropped between joins.
struct VP8Munger: Sendable {
  private var pictures = NumberSpace<4>(next: 0)
  private var lastInput: Int64?
  private(set) var tl0Offset: UInt8 = 0
  private(set) var keyOffset: UInt8 = 0
  private var highestTL0: UInt8?
  private var highestKey: UInt8?

  /// - Parameter firstPictureID: 15 bits.
  init(firstPictureID: UInt16) { pictures = NumberSpace(next: Int64(firstPictureID & 0x7FFF)) }

  /// A source joins at the first packet of this frame.
  mutating func join(_ descriptor: VP8Descriptor) {
    if let pictureID = descriptor.pictureID {
      // Room below for late pictures: the numbers stay positive.
      let input = Int64(pictureID) + 0x8000
      lastInput = input
      pictures.join(input)
    } else {
      lastInput = nil
    }
    if let index = descriptor.tl0PictureIndex { tl0Offset = (highestTL0.map { $0 &+ 1 } ?? index) &- index }
    if let index = descriptor.keyIndex { keyOffset = ((highestKey.map { $0 &+ 1 } ?? index) &- index) & 0x1F }
  }

  /// The source's picture number without wraps, nearest to the last one.
  ///
  /// Some senders write 7 bits while those do and 15 after, others wrap at 7: a short one is only known modulo 128.
  private func unwrap(_ pictureID: UInt16, _ isLong: Bool) -> Int64 {
    guard let lastInput else { return Int64(pictureID) + 0x8000 }
    let bits: Int64 = isLong ? 15 : 7
    let modulus = Int64(1) << bits
    var distance = (Int64(pictureID) - lastInput) & (modulus - 1)
    if distance >= modulus / 2 { distance -= modulus }
    return lastInput + distance
  }

  /// Ours for a packet's picture, 15 bits; nil where the descriptor has none, or the picture was dropped or is too old.
  mutating func forward(_ descriptor: VP8Descriptor) -> UInt16? {
    guard let pictureID = descriptor.pictureID else {
      note(descriptor)
      return nil
    }
    let input = unwrap(pictureID, descriptor.pictureIDIsLong)
    if lastInput.map({ input > $0 }) ?? true { lastInput = input }
    switch pictures.forward(input) {
    case .output(let output):
      note(descriptor)
      return UInt16(truncatingIfNeeded: output & 0x7FFF)
    case .repeated:
      guard pictures.wasForwarded(input) == true else { return nil }
      return pictures.output(of: input).map { UInt16(truncatingIfNeeded: $0 & 0x7FFF) }
    case .tooOld: return nil
    }
  }

  /// The picture does not go through.
  mutating func drop(_ descriptor: VP8Descriptor) {
    guard let pictureID = descriptor.pictureID else { return }
    let input = unwrap(pictureID, descriptor.pictureIDIsLong)
    if lastInput.map({ input > $0 }) ?? true { lastInput = input }
    pictures.drop(input)
  }

  private mutating func note(_ descriptor: VP8Descriptor) {
    if let index = descriptor.tl0PictureIndex {
      let ours = index &+ tl0Offset
      if highestTL0.map({ Int8(bitPattern: ours &- $0) > 0 }) ?? true { highestTL0 = ours }
    }
    if let index = descriptor.keyIndex {
      let ours = (index &+ keyOffset) & 0x1F
      if highestKey.map({ ((ours &- $0) & 0x1F) < 16 }) ?? true { highestKey = ours }
    }
  }
}
