// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// Told that its descriptor is ready.
protocol ReadyHandler: AnyObject {
  /// True when media packets were taken, which makes the worker's next wait a coalescing one.
  func ready(now: Instant) -> Bool
}

/// The descriptors of one worker behind epoll: an idle one costs a turn nothing, where GLib's own loop pays for each.
///
/// Two sets: `all` holds every descriptor, `urgent` those that must be heard at once even while media is coalesced.
final class DescriptorPoll {
  enum Scope { case all, urgent }

  private static let capacity = 256

  private final class Watch {
    let descriptor: Int32
    let id: UInt64
    var events: UInt32
    var isUrgent: Bool
    let handler: any ReadyHandler
    init(descriptor: Int32, id: UInt64, events: UInt32, isUrgent: Bool, handler: any ReadyHandler) {
      self.descriptor = descriptor
      self.id = id
      self.events = events
      self.isUrgent = isUrgent
      self.handler = handler
    }
  }

  private var all: Int32
  private var urgent: Int32
  private var watches: [UInt64: Watch] = [:]
  /// Whose a descriptor number is now: C code may have closed one that was then given out anew.
  private var owners: [Int32: UInt64] = [:]
  private var lastID: UInt64 = 0
  private let events: UnsafeMutablePointer<epoll_event>
  /// Whether the kernel takes waits in nanoseconds.
  private var isPrecise = true

  static let readable: UInt32 = EPOLLIN.rawValue
  static let writable: UInt32 = EPOLLOUT.rawValue

  init() {
    all = epoll_create1(Int32(EPOLL_CLOEXEC))
    urgent = epoll_create1(Int32(EPOLL_CLOEXEC))
    precondition(all >= 0 && urgent >= 0, "a media worker cannot open epoll: \(systemErrorText(errno))")
    events = .allocate(capacity: DescriptorPoll.capacity)
    events.initialize(repeating: epoll_event(), count: DescriptorPoll.capacity)
  }

  deinit {
    close()
    events.deallocate()
  }

  /// Stops for good.
  func close() {
    watches = [:]
    owners = [:]
    for descriptor in [all, urgent] where descriptor >= 0 { Glibc.close(descriptor) }
    all = -1
    urgent = -1
  }

  /// Keeps `handler` until `remove`. The result is for `remove` and `update`.
  func add(
    _ descriptor: Int32, events: UInt32 = DescriptorPoll.readable, isUrgent: Bool, handler: any ReadyHandler
  ) throws(TransportError) -> UInt64 {
    lastID &+= 1
    let watch = Watch(descriptor: descriptor, id: lastID, events: events, isUrgent: isUrgent, handler: handler)
    guard control(all, EPOLL_CTL_ADD, watch), !isUrgent || control(urgent, EPOLL_CTL_ADD, watch) else {
      throw .system(call: "epoll_ctl", code: errno, subject: "descriptor \(descriptor)")
    }
    watches[lastID] = watch
    owners[descriptor] = lastID
    return lastID
  }

  /// Before the descriptor is closed, or soon after.
  func remove(_ id: UInt64) {
    guard let watch = watches.removeValue(forKey: id), owners[watch.descriptor] == id else { return }
    owners[watch.descriptor] = nil
    // Fails when C code has closed the descriptor, which removed it.
    _ = control(all, EPOLL_CTL_DEL, watch)
    if watch.isUrgent { _ = control(urgent, EPOLL_CTL_DEL, watch) }
  }

  /// Makes sure that the descriptor is watched like this, also when its number was closed and opened anew behind our
  /// back.
  func update(_ id: UInt64, events: UInt32, isUrgent: Bool) {
    guard let watch = watches[id], owners[watch.descriptor] == id else { return }
    watch.events = events
    if !control(all, EPOLL_CTL_MOD, watch) { _ = control(all, EPOLL_CTL_ADD, watch) }
    if isUrgent {
      if !watch.isUrgent || !control(urgent, EPOLL_CTL_MOD, watch) { _ = control(urgent, EPOLL_CTL_ADD, watch) }
    } else if watch.isUrgent {
      _ = control(urgent, EPOLL_CTL_DEL, watch)
    }
    watch.isUrgent = isUrgent
  }

  private func control(_ set: Int32, _ operation: Int32, _ watch: Watch) -> Bool {
    var event = epoll_event()
    event.events = watch.events
    event.data.u64 = watch.id
    return epoll_ctl(set, operation, watch.descriptor, &event) == 0
  }

  /// Waits for a descriptor of `scope` up to `timeout`, for ever without one. How many are ready; below 0 for none after
  /// a signal.
  func wait(_ scope: Scope, _ timeout: Duration?) -> Int {
    let set = scope == .all ? all : urgent
    let capacity = Int32(DescriptorPoll.capacity)
    guard let timeout else { return Int(epoll_wait(set, events, capacity, -1)) }
    let nanoseconds = max(0, timeout.nanoseconds)
    if isPrecise {
      // struct timespec on 64-bit Linux.
      var limit = (seconds: nanoseconds / 1_000_000_000, nanoseconds: nanoseconds % 1_000_000_000)
      let count = Int(withUnsafeBytes(of: &limit) { clinux_epoll_pwait2(set, events, capacity, $0.baseAddress, nil) })
      if count >= 0 || errno == EINTR { return count }
      // Linux before 5.11, or a sandbox that does not know the call.
      isPrecise = false
    }
    return Int(epoll_wait(set, events, capacity, Int32(clamping: (nanoseconds &+ 999_999) / 1_000_000)))
  }

  /// Calls the handlers of the `count` descriptors that the last `wait` found. True when media was taken.
  func dispatch(_ count: Int, now: Instant) -> Bool {
    guard count > 0 else { return false }
    var media = false
    for i in 0..<min(count, DescriptorPoll.capacity) {
      // A handler called before may have removed it.
      if let watch = watches[events[i].data.u64], watch.handler.ready(now: now) { media = true }
    }
    return media
  }
}
