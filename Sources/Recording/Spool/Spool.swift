package import Core
import Glibc
import Synchronization

/// What became of a spool.
package struct SpoolSummary: Sendable, Hashable {
  package var path: String
  /// Bytes of whole records on the disk.
  package var bytes = 0
  package var packets = 0
  /// Packets that found the ring full.
  package var packetsDropped = 0
  /// Nil: everything was written and synced.
  package var failure: RecordingError?
}

/// One recording's spool file while it is written. Any thread may add streams and events; each stream's packets enter
/// by the ring that `addStream` gives.
///
/// Nothing here waits for the disk: `SpoolWriter` takes what has gathered a few times a second.
package final class Spool: Sendable {
  package let path: String
  package let header: SpoolHeader

  /// A stream and its ring.
  struct Source: Sendable {
    let id: UInt16
    let ring: SpoolRing
    /// Wanted by the owner, beside the recording's pause.
    var isOpen = true
  }

  struct Control: Sendable {
    let kind: SpoolRecord.Kind
    let stream: UInt16
    let time: Instant
    let body: [UInt8]
  }

  struct State: Sendable {
    var sources: [Source] = []
    var lastID: UInt16 = 0
    /// Records that are not packets.
    var controls: [Control] = []
    var isPaused = false
    var ending: Control?
    var summary: SpoolSummary
    var isClosed = false
    var waiters: [CheckedContinuation<SpoolSummary, Never>] = []
  }

  let state: Mutex<State>
  /// Called once, on the writer's thread, when writing failed.
  let onFailure: @Sendable (RecordingError) -> Void
  let wake: @Sendable () -> Void

  init(
    path: String, header: SpoolHeader, onFailure: @escaping @Sendable (RecordingError) -> Void,
    wake: @escaping @Sendable () -> Void
  ) {
    self.path = path
    self.header = header
    self.onFailure = onFailure
    self.wake = wake
    state = Mutex(State(summary: SpoolSummary(path: path)))
  }

  /// Declares a stream; its packets enter by the ring, as a `PacketTap`.
  /// - Returns: nil once the recording is ending, or for more than 65,535 streams.
  package func addStream(
    _ stream: SpoolStream, at now: Instant, capacity: Int = 256 * 1024
  ) -> (id: UInt16, ring: SpoolRing)? {
    let ring = SpoolRing(capacity: capacity)
    return state.withLock { state in
      guard state.ending == nil, !state.isClosed, state.lastID < .max else { return nil }
      state.lastID += 1
      ring.isTaking = !state.isPaused
      state.sources.append(Source(id: state.lastID, ring: ring))
      state.controls.append(Control(kind: .stream, stream: state.lastID, time: now, body: stream.body))
      return (state.lastID, ring)
    }
  }

  /// Declares a stream's codecs anew, as after a re-INVITE.
  package func update(_ id: UInt16, _ stream: SpoolStream, at now: Instant) {
    add(Control(kind: .stream, stream: id, time: now, body: stream.body))
  }

  /// No more packets of this stream: what its ring holds is still written.
  package func endStream(_ id: UInt16, at now: Instant) {
    state.withLock { state in
      guard let index = state.sources.firstIndex(where: { $0.id == id }) else { return }
      state.sources[index].isOpen = false
      state.sources[index].ring.isTaking = false
      state.controls.append(Control(kind: .streamEnd, stream: id, time: now, body: []))
    }
  }

  /// Writes an event of a stream, or of the whole recording (0).
  package func note(_ event: SpoolEvent, stream: UInt16 = 0, at now: Instant) {
    add(Control(kind: .event, stream: stream, time: now, body: Array(event.text.utf8)))
  }

  private func add(_ control: Control) {
    state.withLock { state in
      guard state.ending == nil, !state.isClosed else { return }
      state.controls.append(control)
    }
  }

  /// From the next packet on nothing is recorded. False where it was paused already.
  @discardableResult
  package func pause(at now: Instant) -> Bool { setPaused(true, .pause, now) }

  @discardableResult
  package func resume(at now: Instant) -> Bool { setPaused(false, .resume, now) }

  private func setPaused(_ paused: Bool, _ event: SpoolEvent, _ now: Instant) -> Bool {
    state.withLock { state in
      guard state.isPaused != paused, state.ending == nil, !state.isClosed else { return false }
      state.isPaused = paused
      for source in state.sources where source.isOpen { source.ring.isTaking = !paused }
      state.controls.append(Control(kind: .event, stream: 0, time: now, body: Array(event.text.utf8)))
      return true
    }
  }

  package var isPaused: Bool { state.withLock { $0.isPaused } }

  /// What was written so far.
  package var summary: SpoolSummary { state.withLock { $0.summary } }

  /// Takes no more packets, and returns when all that came before is on the disk, or failed to get there. Again: the
  /// same summary.
  @discardableResult
  package func finish(reason: String, at now: Instant) async -> SpoolSummary {
    await withCheckedContinuation { continuation in
      let summary = state.withLock { state -> SpoolSummary? in
        if state.isClosed { return state.summary }
        for source in state.sources { source.ring.isTaking = false }
        if state.ending == nil {
          state.ending = Control(kind: .end, stream: 0, time: now, body: Array(reason.utf8.prefix(4_096)))
        }
        state.waiters.append(continuation)
        return nil
      }
      if let summary { continuation.resume(returning: summary) } else { wake() }
    }
  }

  /// The end on the writer's side: whoever waits is told.
  func closed(_ summary: SpoolSummary) {
    let waiters = state.withLock { state -> [CheckedContinuation<SpoolSummary, Never>] in
      for source in state.sources { source.ring.isTaking = false }
      state.summary = summary
      state.isClosed = true
      state.controls = []
      defer { state.waiters = [] }
      return state.waiters
    }
    if let failure = summary.failure { onFailure(failure) }
    for waiter in waiters { waiter.resume(returning: summary) }
  }
}
