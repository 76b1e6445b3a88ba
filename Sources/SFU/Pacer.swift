import Core

/// A packet that waits: built when it leaves.
struct PacketReference: Hashable, Sendable {
  /// Of the consumer at its peer's sender.
  var slot: UInt16
  /// Of its output.
  var sequence: UInt16
  var bytes: UInt16
  var kind: PacketKind
  var queuedAt: Instant
}

/// The order and the moment in which packets leave: a leaky bucket before two queues, retransmissions first. Audio never
/// waits; what it takes is taken from the others.
///
/// The queues are bounded by the time that they take to drain; they own no memory while nothing waits.
struct Pacer: Sendable {
  /// Of the target: bursts (key frames) may leave so much faster than the average. The target is some 0.85 of what the path
  /// carries; more than this would make a queue of every key frame, and over-use of every queue.
  static let factor = 1.1
  /// What may leave at once though the bucket is full: the pace of a tick.
  private static let burst = 0.005
  /// Longest delay of a tick that is made up for.
  private static let late = 0.05
  /// Above this the allocator is asked for less.
  static let longDelay = Duration.milliseconds(500)
  /// Above this video is given up.
  static let longestDelay = Duration.milliseconds(1500)
  private static let longestRetransmissions = 256
  private static let longestRetransmissionDelay = Duration.milliseconds(500)

  private var retransmissions = ReferenceQueue()
  private var video = ReferenceQueue()
  private(set) var queuedBytes = 0
  /// Bytes that have left ahead of the pace.
  private var debt = 0.0
  /// Bytes a second.
  private var pace = 0.0
  private var updated: Instant?

  init() {}

  var isEmpty: Bool { retransmissions.isEmpty && video.isEmpty }
  var count: Int { retransmissions.count + video.count }
  /// Bytes that the queues own.
  var memory: Int { retransmissions.memory + video.memory }

  /// How long what waits takes to leave.
  var delay: Duration { pace > 0 ? .nanoseconds(Int64(Double(queuedBytes) / pace * 1e9)) : .zero }

  /// - Parameter target: Bits a second.
  mutating func setTarget(_ target: Int) { pace = Double(target) / 8 * Self.factor }

  /// Whether a packet of that kind may pass the queues.
  mutating func admits(_ kind: PacketKind, now: Instant) -> Bool {
    switch kind {
    case .audio: return true
    case .retransmission: guard retransmissions.isEmpty else { return false }
    case .video, .padding: guard isEmpty else { return false }
    }
    refill(now: now)
    return debt <= 0
  }

  /// A packet left.
  mutating func spend(bytes: Int, now: Instant) {
    refill(now: now)
    debt += Double(bytes)
  }

  /// - Returns: false when there is no room; nothing was queued.
  mutating func enqueue(_ packet: PacketReference) -> Bool {
    let isRetransmission = packet.kind == .retransmission
    if isRetransmission {
      guard retransmissions.count < Self.longestRetransmissions, delay < Self.longestDelay else { return false }
      retransmissions.append(packet)
    } else {
      guard delay < Self.longestDelay, video.append(packet) else { return false }
    }
    queuedBytes += Int(packet.bytes)
    return true
  }

  /// The next packet to leave, where the pace allows one.
  mutating func next(now: Instant) -> PacketReference? {
    refill(now: now)
    guard debt <= 0 else { return nil }
    while let packet = retransmissions.popFirst() {
      queuedBytes -= Int(packet.bytes)
      // Too late to be of use; it is asked for again where it is not.
      if now - packet.queuedAt < Self.longestRetransmissionDelay { return packet }
    }
    guard let packet = video.popFirst() else { return nil }
    queuedBytes -= Int(packet.bytes)
    return packet
  }

  /// Drops what waits of a consumer (of one kind, or all). Returns how many.
  @discardableResult
  mutating func drop(slot: UInt16, videoOnly: Bool) -> Int {
    let before = count
    if !videoOnly { queuedBytes -= retransmissions.remove(slot: slot) }
    queuedBytes -= video.remove(slot: slot)
    return before - count
  }

  /// The consumer with most bytes of video waiting.
  var heaviestSlot: UInt16? { video.heaviestSlot }

  /// Since when the oldest packet waits.
  var oldest: Instant? {
    [retransmissions.first?.queuedAt, video.first?.queuedAt].compactMap { $0 }.min()
  }

  /// Gives the memory of empty queues back.
  mutating func release() {
    retransmissions.release()
    video.release()
  }

  private mutating func refill(now: Instant) {
    guard let last = updated else {
      updated = now
      return
    }
    let elapsed = (now - last).inSeconds
    guard elapsed > 0 else { return }
    updated = now
    // What waits has earned the time that it waited, if the tick is late.
    debt = max(debt - pace * elapsed, -pace * (isEmpty ? Self.burst : Self.late))
  }
}

/// A ring of references that grows to 1,024 and owns nothing while it was never used or was released.
struct ReferenceQueue: Sendable {
  static let largestCapacity = 1024
  private var ring: [PacketReference] = []
  private var head = 0
  private(set) var count = 0

  init() {}

  var isEmpty: Bool { count == 0 }
  var memory: Int { ring.capacity * MemoryLayout<PacketReference>.stride }
  var first: PacketReference? { isEmpty ? nil : ring[head] }

  /// - Returns: false when the ring is full.
  @discardableResult
  mutating func append(_ packet: PacketReference) -> Bool {
    if count == ring.count {
      guard ring.count < Self.largestCapacity else { return false }
      grow(packet)
    }
    ring[(head + count) & (ring.count - 1)] = packet
    count += 1
    return true
  }

  mutating func popFirst() -> PacketReference? {
    guard count > 0 else { return nil }
    defer {
      head = (head + 1) & (ring.count - 1)
      count -= 1
    }
    return ring[head]
  }

  /// Returns the bytes that were removed.
  mutating func remove(slot: UInt16) -> Int {
    var removed = 0
    var kept = 0
    for i in 0..<count {
      let packet = ring[(head + i) & (ring.count - 1)]
      if packet.slot == slot {
        removed += Int(packet.bytes)
      } else {
        ring[(head + kept) & (ring.count - 1)] = packet
        kept += 1
      }
    }
    count = kept
    return removed
  }

  var heaviestSlot: UInt16? {
    var sums: [UInt16: Int] = [:]
    for i in 0..<count {
      let packet = ring[(head + i) & (ring.count - 1)]
      sums[packet.slot, default: 0] += Int(packet.bytes)
    }
    return sums.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
  }

  mutating func release() {
    guard isEmpty, !ring.isEmpty else { return }
    ring = []
    head = 0
  }

  private mutating func grow(_ filler: PacketReference) {
    var larger = [PacketReference](repeating: filler, count: max(32, ring.count * 2))
    for i in 0..<count { larger[i] = ring[(head + i) & (ring.count - 1)] }
    ring = larger
    head = 0
  }
}
