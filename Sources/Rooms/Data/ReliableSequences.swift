/// The reliable data packets of one sender: each number is taken once, in rising order.
struct ReliableSequences {
  /// The highest number taken so far; 0 before the first.
  private(set) var last: UInt32 = 0

  /// Whether the packet is new. Number 0 means that its sender does not count.
  mutating func accept(_ sequence: UInt32) -> Bool {
    guard sequence != 0 else { return true }
    guard sequence > last else { return false }
    last = sequence
    return true
  }
}
