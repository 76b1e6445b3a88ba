import Core
import Synchronization
import Testing

@testable import Transport

extension LiveTests {
  @Suite(.timeLimit(.minutes(1)))
  struct MediaWorkerTests {
    /// Counts calls on a worker's thread.
    actor Clockwork {
      nonisolated let worker = MediaWorker(name: "clockwork")
      nonisolated var unownedExecutor: UnownedSerialExecutor { worker.asUnownedSerialExecutor() }
      private var timers: [WorkerTimer] = []
      private(set) var calls: [Instant] = []
      private(set) var order: [Int] = []

      func every(_ interval: Duration) {
        timers.append(worker.every(interval) { now in self.assumeIsolated { $0.calls.append(now) } })
      }
      /// One timer for each of `delays` milliseconds, numbered in order.
      func after(_ delays: [Int]) {
        for (number, delay) in delays.enumerated() {
          timers.append(worker.after(.milliseconds(delay)) { _ in self.assumeIsolated { $0.order.append(number) } })
        }
      }
      func block(for time: Duration) {
        let end = Instant.now() + time
        while Instant.now() < end {}
      }
      func cancelAll() { timers.forEach { $0.cancel() } }
      func forgetAll() { timers = [] }
      func deferTwo() {
        worker.atEndOfTurn {
          self.assumeIsolated { $0.order.append(1) }
          self.worker.atEndOfTurn { self.assumeIsolated { $0.order.append(2) } }
        }
        order.append(0)
      }
      var isOnWorker: Bool { worker.isCurrent }
      var statistics: WorkerStatistics { worker.statistics }
    }

    final class Counter: Sendable { let value = Mutex(0) }

    static func wait(_ condition: @Sendable () async -> Bool) async -> Bool {
      for _ in 0..<2000 {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(2))
      }
      return false
    }

    @Test func runsActorsOnItsThread() async {
      let clock = Clockwork()
      #expect(await clock.isOnWorker)
      #expect(!clock.worker.isCurrent)
      clock.worker.stop()
      clock.worker.stop()
    }

    @Test func periodicTimersDoNotDrift() async {
      let clock = Clockwork()
      let start = Instant.now()
      await clock.every(.milliseconds(5))
      await clock.block(for: .milliseconds(23))
      #expect(await Self.wait { await clock.calls.count >= 40 })
      let calls = await clock.calls
      // The 40th is due 200 ms after the start whatever was late in between; it may be late itself, never early.
      #expect(calls[39] >= start + .milliseconds(200))
      #expect(calls.count(where: { $0 < start + .milliseconds(100) }) <= 20)
      #expect(await clock.statistics.skippedTicks == 0)
      clock.worker.stop()
    }

    @Test func skipsTicksOnlyWhenFarBehind() async {
      let clock = Clockwork()
      await clock.every(.milliseconds(2))
      await clock.block(for: .milliseconds(60))
      #expect(await Self.wait { await clock.calls.count >= 3 })
      let skipped = await clock.statistics.skippedTicks
      #expect(skipped >= 20 && skipped <= 40)
      clock.worker.stop()
    }

    @Test func oneShotTimersFireOnceInOrderOfDeadline() async {
      let clock = Clockwork()
      await clock.after([30, 10, 20, 0])
      #expect(await Self.wait { await clock.order.count == 4 })
      #expect(await clock.order == [3, 1, 2, 0])
      #expect(await clock.statistics.timers == 0)
      clock.worker.stop()
    }

    @Test(arguments: [true, false])
    func cancelledOrForgottenTimersDoNotFire(cancel: Bool) async {
      let clock = Clockwork()
      await clock.after([Int](repeating: 100, count: 500))
      await clock.every(.milliseconds(1))
      #expect(await clock.statistics.timers == 501)
      if cancel { await clock.cancelAll() } else { await clock.forgetAll() }
      let calls = await clock.calls.count
      #expect(await clock.statistics.timers == 0)
      try? await Task.sleep(for: .milliseconds(130))
      #expect(await clock.order.isEmpty)
      #expect(await clock.calls.count == calls)
      clock.worker.stop()
    }

    @Test func deferredBlocksRunInTheSameTurn() async {
      let clock = Clockwork()
      await clock.deferTwo()
      // Two awaits in a row may run in one turn; a job from elsewhere comes in a later one.
      #expect(await Self.wait { await clock.order == [0, 1, 2] })
      clock.worker.stop()
    }

    @Test func jobsOfManyThreadsAllRun() async {
      let clock = Clockwork()
      let worker = clock.worker
      let count = Counter()
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            for _ in 0..<500 { worker.perform { count.value.withLock { $0 += 1 } } }
          }
        }
      }
      _ = await clock.isOnWorker
      #expect(count.value.withLock { $0 } == 4000)
      worker.stop()
    }
  }
}
