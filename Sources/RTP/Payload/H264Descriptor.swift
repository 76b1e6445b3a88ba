/// What forwarding needs of an H.264 payload (RFC 6184 §5): whether it carries parameter sets or an intra picture.
package struct H264Descriptor: Hashable, Sendable {
  /// A sequence parameter set is inside: a decoder can start here.
  package var hasSequenceParameterSet = false
  /// An IDR slice starts inside.
  package var startsIDR = false
  /// A slice or parameter set starts inside: false for the later fragments of FU-A.
  package var startsUnit = false
  /// The slice is referred to by none (nal_ref_idc 0).
  package var isNonReference = false

  package var isKeyFrame: Bool { hasSequenceParameterSet || startsIDR }

  private static let stapA: UInt8 = 24
  private static let fuA: UInt8 = 28
  private static let idr: UInt8 = 5
  private static let sps: UInt8 = 7

  /// Nil for an empty payload, aggregation units that reach past the end, and reserved types.
  package init?(parsing payload: RawSpan) {
    let count = payload.byteCount
    guard count >= 1 else { return nil }
    let head = payload.u8(0)
    isNonReference = head & 0x60 == 0
    let type = head & 0x1F
    switch type {
    case 1...23:
      startsUnit = true
      note(type)
    case Self.stapA:
      startsUnit = true
      var offset = 1
      while offset < count {
        guard offset + 2 <= count else { return nil }
        let size = Int(payload.u16(offset))
        guard size > 0, offset + 2 + size <= count else { return nil }
        note(payload.u8(offset + 2) & 0x1F)
        offset += 2 + size
      }
    case Self.fuA:
      guard count >= 2 else { return nil }
      let fragment = payload.u8(1)
      startsUnit = fragment & 0x80 != 0
      if startsUnit { note(fragment & 0x1F) }
    default: return nil
    }
  }

  package init?(parsing payload: UnsafeRawBufferPointer) { self.init(parsing: payload.bytes) }

  private mutating func note(_ type: UInt8) {
    if type == Self.sps { hasSequenceParameterSet = true }
    if type == Self.idr { startsIDR = true }
  }
}
