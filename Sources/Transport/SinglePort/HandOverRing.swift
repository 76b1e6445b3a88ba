// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc
internal import Synchronization

/// A bounded queue of datagrams from one worker to another: one thread pushes, one drains, nothing is allocated or
/// locked. What does not fit is dropped, as a full socket buffer would.
///
/// Records lie in one block, each 40 bytes of head and the datagram, padded to 16:
///
///     length(4) base(4) kernel address(28) unused(4)
///
/// `@unchecked Sendable`: `memory` between `head` and `tail` belongs to the draining thread, the rest to the pushing
/// one; the two indices are handed over by acquire and release.
final class HandOverRing: @unchecked Sendable {
  static let capacity = 256 * 1024
  private static let headLength = 40
  /// In the length field: the rest of the block is unused, go on at its start.
  private static let wrap = UInt32.max
  /// The kernel's longest address here, `sockaddr_in6`.
  private static let nameLength = 28

  private let memory: UnsafeMutableRawPointer
  /// Bytes ever drained; written by the draining thread.
  private let head = Atomic<Int>(0)
  /// Bytes ever pushed; written by the pushing thread.
  private let tail = Atomic<Int>(0)

  init() {
    // Untouched pages of a large block cost nothing.
    memory = .allocate(byteCount: HandOverRing.capacity, alignment: 4096)
  }

  deinit { memory.deallocate() }

  /// Copies a datagram in. False when it does not fit.
  /// - Parameter source: The kernel's address, of `sockaddr_storage`'s size.
  func push(_ datagram: UnsafeRawBufferPointer, from source: UnsafeRawPointer, base: UInt32) -> Bool {
    let size = (HandOverRing.headLength + datagram.count + 15) & ~15
    var tail = tail.load(ordering: .relaxed)
    let free = HandOverRing.capacity - (tail - head.load(ordering: .acquiring))
    var offset = tail % HandOverRing.capacity
    let rest = HandOverRing.capacity - offset
    let needed = rest < size ? rest + size : size
    guard needed <= free, datagram.count <= 0xFFFF else { return false }
    if rest < size {
      memory.storeBytes(of: HandOverRing.wrap, toByteOffset: offset, as: UInt32.self)
      tail += rest
      offset = 0
    }
    let record = memory + offset
    record.storeBytes(of: UInt32(truncatingIfNeeded: datagram.count), as: UInt32.self)
    record.storeBytes(of: base, toByteOffset: 4, as: UInt32.self)
    (record + 8).copyMemory(from: source, byteCount: HandOverRing.nameLength)
    if let bytes = datagram.baseAddress {
      (record + HandOverRing.headLength).copyMemory(from: bytes, byteCount: datagram.count)
    }
    self.tail.store(tail + size, ordering: .releasing)
    return true
  }

  /// Gives up to `limit` datagrams in order; they may be changed in place. True when more are left.
  func drain(
    limit: Int, _ body: (UnsafeMutableRawBufferPointer, _ source: UnsafeRawPointer, _ base: UInt32) -> Void
  ) -> Bool {
    var head = head.load(ordering: .relaxed)
    let tail = tail.load(ordering: .acquiring)
    var left = limit
    while head < tail, left > 0 {
      let offset = head % HandOverRing.capacity
      let record = memory + offset
      let length = record.load(as: UInt32.self)
      if length == HandOverRing.wrap {
        head += HandOverRing.capacity - offset
        continue
      }
      body(
        UnsafeMutableRawBufferPointer(start: record + HandOverRing.headLength, count: Int(length)), record + 8,
        record.load(fromByteOffset: 4, as: UInt32.self))
      head += (HandOverRing.headLength + Int(length) + 15) & ~15
      // Room for more at once: the other side may be waiting with a burst.
      self.head.store(head, ordering: .releasing)
      left -= 1
    }
    self.head.store(head, ordering: .releasing)
    return head < tail
  }
}
