// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
package import Core
internal import Glibc
internal import Synchronization

/// One thread and its event loop: ICE, DTLS, SRTP and the packets of the calls that live on it, unlocked.
///
/// Actors use it as their executor (`unownedExecutor`); what they await costs two thread switches, so it is for control,
/// never for packets. A turn is: wait for descriptors or a deadline, run what is ready, run the blocks deferred to the
/// turn's end, send all queued packets.
///
/// While media flows it is heard of once in `coalescing`, or with the next timer if that is due at most a millisecond
/// after that: at many packets a second one wake-up, which costs more than a packet, then serves many. Jobs, timers and connecting peers are always heard at
/// once, and so is the first packet after a pause.
///
/// `@unchecked Sendable`: `work`, `stopping` and `wakeDescriptor` may be touched from any thread; every other stored
/// variable only on the worker's own thread, or before it starts, or after `stop()` joined it.
package final class MediaWorker: SerialExecutor, @unchecked Sendable {
  package let name: String
  private let coalescing: Duration
  private let work = Mutex<[Work]>([])
  private let stopping = Atomic<Bool>(false)
  private let joined = Atomic<Bool>(false)
  private let thread: WorkerThread
  private let wakeDescriptor: Int32

  // Worker's thread only.
  let timers = TimerQueue()
  let sendQueue = SendQueue()
  let poll = DescriptorPoll()
  let reader = DatagramReader()
  private var deferred: [() -> Void] = []
  private var turnTime: Instant?
  private var mediaHeldUntil = Instant.zero
  private var lastMedia = Instant.zero
  /// Set by a handler that left media behind: the next turn must not wait for more.
  var hasBacklog = false
  private var turns: UInt64 = 0
  /// Asynchronous closes of libnice agents that are still under way.
  var pendingCloses = 0

  /// How much longer than `coalescing` media may wait for a timer.
  private static let patience = Duration.milliseconds(1)

  private enum Work: Sendable {
    case job(UnownedJob)
    case block(@Sendable () -> Void)
  }

  /// Reads the wake-up counter and runs the work. Not the worker itself: `poll` keeps its handlers.
  private final class WakeUp: ReadyHandler {
    private unowned let worker: MediaWorker
    init(_ worker: MediaWorker) { self.worker = worker }
    func ready(now: Instant) -> Bool {
      worker.runWork()
      return false
    }
  }

  /// Starts the thread. The kernel sees the first 15 bytes of `name`. Call `stop()` when done: the thread keeps the
  /// worker alive until then.
  /// - Parameter coalescing: Longest delay that a received packet may get for being handled with others; zero for none.
  package init(name: String, coalescing: Duration = .milliseconds(2)) {
    self.name = name
    self.coalescing = coalescing
    _ = DescriptorLimit.raised
    wakeDescriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    precondition(wakeDescriptor >= 0, "a media worker cannot open an eventfd: \(systemErrorText(errno))")
    thread = WorkerThread()
    do throws(TransportError) {
      _ = try poll.add(wakeDescriptor, isUrgent: true, handler: WakeUp(self))
    } catch { preconditionFailure("a media worker cannot poll: \(error)") }
    thread.start(name: name) { [self] in self.run() }
  }

  deinit { Glibc.close(wakeDescriptor) }

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
    if wake { wakeThread() }
  }

  private func wakeThread() {
    var one: UInt64 = 1
    // Fails only when the counter is full, and then the thread is awake anyway.
    _ = write(wakeDescriptor, &one, 8)
  }

  private func runWork() {
    var count: UInt64 = 0
    _ = read(wakeDescriptor, &count, 8)
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
    while !stopping.load(ordering: .acquiring) { turn() }
    // Agents that were closed just before still have sockets and TURN allocations to give back; a second is plenty.
    let limit = Instant.now() + .seconds(1)
    repeat { turn(longest: .milliseconds(5)) } while (pendingCloses > 0 || hasWork) && Instant.now() < limit
    timers.removeAll()
    poll.close()
  }

  private var hasWork: Bool { work.withLock { !$0.isEmpty } }

  private func turn(longest: Duration? = nil) {
    let start = Instant.now()
    var patience = timers.nextDeadline.map { start.duration(to: $0) }
    if let longest { patience = min(patience ?? longest, longest) }
    if mediaHeldUntil > start {
      let held = start.duration(to: mediaHeldUntil)
      _ = poll.wait(.urgent, min(patience ?? held, held))
      patience = .zero
    }
    let ready = poll.wait(.all, patience)
    let now = Instant.now()
    turnTime = now
    turns &+= 1
    let tookMedia = poll.dispatch(ready, now: now)
    timers.fire(now: now)
    if tookMedia { lastMedia = now }
    if hasBacklog {
      mediaHeldUntil = now
    } else if lastMedia + coalescing * 2 > now {
      mediaHeldUntil = max(mediaHeldUntil, endOfHold(now))
    }
    hasBacklog = false
    while !deferred.isEmpty {
      let blocks = deferred
      deferred = []
      for block in blocks { block() }
    }
    sendQueue.flush()
    turnTime = nil
  }

  /// A timer that is due about then wakes the thread anyway: media waits for it, or comes with it.
  private func endOfHold(_ now: Instant) -> Instant {
    guard coalescing > .zero else { return now }
    let end = now + coalescing
    guard let timer = timers.nextDeadline, timer > now, timer <= end + MediaWorker.patience else { return end }
    return timer
  }

  /// Ends the thread and waits for it. Close every transport of the worker first, and let no actor use it afterwards:
  /// jobs that come later are never run. Not from the worker's own thread. Calling it again changes nothing.
  package func stop() {
    precondition(!isCurrent, "a media worker cannot stop itself")
    stopping.store(true, ordering: .releasing)
    wakeThread()
    if joined.exchange(true, ordering: .acquiringAndReleasing) { return }
    thread.join()
  }

  // MARK: On the worker's thread

  /// The time at which this turn woke up.
  package var now: Instant { turnTime ?? .now() }

  /// Calls `body` every `interval`, the first time after one interval, with the turn's time.
  ///
  /// The n-th call is due at start + n × interval however late the calls before were. A timer that is late by up to eight
  /// intervals is called once for each; beyond that the missed ones are skipped. It ends with `cancel()` or when the
  /// `WorkerTimer` goes away.
  package func every(_ interval: Duration, _ body: @escaping (Instant) -> Void) -> WorkerTimer {
    assert(isCurrent)
    return timers.add(after: interval, every: interval, now: now, body)
  }

  /// Calls `body` once after `delay`, unless the `WorkerTimer` is cancelled or gone by then.
  package func after(_ delay: Duration, _ body: @escaping (Instant) -> Void) -> WorkerTimer {
    assert(isCurrent)
    return timers.add(after: delay, every: nil, now: now, body)
  }

  /// Datagrams of `descriptor` go to `consumer`, which is not kept alive. The result is for `poll.remove`.
  func watch(_ descriptor: Int32, tag: Int, consumer: any DatagramConsumer) throws(TransportError) -> UInt64 {
    let watch = SocketWatch(descriptor: descriptor, tag: tag, consumer: consumer, reader: reader)
    return try poll.add(descriptor, isUrgent: false, handler: watch)
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
