/// Extends 16-bit RTP sequence numbers to 64 bits, taking the candidate nearest to the highest seen
/// (RFC 3550 §A.1, RFC 3711 §3.3.1 without the wrap of the roll-over counter).
package struct SequenceUnwrapper: Sendable {
  /// Highest extended number so far; nil before the first packet.
  package private(set) var highest: Int64?

  package init() {}

  /// The extended number of `sequence`. Older packets get a smaller number and leave `highest` alone.
  package mutating func unwrap(_ sequence: UInt16) -> Int64 {
    guard let highest else {
      // One cycle of head-room keeps packets reordered before the first one positive.
      let first = Int64(sequence) + 65536
      self.highest = first
      return first
    }
    let delta = Int64(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: highest)))
    let extended = highest + delta
    if delta > 0 { self.highest = extended }
    return extended
  }
}

/// Extends 32-bit RTP timestamps to 64 bits, nearest to the last one.
package struct TimestampUnwrapper: Sendable {
  package private(set) var last: Int64?

  package init() {}

  package mutating func unwrap(_ timestamp: UInt32) -> Int64 {
    guard let last else {
      let first = Int64(timestamp) + (1 << 32)
      self.last = first
      return first
    }
    let extended = last + Int64(Int32(bitPattern: timestamp &- UInt32(truncatingIfNeeded: last)))
    self.last = extended
    return extended
  }
}
