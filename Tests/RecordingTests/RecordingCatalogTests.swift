import Core
import Glibc
import Logging
import RTP
import Synchronization
import Testing

@testable import Recording

/// The catalogue's database, in memory. What was saved when is remembered.
final class MemoryStore: RecordingStore {
  struct State {
    var rows: [String: RecordingRecord] = [:]
    var states: [RecordingRecord.State] = []
    var told: [RecordingRecord] = []
    /// Looked at when a complete recording is entered.
    var whenComplete: @Sendable (RecordingRecord) -> Void = { _ in }
  }

  let state = Mutex(State())

  func save(_ recording: RecordingRecord) async throws {
    state.withLock { state in
      state.rows[recording.id] = recording
      state.states.append(recording.state)
    }
  }

  func saveComplete(_ recording: RecordingRecord) async throws {
    let check = state.withLock { state in
      state.rows[recording.id] = recording
      state.states.append(recording.state)
      state.told.append(recording)
      return state.whenComplete
    }
    check(recording)
  }

  func noteProgress(_ progress: Double, of id: String) async throws {}
  func unfinished() async throws -> [RecordingRecord] {
    state.withLock { $0.rows.values.filter { $0.state == .recording || $0.state == .rendering } }
  }
  func recording(_ id: String) async throws -> RecordingRecord? { state.withLock { $0.rows[id] } }
  func remove(_ id: String) async throws { state.withLock { $0.rows[id] = nil } }
}

@Suite struct RecordingCatalogTests {
  let scratch = ScratchDirectory()
  let store = MemoryStore()
  let began = Instant(nanoseconds: 1_000_000_000)

  private func catalog(
    renderers: [RecordingRecord.Kind: RecordingCatalog.Renderer] = [.call: CallFiles.renderer(format: .ogg)],
    retryDelay: Duration = .milliseconds(20)
  ) throws -> RecordingCatalog {
    try RecordingCatalog(
      directory: scratch.path, writer: SpoolWriter(), store: store, renderers: renderers, retryDelay: retryDelay,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
  }

  private func record(_ id: String = "r1") -> RecordingRecord {
    RecordingRecord(id: id, kind: .call, call: "c1", startedAt: WallTime(milliseconds: 1_763_700_000_000))
  }

  /// Two seconds of a tone from the agent.
  private func feed(_ running: RunningRecording) throws {
    var sender = try ToneSender(.pcma, hertz: 600, ssrc: 3)
    let audio = NegotiatedAudio(
      codec: .pcma, payloadType: PayloadType(8), receivePayloadTypes: [PayloadType(8): .pcma])
    let stream = SpoolStream(name: "1001", negotiated: audio, attributes: ["channel": "left"])
    let added = try #require(running.spool.addStream(stream, at: began))
    for _ in 0..<100 {
      let (packet, _, arrives) = try sender.next()
      packet.withUnsafeBytes { added.ring.tap(rtp: $0, arrival: began + .nanoseconds(Int64(arrives * 1e9))) }
    }
  }

  @Test func `a recording is told of only when its file is complete, and its spool goes after that`() async throws {
    let catalog = try catalog()
    let directory = scratch.path
    store.state.withLock { state in
      state.whenComplete = { recording in
        let file = directory + "/" + (recording.files.first?.location ?? "none")
        #expect(access(file, R_OK) == 0)
        #expect((try? FileHash.sha256(of: file).hex) == recording.files.first?.sha256)
        #expect(access(directory + "/r1.spool", R_OK) == 0)
      }
    }
    let running = try await catalog.begin(record(), began: began) { _ in Issue.record("it failed") }
    #expect(try await store.recording("r1")?.state == .recording)
    try feed(running)
    await running.finish(reason: "hung up", at: began + .seconds(2))
    let saved = try #require(try await store.recording("r1"))
    #expect(saved.state == .saved)
    #expect(saved.reason == "hung up")
    #expect(saved.spool == nil)
    #expect(abs((saved.duration ?? 0) - 2) < 0.1)
    #expect(saved.files.first?.location == "2025-11-21/r1.ogg")
    #expect(store.state.withLock { $0.told.map(\.id) } == ["r1"])
    #expect(store.state.withLock { $0.states } == [.recording, .rendering, .saved])
    #expect(access(scratch.path + "/r1.spool", R_OK) != 0)
    let samples = try decode(catalog.path(of: "2025-11-21/r1.ogg"))
    #expect(share(of: 600, in: samples[0][4_000..<12_000], rate: 8_000) > 0.9)
    #expect(CallFiles.peaks(of: "2025-11-21/r1.ogg", in: catalog)?.count == 2)
    // WAV on demand, once.
    let both = try #require(try await catalog.withWAV(saved))
    #expect(both.files.map(\.format) == ["ogg", "wav"])
    #expect(both.files[1].bytes == WAVWriter.headerLength + Int((saved.duration ?? 0) * 50 + 0.5) * 320 * 4)
    #expect(try await catalog.withWAV(both)?.files.count == 2)
    try await catalog.remove(both)
    #expect(try await store.recording("r1") == nil)
    for file in both.files { #expect(access(catalog.path(of: file.location), F_OK) != 0) }
    catalog.stop()
    rmdir(scratch.path + "/2025-11-21")
  }

  @Test func `what a killed process left is rendered at the next start`() async throws {
    var script = SpoolScript()
    var sender = try ToneSender(.opus, hertz: 440, ssrc: 1)
    script.stream(1, sender, channel: "left")
    for _ in 0..<100 {
      let (packet, _, arrives) = try sender.next()
      script.add(.rtp, 1, arrives, packet)
    }
    // In the middle of a record.
    script.bytes.removeLast(7)
    try script.write(to: scratch.path + "/r2.spool")
    var left = record("r2")
    left.spool = "r2.spool"
    try await store.save(left)
    var lost = record("r3")
    lost.spool = "r3.spool"
    try await store.save(lost)
    let catalog = try catalog()
    await catalog.recover()
    let saved = try #require(try await store.recording("r2"))
    #expect(saved.state == .saved)
    #expect(saved.reason == "the server stopped while it was recording")
    #expect(
      saved.endedAt == WallTime(milliseconds: saved.startedAt.milliseconds + Int64((saved.duration ?? 0) * 1_000)))
    #expect(try await store.recording("r3")?.state == .failed)
    catalog.stop()
    try await catalog.remove(saved)
    rmdir(scratch.path + "/2025-11-21")
  }

  @Test func `rendering waits for room on the disk`() async throws {
    let box = Counting()
    let catalog = try catalog(renderers: [
      .call: { recording, _, catalog, _ throws(RecordingError) in
        if box.next() < 3 { throw .io(path: "/full", errno: ENOSPC, text: "No space left on device") }
        let location = try catalog.location(of: recording, suffix: ".ogg")
        let writer = try OggOpusWriter(path: catalog.path(of: location), channels: 1)
        try writer.write([.silence])
        try writer.finish()
        return [RenderedFile(name: "audio", location: location, format: "ogg", contentType: "audio/ogg", duration: 1)]
      }
    ])
    let running = try await catalog.begin(record(), began: began) { _ in }
    await running.finish(reason: "", at: began)
    #expect(try await store.recording("r1")?.state == .saved)
    #expect(box.count == 3)
    catalog.stop()
    if let saved = try await store.recording("r1") { try await catalog.remove(saved) }
    rmdir(scratch.path + "/2025-11-21")
  }

  @Test func `what cannot be rendered is failed, and keeps its spool`() async throws {
    let catalog = try catalog(renderers: [
      .call: { _, _, _, _ throws(RecordingError) in throw .codec("no such codec") }
    ])
    let running = try await catalog.begin(record(), began: began) { _ in }
    await running.finish(reason: "", at: began)
    let failed = try #require(try await store.recording("r1"))
    #expect(failed.state == .failed)
    #expect(failed.reason.contains("no such codec"))
    #expect(access(scratch.path + "/r1.spool", R_OK) == 0)
    catalog.stop()
  }

  @Test func `renders run one after another, and what comes after the stop is refused`() async {
    let queue = RenderQueue()
    let running = Counting()
    await withTaskGroup { group in
      for _ in 0..<8 {
        group.addTask {
          let alone = await queue.run {
            let before = running.next()
            usleep(1_000)
            return running.count == before
          }
          #expect(alone == true)
        }
      }
    }
    queue.stop()
    #expect(await queue.run { 1 } == nil)
  }

  @Test func `what waits when the queue stops is let go, what runs is finished`() async {
    let queue = RenderQueue()
    let started = Counting()
    async let long = queue.run {
      _ = started.next()
      // Until the other one waits, and then some.
      for _ in 0..<500 where queue.depth < 2 { usleep(10_000) }
      usleep(100_000)
      return 1
    }
    #expect(await eventually { started.count == 1 })
    async let waiting = queue.run { 2 }
    #expect(await eventually { queue.depth == 2 })
    let thread = SlowThread()
    thread.start(name: "stop") { queue.stop() }
    #expect(await long == 1)
    #expect(await waiting == nil)
    thread.join()
  }
}

/// A count that closures share.
final class Counting: Sendable {
  private let value = Mutex(0)
  var count: Int { value.withLock { $0 } }
  func next() -> Int {
    value.withLock { value in
      value += 1
      return value
    }
  }
}
