import Core

/// What was sent under each of the last output sequence numbers, so that it can be built again: 12 bytes a packet.
struct SequenceMap: Sendable {
  struct Entry: Hashable, Sendable {
    fileprivate var input: UInt32 = 0
    /// VP8: ours, 15 bits; `noPicture` without.
    var pictureID: UInt16 = Entry.noPicture
    /// Of the last answer to a NACK: milliseconds, wrapping.
    var retransmittedAt: UInt16 = 0
    fileprivate var stream: UInt8 = Entry.empty
    // Bits 0…3: the input number's bits 32…35. Bit 4: marker. Bits 5…7: run.
    fileprivate var bits: UInt8 = 0
    /// Answers to NACKs, at most 255.
    var retransmissions: UInt8 = 0
    /// Redundant audio: 0 is what the packet itself carries, n what the n-th packet before it did.
    var redundancy: UInt8 = 0

    static let noPicture: UInt16 = 0xFFFF
    fileprivate static let empty: UInt8 = 0xFF
    fileprivate static let filler: UInt8 = 0xFE

    init(stream: Int, input: Int64, run: UInt8, marker: Bool, pictureID: UInt16 = Entry.noPicture) {
      self.input = UInt32(truncatingIfNeeded: input)
      self.pictureID = pictureID
      self.stream = UInt8(clamping: min(stream, 0xFD))
      bits = UInt8(truncatingIfNeeded: input >> 32) & 0x0F | (marker ? 0x10 : 0) | (run & 7) << 5
    }

    fileprivate init() {}

    var isEmpty: Bool { stream == Self.empty }
    /// Padding was sent under this number.
    var isFiller: Bool { stream == Self.filler }
    /// Index into `Producer.streams`.
    var streamIndex: Int { Int(stream) }
    /// The source's extended sequence number.
    var extendedSequence: Int64 { Int64(bits & 0x0F) << 32 | Int64(input) }
    var marker: Bool { bits & 0x10 != 0 }
    /// Which `Run` it was sent in.
    var run: Int { Int(bits >> 5) }
  }

  private var entries: [Entry] = []
  private let capacity: Int
  /// Highest number recorded; nil before the first.
  private(set) var highest: Int64?
  /// The first: nothing was sent before.
  private var lowest: Int64 = 0

  /// - Parameter capacity: A power of two. Memory is taken when the first packet is recorded.
  init(capacity: Int) { self.capacity = capacity }

  /// Bytes held.
  var memory: Int { entries.capacity * MemoryLayout<Entry>.stride }

  /// Numbers skipped stay empty until a late packet fills them.
  mutating func record(_ sequence: Int64, _ entry: Entry) {
    if entries.isEmpty { entries = [Entry](repeating: Entry(), count: capacity) }
    let mask = Int64(capacity - 1)
    if let highest {
      if sequence <= highest {
        guard highest - sequence < Int64(capacity) else { return }
      } else {
        var free = max(highest + 1, sequence - Int64(capacity) + 1)
        while free < sequence {
          entries[Int(free & mask)] = Entry()
          free += 1
        }
        self.highest = sequence
      }
    } else {
      highest = sequence
      lowest = sequence
    }
    entries[Int(sequence & mask)] = entry
  }

  /// The extended number that a 16-bit one stands for: the nearest to the highest. Nil before the first packet.
  func extend(_ sequence: UInt16) -> Int64? {
    highest.map { $0 + Int64(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: $0))) }
  }

  /// Whether the number lies in the range that is remembered.
  func covers(_ sequence: Int64) -> Bool {
    guard let highest else { return false }
    return sequence <= highest && sequence >= lowest && highest - sequence < Int64(capacity)
  }

  /// Nil for numbers that are forgotten, ahead, or that carried nothing.
  subscript(_ sequence: Int64) -> Entry? {
    guard covers(sequence) else { return nil }
    let entry = entries[Int(sequence & Int64(capacity - 1))]
    return entry.isEmpty ? nil : entry
  }

  /// Notes that padding was sent under a number that carried nothing.
  mutating func fill(_ sequence: Int64) {
    guard covers(sequence) else { return }
    let index = Int(sequence & Int64(capacity - 1))
    if entries[index].isEmpty { entries[index].stream = Entry.filler }
  }

  /// Notes an answer to a NACK.
  mutating func retransmitted(_ sequence: Int64, now: Instant) {
    guard covers(sequence) else { return }
    let index = Int(sequence & Int64(capacity - 1))
    entries[index].retransmittedAt = Self.milliseconds(now)
    entries[index].retransmissions = entries[index].retransmissions &+ (entries[index].retransmissions == 255 ? 0 : 1)
  }

  static func milliseconds(_ now: Instant) -> UInt16 { UInt16(truncatingIfNeeded: now.nanoseconds / 1_000_000) }

  /// Forgets everything: its packets are out of reach.
  mutating func removeAll() {
    for index in entries.indices { entries[index] = Entry() }
  }
}
