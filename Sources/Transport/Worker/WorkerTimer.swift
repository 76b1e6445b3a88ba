internal import Core

/// A set timer of a `MediaWorker`. Worker-confined; letting it go cancels it.
package final class WorkerTimer {
  fileprivate let entry: TimerQueue.Entry

  fileprivate init(_ entry: TimerQueue.Entry) { self.entry = entry }

  /// The body is not called any more. Calling it again changes nothing.
  package func cancel() { entry.cancel() }

  /// Whether the body may still be called.
  package var isActive: Bool { entry.body != nil }

  deinit { entry.cancel() }
}

/// All timers of one worker, as a binary heap by deadline.
final class TimerQueue {
  fileprivate final class Entry {
    var body: ((Instant) -> Void)?
    let interval: Duration?
    private unowned let queue: TimerQueue

    init(queue: TimerQueue, interval: Duration?, body: @escaping (Instant) -> Void) {
      self.queue = queue
      self.interval = interval
      self.body = body
    }

    func cancel() {
      guard body != nil else { return }
      body = nil
      queue.cancelled()
    }
  }

  private struct Item {
    var deadline: Instant
    /// Equal deadlines fire in the order in which they were set.
    var order: UInt64
    var entry: Entry

    func precedes(_ other: Item) -> Bool { (deadline, order) < (other.deadline, other.order) }
  }

  private var heap: [Item] = []
  private var orders: UInt64 = 0
  private var dead = 0
  private var firing = false
  private(set) var skipped: UInt64 = 0

  /// Late periodic timers are called for at most so many missed intervals.
  private static let catchUpLimit: Int64 = 8

  /// Timers that are set.
  var count: Int { heap.count - dead }

  /// When `fire` has something to do; nil without timers. A cancelled timer may still be counted in.
  var nextDeadline: Instant? { heap.first?.deadline }

  func add(
    after delay: Duration, every interval: Duration?, now: Instant, _ body: @escaping (Instant) -> Void
  ) -> WorkerTimer {
    let entry = Entry(queue: self, interval: interval.map { max($0, .microseconds(100)) }, body: body)
    push(Item(deadline: now + max(delay, .zero), order: orders, entry: entry))
    return WorkerTimer(entry)
  }

  func removeAll() {
    for item in heap { item.entry.body = nil }
    heap = []
    dead = 0
  }

  private func cancelled() {
    dead += 1
    // Cancelled timers leave the heap when they are due, or here when they are most of it.
    if dead > 64, dead * 2 > heap.count, !firing {
      let live = heap.filter { $0.entry.body != nil }
      heap = []
      dead = 0
      for item in live { push(item) }
    }
  }

  /// Calls what is due. Timers set meanwhile wait for the next turn, also those that are due at once.
  func fire(now: Instant) {
    firing = true
    let limit = orders
    while let first = heap.first, first.deadline <= now, first.order < limit {
      let item = pop()
      guard let body = item.entry.body else {
        dead -= 1
        continue
      }
      if let interval = item.entry.interval {
        var next = item
        next.deadline = item.deadline + interval
        let late = next.deadline.duration(to: now).nanoseconds / interval.nanoseconds
        if late > TimerQueue.catchUpLimit {
          skipped &+= UInt64(late)
          next.deadline = next.deadline + .nanoseconds(late &* interval.nanoseconds)
        }
        next.order = orders
        push(next)
      } else {
        item.entry.body = nil
      }
      body(now)
    }
    firing = false
  }

  // MARK: Heap

  private func push(_ item: Item) {
    orders &+= 1
    heap.append(item)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].precedes(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private func pop() -> Item {
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
