import Core

/// A set timer of the rooms. Letting it go cancels it.
final class RoomTimer {
  fileprivate let entry: RoomTimers.Entry

  fileprivate init(_ entry: RoomTimers.Entry) { self.entry = entry }

  func cancel() { entry.body = nil }

  deinit { entry.body = nil }
}

/// All timers of the rooms, as a binary heap by deadline. The owner drives it; it reads no clock.
final class RoomTimers {
  fileprivate final class Entry {
    let deadline: Instant
    let order: UInt64
    var body: (() -> Void)?

    init(deadline: Instant, order: UInt64, body: @escaping () -> Void) {
      self.deadline = deadline
      self.order = order
      self.body = body
    }

    func precedes(_ other: Entry) -> Bool { (deadline, order) < (other.deadline, other.order) }
  }

  private var heap: [Entry] = []
  private var orders: UInt64 = 0

  /// When `fire` has something to do.
  var nextDeadline: Instant? {
    // Cancelled timers at the top would wake the loop for nothing.
    while let first = heap.first, first.body == nil { _ = pop() }
    return heap.first?.deadline
  }

  func add(at deadline: Instant, _ body: @escaping () -> Void) -> RoomTimer {
    orders &+= 1
    let entry = Entry(deadline: deadline, order: orders, body: body)
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].precedes(heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
    return RoomTimer(entry)
  }

  /// Calls what is due. Timers set meanwhile wait for the next call, also those that are due at once.
  func fire(now: Instant) {
    let limit = orders
    while let first = heap.first, first.deadline <= now, first.order <= limit {
      let entry = pop()
      guard let body = entry.body else { continue }
      entry.body = nil
      body()
    }
  }

  private func pop() -> Entry {
    let top = heap[0]
    let last = heap.removeLast()
    guard !heap.isEmpty else { return top }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].precedes(heap[least]) {
        least = child
      }
      guard least != parent else { return top }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
