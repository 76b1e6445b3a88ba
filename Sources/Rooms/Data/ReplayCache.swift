import Core

/// The reliable packets of a room's last two seconds, for participants who resume.
struct ReplayCache {
  struct Entry {
    var time: Instant
    var senderSID: String
    var sequence: UInt32
    /// Identities; empty means everybody.
    var destinations: [String]
    var bytes: [UInt8]
  }

  static let span: Duration = .seconds(2)
  static let maximumBytes = 4 * 1024 * 1024

  private var entries: [Entry] = []
  /// Entries before this one are gone.
  private var start = 0
  private(set) var totalBytes = 0

  mutating func append(_ entry: Entry) {
    entries.append(entry)
    totalBytes += entry.bytes.count
    trim(now: entry.time)
  }

  private mutating func trim(now: Instant) {
    while start < entries.count, entries[start].time + ReplayCache.span < now || totalBytes > ReplayCache.maximumBytes {
      totalBytes -= entries[start].bytes.count
      entries[start].bytes = []
      start += 1
    }
    if start > 256, start * 2 > entries.count {
      entries.removeFirst(start)
      start = 0
    }
  }

  /// What a receiver missed.
  /// - Parameter lastSequences: the highest number that it got, by sender's SID. Senders of whom it says nothing are
  ///   left out: it may have all of them.
  mutating func missed(by identity: String, lastSequences: [String: UInt32], now: Instant) -> [[UInt8]] {
    trim(now: now)
    return entries[start...].filter { entry in
      guard let last = lastSequences[entry.senderSID], entry.sequence > last else { return false }
      return entry.destinations.isEmpty || entry.destinations.contains(identity)
    }.map(\.bytes)
  }
}
