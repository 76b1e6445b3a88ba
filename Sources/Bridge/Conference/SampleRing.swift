import Audio
import Synchronization

/// A bounded queue of samples from one thread to another: one writes, one reads, nothing is allocated or locked. What does
/// not fit is dropped and counted.
///
/// `@unchecked Sendable`: `memory` between `head` and `tail` belongs to the reading thread, the rest to the writing one;
/// the two indices are handed over by acquire and release.
final class SampleRing: @unchecked Sendable {
  // Owned: a power of two of samples, allocated in init, freed in deinit.
  private let memory: UnsafeMutablePointer<Int16>
  private let capacity: Int
  /// Samples ever read; written by the reading thread.
  private let head = Atomic<Int>(0)
  /// Samples ever written; written by the writing thread.
  private let tail = Atomic<Int>(0)
  private let lost = Atomic<Int>(0)

  /// - Parameter minimumCapacity: In samples; rounded up to a power of two.
  init(minimumCapacity: Int) {
    var size = 256
    while size < minimumCapacity { size *= 2 }
    capacity = size
    memory = .allocate(capacity: size)
    memory.initialize(repeating: 0, count: size)
  }

  deinit { memory.deallocate() }

  /// Samples that wait.
  var count: Int { max(0, tail.load(ordering: .acquiring) &- head.load(ordering: .acquiring)) }

  /// Samples that found no room.
  var overflow: Int { lost.load(ordering: .relaxed) }

  /// Copies all of `samples` in, or none. Only the writing thread may call it.
  @discardableResult
  func write(_ samples: Samples) -> Bool {
    guard let source = samples.baseAddress else { return true }
    let tail = tail.load(ordering: .relaxed)
    let free = capacity &- (tail &- head.load(ordering: .acquiring))
    guard samples.count <= free else {
      lost.wrappingAdd(samples.count, ordering: .relaxed)
      return false
    }
    let at = tail & (capacity - 1)
    let first = min(samples.count, capacity - at)
    (memory + at).update(from: source, count: first)
    if first < samples.count { memory.update(from: source + first, count: samples.count - first) }
    self.tail.store(tail &+ samples.count, ordering: .releasing)
    return true
  }

  /// Takes up to `samples.count` samples; returns how many there were. Only the reading thread may call it.
  func read(into samples: Samples) -> Int {
    guard let target = samples.baseAddress else { return 0 }
    let head = head.load(ordering: .relaxed)
    let count = min(samples.count, tail.load(ordering: .acquiring) &- head)
    guard count > 0 else { return 0 }
    let at = head & (capacity - 1)
    let first = min(count, capacity - at)
    target.update(from: memory + at, count: first)
    if first < count { (target + first).update(from: memory, count: count - first) }
    self.head.store(head &+ count, ordering: .releasing)
    return count
  }
}
