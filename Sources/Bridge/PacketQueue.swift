import Core

/// Packets of one stream between arrival and decoding, in order of their sequence numbers. Payloads are copied into one
/// block of memory that is made once; when it is full the oldest packet goes.
final class PacketQueue {
  /// What a packet carries.
  enum Content: Equatable {
    case audio(AudioCodec)
    /// RFC 3389.
    case comfortNoise
    /// Something that is not audio (RFC 4733): only its sequence number counts.
    case other
  }

  struct Packet {
    /// Extended over the wrap.
    var sequence: Int64
    /// Extended over the wrap, in units of the codec's clock.
    var timestamp: Int64
    var content: Content
    fileprivate var offset: Int
    fileprivate var length: Int
  }

  enum Outcome { case stored, duplicate, tooLarge }

  /// A power of two. 64 packets of 20 ms are 1.3 s.
  private static let slotCount = 64
  private static let arenaSize = 16_384
  // Owned: allocated in init, freed in deinit.
  private let slots: UnsafeMutablePointer<Packet?>
  private let arena: UnsafeMutableRawPointer
  private var head = 0
  private var lowest: Int64 = 0
  private var highest: Int64 = 0
  private(set) var count = 0
  /// Packets that had to make room.
  private(set) var overflows = 0

  init() {
    slots = .allocate(capacity: Self.slotCount)
    slots.initialize(repeating: nil, count: Self.slotCount)
    arena = .allocate(byteCount: Self.arenaSize, alignment: 8)
  }

  deinit {
    slots.deallocate()
    arena.deallocate()
  }

  /// The packet with the lowest sequence number.
  var first: Packet? { count == 0 ? nil : slots[index(lowest)] }

  /// The highest sequence number in the queue.
  var last: Packet? { count == 0 ? nil : slots[index(highest)] }

  /// The payload of a packet that is in the queue; valid until the next insertion.
  func payload(of packet: Packet) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: arena + packet.offset, count: packet.length)
  }

  func insert(
    sequence: Int64, timestamp: Int64, content: Content, payload: UnsafeRawBufferPointer
  ) -> Outcome {
    guard payload.count <= 2_048 else { return .tooLarge }
    if count > 0 {
      if sequence >= lowest, sequence <= highest, slots[index(sequence)]?.sequence == sequence { return .duplicate }
      // Too far back to share the table with what is there.
      if highest - sequence >= Int64(Self.slotCount) { return .duplicate }
      while count > 0, sequence - lowest >= Int64(Self.slotCount) { dropFirst() }
    }
    let offset = place(payload.count)
    if let source = payload.baseAddress, payload.count > 0 {
      (arena + offset).copyMemory(from: source, byteCount: payload.count)
    }
    slots[index(sequence)] = Packet(
      sequence: sequence, timestamp: timestamp, content: content, offset: offset, length: payload.count)
    lowest = count == 0 ? sequence : min(lowest, sequence)
    highest = count == 0 ? sequence : max(highest, sequence)
    count += 1
    return .stored
  }

  func removeFirst() {
    guard count > 0 else { return }
    slots[index(lowest)] = nil
    count -= 1
    guard count > 0 else { return }
    repeat { lowest += 1 } while slots[index(lowest)]?.sequence != lowest
  }

  func removeAll() {
    while count > 0 { removeFirst() }
    head = 0
  }

  @inline(__always)
  private func index(_ sequence: Int64) -> Int { Int(truncatingIfNeeded: sequence & Int64(Self.slotCount - 1)) }

  private func dropFirst() {
    removeFirst()
    overflows += 1
  }

  /// Room in the arena, which is used round and round; packets that lie there are the oldest and go.
  private func place(_ length: Int) -> Int {
    let start = head + length > Self.arenaSize ? 0 : head
    let end = start + length
    head = end
    guard length > 0, count > 0 else { return start }
    for i in 0..<Self.slotCount {
      guard let other = slots[i], other.length > 0, other.offset < end, start < other.offset + other.length else {
        continue
      }
      overflows += 1
      if other.sequence == lowest {
        removeFirst()
      } else {
        slots[i] = nil
        count -= 1
        if other.sequence == highest { repeat { highest -= 1 } while slots[index(highest)]?.sequence != highest }
      }
    }
    return start
  }
}
