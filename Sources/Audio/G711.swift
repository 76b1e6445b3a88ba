/// ITU-T G.711: eight-bit companded samples at 8,000 Hz.
package enum G711 {
  /// The two companding laws.
  package enum Law: Sendable, Hashable {
    /// PCMU.
    case mu
    /// PCMA.
    case a
  }

  /// The octet of a sample of zero, as idle lines carry it.
  package static func silence(_ law: Law) -> UInt8 { law == .mu ? 0xFF : 0xD5 }

  /// Expands octets to linear samples; the count is that of the shorter buffer. Returns it.
  @discardableResult
  package static func decode(_ law: Law, from octets: UnsafeRawBufferPointer, into samples: Samples) -> Int {
    let count = min(octets.count, samples.count)
    guard count > 0, let source = octets.baseAddress, let target = samples.baseAddress else { return 0 }
    (law == .mu ? muExpansion : aExpansion).withUnsafeBufferPointer { table in
      // 256 entries and an eight-bit index: always inside.
      let table = table.baseAddress.unsafelyUnwrapped
      for i in 0..<count { target[i] = table[Int(source.load(fromByteOffset: i, as: UInt8.self))] }
    }
    return count
  }

  /// Compresses linear samples to octets; the count is that of the shorter buffer. Returns it.
  @discardableResult
  package static func encode(_ law: Law, from samples: Samples, into octets: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(octets.count, samples.count)
    guard count > 0, let source = samples.baseAddress, let target = octets.baseAddress else { return 0 }
    let target8 = target.assumingMemoryBound(to: UInt8.self)
    switch law {
    case .mu:
      muCompression.withUnsafeBufferPointer { table in
        // 16,384 entries and the upper 14 of 16 bits as index: always inside.
        let table = table.baseAddress.unsafelyUnwrapped
        for i in 0..<count { target8[i] = table[Int(UInt16(bitPattern: source[i]) >> 2)] }
      }
    case .a:
      aCompression.withUnsafeBufferPointer { table in
        // 4,096 entries and the upper 12 of 16 bits as index: always inside.
        let table = table.baseAddress.unsafelyUnwrapped
        for i in 0..<count { target8[i] = table[Int(UInt16(bitPattern: source[i]) >> 4)] }
      }
    }
    return count
  }

  // MARK: Tables (G.711 tables 1a to 2b, left-aligned in 16 bits as in the ITU's software tool library)

  private static let muExpansion: [Int16] = (0..<256).map { octet in
    let inverted = ~octet & 0xFF
    let segment = inverted >> 4 & 7
    // 14-bit magnitude: the decision values are offset by 33 (132 in 16 bits).
    let magnitude = ((inverted & 15) << 3 + 132) << segment - 132
    return Int16(inverted & 0x80 != 0 ? -magnitude : magnitude)
  }

  private static let aExpansion: [Int16] = (0..<256).map { octet in
    let toggled = octet ^ 0x55
    let segment = toggled >> 4 & 7
    var magnitude = (toggled & 15) << 4 + 8
    if segment > 0 { magnitude = (magnitude + 0x100) << (segment - 1) }
    return Int16(toggled & 0x80 != 0 ? magnitude : -magnitude)
  }

  /// By the upper 14 bits of the sample.
  private static let muCompression: [UInt8] = (0..<16_384).map { index in
    let negative = index >= 8_192
    // One's complement of negative samples, so that -1 and 0 are the two zeros.
    let magnitude = min((negative ? 16_383 - index : index) + 33, 0x1FFF)
    var segment = 0
    while magnitude >> (segment + 6) != 0 { segment += 1 }
    let code = segment << 4 | (magnitude >> (segment + 1) & 15)
    return UInt8(~(negative ? code | 0x80 : code) & 0xFF)
  }

  /// By the upper 12 bits of the sample.
  private static let aCompression: [UInt8] = (0..<4_096).map { index in
    let negative = index >= 2_048
    var magnitude = negative ? 4_095 - index : index
    if magnitude > 15 {
      var segment = 1
      while magnitude > 16 + 15 {
        magnitude >>= 1
        segment += 1
      }
      magnitude = magnitude - 16 + segment << 4
    }
    return UInt8((negative ? magnitude : magnitude | 0x80) ^ 0x55)
  }
}
