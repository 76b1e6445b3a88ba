import Core
import RTP

/// A packet of the send history that the receiver reported on.
struct AcknowledgedPacket: Hashable, Sendable {
  var sentAt: Instant
  /// On the receiver's clock, whose origin means nothing.
  var arrival: Instant
  /// On the wire, without what lies below RTP.
  var bytes: Int
  /// Bytes sent since the packet before that bore no transport-wide number.
  var untracked: Int
  /// Of which probe; 0 for none.
  var cluster: UInt8
}

/// What one feedback packet says of what we sent.
struct FeedbackReport: Sendable {
  /// Newly reported arrivals, in the order of sending.
  var acknowledged: [AcknowledgedPacket] = []
  /// Newly reported losses.
  var lost = 0
  /// Reported lost before, and here after all.
  var recovered = 0
  init() {}
}

/// What was sent with which transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
///
/// The ring is allocated with the first packet and grows while packets of the last second would be overwritten
/// before they are reported; at most 4,096 packets of 16 bytes.
struct SendHistory: Sendable {
  private struct Entry: Sendable {
    var sentAt: Int64 = 0
    var bytes: UInt16 = 0
    var untracked: UInt16 = 0
    var cluster: UInt8 = 0
    var state = State.vacant
  }
  private enum State: UInt8, Sendable { case vacant, inFlight, acknowledged, lost }

  static let smallestCapacity = 64
  static let largestCapacity = 4096

  private var entries: [Entry] = []
  /// Extended number of the next packet.
  private var next: Int64 = 65_536
  private var untracked = 0
  /// Packets that left since the receiver last reported anything.
  private(set) var unanswered = 0
  /// When the first of them left.
  private(set) var unansweredSince: Instant?
  private(set) var lastSent: Instant?

  // The receiver's clock: 24 bits of 64 ms.
  private var reference: Int64?

  init() {}

  var capacity: Int { entries.count }

  /// Counts bytes of a packet that has no transport-wide number.
  mutating func addUntracked(bytes: Int) { untracked &+= bytes }

  /// Numbers a packet that leaves now.
  mutating func add(bytes: Int, cluster: UInt8, now: Instant) -> UInt16 {
    if entries.isEmpty { entries = [Entry](repeating: Entry(), count: Self.smallestCapacity) }
    var slot = Int(truncatingIfNeeded: next) & (entries.count - 1)
    if entries[slot].state == .inFlight {
      if entries.count < Self.largestCapacity, now.nanoseconds &- entries[slot].sentAt < 1_000_000_000 {
        grow()
        slot = Int(truncatingIfNeeded: next) & (entries.count - 1)
      }
    }
    entries[slot] = Entry(
      sentAt: now.nanoseconds, bytes: UInt16(clamping: bytes), untracked: UInt16(clamping: untracked),
      cluster: cluster, state: .inFlight)
    untracked = 0
    if unanswered == 0 { unansweredSince = now }
    unanswered &+= 1
    lastSent = now
    defer { next &+= 1 }
    return UInt16(truncatingIfNeeded: next)
  }

  private mutating func grow() {
    let old = entries
    entries = [Entry](repeating: Entry(), count: old.count * 2)
    for back in 1...old.count {
      let number = Int(truncatingIfNeeded: next &- Int64(back))
      entries[number & (entries.count - 1)] = old[number & (old.count - 1)]
    }
  }

  /// Applies a feedback packet. Numbers that were never sent, or so long ago that they are forgotten, are passed over.
  ///
  /// - Parameter report: Overwritten; give the same again, so that its array is reused.
  mutating func receive(_ feedback: TransportFeedback, into report: inout FeedbackReport) {
    report.acknowledged.removeAll(keepingCapacity: true)
    report.lost = 0
    report.recovered = 0
    guard !entries.isEmpty else { return }
    var arrival = arrivalOrigin(feedback.referenceTime)
    let behind = UInt16(truncatingIfNeeded: next) &- feedback.baseSequence
    var number = next &- Int64(behind)
    for delta in feedback.arrivals {
      defer { number &+= 1 }
      if let delta { arrival &+= Int64(delta) &* 250_000 }
      guard number < next, number >= next &- Int64(entries.count) else { continue }
      let slot = Int(truncatingIfNeeded: number) & (entries.count - 1)
      let entry = entries[slot]
      if delta != nil {
        guard entry.state == .inFlight || entry.state == .lost else { continue }
        if entry.state == .lost { report.recovered += 1 }
        entries[slot].state = .acknowledged
        report.acknowledged.append(
          AcknowledgedPacket(
            sentAt: Instant(nanoseconds: entry.sentAt), arrival: Instant(nanoseconds: arrival),
            bytes: Int(entry.bytes), untracked: Int(entry.untracked), cluster: entry.cluster))
      } else if entry.state == .inFlight {
        entries[slot].state = .lost
        report.lost += 1
      }
    }
    if !report.acknowledged.isEmpty || report.lost > 0 { unanswered = 0 }
  }

  /// Nanoseconds on an extended receiver clock. The 24 bits wrap after 12 days.
  private mutating func arrivalOrigin(_ referenceTime: Int32) -> Int64 {
    let value = Int64(referenceTime)
    guard let last = reference else {
      reference = value
      return value &* 64_000_000
    }
    var step = (value &- last) & 0xFF_FFFF
    if step >= 0x80_0000 { step -= 0x100_0000 }
    reference = last &+ step
    return (last &+ step) &* 64_000_000
  }
}
