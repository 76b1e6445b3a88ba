import Core
import Glibc
import Synchronization

/// Writes all spools, on one thread of its own: takes what the rings hold a few times a second, and syncs about once a
/// second. A process that is killed loses what was not yet taken, a machine that loses power what was not yet synced.
///
/// A file that cannot be written any more ends alone, with its error; what was written stays readable.
package final class SpoolWriter: Sendable {
  package struct Configuration: Sendable {
    /// How often rings are emptied into files.
    package var interval: Duration = .milliseconds(200)
    /// How often a file is synced.
    package var syncInterval: Duration = .seconds(1)
    /// Recordings end rather than leave less room than this on the disk, in bytes: the database needs some too.
    package var minimumFree = 0

    package init() {}
  }

  private struct Work: Sendable {
    var new: [OpenSpool] = []
    var isStopping = false
  }

  private let configuration: Configuration
  private let work = Mutex(Work())
  private let thread: SlowThread
  private let bell: Bell

  package init(configuration: Configuration = Configuration()) {
    self.configuration = configuration
    // A file at the process's size limit is an error to be told, not a reason to die.
    signal(SIGXFSZ, SIG_IGN)
    bell = Bell()
    thread = SlowThread()
    thread.start(name: "spools") { [self] in run() }
  }

  /// Begins a spool file; the header is on the disk when this returns.
  /// - Parameter onFailure: Called at most once, on the writer's thread: nothing is recorded from then on.
  package func begin(
    _ header: SpoolHeader, path: String, onFailure: @escaping @Sendable (RecordingError) -> Void = { _ in }
  ) throws(RecordingError) -> Spool {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND, 0o600)
    guard descriptor >= 0 else { throw RecordingError(errno, path: path) }
    let spool = Spool(path: path, header: header, onFailure: onFailure, wake: { [bell] in bell.ring() })
    let file = OpenSpool(spool, descriptor: descriptor, minimumFree: configuration.minimumFree)
    do throws(RecordingError) {
      try file.writeHeader()
    } catch {
      unlink(path)
      throw error
    }
    let accepted = work.withLock { work in
      guard !work.isStopping else { return false }
      work.new.append(file)
      return true
    }
    guard accepted else {
      unlink(path)
      throw .io(path: path, errno: ESHUTDOWN, text: "the server is stopping")
    }
    bell.ring()
    return spool
  }

  /// Ends all spools and the thread; returns when their files are synced. Again: nothing.
  package func stop() {
    let first = work.withLock { work in
      defer { work.isStopping = true }
      return !work.isStopping
    }
    guard first else { return }
    bell.ring()
    thread.join()
  }

  // MARK: On the thread

  private func run() {
    var files: [OpenSpool] = []
    while true {
      let (new, isStopping) = work.withLock { work in
        defer { work.new = [] }
        return (work.new, work.isStopping)
      }
      files += new
      let now = Instant.now()
      for file in files { file.write(isStopping: isStopping, now: now) }
      sync(files, now: now)
      files.removeAll { $0.isClosed }
      if isStopping, files.isEmpty, work.withLock({ $0.new.isEmpty }) { return }
      // Nothing to do: until somebody rings.
      bell.wait(files.isEmpty ? .seconds(3_600) : configuration.interval)
    }
  }

  /// Those that waited longest first, and no longer than half an interval in all: a slow disk must not keep the rings
  /// from being emptied.
  private func sync(_ files: [OpenSpool], now: Instant) {
    let due = files.filter { $0.isDirty && now - $0.syncedAt >= configuration.syncInterval }
      .sorted { $0.syncedAt < $1.syncedAt }
    for file in due {
      file.sync()
      if Instant.now() - now > configuration.interval / 2 { return }
    }
  }
}

/// A spool's descriptor and what is on its way there. The writer's thread only, after `begin`.
///
/// `@unchecked Sendable`: made by `begin`, then handed to the thread under a lock and used by it alone.
final class OpenSpool: @unchecked Sendable {
  let spool: Spool
  private(set) var isClosed = false
  private(set) var isDirty = false
  private(set) var syncedAt = Instant.now()
  private let descriptor: Int32
  private let minimumFree: Int
  private var summary: SpoolSummary
  private var buffer: [UInt8] = []

  init(_ spool: Spool, descriptor: Int32, minimumFree: Int) {
    self.spool = spool
    self.descriptor = descriptor
    self.minimumFree = minimumFree
    summary = SpoolSummary(path: spool.path)
  }

  deinit { if !isClosed { close(descriptor) } }

  func writeHeader() throws(RecordingError) {
    buffer += SpoolFormat.magic
    buffer.append(little: SpoolFormat.version)
    SpoolFormat.append(.header, stream: 0, time: spool.header.began, body: spool.header.body, to: &buffer)
    try checkRoom()
    try flush()
    guard fdatasync(descriptor) == 0 else { throw RecordingError(errno, path: spool.path) }
  }

  /// Takes what the owner said and the rings hold, and writes it.
  func write(isStopping: Bool, now: Instant) {
    guard !isClosed else { return }
    let (controls, sources, ending) = spool.state.withLock { state in
      defer { state.controls = [] }
      if isStopping, state.ending == nil {
        for source in state.sources { source.ring.isTaking = false }
        state.ending = Spool.Control(kind: .end, stream: 0, time: now, body: Array("the server stopped".utf8))
      }
      // Streams that ended before and were emptied since are done.
      state.sources.removeAll { !$0.isOpen && $0.ring.isEmpty }
      return (state.controls, state.sources, state.ending)
    }
    for control in controls where control.kind == .stream { append(control) }
    do throws(RecordingError) {
      for source in sources {
        source.ring.drain { kind, arrival, body in
          summary.packets += kind == .rtp ? 1 : 0
          if kind == .gap { summary.packetsDropped += Int(body.loadUnaligned(as: UInt32.self)) }
          let kind: SpoolRecord.Kind = kind == .rtp ? .rtp : kind == .rtcp ? .rtcp : .gap
          SpoolFormat.append(kind, stream: source.id, time: arrival, body: body, to: &buffer)
        }
        if buffer.count > 1 << 20 { try flush() }
      }
      for control in controls where control.kind != .stream { append(control) }
      if let ending { append(ending) }
      try flush()
    } catch {
      end(error)
      return
    }
    let written = summary
    spool.state.withLock { $0.summary = written }
    if ending != nil { end(fdatasync(descriptor) == 0 ? nil : RecordingError(errno, path: spool.path)) }
  }

  private func append(_ control: Spool.Control) {
    SpoolFormat.append(control.kind, stream: control.stream, time: control.time, body: control.body, to: &buffer)
  }

  func sync() {
    guard !isClosed else { return }
    syncedAt = .now()
    do throws(RecordingError) {
      guard fdatasync(descriptor) == 0 else { throw RecordingError(errno, path: spool.path) }
      isDirty = false
      try checkRoom()
    } catch {
      end(error)
    }
  }

  private func checkRoom() throws(RecordingError) {
    guard minimumFree > 0 else { return }
    var room = statvfs()
    guard fstatvfs(descriptor, &room) == 0 else { return }
    let (free, overflow) = UInt64(room.f_bavail).multipliedReportingOverflow(by: UInt64(room.f_frsize))
    if !overflow, free < UInt64(minimumFree) {
      throw .io(
        path: spool.path, errno: ENOSPC,
        text: "only \(free / 1_048_576) MiB are left on the disk, fewer than recordings.min-free")
    }
  }

  /// Writes the buffer. Of what a full disk took in part, the whole records are readable.
  private func flush() throws(RecordingError) {
    defer { buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 20) }
    var done = 0
    while done < buffer.count {
      let written = buffer.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
      }
      if written < 0 {
        if errno == EINTR { continue }
        throw RecordingError(errno, path: spool.path)
      }
      done += written
    }
    if done > 0 { isDirty = true }
    summary.bytes += done
  }

  private func end(_ failure: RecordingError?) {
    guard !isClosed else { return }
    isClosed = true
    summary.failure = failure
    if failure != nil { _ = fdatasync(descriptor) }
    close(descriptor)
    spool.closed(summary)
  }
}
