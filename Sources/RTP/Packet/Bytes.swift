/// Big-endian reads. Callers have checked the bounds; a read outside traps rather than reads foreign memory.
extension RawSpan {
  @inline(__always) func u8(_ offset: Int) -> UInt8 { unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self) }
  @inline(__always) func u16(_ offset: Int) -> UInt16 {
    UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
  @inline(__always) func u32(_ offset: Int) -> UInt32 {
    UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
  func u24(_ offset: Int) -> UInt32 { UInt32(u16(offset)) << 8 | UInt32(u8(offset + 2)) }
  func u64(_ offset: Int) -> UInt64 { UInt64(u32(offset)) << 32 | UInt64(u32(offset + 4)) }
  /// A copy of the bytes of a range inside the span.
  func array(_ range: Range<Int>) -> [UInt8] { range.map { u8($0) } }
}

/// Big-endian appends for packets that are built rarely (RTCP).
extension [UInt8] {
  mutating func append(u16 value: UInt16) {
    append(UInt8(truncatingIfNeeded: value >> 8))
    append(UInt8(truncatingIfNeeded: value))
  }
  mutating func append(u24 value: UInt32) {
    append(UInt8(truncatingIfNeeded: value >> 16))
    append(u16: UInt16(truncatingIfNeeded: value))
  }
  mutating func append(u32 value: UInt32) {
    append(u16: UInt16(truncatingIfNeeded: value >> 16))
    append(u16: UInt16(truncatingIfNeeded: value))
  }
  mutating func append(u64 value: UInt64) {
    append(u32: UInt32(truncatingIfNeeded: value >> 32))
    append(u32: UInt32(truncatingIfNeeded: value))
  }
}

/// Big-endian writes in place. Callers have checked the bounds.
extension UnsafeMutableRawBufferPointer {
  @inline(__always) func put(u16 value: UInt16, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }
  @inline(__always) func put(u32 value: UInt32, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }
}
