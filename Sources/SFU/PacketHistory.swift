import Core
import RTP

/// The last packets of one stream as they came, kept once for all consumers: paced packets and retransmissions are
/// rebuilt from here.
///
/// Memory follows the bitrate: blocks and slots are added while what they hold is younger than `span`, then reused.
/// Confined to the worker's thread. Allocates only while it grows.
final class PacketHistory {
  /// How long a packet is kept at least, unless `maximumBlocks` or `maximumSlots` is reached.
  let span: Duration
  private let blockSize: Int
  private let maximumBlocks: Int
  private let maximumSlots: Int

  private struct Block {
    var start: UnsafeMutableRawPointer
    var used: Int
    /// Rises whenever the block is used anew: entries of earlier uses are gone.
    var generation: UInt32
    var youngest: Instant
  }

  private struct Entry {
    var packet: RoutedPacket
    var block: Int
    var generation: UInt32
  }

  private var blocks: [Block] = []
  private var current = 0
  private var entries: UnsafeMutablePointer<Entry?>
  private var capacity: Int

  /// - Parameter span: By default 1.5 s of video; of audio 0.6 s, later retransmissions come too late to be played.
  init(kind: MediaKind, span: Duration? = nil) {
    self.span = span ?? (kind == .audio ? .milliseconds(600) : .milliseconds(1_500))
    blockSize = kind == .audio ? 8 * 1024 : 32 * 1024
    maximumBlocks = kind == .audio ? 4 : 40
    maximumSlots = kind == .audio ? 256 : 2_048
    capacity = kind == .audio ? 32 : 64
    entries = .allocate(capacity: capacity)
    entries.initialize(repeating: nil, count: capacity)
  }

  deinit {
    entries.deinitialize(count: capacity)
    entries.deallocate()
    for block in blocks { block.start.deallocate() }
  }

  /// Bytes held.
  var memory: Int { blocks.count * blockSize + capacity * MemoryLayout<Entry?>.stride }

  /// Copies the packet and returns it with `bytes` pointing to the copy. Packets longer than a block are returned as
  /// they are, kept nowhere.
  func insert(_ packet: RoutedPacket) -> RoutedPacket {
    let length = packet.bytes.count
    guard length <= blockSize, length > 0 else { return packet }
    makeRoom(length, packet.arrival)
    let block = blocks[current]
    let place = block.start + block.used
    place.copyMemory(from: packet.bytes.baseAddress.unsafelyUnwrapped, byteCount: length)
    blocks[current].used += (length + 7) & ~7
    blocks[current].youngest = packet.arrival
    var kept = packet
    kept.bytes = UnsafeRawBufferPointer(start: place, count: length)
    var slot = index(kept.extendedSequence)
    if let old = entries[slot], old.packet.extendedSequence != kept.extendedSequence, isLive(old),
      packet.arrival - old.packet.arrival < span, capacity < maximumSlots
    {
      grow()
      slot = index(kept.extendedSequence)
    }
    entries[slot] = Entry(packet: kept, block: current, generation: block.generation)
    return kept
  }

  /// The packet with that number; nil where it never came or is gone. Its `bytes` stay valid until the next `insert`.
  func packet(_ extendedSequence: Int64) -> RoutedPacket? {
    guard let entry = entries[index(extendedSequence)], entry.packet.extendedSequence == extendedSequence,
      isLive(entry)
    else { return nil }
    return entry.packet
  }

  func contains(_ extendedSequence: Int64) -> Bool { timestamp(extendedSequence) != nil }

  /// The timestamp of the packet with that number, if it is there.
  func timestamp(_ extendedSequence: Int64) -> UInt32? {
    guard let entry = entries[index(extendedSequence)], entry.packet.extendedSequence == extendedSequence,
      isLive(entry)
    else { return nil }
    return entry.packet.header.timestamp
  }

  private func isLive(_ entry: Entry) -> Bool { blocks[entry.block].generation == entry.generation }

  private func index(_ extendedSequence: Int64) -> Int {
    Int(truncatingIfNeeded: extendedSequence) & (capacity - 1)
  }

  /// Leaves a block with room for `length` bytes as `current`.
  private func makeRoom(_ length: Int, _ now: Instant) {
    if blocks.isEmpty {
      addBlock(at: 0, now)
      return
    }
    guard blocks[current].used + length > blockSize else { return }
    // Blocks stand in order of age behind `current`.
    let next = current + 1 == blocks.count ? 0 : current + 1
    if next == current || now - blocks[next].youngest < span, blocks.count < maximumBlocks {
      addBlock(at: current + 1, now)
      current += 1
      return
    }
    current = next
    blocks[current].used = 0
    blocks[current].generation &+= 1
  }

  private func addBlock(at position: Int, _ now: Instant) {
    let start = UnsafeMutableRawPointer.allocate(byteCount: blockSize, alignment: 8)
    blocks.insert(Block(start: start, used: 0, generation: 0, youngest: now), at: position)
    guard position < blocks.count - 1 else { return }
    // Entries name blocks by position: those behind the new one moved up.
    for slot in 0..<capacity where (entries[slot]?.block ?? 0) >= position && entries[slot] != nil {
      entries[slot]?.block += 1
    }
  }

  private func grow() {
    let old = entries
    let count = capacity
    capacity *= 2
    entries = .allocate(capacity: capacity)
    entries.initialize(repeating: nil, count: capacity)
    for slot in 0..<count {
      guard let entry = old[slot] else { continue }
      entries[index(entry.packet.extendedSequence)] = entry
    }
    old.deinitialize(count: count)
    old.deallocate()
  }
}
