/// What stands in front of the first picture of a stream, for a container's header.
enum FrameConfiguration {
  /// Sequence and picture parameter sets of an H.264 access unit, with their start codes.
  static func parameterSets(of frame: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    for unit in units(frame) {
      guard let head = frame[unit].first, [7, 8].contains(head & 0x1F) else { continue }
      result += [0, 0, 0, 1]
      result += frame[unit]
    }
    return result
  }

  /// NAL units without their start codes of four bytes, which `H264Assembly` writes.
  private static func units(_ frame: [UInt8]) -> [Range<Int>] {
    var starts: [Int] = []
    var index = 0
    while index + 4 <= frame.count {
      if frame[index] == 0, frame[index + 1] == 0, frame[index + 2] == 0, frame[index + 3] == 1 {
        starts.append(index)
        index += 4
      } else {
        index += 1
      }
    }
    return starts.indices.map { i in
      (starts[i] + 4)..<(i + 1 < starts.count ? starts[i + 1] : frame.count)
    }
  }

  /// The sequence header of an AV1 temporal unit whose OBUs all have sizes.
  static func sequenceHeader(of frame: [UInt8]) -> [UInt8] {
    var offset = 0
    while offset < frame.count {
      let start = offset
      let head = frame[offset]
      offset += head & 0x04 != 0 ? 2 : 1
      var size = 0
      var shift = 0
      while offset < frame.count, shift < 35 {
        let byte = frame[offset]
        offset += 1
        size |= Int(byte & 0x7F) << shift
        shift += 7
        if byte & 0x80 == 0 { break }
      }
      let end = offset + size
      guard end <= frame.count else { return [] }
      if head >> 3 & 0x0F == 1 { return Array(frame[start..<end]) }
      offset = end
    }
    return []
  }
}
