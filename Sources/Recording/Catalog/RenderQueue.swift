import Glibc
import Synchronization

/// Renders recordings one after another on one thread of low priority: a call's packets never wait for it.
package final class RenderQueue: Sendable {
  private struct Job: Sendable {
    let run: @Sendable () -> Void
    /// Instead of `run`, where the queue stops before its turn.
    let cancel: @Sendable () -> Void
  }

  private struct State: Sendable {
    var jobs: [Job] = []
    var isStopping = false
  }

  private let state = Mutex(State())
  private let bell = Bell()
  private let thread = SlowThread()

  package init() {
    thread.start(name: "render") { [self] in
      // Of the calling thread alone, on Linux. Fails nowhere: anybody may lower it.
      _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
      run()
    }
  }

  /// Jobs that wait or run.
  package var depth: Int { state.withLock { $0.jobs.count } }

  /// Runs `body` when its turn comes; what it returns is returned. Nil where the queue stops before.
  package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value? {
    await withCheckedContinuation { continuation in
      let accepted = state.withLock { state in
        guard !state.isStopping else { return false }
        state.jobs.append(
          Job(
            run: { continuation.resume(returning: body()) }, cancel: { continuation.resume(returning: nil) }))
        return true
      }
      if accepted { bell.ring() } else { continuation.resume(returning: nil) }
    }
  }

  /// Takes no more, and lets go of what waits. Returns when the job that runs has ended, and the thread with it.
  package func stop() {
    state.withLock { $0.isStopping = true }
    bell.ring()
    thread.join()
  }

  private func run() {
    while true {
      let (job, isStopping) = state.withLock { ($0.jobs.first, $0.isStopping) }
      guard let job else {
        if isStopping { return }
        bell.wait(.seconds(3_600))
        continue
      }
      isStopping ? job.cancel() : job.run()
      state.withLock { _ = $0.jobs.removeFirst() }
    }
  }
}
