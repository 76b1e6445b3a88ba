/// The payload descriptor of VP9 (RFC 9628 §4.2).
///
///           0 1 2 3 4 5 6 7
///          +-+-+-+-+-+-+-+-+
///          |I|P|L|F|B|E|V|Z| (REQUIRED)
///          +-+-+-+-+-+-+-+-+
///     I:   |M| PICTURE ID  | (REQUIRED in flexible mode)
///     M:   | EXTENDED PID  | (RECOMMENDED)
///     L:   | TID |U| SID |D| (Conditionally RECOMMENDED)
///          |   TL0PICIDX   | (non-flexible mode only)
///     P,F: | P_DIFF      |N| up to three times
///     V:   | SS ..         |
///
/// Offsets count from the start of the payload. Holds no bytes.
package struct VP9Descriptor: Hashable, Sendable {
  /// Bytes of the descriptor.
  package var length: UInt16 = 1
  /// P: the picture depends on an earlier one.
  package var isInterPicturePredicted: Bool
  package var isFlexible: Bool
  /// B and E: first and last packet of a layer's frame.
  package var startsFrame: Bool
  package var endsFrame: Bool
  /// Z: no higher spatial layer of the same picture refers to this frame.
  package var isNotUpperReference: Bool
  package var pictureID: UInt16?
  package var pictureIDOffset: UInt8 = 0
  package var pictureIDIsLong = false
  package var temporalLayer: UInt8?
  package var spatialLayer: UInt8?
  /// U: following frames of higher temporal layers do not depend on earlier ones of those layers.
  package var isSwitchingUpPoint = false
  /// D: the frame depends on the lower spatial layer of its picture.
  package var dependsOnLowerLayer = false
  package var tl0PictureIndex: UInt8?
  package var tl0PictureIndexOffset: UInt8 = 0
  /// From the scalability structure; nil in packets without one.
  package var spatialLayerCount: UInt8?
  /// Pixels of the highest layer in the scalability structure; 0 otherwise.
  package var width: UInt16 = 0
  package var height: UInt16 = 0

  /// The first packet of a picture that refers to none before it.
  package var isKeyFrame: Bool {
    !isInterPicturePredicted && startsFrame && (spatialLayer ?? 0) == 0 && !dependsOnLowerLayer
  }

  /// Nil where the descriptor reaches past the end or nothing follows it.
  package init?(parsing payload: RawSpan) {
    let count = payload.byteCount
    guard count >= 1 else { return nil }
    let first = payload.u8(0)
    isInterPicturePredicted = first & 0x40 != 0
    isFlexible = first & 0x10 != 0
    startsFrame = first & 0x08 != 0
    endsFrame = first & 0x04 != 0
    isNotUpperReference = first & 0x01 != 0
    var offset = 1
    if first & 0x80 != 0 {
      guard count > offset else { return nil }
      pictureIDOffset = UInt8(truncatingIfNeeded: offset)
      let byte = payload.u8(offset)
      if byte & 0x80 != 0 {
        guard count > offset + 1 else { return nil }
        pictureIDIsLong = true
        pictureID = payload.u16(offset) & 0x7FFF
        offset += 2
      } else {
        pictureID = UInt16(byte)
        offset += 1
      }
    }
    if first & 0x20 != 0 {
      guard count > offset else { return nil }
      let byte = payload.u8(offset)
      temporalLayer = byte >> 5
      isSwitchingUpPoint = byte & 0x10 != 0
      spatialLayer = byte >> 1 & 0x07
      dependsOnLowerLayer = byte & 0x01 != 0
      offset += 1
      if !isFlexible {
        guard count > offset else { return nil }
        tl0PictureIndexOffset = UInt8(truncatingIfNeeded: offset)
        tl0PictureIndex = payload.u8(offset)
        offset += 1
      }
    }
    if isFlexible, isInterPicturePredicted {
      var references = 0
      while true {
        guard count > offset, references < 3 else { return nil }
        let more = payload.u8(offset) & 0x01 != 0
        offset += 1
        references += 1
        if !more { break }
      }
    }
    if first & 0x02 != 0 {
      guard let end = parseScalabilityStructure(payload, from: offset) else { return nil }
      offset = end
    }
    guard count > offset else { return nil }
    length = UInt16(truncatingIfNeeded: offset)
  }

  package init?(parsing payload: UnsafeRawBufferPointer) { self.init(parsing: payload.bytes) }

  /// RFC 9628 §4.2.1:
  ///
  ///         | N_S |Y|G|-|-|-|
  ///     Y:  | WIDTH (2), HEIGHT (2) | N_S + 1 times
  ///     G:  | N_G |, then N_G times | TID |U| R |-|-| and R times | P_DIFF |
  ///
  /// - Returns: The offset behind it.
  private mutating func parseScalabilityStructure(_ payload: RawSpan, from start: Int) -> Int? {
    let count = payload.byteCount
    var offset = start
    guard count > offset else { return nil }
    let head = payload.u8(offset)
    offset += 1
    let layers = Int(head >> 5) + 1
    spatialLayerCount = UInt8(truncatingIfNeeded: layers)
    if head & 0x10 != 0 {
      guard count >= offset + 4 * layers else { return nil }
      offset += 4 * layers
      width = payload.u16(offset - 4)
      height = payload.u16(offset - 2)
    }
    if head & 0x08 != 0 {
      guard count > offset else { return nil }
      let pictures = payload.u8(offset)
      offset += 1
      for _ in 0..<pictures {
        guard count > offset else { return nil }
        offset += 1 + Int(payload.u8(offset) >> 2 & 0x03)
        guard count >= offset else { return nil }
      }
    }
    return offset
  }
}
