internal import CLinux
internal import Core
internal import Glibc

/// Takes the datagrams of one watched socket.
protocol DatagramConsumer: AnyObject {
  /// `datagram` may be changed in place and is valid only during the call. `tag` is the one given to `watch`.
  func receive(
    datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, tag: Int, now: Instant)
}

/// All own UDP sockets of one worker behind one epoll descriptor, which is the only one that GLib polls: an idle socket
/// costs a turn nothing. Ready sockets are drained with `recvmmsg` into buffers shared by all of them.
final class DatagramPoller {
  private static let batch = 16
  private static let bufferSize = 2048
  /// Batches taken from one socket a turn, so that a flood on one does not silence the others.
  private static let batchesPerTurn = 4
  private static let eventsPerTurn = 64

  private final class Watch {
    let descriptor: Int32
    let tag: Int
    weak var consumer: (any DatagramConsumer)?
    init(descriptor: Int32, tag: Int, consumer: any DatagramConsumer) {
      self.descriptor = descriptor
      self.tag = tag
      self.consumer = consumer
    }
  }

  private let source: ContextSource
  private var epoll: Int32
  private var watches: [UInt64: Watch] = [:]
  private var lastID: UInt64 = 0
  private let events: UnsafeMutablePointer<epoll_event>
  private let messages: UnsafeMutablePointer<clinux_mmsghdr>
  private let vectors: UnsafeMutablePointer<iovec>
  private let names: UnsafeMutablePointer<sockaddr_storage>
  private let buffers: UnsafeMutableRawPointer
  var now: () -> Instant = { .zero }

  init(context: OpaquePointer) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    precondition(epoll >= 0, "epoll_create1: \(systemErrorText(errno))")
    events = .allocate(capacity: DatagramPoller.eventsPerTurn)
    events.initialize(repeating: epoll_event(), count: DatagramPoller.eventsPerTurn)
    messages = .allocate(capacity: DatagramPoller.batch)
    vectors = .allocate(capacity: DatagramPoller.batch)
    names = .allocate(capacity: DatagramPoller.batch)
    buffers = .allocate(byteCount: DatagramPoller.batch * DatagramPoller.bufferSize, alignment: 16)
    names.initialize(repeating: sockaddr_storage(), count: DatagramPoller.batch)
    for i in 0..<DatagramPoller.batch {
      vectors[i] = iovec(iov_base: buffers + i * DatagramPoller.bufferSize, iov_len: DatagramPoller.bufferSize)
      var message = clinux_mmsghdr()
      message.msg_hdr.msg_iov = vectors + i
      message.msg_hdr.msg_iovlen = 1
      message.msg_hdr.msg_name = UnsafeMutableRawPointer(names + i)
      (messages + i).initialize(to: message)
    }
    source = ContextSource(context: context)
    source.handler = { [unowned self] in self.drain() }
    source.watch(epoll)
  }

  deinit {
    close()
    events.deallocate()
    messages.deallocate()
    vectors.deallocate()
    names.deallocate()
    buffers.deallocate()
  }

  /// Stops for good.
  func close() {
    source.destroy()
    watches = [:]
    if epoll >= 0 { Glibc.close(epoll) }
    epoll = -1
  }

  /// Datagrams of `descriptor` go to `consumer`, which is not kept alive. The result is for `unwatch`.
  func watch(_ descriptor: Int32, tag: Int, consumer: any DatagramConsumer) throws(TransportError) -> UInt64 {
    lastID &+= 1
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.u64 = lastID
    guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
      throw .system(call: "epoll_ctl", code: errno, subject: "UDP socket")
    }
    watches[lastID] = Watch(descriptor: descriptor, tag: tag, consumer: consumer)
    return lastID
  }

  /// Before the descriptor is closed.
  func unwatch(_ id: UInt64) {
    guard let watch = watches.removeValue(forKey: id) else { return }
    var event = epoll_event()
    epoll_ctl(epoll, EPOLL_CTL_DEL, watch.descriptor, &event)
  }

  private func drain() {
    let count = epoll_wait(epoll, events, Int32(DatagramPoller.eventsPerTurn), 0)
    guard count > 0 else { return }
    let now = now()
    for i in 0..<Int(count) {
      // A consumer called before may have removed it.
      guard let watch = watches[events[i].data.u64] else { continue }
      drain(watch, id: events[i].data.u64, now: now)
    }
  }

  private func drain(_ watch: Watch, id: UInt64, now: Instant) {
    for _ in 0..<DatagramPoller.batchesPerTurn {
      for i in 0..<DatagramPoller.batch {
        messages[i].msg_hdr.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
      }
      let received = Int(
        clinux_recvmmsg(
          watch.descriptor, messages, UInt32(DatagramPoller.batch), Int32(MSG_DONTWAIT), nil))
      guard received > 0 else { return }
      for i in 0..<received {
        guard let consumer = watch.consumer else { return }
        // Longer datagrams are cut by the kernel, which then sets MSG_TRUNC: no media packet is that long.
        let cut = messages[i].msg_hdr.msg_flags & Int32(MSG_TRUNC) != 0
        consumer.receive(
          datagram: UnsafeMutableRawBufferPointer(
            start: buffers + i * DatagramPoller.bufferSize, count: cut ? 0 : Int(messages[i].msg_len)),
          from: UnsafeRawPointer(names + i), tag: watch.tag, now: now)
      }
      if received < DatagramPoller.batch || watches[id] == nil { return }
    }
  }
}
