internal import CNice
internal import Core

/// Owns the `GMainContext` of one agent, run inside the worker's own loop: only an agent that has something to do costs
/// anything, where one context for all agents walks every source of every agent at each turn.
///
/// The context is polled from outside: GLib tells which descriptors and which deadline it waits for. That is asked after
/// each run, and after each call into libnice from outside, which `touch()` announces.
final class ICEContext: ReadyHandler {
  let pointer: OpaquePointer
  private unowned let worker: MediaWorker
  private var watches: [Watch] = []
  private var wasUrgent = true
  private var timer: WorkerTimer?
  private var deadline: Instant?
  private var polled: [GPollFD]
  private var isClosed = false
  private var isTouched = false

  private struct Watch {
    var descriptor: Int32
    var events: UInt32
    var id: UInt64
  }

  /// Connecting agents are heard at once; connected ones with the media.
  var isUrgent = true {
    didSet { if isUrgent != oldValue { touch() } }
  }

  init(worker: MediaWorker) {
    self.worker = worker
    pointer = g_main_context_new()
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

  /// One iteration of the context, by hand: `g_main_context_iteration` would ask everything a second time afterwards.
  private func run() {
    guard !isClosed, g_main_context_acquire(pointer) != 0 else { return }
    let waits = prepare()
    _ = g_poll(&polled, guint(waits.count), 0)
    if g_main_context_check(pointer, .max, &polled, gint(waits.count)) != 0 { g_main_context_dispatch(pointer) }
    g_main_context_release(pointer)
    resume()
  }

  /// libnice was called and may wait for something else now. Looked at once, at the end of the turn.
  func touch() {
    guard !isTouched else { return }
    isTouched = true
    worker.atEndOfTurn { [weak self] in
      guard let self else { return }
      isTouched = false
      resume()
    }
  }

  /// Takes over what the context waits for.
  func resume() {
    guard !isClosed, g_main_context_acquire(pointer) != 0 else { return }
    let waits = prepare()
    g_main_context_release(pointer)
    follow(polled.prefix(waits.count))
    arm(waits.milliseconds)
  }

  /// Fills `polled`. The time is -1 for ever.
  private func prepare() -> (count: Int, milliseconds: gint) {
    var priority: gint = 0
    var milliseconds: gint = -1
    let isReady = g_main_context_prepare(pointer, &priority) != 0
    // The lowest priority there is, so that no source is left out.
    var count = g_main_context_query(pointer, .max, &milliseconds, &polled, gint(polled.count))
    if Int(count) > polled.count {
      polled = [GPollFD](repeating: GPollFD(), count: Int(count))
      count = g_main_context_query(pointer, .max, &milliseconds, &polled, gint(polled.count))
    }
    return (Int(count), isReady ? 0 : milliseconds)
  }

  private func follow(_ wanted: ArraySlice<GPollFD>) {
    // While connecting, libnice may close a descriptor and open another of the same number; then each is looked at.
    if !isUrgent, !wasUrgent, wanted.count == watches.count,
      zip(wanted, watches).allSatisfy({ $0.fd == $1.descriptor && UInt32($0.events) == $1.events })
    {
      return
    }
    wasUrgent = isUrgent
    var kept: [Watch] = []
    for poll in wanted {
      // GLib's event bits are poll(2)'s, and epoll's are the same.
      let events = UInt32(poll.events)
      if let watch = watches.first(where: { $0.descriptor == poll.fd }) {
        worker.poll.update(watch.id, events: events, isUrgent: isUrgent)
        kept.append(Watch(descriptor: poll.fd, events: events, id: watch.id))
      } else if let id = try? worker.poll.add(poll.fd, events: events, isUrgent: isUrgent, handler: self) {
        kept.append(Watch(descriptor: poll.fd, events: events, id: id))
      }
    }
    for watch in watches where !kept.contains(where: { $0.id == watch.id }) { worker.poll.remove(watch.id) }
    watches = kept
  }

  private func arm(_ milliseconds: gint) {
    guard milliseconds >= 0 else {
      timer = nil
      deadline = nil
      return
    }
    // libnice truncates its timers to milliseconds and then asks for 0 until the rest of the last one is over.
    let delay = Duration.milliseconds(isUrgent ? Int64(milliseconds) : max(1, Int64(milliseconds)))
    let wanted = worker.now + delay
    // A timer that fires a little early only asks again; GLib counts whole milliseconds.
    if timer?.isActive == true, let deadline, deadline <= wanted, deadline + .milliseconds(5) > wanted { return }
    deadline = wanted
    timer = worker.after(delay) { [unowned self] _ in self.run() }
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
