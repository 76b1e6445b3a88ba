/// What each stream of an association has waiting to be sent or acknowledged, in bytes.
///
/// usrsctp tells only the sum over all streams, so messages count as done in the order in which they were handed over.
/// That is exact whenever the sum is zero and as soon as one stream sends alone.
struct SendLedger {
  private var entries: [(stream: UInt16, bytes: Int)] = []
  private var first = 0
  private var amounts: [UInt16: Int] = [:]
  /// Over all streams.
  private(set) var total = 0

  mutating func sent(_ bytes: Int, on stream: UInt16) {
    guard bytes > 0 else { return }
    if let last = entries.indices.last, last >= first, entries[last].stream == stream {
      entries[last].bytes += bytes
    } else {
      entries.append((stream, bytes))
    }
    amounts[stream, default: 0] += bytes
    total += bytes
  }

  /// So many bytes are left in all.
  mutating func settle(outstanding: Int) {
    var done = total - max(outstanding, 0)
    while done > 0, first < entries.count {
      let step = min(done, entries[first].bytes)
      let stream = entries[first].stream
      done -= step
      total -= step
      let left = (amounts[stream] ?? 0) - step
      amounts[stream] = left > 0 ? left : nil
      entries[first].bytes -= step
      if entries[first].bytes == 0 { first += 1 }
    }
    if first == entries.count {
      entries.removeAll(keepingCapacity: entries.capacity <= 256)
      first = 0
    } else if first > 64, first * 2 > entries.count {
      entries.removeFirst(first)
      first = 0
    }
  }

  func amount(on stream: UInt16) -> Int { amounts[stream] ?? 0 }
}
