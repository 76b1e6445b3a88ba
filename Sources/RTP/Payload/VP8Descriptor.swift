/// The payload descriptor of VP8 (RFC 7741 §4.2) and what forwarding needs of the payload header behind it.
///
///          0 1 2 3 4 5 6 7
///         +-+-+-+-+-+-+-+-+
///         |X|R|N|S|R| PID | (REQUIRED)
///         +-+-+-+-+-+-+-+-+
///     X:  |I|L|T|K| RSV   | (OPTIONAL)
///     I:  |M| PictureID   | (OPTIONAL)
///         |   PictureID   |
///     L:  |   TL0PICIDX   | (OPTIONAL)
///     T/K:|TID|Y| KEYIDX  | (OPTIONAL)
///
/// Offsets count from the start of the payload. Holds no bytes.
package struct VP8Descriptor: Hashable, Sendable {
  /// Bytes of the descriptor.
  package var length: UInt8 = 1
  /// N: no other frame refers to this one.
  package var isNonReference: Bool
  /// S: a VP8 partition starts here.
  package var startsPartition: Bool
  package var partition: UInt8
  /// 7 or 15 bits.
  package var pictureID: UInt16?
  /// Where the picture ID stands: 2 bytes (M set) if `pictureIDIsLong`, else 1.
  package var pictureIDOffset: UInt8 = 0
  package var pictureIDIsLong = false
  package var tl0PictureIndex: UInt8?
  package var tl0PictureIndexOffset: UInt8 = 0
  /// TID; nil without temporal layers.
  package var temporalLayer: UInt8?
  /// Y: the frame depends on the base layer only, so that a decoder may switch up here.
  package var isLayerSync = false
  package var keyIndex: UInt8?
  /// The byte of TID, Y and KEYIDX.
  package var layerByteOffset: UInt8 = 0
  /// The first packet of a key frame.
  package var isKeyFrame = false
  /// Pixels, of key frames; 0 otherwise.
  package var width: UInt16 = 0
  package var height: UInt16 = 0

  /// The first packet of a frame.
  package var startsFrame: Bool { startsPartition && partition == 0 }

  /// Nil where the descriptor reaches past the end or nothing follows it.
  package init?(parsing payload: RawSpan) {
    let count = payload.byteCount
    guard count >= 1 else { return nil }
    let first = payload.u8(0)
    isNonReference = first & 0x20 != 0
    startsPartition = first & 0x10 != 0
    partition = first & 0x07
    var offset = 1
    if first & 0x80 != 0 {
      guard count > offset else { return nil }
      let present = payload.u8(offset)
      offset += 1
      if present & 0x80 != 0 {
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
      if present & 0x40 != 0 {
        guard count > offset else { return nil }
        tl0PictureIndexOffset = UInt8(truncatingIfNeeded: offset)
        tl0PictureIndex = payload.u8(offset)
        offset += 1
      }
      if present & 0x30 != 0 {
        guard count > offset else { return nil }
        layerByteOffset = UInt8(truncatingIfNeeded: offset)
        let byte = payload.u8(offset)
        if present & 0x20 != 0 {
          temporalLayer = byte >> 6
          isLayerSync = byte & 0x20 != 0
        }
        if present & 0x10 != 0 { keyIndex = byte & 0x1F }
        offset += 1
      }
    }
    guard count > offset else { return nil }
    length = UInt8(truncatingIfNeeded: offset)
    // RFC 7741 §4.3: the payload header's P bit is clear in key frames (RFC 6386 §9.1).
    if startsPartition, partition == 0, payload.u8(offset) & 0x01 == 0 {
      isKeyFrame = true
      if count >= offset + 10 {
        width = (UInt16(payload.u8(offset + 7)) << 8 | UInt16(payload.u8(offset + 6))) & 0x3FFF
        height = (UInt16(payload.u8(offset + 9)) << 8 | UInt16(payload.u8(offset + 8))) & 0x3FFF
      }
    }
  }

  package init?(parsing payload: UnsafeRawBufferPointer) { self.init(parsing: payload.bytes) }
}
