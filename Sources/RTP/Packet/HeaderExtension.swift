/// Elements of an RTP header extension (RFC 8285).
extension RTPHeader {
  package static let oneByteProfile: UInt16 = 0xBEDE

  /// Calls `body` with identifier and place of every element, in order. Padding is passed over; an element that reaches
  /// past the end stops the walk.
  package func forEachExtensionElement(in packet: RawSpan, _ body: (UInt8, Range<Int>) -> Void) {
    guard let extensionProfile, extensionData.upperBound <= packet.byteCount else { return }
    let end = extensionData.upperBound
    var offset = extensionData.lowerBound
    if extensionProfile == Self.oneByteProfile {
      while offset < end {
        let head = packet.u8(offset)
        offset += 1
        if head == 0 { continue }
        let id = head >> 4
        // RFC 8285 §4.2: 15 ends the processing; 0 with a length is to be ignored.
        if id == 15 { return }
        let length = Int(head & 0x0F) + 1
        guard offset + length <= end else { return }
        if id != 0 { body(id, offset..<(offset + length)) }
        offset += length
      }
    } else if extensionProfile & 0xFFF0 == 0x1000 {
      while offset < end {
        let id = packet.u8(offset)
        offset += 1
        if id == 0 { continue }
        guard offset < end else { return }
        let length = Int(packet.u8(offset))
        offset += 1
        guard offset + length <= end else { return }
        body(id, offset..<(offset + length))
        offset += length
      }
    }
  }

  /// Where the element with that identifier lies; nil when there is none.
  package func extensionElement(_ id: UInt8, in packet: RawSpan) -> Range<Int>? {
    var found: Range<Int>?
    forEachExtensionElement(in: packet) { if $0 == id, found == nil { found = $1 } }
    return found
  }

  /// An extension with its four-byte header, padded to whole words: one-byte elements where all fit (identifier 1…14,
  /// 1…16 bytes), else two-byte ones. Empty for no elements; elements that fit neither form are left out.
  package static func extensionBytes(_ elements: [(id: UInt8, data: [UInt8])]) -> [UInt8] {
    let usable = elements.filter { $0.id > 0 && $0.data.count <= 255 }
    guard !usable.isEmpty else { return [] }
    let oneByte = usable.allSatisfy { $0.id < 15 && (1...16).contains($0.data.count) }
    var data: [UInt8] = []
    for (id, bytes) in usable {
      if oneByte {
        data.append(id << 4 | UInt8(truncatingIfNeeded: bytes.count - 1))
      } else {
        data.append(id)
        data.append(UInt8(truncatingIfNeeded: bytes.count))
      }
      data += bytes
    }
    while data.count % 4 != 0 { data.append(0) }
    var out: [UInt8] = []
    out.append(u16: oneByte ? oneByteProfile : 0x1000)
    out.append(u16: UInt16(truncatingIfNeeded: data.count / 4))
    return out + data
  }
}

/// The level of the audio in a packet (RFC 6464).
package struct AudioLevel: Hashable, Sendable {
  /// 0 is full scale, 127 silence: −dBov.
  package var attenuation: UInt8
  package var isVoice: Bool

  /// From the element's first byte.
  package init(byte: UInt8) {
    attenuation = byte & 0x7F
    isVoice = byte & 0x80 != 0
  }

  package var byte: UInt8 { attenuation & 0x7F | (isVoice ? 0x80 : 0) }
}
