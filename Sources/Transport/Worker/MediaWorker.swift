internal import CLinux
internal import CNice
package import Core
internal import Glibc
internal import Synchronization

/// One thread that runs one `GMainContext`: ICE, DTLS, SRTP and the packets of the calls that live on it, unlocked.
///
/// Actors use it as their executor (`unownedExecutor`); what they await costs two thread switches, so it is for control,
/// never for packets. A turn is: wait for descriptors or a deadline, run what is ready, run the blocks deferred to the
/// turn's end, send all queued packets.
///
/// `@unchecked Sendable`: `work`, `stopping` and a source's ready time may be touched from any thread; every other
/// stored variable only on the worker's own thread, or before it starts, or after `stop()` joined it.
package final class MediaWorker: SerialExecutor, @unchecked Sendable {
  package let name: String
  let context: OpaquePointer
  private let work = Mutex<[Work]>([])
  private let stopping = Atomic<Bool>(false)
  private let joined = Atomic<Bool>(false)
  private let thread: WorkerThread
  private let wakeUp: ContextSource

  // Worker's thread only.
  let timers: TimerQueue
  let sendQueue: SendQueue
  let poller: DatagramPoller
  private var deferred: [() -> Void] = []
  private var turnTime: Instant?
  private var turns: UInt64 = 0
  /// Asynchronous closes of libnice agents that still need the context.
  var pendingCloses = 0

  private enum Work: Sendable {
    case job(UnownedJob)
    case block(@Sendable () -> Void)
  }

  /// Starts the thread. The kernel sees the first 15 bytes of `name`. Call `stop()` when done: the thread keeps the
  /// worker alive until then.
  package init(name: String) {
    self.name = name
    _ = DescriptorLimit.raised
    context = g_main_context_new()
    wakeUp = ContextSource(context: context)
    timers = TimerQueue(context: context)
    sendQueue = SendQueue()
    poller = DatagramPoller(context: context)
    thread = WorkerThread()
    wakeUp.handler = { [unowned self] in self.runWork() }
    timers.now = { [unowned self] in self.now }
    poller.now = { [unowned self] in self.now }
    thread.start(name: name) { [self] in self.run() }
  }

  deinit { g_main_context_unref(context) }

  // MARK: Executor

  package func enqueue(_ job: consuming ExecutorJob) { add(.job(UnownedJob(job))) }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  package func isIsolatingCurrentContext() -> Bool? { isCurrent }

  package func checkIsolated() {
    precondition(isCurrent, "called off the thread of media worker \(name)")
  }

  /// Whether the caller runs on the worker's thread.
  package var isCurrent: Bool { thread.isCurrent }

  /// Runs `block` soon on the worker's thread. Jobs and blocks run in the order in which they came.
  package func perform(_ block: @escaping @Sendable () -> Void) { add(.block(block)) }

  private func add(_ item: Work) {
    let wake = work.withLock { work in
      defer { work.append(item) }
      return work.isEmpty
    }
    if wake { wakeUp.setReadyTime(0) }
  }

  private func runWork() {
    wakeUp.setReadyTime(-1)
    let items = work.withLock { work in
      defer { work = [] }
      return work
    }
    for item in items {
      switch item {
      case .job(let job): unsafe job.runSynchronously(on: asUnownedSerialExecutor())
      case .block(let block): block()
      }
    }
  }

  // MARK: The loop

  private func run() {
    g_main_context_acquire(context)
    g_main_context_push_thread_default(context)
    while !stopping.load(ordering: .acquiring) { turn(blocking: true) }
    // Agents that were closed just before still have sockets and TURN allocations to give back; a second is plenty.
    let limit = Instant.now() + .seconds(1)
    repeat { turn(blocking: false) } while (pendingCloses > 0 || hasWork) && Instant.now() < limit
    timers.removeAll()
    poller.close()
    g_main_context_pop_thread_default(context)
    g_main_context_release(context)
  }

  private var hasWork: Bool { work.withLock { !$0.isEmpty } }

  private func turn(blocking: Bool) {
    turnTime = nil
    g_main_context_iteration(context, blocking ? 1 : 0)
    turns &+= 1
    while !deferred.isEmpty {
      let blocks = deferred
      deferred = []
      for block in blocks { block() }
    }
    sendQueue.flush()
  }

  /// Ends the thread and waits for it. Close every transport of the worker first, and let no actor use it afterwards:
  /// jobs that come later are never run. Not from the worker's own thread. Calling it again changes nothing.
  package func stop() {
    precondition(!isCurrent, "a media worker cannot stop itself")
    stopping.store(true, ordering: .releasing)
    g_main_context_wakeup(context)
    if joined.exchange(true, ordering: .acquiringAndReleasing) { return }
    thread.join()
    wakeUp.destroy()
  }

  // MARK: On the worker's thread

  /// The time of this turn: read once, when first asked for.
  package var now: Instant {
    if let turnTime { return turnTime }
    let now = Instant.now()
    turnTime = now
    return now
  }

  /// Calls `body` every `interval`, the first time after one interval, with the turn's time.
  ///
  /// The n-th call is due at start + n × interval however late the calls before were. A timer that is late by up to eight
  /// intervals is called once for each; beyond that the missed ones are skipped. It ends with `cancel()` or when the
  /// `WorkerTimer` goes away.
  package func every(_ interval: Duration, _ body: @escaping (Instant) -> Void) -> WorkerTimer {
    assert(isCurrent)
    return timers.add(after: interval, every: interval, body)
  }

  /// Calls `body` once after `delay`, unless the `WorkerTimer` is cancelled or gone by then.
  package func after(_ delay: Duration, _ body: @escaping (Instant) -> Void) -> WorkerTimer {
    assert(isCurrent)
    return timers.add(after: delay, every: nil, body)
  }

  /// Runs `block` when everything that was ready in this turn has run, before queued packets are sent. Blocks added
  /// meanwhile run in the same turn.
  package func atEndOfTurn(_ block: @escaping () -> Void) {
    assert(isCurrent)
    deferred.append(block)
  }

  /// Figures since the start. On the worker's thread.
  package var statistics: WorkerStatistics {
    assert(isCurrent)
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return WorkerStatistics(
      turns: turns, busy: .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec), timers: timers.count,
      skippedTicks: timers.skipped, sendCalls: sendQueue.calls, sentPackets: sendQueue.packets)
  }
}

/// What a worker did since it started.
package struct WorkerStatistics: Sendable, Hashable {
  /// Turns of the loop.
  package var turns: UInt64
  /// CPU time of its thread.
  package var busy: Duration
  /// Timers that are set.
  package var timers: Int
  /// Calls of periodic timers left out because the worker was late by more than eight intervals: it is overloaded.
  package var skippedTicks: UInt64
  /// System calls made to send, and packets sent by them.
  package var sendCalls: UInt64
  package var sentPackets: UInt64
}

/// Owns one POSIX thread.
private final class WorkerThread: @unchecked Sendable {
  // Written by `start` before the worker is visible to anyone else, read only afterwards; `isCurrent` compares a value
  // that the new thread stores for itself first.
  private var handle = pthread_t()
  private let identity = Atomic<UInt>(0)

  func start(name: String, _ body: @escaping () -> Void) {
    let entry = Unmanaged.passRetained(Entry(thread: self, name: name, body: body))
    let code = pthread_create(
      &handle, nil,
      { raw in
        guard let raw else { return nil }
        let entry = Unmanaged<Entry>.fromOpaque(raw).takeRetainedValue()
        entry.thread.identity.store(UInt(pthread_self()), ordering: .releasing)
        _ = clinux_setname(UInt(pthread_self()), String(decoding: entry.name.utf8.prefix(15), as: UTF8.self))
        entry.body()
        return nil
      }, entry.toOpaque())
    precondition(code == 0, "a media worker's thread cannot start: \(systemErrorText(code))")
  }

  var isCurrent: Bool { identity.load(ordering: .acquiring) == UInt(pthread_self()) }

  func join() {
    pthread_join(handle, nil)
    identity.store(0, ordering: .releasing)
  }

  private final class Entry {
    let thread: WorkerThread
    let name: String
    let body: () -> Void
    init(thread: WorkerThread, name: String, body: @escaping () -> Void) {
      self.thread = thread
      self.name = name
      self.body = body
    }
  }
}
