/// Which of a source's last 1,024 packets were taken, and where its sequence numbers stand (RFC 3711 §3.3.1, §3.3.2): room
/// for retransmissions of seconds. A pure value.
struct ReplayWindow {
  static let size: UInt64 = 1024

  /// The highest index taken: the roll-over counter and 16 bits of sequence number. Nil before the first packet.
  private var highest: UInt64?
  /// One bit for each index of the window, at its remainder by `size`.
  private var taken = [16 of UInt64](repeating: 0)

  /// The index that a sequence number most likely means: the nearest to the highest one.
  @inline(__always)
  func index(of sequence: UInt16) -> UInt64 {
    guard let highest else { return UInt64(sequence) }
    let counter = highest >> 16
    let last = Int(highest & 0xFFFF)
    let distance = Int(sequence) - last
    if distance > 0x8000, counter > 0, last < 0x8000 { return (counter - 1) << 16 | UInt64(sequence) }
    // Behind 2³² roll-overs the key is long used up.
    if distance < -0x8000, last >= 0x8000 { return (counter + 1) << 16 | UInt64(sequence) }
    return counter << 16 | UInt64(sequence)
  }

  /// False for what was taken already or is too old to tell.
  @inline(__always)
  func accepts(_ index: UInt64) -> Bool {
    guard let highest, index <= highest else { return true }
    guard highest - index < ReplayWindow.size else { return false }
    let bit = Int(index % ReplayWindow.size)
    return taken[bit >> 6] >> UInt64(bit & 63) & 1 == 0
  }

  /// Once the packet was authenticated.
  @inline(__always)
  mutating func take(_ index: UInt64) {
    if let highest, index > highest {
      if index - highest >= ReplayWindow.size {
        taken = [16 of UInt64](repeating: 0)
      } else {
        var skipped = highest + 1
        while skipped < index {
          let bit = Int(skipped % ReplayWindow.size)
          taken[bit >> 6] &= ~(1 << UInt64(bit & 63))
          skipped += 1
        }
      }
    }
    highest = max(highest ?? index, index)
    let bit = Int(index % ReplayWindow.size)
    taken[bit >> 6] |= 1 << UInt64(bit & 63)
  }
}

/// The same for RTCP, whose whole index is in the packet: the last 128.
struct ControlReplayWindow {
  private var highest: UInt32?
  /// Bit 0 is the highest.
  private var taken: UInt128 = 0

  func accepts(_ index: UInt32) -> Bool {
    guard let highest, index <= highest else { return true }
    return highest - index < 128 && taken >> UInt128(highest - index) & 1 == 0
  }

  mutating func take(_ index: UInt32) {
    guard let last = highest, index <= last else {
      let step = index - (highest ?? index)
      taken = (step < 128 ? taken << UInt128(step) : 0) | 1
      highest = index
      return
    }
    if last - index < 128 { taken |= 1 << UInt128(last - index) }
  }
}
