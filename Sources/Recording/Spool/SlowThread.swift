import Core
import Glibc
import Synchronization

/// One thread for work that may wait for the disk. It is joined at most once.
final class SlowThread: Sendable {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private let handle = Mutex<pthread_t?>(nil)

  func start(name: String, _ run: @escaping @Sendable () -> Void) {
    let body = Unmanaged.passRetained(Body(run))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        // The retain of `start` ends here.
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, body.toOpaque())
    precondition(code == 0, "no thread can be started: \(String(cString: strerror(code)))")
    let started = thread
    handle.withLock { $0 = started }
  }

  func join() {
    let thread = handle.withLock { handle in
      defer { handle = nil }
      return handle
    }
    if let thread { pthread_join(thread, nil) }
  }
}

/// Wakes a waiting thread: a pipe.
final class Bell: Sendable {
  private let reading: Int32
  private let writing: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    let code = pipe(&ends)
    precondition(code == 0, "no pipe can be made: \(String(cString: strerror(errno)))")
    (reading, writing) = (ends[0], ends[1])
    for end in ends {
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
  }

  deinit {
    close(reading)
    close(writing)
  }

  func ring() {
    var one: UInt8 = 1
    // Fails only when the pipe is full, and then the thread is awake anyway.
    _ = write(writing, &one, 1)
  }

  /// Until somebody rings or the time is over.
  func wait(_ longest: Duration) {
    var descriptors = [pollfd(fd: reading, events: Int16(POLLIN), revents: 0)]
    _ = poll(&descriptors, 1, Int32(clamping: longest.nanoseconds / 1_000_000))
    var bytes = [UInt8](repeating: 0, count: 64)
    while read(reading, &bytes, 64) > 0 {}
  }
}
