package import Core
import Synchronization

/// Who wants to be woken when this process changes the directory.
struct Watchers {
  private var next = 0
  private var wakers: [Int: AsyncStream<Void>.Continuation] = [:]

  mutating func add(_ waker: AsyncStream<Void>.Continuation) -> Int {
    next += 1
    wakers[next] = waker
    return next
  }

  mutating func remove(_ id: Int) { wakers[id] = nil }
  var all: [AsyncStream<Void>.Continuation] { Array(wakers.values) }
}

extension Store {
  /// Wakes the watchers; they find out themselves whether the generation moved.
  func nudge() {
    for waker in watchers.withLock({ $0.all }) { waker.yield() }
  }

  /// The directory now and after every change: by this process at once, by another (`parley user add`) within `interval`.
  ///
  /// A reader that is slow gets the newest snapshot only. A failed read is tried again at the next interval. The stream
  /// ends when its reader stops.
  package func directoryChanges(
    tenant: TenantID = .default, pollingEvery interval: Duration = .seconds(1)
  ) -> AsyncStream<DirectorySnapshot> {
    let (snapshots, output) = AsyncStream<DirectorySnapshot>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let (wakes, waker) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let id = watchers.withLock { $0.add(waker) }
    let ticking = Task {
      while !Task.isCancelled {
        waker.yield()
        try? await Task.sleep(for: interval)
      }
    }
    let watching = Task { [weak self] in
      var seen: Int64?
      for await _ in wakes {
        guard let self else { break }
        guard let generation = try? await self.generation(tenant: tenant), generation != seen else { continue }
        guard let snapshot = try? await self.directory(tenant: tenant) else { continue }
        seen = snapshot.generation
        output.yield(snapshot)
      }
      output.finish()
    }
    output.onTermination = { [weak self] _ in
      ticking.cancel()
      watching.cancel()
      waker.finish()
      self?.watchers.withLock { $0.remove(id) }
    }
    return snapshots
  }

  /// Rises with every change of users, trunks, numbers and routes by any process.
  package func generation(tenant: TenantID = .default) async throws(StoreError) -> Int64 {
    try await read("read generation") { db in try db.generation(tenant) }
  }
}
