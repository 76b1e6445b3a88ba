/// H.264 out of RTP (RFC 6184 §5): single units, STAP-A and FU-A become NAL units with start codes.
enum H264Assembly {
  private static let startCode: [UInt8] = [0, 0, 0, 1]

  static func assemble(_ parts: [StoredPacket]) -> VideoFrameAssembler.Picture? {
    var picture = VideoFrameAssembler.Picture()
    var hasParameters = false
    var hasIntra = false
    /// A fragmented unit is open.
    var isFragmented = false

    func add(_ unit: ArraySlice<UInt8>) {
      guard let head = unit.first else { return }
      switch head & 0x1F {
      case 5: hasIntra = true
      case 7:
        hasParameters = true
        if let size = size(ofSequenceParameterSet: unit) { (picture.width, picture.height) = size }
      // Delimiters say nothing that the container does not.
      case 9: return
      default: break
      }
      picture.bytes += startCode
      picture.bytes += unit
    }

    for part in parts {
      let payload = part.payload[...]
      guard let head = payload.first else { continue }
      let type = head & 0x1F
      if isFragmented, type != 28 { return nil }
      switch type {
      case 1...23: add(payload)
      case 24:
        var rest = payload.dropFirst()
        while rest.count >= 2 {
          let size = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1])
          rest = rest.dropFirst(2)
          guard size > 0, size <= rest.count else { return nil }
          add(rest.prefix(size))
          rest = rest.dropFirst(size)
        }
      case 28:
        guard payload.count >= 2 else { return nil }
        let fragment = payload[payload.startIndex + 1]
        if fragment & 0x80 != 0 {
          guard !isFragmented else { return nil }
          isFragmented = true
          add([head & 0xE0 | fragment & 0x1F])
        } else if !isFragmented {
          return nil
        }
        picture.bytes += payload.dropFirst(2)
        if fragment & 0x40 != 0 { isFragmented = false }
      default: return nil
      }
    }
    guard !isFragmented, !picture.bytes.isEmpty else { return nil }
    // Without its parameter sets an intra picture starts no decoder.
    picture.isKeyFrame = hasIntra && hasParameters
    return picture
  }

  /// Pixels after cropping (Rec. ITU-T H.264 §7.3.2.1.1).
  static func size(ofSequenceParameterSet unit: ArraySlice<UInt8>) -> (Int, Int)? {
    guard unit.count >= 4 else { return nil }
    var raw: [UInt8] = []
    var zeros = 0
    for byte in unit.dropFirst() {
      // Emulation prevention, §7.4.1.1.
      if zeros >= 2, byte == 3 {
        zeros = 0
        continue
      }
      zeros = byte == 0 ? zeros + 1 : 0
      raw.append(byte)
    }
    var bits = BitReader(raw[...])
    let profile = bits.read(8)
    bits.skip(16)
    _ = bits.unsignedExpGolomb()
    var chroma = 1
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(profile) {
      chroma = bits.unsignedExpGolomb()
      if chroma == 3 { bits.skip(1) }
      _ = bits.unsignedExpGolomb()
      _ = bits.unsignedExpGolomb()
      bits.skip(1)
      if bits.flag() {
        for list in 0..<(chroma == 3 ? 12 : 8) where bits.flag() { skipScalingList(&bits, list < 6 ? 16 : 64) }
      }
    }
    _ = bits.unsignedExpGolomb()
    switch bits.unsignedExpGolomb() {
    case 0: _ = bits.unsignedExpGolomb()
    case 1:
      bits.skip(1)
      _ = bits.signedExpGolomb()
      _ = bits.signedExpGolomb()
      let count = bits.unsignedExpGolomb()
      guard count < 256 else { return nil }
      for _ in 0..<count { _ = bits.signedExpGolomb() }
    default: break
    }
    _ = bits.unsignedExpGolomb()
    bits.skip(1)
    let width = (bits.unsignedExpGolomb() + 1) * 16
    let heightUnits = bits.unsignedExpGolomb() + 1
    let framesOnly = bits.flag()
    if !framesOnly { bits.skip(1) }
    bits.skip(1)
    var height = heightUnits * 16 * (framesOnly ? 1 : 2)
    var cropped = width
    if bits.flag() {
      let horizontal = chroma == 1 || chroma == 2 ? 2 : 1
      let vertical = (chroma == 1 ? 2 : 1) * (framesOnly ? 1 : 2)
      cropped -= (bits.unsignedExpGolomb() + bits.unsignedExpGolomb()) * horizontal
      height -= (bits.unsignedExpGolomb() + bits.unsignedExpGolomb()) * vertical
    }
    guard !bits.isExhausted, (1...16_384).contains(cropped), (1...16_384).contains(height) else { return nil }
    return (cropped, height)
  }

  private static func skipScalingList(_ bits: inout BitReader, _ count: Int) {
    var last = 8
    var next = 8
    for _ in 0..<count {
      if next != 0 { next = (last + bits.signedExpGolomb() + 256) & 0xFF }
      last = next == 0 ? last : next
    }
  }
}

/// VP9's own headers.
enum VP9Assembly {
  /// Annex B of the bitstream specification: marker, sizes in little endian, marker.
  static func superframeIndex(_ sizes: [Int]) -> [UInt8] {
    var width = 1
    while width < 4, sizes.contains(where: { $0 >> (8 * width) != 0 }) { width += 1 }
    let marker = UInt8(0xC0 | (width - 1) << 3 | (sizes.count - 1) & 0x07)
    var index = [marker]
    for size in sizes {
      for byte in 0..<width { index.append(UInt8(truncatingIfNeeded: size >> (8 * byte))) }
    }
    index.append(marker)
    return index
  }

  /// Of a key frame's uncompressed header (§6.2).
  static func size(of frame: [UInt8]) -> (Int, Int)? {
    var bits = BitReader(frame.prefix(64))
    guard bits.read(2) == 2 else { return nil }
    let profile = bits.read(1) | bits.read(1) << 1
    if profile == 3 { bits.skip(1) }
    guard !bits.flag() else { return nil }
    guard bits.read(1) == 0 else { return nil }
    bits.skip(2)
    guard bits.read(24) == 0x498342 else { return nil }
    if profile >= 2 { bits.skip(1) }
    let colorSpace = bits.read(3)
    if colorSpace != 7 {
      bits.skip(1)
      if profile & 1 == 1 { bits.skip(3) }
    } else if profile & 1 == 1 {
      bits.skip(1)
    }
    let width = bits.read(16) + 1
    let height = bits.read(16) + 1
    return bits.isExhausted ? nil : (width, height)
  }
}
