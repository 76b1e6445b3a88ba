package import Core

/// One way to a peer: the socket of ours that it uses and its address. Two of our addresses towards one of the peer's
/// are two paths.
package struct PeerPath: Hashable, Sendable {
  /// Index of the UDP socket, the same on every worker; for ICE-TCP `streamFlag` and the connection's number.
  package var base: UInt32
  package var remote: SocketAddress

  package init(base: UInt32, remote: SocketAddress) {
    self.base = base
    self.remote = remote
  }

  static let streamFlag: UInt32 = 0x8000_0000

  var isStream: Bool { base & PeerPath.streamFlag != 0 }
}

/// A hash table by path for the packet path: open addressing, no allocation to look up, and a seed, so that nobody can
/// aim at one slot.
struct PathTable<Value> {
  private struct Slot {
    var high: UInt64
    var low: UInt64
    /// Base, port, and a bit for IPv6; never 0 for a slot in use.
    var rest: UInt64
    var value: Value
  }

  private var slots: [Slot?]
  private var mask: Int
  private let seed: UInt64
  private(set) var count = 0

  init(seed: UInt64, capacity: Int = 16) {
    var size = 16
    while size < capacity { size *= 2 }
    slots = Array(repeating: nil, count: size)
    mask = size - 1
    self.seed = seed | 1
  }

  subscript(path: PeerPath) -> Value? {
    @inline(__always)
    get {
      let key = PathTable.key(path)
      var index = home(key)
      while let slot = slots[index] {
        if slot.low == key.low, slot.high == key.high, slot.rest == key.rest { return slot.value }
        index = (index + 1) & mask
      }
      return nil
    }
    set {
      if let newValue { insert(PathTable.key(path), newValue) } else { remove(PathTable.key(path)) }
    }
  }

  @inline(__always)
  private static func key(_ path: PeerPath) -> (high: UInt64, low: UInt64, rest: UInt64) {
    let words = path.remote.ip.words
    let family: UInt64 = path.remote.ip.isIPv6 ? 2 : 1
    return (words.high, words.low, UInt64(path.base) | UInt64(path.remote.port) << 32 | family << 48)
  }

  @inline(__always)
  private func home(_ key: (high: UInt64, low: UInt64, rest: UInt64)) -> Int {
    var hash = (key.low ^ seed) &* 0x9E37_79B9_7F4A_7C15
    hash = (hash ^ (hash >> 32) ^ key.high) &* 0xC2B2_AE3D_27D4_EB4F
    hash = (hash ^ (hash >> 29) ^ key.rest) &* seed
    return Int(truncatingIfNeeded: hash >> 33) & mask
  }

  private mutating func insert(_ key: (high: UInt64, low: UInt64, rest: UInt64), _ value: Value) {
    if 2 * (count + 1) > slots.count { grow() }
    var index = home(key)
    while let slot = slots[index] {
      if slot.low == key.low, slot.high == key.high, slot.rest == key.rest {
        slots[index]?.value = value
        return
      }
      index = (index + 1) & mask
    }
    slots[index] = Slot(high: key.high, low: key.low, rest: key.rest, value: value)
    count += 1
  }

  private mutating func grow() {
    let old = slots
    slots = Array(repeating: nil, count: 2 * old.count)
    mask = slots.count - 1
    count = 0
    for case let slot? in old { insert((slot.high, slot.low, slot.rest), slot.value) }
  }

  private mutating func remove(_ key: (high: UInt64, low: UInt64, rest: UInt64)) {
    var index = home(key)
    while let slot = slots[index], slot.low != key.low || slot.high != key.high || slot.rest != key.rest {
      index = (index + 1) & mask
    }
    guard slots[index] != nil else { return }
    count -= 1
    slots[index] = nil
    // What probed past the gap moves back into it.
    var gap = index
    var next = (index + 1) & mask
    while let slot = slots[next] {
      let wanted = home((slot.high, slot.low, slot.rest))
      if (next &- wanted) & mask >= (next &- gap) & mask {
        slots[gap] = slot
        slots[next] = nil
        gap = next
      }
      next = (next + 1) & mask
    }
  }
}
