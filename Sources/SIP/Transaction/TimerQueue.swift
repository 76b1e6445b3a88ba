import Core

/// The timers of one transaction. Each is either not set or a moment.
struct Deadlines {
  enum Kind: UInt8 {
    /// Timers A, E, G, and the 2xx of RFC 3261 §13.3.1.4.
    case retransmit
    /// Timers B, F, H, 64·T1 after a CANCEL, and 64·T1 without ACK.
    case timeout
    /// Timers D, I, J, K, L, M: the transaction only absorbs, and then ends.
    case linger
    /// 100 after 200 ms; later the repetition of the last provisional response.
    case provisional
  }

  private var retransmit = Int64.max
  private var timeout = Int64.max
  private var linger = Int64.max
  private var provisional = Int64.max

  /// Nanoseconds of the clock; `Int64.max` when the timer is not set.
  subscript(kind: Kind) -> Int64 {
    get {
      switch kind {
      case .retransmit: retransmit
      case .timeout: timeout
      case .linger: linger
      case .provisional: provisional
      }
    }
    set {
      switch kind {
      case .retransmit: retransmit = newValue
      case .timeout: timeout = newValue
      case .linger: linger = newValue
      case .provisional: provisional = newValue
      }
    }
  }

  mutating func clear(_ kind: Kind) { self[kind] = .max }
  mutating func clearAll() { self = Deadlines() }
}

/// A binary heap of deadlines. A timer that is stopped or moved stays in the heap and is recognised as stale when it
/// comes up, because its transaction no longer names that moment.
struct TimerQueue {
  struct Entry {
    var deadline: Int64
    var transaction: UInt64
    var kind: Deadlines.Kind
  }

  private var heap: [Entry] = []

  var first: Entry? { heap.first }
  var count: Int { heap.count }

  mutating func insert(_ entry: Entry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard Self.precedes(heap[child], heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  @discardableResult
  mutating func removeFirst() -> Entry? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return first }
    heap[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, Self.precedes(heap[child + 1], heap[child]) { child += 1 }
      guard Self.precedes(heap[child], heap[parent]) else { break }
      heap.swapAt(child, parent)
      parent = child
    }
    return first
  }

  /// Earlier first; ties by age of the transaction, so that a run is the same every time.
  private static func precedes(_ a: Entry, _ b: Entry) -> Bool {
    (a.deadline, a.transaction, a.kind.rawValue) < (b.deadline, b.transaction, b.kind.rawValue)
  }
}
