package import Core

/// Slows down who guesses PINs: attempts are counted for the caller's number and for the number that was called, over
/// all calls. After some failures further attempts are refused for a time that doubles with each failure. A refused
/// attempt is not looked at, so it tells nothing about the PIN.
///
/// An attempt is counted before it is made and given back when it was right: a hundred calls at once have no more
/// guesses than one. A right PIN does not forgive wrong ones before it.
package struct PINGuard: Sendable {
  package struct Policy: Sendable, Equatable {
    /// Failures that have no consequence.
    package var allowance: Int
    package var firstLockOut: Duration
    package var longestLockOut: Duration
    /// Failures are forgotten after so long without another.
    package var memory: Duration
    /// Numbers remembered; the ones nearest to being forgotten make room.
    package var capacity: Int

    package init(
      allowance: Int, firstLockOut: Duration, longestLockOut: Duration, memory: Duration, capacity: Int
    ) {
      self.allowance = max(1, allowance)
      self.firstLockOut = firstLockOut
      self.longestLockOut = longestLockOut
      self.memory = max(memory, longestLockOut)
      self.capacity = max(8, capacity)
    }

    /// A caller: six failures, then 30 s up to an hour.
    package static let caller = Policy(
      allowance: 6, firstLockOut: .seconds(30), longestLockOut: .seconds(3_600), memory: .seconds(6 * 3_600),
      capacity: 8_192)
    /// A called number: whoever guesses from many numbers meets this one. Its lock-outs stay short, as they hit those
    /// who know their PIN too.
    package static let target = Policy(
      allowance: 40, firstLockOut: .seconds(10), longestLockOut: .seconds(300), memory: .seconds(3_600),
      capacity: 8_192)
  }

  package struct Attempt: Sendable {
    fileprivate let caller: String
    fileprivate let target: String
    fileprivate let callerLock: Instant?
    fileprivate let targetLock: Instant?
  }

  package enum Verdict: Sendable {
    /// Have the PIN looked at; tell `succeeded` if it was right.
    case allowed(Attempt)
    case lockedOut(until: Instant)
  }

  package struct Statistics: Sendable, Equatable {
    package var attempts = 0
    package var successes = 0
    /// Attempts that were not looked at.
    package var refusals = 0
    /// Times that a number began to be locked out.
    package var lockOuts = 0
  }

  private struct Record: Sendable {
    var failures = 0
    var lockedUntil: Instant?
    var last: Instant
  }

  private struct Table: Sendable {
    let policy: Policy
    var records: [String: Record] = [:]

    func lock(of key: String, now: Instant) -> Instant? {
      records[key]?.lockedUntil.flatMap { $0 > now ? $0 : nil }
    }

    /// Counts a failure; the end of the lock-out that it brought.
    mutating func charge(_ key: String, now: Instant) -> Instant? {
      var record = records[key] ?? Record(last: now)
      if now - record.last > policy.memory { record = Record(last: now) }
      record.failures = min(record.failures + 1, 1_000_000)
      record.last = now
      record.lockedUntil = nil
      if record.failures >= policy.allowance {
        // 2^16 times the first one is beyond any longest one.
        let doublings = min(16, record.failures - policy.allowance)
        record.lockedUntil = now + min(policy.longestLockOut, policy.firstLockOut * (1 << doublings))
      }
      if records[key] == nil, records.count >= policy.capacity { makeRoom(now) }
      records[key] = record
      return record.lockedUntil
    }

    mutating func refund(_ key: String, lock: Instant?) {
      guard var record = records[key] else { return }
      record.failures -= 1
      if record.lockedUntil == lock { record.lockedUntil = nil }
      records[key] = record.failures > 0 ? record : nil
    }

    /// Takes out an eighth, so that it is not done again for each newcomer.
    private mutating func makeRoom(_ now: Instant) {
      // Who is locked out stays longest, and among the others who failed most and last.
      let order = records.sorted { a, b in
        let (one, two) = (a.value, b.value)
        let (oneLocked, twoLocked) = ((one.lockedUntil ?? now) > now, (two.lockedUntil ?? now) > now)
        if oneLocked != twoLocked { return twoLocked }
        return (one.failures, one.last) < (two.failures, two.last)
      }
      for (key, _) in order.prefix(max(1, policy.capacity / 8)) { records[key] = nil }
    }
  }

  private var callers: Table
  private var targets: Table
  package private(set) var statistics = Statistics()

  package init(caller: Policy = .caller, target: Policy = .target) {
    callers = Table(policy: caller)
    targets = Table(policy: target)
  }

  /// Numbers remembered.
  package var count: Int { callers.records.count + targets.records.count }

  /// Until when attempts are refused; nil where one would be looked at. For the moment before a PIN is asked for.
  package func lockOut(caller: String?, target: String, now: Instant) -> Instant? {
    [callers.lock(of: Self.key(caller), now: now), targets.lock(of: Self.key(target), now: now)].compactMap { $0 }.max()
  }

  /// - Parameters:
  ///   - caller: the caller's number; nil, and empty, for those who hide it: they are all one.
  ///   - target: the number that was called.
  package mutating func begin(caller: String?, target: String, now: Instant) -> Verdict {
    let (caller, target) = (Self.key(caller), Self.key(target))
    if let until = [callers.lock(of: caller, now: now), targets.lock(of: target, now: now)].compactMap({ $0 }).max() {
      statistics.refusals += 1
      return .lockedOut(until: until)
    }
    statistics.attempts += 1
    let callerLock = callers.charge(caller, now: now)
    let targetLock = targets.charge(target, now: now)
    statistics.lockOuts += (callerLock == nil ? 0 : 1) + (targetLock == nil ? 0 : 1)
    return .allowed(Attempt(caller: caller, target: target, callerLock: callerLock, targetLock: targetLock))
  }

  /// The PIN of the attempt was right.
  package mutating func succeeded(_ attempt: Attempt) {
    statistics.successes += 1
    statistics.lockOuts -= (attempt.callerLock == nil ? 0 : 1) + (attempt.targetLock == nil ? 0 : 1)
    callers.refund(attempt.caller, lock: attempt.callerLock)
    targets.refund(attempt.target, lock: attempt.targetLock)
  }

  /// Callers choose their numbers: no more of one is kept than a number has.
  private static func key(_ number: String?) -> String { String((number ?? "").unicodeScalars.prefix(64)) }
}
