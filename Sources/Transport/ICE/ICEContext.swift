internal import CNice
internal import Core

/// Owns the `GMainContext` of one agent, run inside the worker's own loop: only an agent that has something to do costs
/// anything, where one context for all agents walks every source of every agent at each turn.
///
/// The context is polled from outside: GLib tells which descriptors and which deadline it waits for, and wakes its own
/// eventfd (one of those descriptors) whenever that changes.
final class ICEContext: ReadyHandler {
  let pointer: OpaquePointer
  private unowned let worker: MediaWorker
  private var watches: [(descriptor: Int32, id: UInt64)] = []
  private var timer: WorkerTimer?
  private var deadline: Instant?
  private var polled: [GPollFD]
  private var isClosed = false

  /// Connecting agents are heard at once; connected ones with the media.
  var isUrgent = true {
    didSet { if isUrgent != oldValue { resume() } }
  }

  init(worker: MediaWorker) {
    self.worker = worker
    pointer = g_main_context_new_with_flags(G_MAIN_CONTEXT_FLAGS_OWNERLESS_POLLING)
    polled = [GPollFD](repeating: GPollFD(), count: 8)
  }

  deinit {
    close()
    g_main_context_unref(pointer)
  }

  /// Makes this the default context of the thread until `pop`.
  func push() { g_main_context_push_thread_default(pointer) }

  func pop() { g_main_context_pop_thread_default(pointer) }

  func ready(now: Instant) -> Bool {
    run()
    return false
  }

  private func run() {
    guard !isClosed else { return }
    var rounds = 0
    while rounds < 8, g_main_context_iteration(pointer, 0) != 0 { rounds += 1 }
    resume()
  }

  /// Takes over what the context waits for.
  func resume() {
    guard !isClosed, g_main_context_acquire(pointer) != 0 else { return }
    var priority: gint = 0
    var milliseconds: gint = -1
    let isReady = g_main_context_prepare(pointer, &priority) != 0
    // The lowest priority there is, so that no source is left out.
    var count = g_main_context_query(pointer, .max, &milliseconds, &polled, gint(polled.count))
    if Int(count) > polled.count {
      polled = [GPollFD](repeating: GPollFD(), count: Int(count))
      count = g_main_context_query(pointer, .max, &milliseconds, &polled, gint(polled.count))
    }
    g_main_context_release(pointer)
    follow(polled.prefix(Int(count)))
    arm(isReady ? 0 : milliseconds)
  }

  private func follow(_ wanted: ArraySlice<GPollFD>) {
    var kept: [(descriptor: Int32, id: UInt64)] = []
    for watch in watches {
      if wanted.contains(where: { $0.fd == watch.descriptor }) {
        kept.append(watch)
      } else {
        worker.poll.remove(watch.id)
      }
    }
    watches = kept
    for poll in wanted {
      // GLib's event bits are poll(2)'s, and epoll's are the same.
      let events = wanted.reduce(into: UInt32(0)) { if $1.fd == poll.fd { $0 |= UInt32($1.events) } }
      if let watch = watches.first(where: { $0.descriptor == poll.fd }) {
        worker.poll.update(watch.id, events: events, isUrgent: isUrgent)
      } else if let id = try? worker.poll.add(poll.fd, events: events, isUrgent: isUrgent, handler: self) {
        watches.append((poll.fd, id))
      }
    }
  }

  private func arm(_ milliseconds: gint) {
    guard milliseconds >= 0 else {
      timer = nil
      deadline = nil
      return
    }
    let wanted = worker.now + .milliseconds(Int64(milliseconds))
    // A timer that fires a little early only asks again; GLib counts whole milliseconds.
    if timer?.isActive == true, let deadline, deadline <= wanted, deadline + .milliseconds(5) > wanted { return }
    deadline = wanted
    timer = worker.after(.milliseconds(Int64(milliseconds))) { [unowned self] _ in self.run() }
  }

  /// Stops. Not from inside the context.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    timer = nil
    for watch in watches { worker.poll.remove(watch.id) }
    watches = []
  }
}
