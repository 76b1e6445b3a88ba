/// AV1 out of RTP (AV1 RTP payload format 1.0, §4.4): OBU elements become OBUs with sizes.
enum AV1Assembly {
  private static let sequenceHeader: UInt8 = 1
  private static let temporalDelimiter: UInt8 = 2

  static func assemble(_ parts: [StoredPacket]) -> VideoFrameAssembler.Picture? {
    var picture = VideoFrameAssembler.Picture()
    /// The OBU that goes on in the next packet.
    var open: [UInt8]?
    for part in parts {
      guard let aggregation = part.payload.first else { continue }
      // |Z|Y|W W|N|-|-|-|
      let continues = aggregation & 0x80 != 0
      let isContinued = aggregation & 0x40 != 0
      let count = Int(aggregation >> 4 & 0x03)
      guard continues == (open != nil) else { return nil }
      var rest = part.payload.dropFirst()
      var index = 0
      while !rest.isEmpty {
        index += 1
        let element: ArraySlice<UInt8>
        if count != 0, index == count {
          element = rest
          rest = []
        } else {
          guard let (size, length) = leb128(rest), size <= rest.count - length else { return nil }
          element = rest.dropFirst(length).prefix(size)
          rest = rest.dropFirst(length + size)
        }
        let whole = index == 1 && continues ? (open ?? []) + element : Array(element)
        open = nil
        if rest.isEmpty, isContinued { open = whole } else { guard add(whole, to: &picture) else { return nil } }
      }
    }
    guard open == nil, !picture.bytes.isEmpty else { return nil }
    return picture
  }

  /// Gives an OBU its size field.
  private static func add(_ obu: [UInt8], to picture: inout VideoFrameAssembler.Picture) -> Bool {
    guard let head = obu.first else { return true }
    let type = head >> 3 & 0x0F
    let headerLength = head & 0x04 != 0 ? 2 : 1
    guard obu.count >= headerLength else { return false }
    var body = obu.dropFirst(headerLength)
    if head & 0x02 != 0 {
      guard let (size, length) = leb128(body), size <= body.count - length else { return false }
      body = body.dropFirst(length).prefix(size)
    }
    if type == temporalDelimiter { return true }
    if type == sequenceHeader {
      // Encoders put it in front of key frames only.
      picture.isKeyFrame = true
      if let size = size(ofSequenceHeader: body) { (picture.width, picture.height) = size }
    }
    picture.bytes.append(head | 0x02)
    if headerLength == 2 { picture.bytes.append(obu[1]) }
    picture.bytes += leb128(of: body.count)
    picture.bytes += body
    return true
  }

  static func leb128(_ bytes: ArraySlice<UInt8>) -> (value: Int, length: Int)? {
    var value = 0
    for (index, byte) in bytes.prefix(5).enumerated() {
      value |= Int(byte & 0x7F) << (7 * index)
      if byte & 0x80 == 0 { return (value, index + 1) }
    }
    return nil
  }

  static func leb128(of value: Int) -> [UInt8] {
    var value = value
    var bytes: [UInt8] = []
    repeat {
      let low = UInt8(value & 0x7F)
      value >>= 7
      bytes.append(value == 0 ? low : low | 0x80)
    } while value != 0
    return bytes
  }

  /// `max_frame_width_minus_1` and its brother (AV1 bitstream specification §5.5.1).
  static func size(ofSequenceHeader body: ArraySlice<UInt8>) -> (Int, Int)? {
    var bits = BitReader(body)
    bits.skip(3)
    bits.skip(1)
    if bits.flag() {
      bits.skip(5)
    } else {
      var hasDecoderModel = false
      var delayLength = 0
      if bits.flag() {
        bits.skip(64)
        if bits.flag() { _ = bits.uvlc() }
        hasDecoderModel = bits.flag()
        if hasDecoderModel {
          delayLength = bits.read(5) + 1
          bits.skip(32 + 10)
        }
      }
      let hasInitialDelay = bits.flag()
      for _ in 0...bits.read(5) {
        bits.skip(12)
        if bits.read(5) > 7 { bits.skip(1) }
        if hasDecoderModel, bits.flag() { bits.skip(2 * delayLength + 1) }
        if hasInitialDelay, bits.flag() { bits.skip(4) }
      }
    }
    let widthBits = bits.read(4) + 1
    let heightBits = bits.read(4) + 1
    let width = bits.read(widthBits) + 1
    let height = bits.read(heightBits) + 1
    return bits.isExhausted ? nil : (width, height)
  }
}
