internal import Synchronization

/// A bounded queue of packets from one thread to another: one pushes, one drains, nothing is allocated or locked. What
/// does not fit is refused, as by a full socket buffer.
///
/// Records lie in one block, each 40 bytes of head and the packet, padded to 16:
///
///     length(4) unused(4) label(32)
///
/// `@unchecked Sendable`: `memory` between `head` and `tail` belongs to the draining thread, the rest to the pushing
/// one; the two indices are handed over by acquire and release.
package final class PacketRing: @unchecked Sendable {
  /// Bytes of a label.
  package static let labelLength = 32
  private static let headLength = 40
  /// In the length field: the rest of the block is unused, go on at its start.
  private static let wrap = UInt32.max

  private let capacity: Int
  private let memory: UnsafeMutableRawPointer
  /// Bytes ever drained; written by the draining thread.
  private let head = Atomic<Int>(0)
  /// Bytes ever pushed; written by the pushing thread.
  private let tail = Atomic<Int>(0)

  /// - Parameter capacity: Bytes, a multiple of 16.
  package init(capacity: Int = 256 * 1024) {
    precondition(capacity >= 4_096 && capacity % 16 == 0)
    self.capacity = capacity
    // Untouched pages of a large block cost nothing.
    memory = .allocate(byteCount: capacity, alignment: 4096)
  }

  deinit { memory.deallocate() }

  /// Copies a packet in. False when it does not fit.
  /// - Parameter label: `labelLength` bytes that travel with the packet.
  package func push(_ packet: UnsafeRawBufferPointer, label: UnsafeRawPointer) -> Bool {
    let size = (PacketRing.headLength + packet.count + 15) & ~15
    var tail = tail.load(ordering: .relaxed)
    let free = capacity - (tail - head.load(ordering: .acquiring))
    var offset = tail % capacity
    let rest = capacity - offset
    let needed = rest < size ? rest + size : size
    guard needed <= free, packet.count <= 0xFFFF else { return false }
    if rest < size {
      memory.storeBytes(of: PacketRing.wrap, toByteOffset: offset, as: UInt32.self)
      tail += rest
      offset = 0
    }
    let record = memory + offset
    record.storeBytes(of: UInt32(truncatingIfNeeded: packet.count), as: UInt32.self)
    (record + 8).copyMemory(from: label, byteCount: PacketRing.labelLength)
    if let bytes = packet.baseAddress {
      (record + PacketRing.headLength).copyMemory(from: bytes, byteCount: packet.count)
    }
    self.tail.store(tail + size, ordering: .releasing)
    return true
  }

  /// Gives up to `limit` packets in order with their labels; they may be changed in place. True when more are left.
  package func drain(limit: Int, _ body: (UnsafeMutableRawBufferPointer, _ label: UnsafeRawPointer) -> Void) -> Bool {
    var head = head.load(ordering: .relaxed)
    let tail = tail.load(ordering: .acquiring)
    var left = limit
    while head < tail, left > 0 {
      let offset = head % capacity
      let record = memory + offset
      let length = record.load(as: UInt32.self)
      if length == PacketRing.wrap {
        head += capacity - offset
        continue
      }
      body(
        UnsafeMutableRawBufferPointer(start: record + PacketRing.headLength, count: Int(length)),
        UnsafeRawPointer(record + 8))
      head += (PacketRing.headLength + Int(length) + 15) & ~15
      // Room for more at once: the other side may be waiting with a burst.
      self.head.store(head, ordering: .releasing)
      left -= 1
    }
    self.head.store(head, ordering: .releasing)
    return head < tail
  }
}
