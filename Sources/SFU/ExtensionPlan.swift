import Core
import RTP

/// Which header extensions (RFC 8285) a subscriber's packets carry, and under which identifiers.
struct ExtensionPlan: Sendable {
  /// Where the elements stand that the sender fills in.
  struct Written: Hashable, Sendable {
    /// Behind the extension: where the payload goes.
    var end: Int
    /// Of the two bytes; 0 for none.
    var transportSequenceOffset: Int
  }

  /// Copied from the publisher's packet where it has them.
  private static let copied: InlineArray<4, HeaderExtension> = [
    .audioLevel, .absoluteCaptureTime, .videoOrientation, .playoutDelay,
  ]

  /// The subscriber has reported on the stream: packets need not name their m-line any more.
  var isMIDKnown = false
  private var mid: InlineArray<16, UInt8> = .init(repeating: 0)
  private var midLength = 0
  private let midID: UInt8
  private let sendTimeID: UInt8
  private let transportSequenceID: UInt8
  private let dependencyID: UInt8
  private var copiedIDs: InlineArray<4, UInt8> = .init(repeating: 0)
  private var copiesAny = false
  /// An identifier is too high for the one-byte form.
  private var needsTwoBytes = false

  init(mid: String, map: HeaderExtensionMap) {
    let name = Array(mid.utf8)
    // RFC 8843 §14: the token is short; a longer one does not fit a one-byte element.
    midID = name.count <= 16 && !name.isEmpty ? map[.mid] ?? 0 : 0
    if midID != 0 {
      for (index, byte) in name.enumerated() { self.mid[index] = byte }
      midLength = name.count
    }
    sendTimeID = map[.absoluteSendTime] ?? 0
    transportSequenceID = map[.transportWideCC] ?? 0
    dependencyID = map[.dependencyDescriptor] ?? 0
    var highest = max(midID, sendTimeID, transportSequenceID, dependencyID)
    for index in 0..<4 {
      copiedIDs[index] = map[Self.copied[index]] ?? 0
      if copiedIDs[index] != 0 { copiesAny = true }
      highest = max(highest, copiedIDs[index])
    }
    needsTwoBytes = highest > 14
  }

  /// Whether packets of the codec keep their dependency descriptor. VP8 and H.264 lose theirs: it names frames that their
  /// own numbering, which is rewritten, does not know.
  func passesDependencyDescriptor(_ codec: MediaCodec) -> Bool {
    dependencyID != 0 && (codec == .av1 || codec == .vp9)
  }

  /// Bytes that the extension takes at most beyond the publisher's.
  static let overhead = 128

  /// Writes the header extension behind a fixed header.
  ///
  /// - Parameters:
  ///   - bytes: The publisher's packet, of which `elements` says the places.
  ///   - frameNumberOffset: Added to the dependency descriptor's frame number.
  /// - Returns: nil where the buffer is too short. `end` is 12 when there is no element, and the header then has no X bit.
  func write(
    _ elements: borrowing ExtensionElements, of bytes: UnsafeRawBufferPointer, codec: MediaCodec,
    frameNumberOffset: UInt16, into buffer: UnsafeMutableRawBufferPointer, now: Instant
  ) -> Written? {
    var descriptor = 0..<0
    if passesDependencyDescriptor(codec), let element = elements[.dependencyDescriptor],
      element.upperBound <= bytes.count
    {
      descriptor = element
    }
    guard buffer.count >= 12 + Self.overhead + 40 + descriptor.count else { return nil }
    let isTwoByte = needsTwoBytes || descriptor.count > 16
    var offset = 16
    var transportSequenceOffset = 0

    func head(_ id: UInt8, _ length: Int) {
      if isTwoByte {
        buffer[offset] = id
        buffer[offset + 1] = UInt8(truncatingIfNeeded: length)
        offset += 2
      } else {
        buffer[offset] = id << 4 | UInt8(truncatingIfNeeded: length - 1)
        offset += 1
      }
    }

    if transportSequenceID != 0 {
      head(transportSequenceID, 2)
      transportSequenceOffset = offset
      buffer[offset] = 0
      buffer[offset + 1] = 0
      offset += 2
    }
    if sendTimeID != 0 {
      head(sendTimeID, 3)
      // Seconds with 18 bits of fraction, of which 24 bits are carried.
      let value = UInt64(bitPattern: now.nanoseconds % 64_000_000_000) &* 262_144 / 1_000_000_000
      buffer[offset] = UInt8(truncatingIfNeeded: value >> 16)
      buffer[offset + 1] = UInt8(truncatingIfNeeded: value >> 8)
      buffer[offset + 2] = UInt8(truncatingIfNeeded: value)
      offset += 3
    }
    if midLength > 0, !isMIDKnown {
      head(midID, midLength)
      for index in 0..<midLength { buffer[offset + index] = mid[index] }
      offset += midLength
    }
    if copiesAny {
      for index in 0..<4 where copiedIDs[index] != 0 {
        guard let element = elements[Self.copied[index]], (1...16).contains(element.count),
          element.upperBound <= bytes.count
        else { continue }
        head(copiedIDs[index], element.count)
        for byte in element {
          buffer[offset] = bytes[byte]
          offset += 1
        }
      }
    }
    if !descriptor.isEmpty {
      head(dependencyID, descriptor.count)
      UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<(offset + descriptor.count)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[descriptor]))
      if frameNumberOffset != 0, descriptor.count >= 3 {
        let number = (UInt16(buffer[offset + 1]) << 8 | UInt16(buffer[offset + 2])) &+ frameNumberOffset
        buffer[offset + 1] = UInt8(truncatingIfNeeded: number >> 8)
        buffer[offset + 2] = UInt8(truncatingIfNeeded: number)
      }
      offset += descriptor.count
    }
    guard offset > 16 else { return Written(end: 12, transportSequenceOffset: 0) }
    while offset & 3 != 0 {
      buffer[offset] = 0
      offset += 1
    }
    let words = (offset - 16) >> 2
    buffer[12] = isTwoByte ? 0x10 : 0xBE
    buffer[13] = isTwoByte ? 0x00 : 0xDE
    buffer[14] = UInt8(truncatingIfNeeded: words >> 8)
    buffer[15] = UInt8(truncatingIfNeeded: words)
    return Written(end: offset, transportSequenceOffset: transportSequenceOffset)
  }
}
