package import Core
import Synchronization

/// The way of one stream's packets from its media worker to the writer of spools: one thread taps, one drains, nothing
/// is locked or allocated.
///
/// Entries lie in one block and begin at multiples of 16, so a head never wraps while a body may:
///
///     length(4) kind(1) unused(3) arrival(8) body, padded to 16
///
/// What does not fit is dropped and counted. As soon as there is room again the gap itself becomes an entry, so that
/// the file tells of it.
///
/// `@unchecked Sendable`: `memory` between `tail` and `head` belongs to the draining thread, the rest to the tapping
/// one, as does `lost`; the two indices are handed over by acquire and release.
package final class SpoolRing: PacketTap, @unchecked Sendable {
  /// What an entry is; the same numbers as in the file (`SpoolRecord.Kind`).
  enum Kind: UInt8, Sendable { case rtp = 2, rtcp = 3, gap = 4 }

  /// Packets are shorter; longer ones are dropped and counted.
  static let longestPacket = 4_096
  private static let headLength = 16

  package let capacity: Int
  private let memory: UnsafeMutableRawPointer
  /// Bytes ever pushed; written by the tapping thread.
  private let head = Atomic<Int>(0)
  /// Bytes ever drained; written by the draining thread.
  private let tail = Atomic<Int>(0)
  private let gate = Atomic<Bool>(true)
  private let dropped = Atomic<Int>(0)
  /// Packets dropped since the last entry, and when the first of them came.
  private var lost = (count: UInt32(0), since: Instant.zero)
  /// Where a body that wraps is put together; the draining thread's.
  private let whole: UnsafeMutableRawPointer

  /// - Parameter capacity: Bytes, rounded up to a power of two. An entry needs 16 bytes more than its packet: 256 KiB
  ///   hold 20 s of G.711 and 45 s of Opus.
  package init(capacity: Int = 256 * 1024) {
    var size = 16 * 1024
    while size < capacity, size < 1 << 28 { size *= 2 }
    self.capacity = size
    // Untouched pages of a large block cost nothing.
    memory = .allocate(byteCount: size, alignment: 4_096)
    whole = .allocate(byteCount: Self.longestPacket, alignment: 16)
  }

  deinit {
    memory.deallocate()
    whole.deallocate()
  }

  /// Packets that found no room.
  package var packetsDropped: Int { dropped.load(ordering: .relaxed) }

  /// While false, packets are passed over in silence and do not count as dropped. Any thread; takes effect with the next
  /// packet.
  package var isTaking: Bool {
    get { gate.load(ordering: .acquiring) }
    set { gate.store(newValue, ordering: .releasing) }
  }

  // MARK: On the media worker

  package func tap(rtp packet: UnsafeRawBufferPointer, arrival: Instant) { push(.rtp, packet, arrival) }
  package func tap(rtcp packet: UnsafeRawBufferPointer, arrival: Instant) { push(.rtcp, packet, arrival) }

  private func push(_ kind: Kind, _ packet: UnsafeRawBufferPointer, _ arrival: Instant) {
    guard gate.load(ordering: .acquiring) else { return }
    if lost.count > 0 {
      // Until when: up to this packet.
      let gap: (UInt32, UInt32, Int64) = (lost.count, 0, lost.since.nanoseconds)
      if withUnsafeBytes(of: gap, { put(.gap, $0, arrival) }) { lost.count = 0 }
    }
    guard lost.count == 0, packet.count <= Self.longestPacket, put(kind, packet, arrival) else {
      if lost.count == 0 { lost.since = arrival }
      lost.count &+= 1
      dropped.wrappingAdd(1, ordering: .relaxed)
      return
    }
  }

  private func put(_ kind: Kind, _ body: UnsafeRawBufferPointer, _ arrival: Instant) -> Bool {
    let size = (Self.headLength + body.count + 15) & ~15
    let head = head.load(ordering: .relaxed)
    guard size <= capacity &- (head &- tail.load(ordering: .acquiring)) else { return false }
    let offset = head & (capacity - 1)
    let entry = memory + offset
    entry.storeBytes(of: UInt32(truncatingIfNeeded: body.count), as: UInt32.self)
    entry.storeBytes(of: kind.rawValue, toByteOffset: 4, as: UInt8.self)
    entry.storeBytes(of: arrival.nanoseconds, toByteOffset: 8, as: Int64.self)
    if let bytes = body.baseAddress {
      let straight = min(body.count, capacity - offset - Self.headLength)
      (entry + Self.headLength).copyMemory(from: bytes, byteCount: straight)
      memory.copyMemory(from: bytes + straight, byteCount: body.count - straight)
    }
    self.head.store(head &+ size, ordering: .releasing)
    return true
  }

  // MARK: On the writer

  var isEmpty: Bool { tail.load(ordering: .relaxed) == head.load(ordering: .acquiring) }

  /// Gives every entry that is there, in order. The memory is the ring's and gone after the call.
  func drain(_ body: (Kind, Instant, UnsafeRawBufferPointer) -> Void) {
    var tail = tail.load(ordering: .relaxed)
    let head = head.load(ordering: .acquiring)
    while tail != head {
      let offset = tail & (capacity - 1)
      let entry = memory + offset
      let count = Int(entry.load(as: UInt32.self))
      let kind = Kind(rawValue: entry.load(fromByteOffset: 4, as: UInt8.self))
      let arrival = Instant(nanoseconds: entry.load(fromByteOffset: 8, as: Int64.self))
      let straight = min(count, capacity - offset - Self.headLength)
      var start = UnsafeRawPointer(entry + Self.headLength)
      if straight < count {
        whole.copyMemory(from: start, byteCount: straight)
        (whole + straight).copyMemory(from: memory, byteCount: count - straight)
        start = UnsafeRawPointer(whole)
      }
      if let kind { body(kind, arrival, UnsafeRawBufferPointer(start: start, count: count)) }
      tail &+= (Self.headLength + count + 15) & ~15
      self.tail.store(tail, ordering: .releasing)
    }
  }
}
