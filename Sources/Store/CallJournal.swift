import Core
import GRDB
import Synchronization

/// Writes call records in group commits.
///
/// Each caller waits until its record is on disk. While one transaction is being synced, the records that arrive gather
/// for the next, so a disk that syncs in 10 ms takes thousands of records a second, not a hundred.
final class CallJournal: Sendable {
  private struct Entry: Sendable {
    let call: CallRecord
    let done: CheckedContinuation<StoreError?, Never>
  }

  private struct State {
    var waiting: [Entry] = []
    var isDraining = false
    var commits = 0
  }

  /// Records that may wait for the disk; beyond that `save` fails at once instead of eating memory.
  static let capacity = 20_000
  /// Records in one transaction; bounds how long a reader of the write-ahead log and the other writers wait.
  private static let batch = 500

  private let pool: DatabasePool
  private let path: String
  private let state = Mutex(State())

  init(pool: DatabasePool, path: String) {
    self.pool = pool
    self.path = path
  }

  /// Records that wait for the disk.
  var depth: Int { state.withLock { $0.waiting.count } }
  /// Transactions committed so far.
  var commits: Int { state.withLock { $0.commits } }

  func save(_ call: CallRecord) async throws(StoreError) {
    let failure = await withCheckedContinuation { (done: CheckedContinuation<StoreError?, Never>) in
      let (accepted, mustStart) = state.withLock { state -> (Bool, Bool) in
        guard state.waiting.count < Self.capacity else { return (false, false) }
        state.waiting.append(Entry(call: call, done: done))
        defer { state.isDraining = true }
        return (true, !state.isDraining)
      }
      if !accepted {
        done.resume(
          returning: StoreError(
            .overloaded, path: path, operation: "save call", problem: "\(Self.capacity) records wait for the disk."))
      }
      // Not a child of the caller: its cancellation must not take the other records along.
      if mustStart { Task { await self.drain() } }
    }
    if let failure { throw failure }
  }

  private func drain() async {
    while true {
      let entries = state.withLock { state -> [Entry] in
        let taken = Array(state.waiting.prefix(Self.batch))
        state.waiting.removeFirst(taken.count)
        if taken.isEmpty { state.isDraining = false }
        return taken
      }
      if entries.isEmpty { return }
      await commit(entries)
    }
  }

  /// One transaction. A record that the database refuses fails alone; a failed commit fails all of them.
  private func commit(_ entries: [Entry]) async {
    let calls = entries.map(\.call)
    let path = path
    let now = WallTime.now()
    var outcomes: [StoreError?]
    do {
      outcomes = try await pool.write { db in
        var outcomes: [StoreError?] = []
        outcomes.reserveCapacity(calls.count)
        for call in calls {
          var outcome: StoreError?
          do {
            try db.inSavepoint {
              try db.upsert(call, savedAt: now)
              return .commit
            }
          } catch let error as DatabaseError where error.resultCode != .SQLITE_CONSTRAINT {
            // The disk, not the record: the whole transaction fails.
            throw error
          } catch {
            outcome = StoreError(error, path: path, operation: "save call \(call.id)")
          }
          outcomes.append(outcome)
        }
        return outcomes
      }
      state.withLock { $0.commits += 1 }
    } catch {
      outcomes = Array(repeating: StoreError(error, path: path, operation: "save call"), count: calls.count)
    }
    for (entry, outcome) in zip(entries, outcomes) { entry.done.resume(returning: outcome) }
  }
}

extension Database {
  /// Writes a call and its legs. A record of a running call never replaces one of the same call that has ended: saves
  /// started concurrently may arrive in either order.
  func upsert(_ call: CallRecord, savedAt: WallTime) throws {
    let written = try insert(
      call.columns(savedAt: savedAt), into: "calls", key: ["tenant", "id"],
      onConflict: .updateWhere("excluded.ended_at IS NOT NULL OR calls.ended_at IS NULL"))
    guard written else { return }
    for leg in call.legs {
      try insert(leg.columns(of: call), into: "legs", key: ["tenant", "call", "position"], onConflict: .update)
    }
  }
}
