package import Core
import Glibc
package import Logging
import Synchronization

/// Where recordings are entered. Implemented over the database; what has returned is durable.
package protocol RecordingStore: Sendable {
  func save(_ recording: RecordingRecord) async throws
  /// Enters a recording whose files are complete, and tells those who want to know.
  func saveComplete(_ recording: RecordingRecord) async throws
  func noteProgress(_ progress: Double, of id: String) async throws
  func unfinished() async throws -> [RecordingRecord]
  func recording(_ id: String) async throws -> RecordingRecord?
  func remove(_ id: String) async throws
}

/// A file that rendering made, complete and synced, in the directory of recordings.
package struct RenderedFile: Sendable, Hashable {
  package var name: String
  /// Relative to the directory of recordings.
  package var location: String
  package var format: String
  package var contentType: String
  /// Seconds.
  package var duration: Double

  package init(name: String, location: String, format: String, contentType: String, duration: Double) {
    self.name = name
    self.location = location
    self.format = format
    self.contentType = contentType
    self.duration = duration
  }
}

/// Recordings from their first packet to their saved files: entered, spooled, rendered, hashed, and only then called saved.
///
/// The order makes every crash harmless: the row is there before the spool, and the spool goes after the row says that
/// the files are complete. What is found unfinished at the start is rendered then (`recover`).
package final class RecordingCatalog: Sendable {
  /// Makes the files of a recording of one kind. Called on the render thread.
  package typealias Renderer =
    @Sendable (
      _ recording: RecordingRecord, _ spool: String, _ catalog: RecordingCatalog, _ progress: (Double) -> Void
    ) throws(RecordingError) -> [RenderedFile]

  package let directory: String
  package let writer: SpoolWriter
  package let renders: RenderQueue
  let store: any RecordingStore
  let logger: Logger
  private let renderers: Mutex<[RecordingRecord.Kind: Renderer]>
  /// How long to wait before rendering is tried again where the disk is full.
  private let retryDelay: Duration

  /// - Parameter directory: made where missing.
  package init(
    directory: String, writer: SpoolWriter, store: any RecordingStore,
    renderers: [RecordingRecord.Kind: Renderer] = [:], retryDelay: Duration = .seconds(60), logger: Logger
  ) throws(RecordingError) {
    self.directory = directory
    self.writer = writer
    self.store = store
    self.logger = logger
    self.retryDelay = retryDelay
    self.renderers = Mutex(renderers)
    renders = RenderQueue()
    try Self.makeDirectory(directory)
  }

  /// Sets who makes the files of recordings of a kind. Before `recover`.
  package func setRenderer(_ kind: RecordingRecord.Kind, _ renderer: @escaping Renderer) {
    renderers.withLock { $0[kind] = renderer }
  }

  package func path(of location: String) -> String { directory + "/" + location }

  /// A new file's place: `2026-11-21/ID.ogg`, its directory made.
  package func location(of recording: RecordingRecord, suffix: String) throws(RecordingError) -> String {
    let day = String(recording.startedAt.rfc3339.prefix(10))
    try Self.makeDirectory(directory + "/" + day)
    return "\(day)/\(recording.id)\(suffix)"
  }

  private static func makeDirectory(_ path: String) throws(RecordingError) {
    var made = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false) {
      made += made.isEmpty && !path.hasPrefix("/") ? String(part) : (part.isEmpty ? "" : "/" + part)
      if made.isEmpty || mkdir(made, 0o700) == 0 || errno == EEXIST { continue }
      throw RecordingError(errno, path: made)
    }
  }

  // MARK: Recording

  /// Enters a recording and begins its spool. Waits for the disk: not from the packet path or an event loop.
  /// - Parameter onFailure: nothing is recorded from then on; the recording must still be finished.
  package func begin(
    _ recording: RecordingRecord, began: Instant, onFailure: @escaping @Sendable (RecordingError) -> Void
  ) async throws -> RunningRecording {
    var recording = recording
    let name = recording.id + ".spool"
    recording.spool = name
    recording.state = .recording
    try await store.save(recording)
    var attributes = recording.attributes
    attributes["kind"] = recording.kind.rawValue
    attributes["call"] = recording.call
    attributes["room"] = recording.room
    let header = SpoolHeader(
      id: recording.id, began: began, beganAt: recording.startedAt, attributes: attributes)
    do {
      let spool = try writer.begin(header, path: path(of: name)) { [logger, id = recording.id] error in
        logger.error("a recording cannot be written any more", metadata: ["recording": "\(id)", "error": "\(error)"])
        onFailure(error)
      }
      return RunningRecording(record: recording, spool: spool, catalog: self)
    } catch {
      recording.state = .failed
      recording.reason = "\(error)"
      recording.endedAt = .now()
      recording.spool = nil
      try? await store.save(recording)
      throw error
    }
  }

  // MARK: Rendering

  /// Behind the reason of a recording that cannot be rendered yet.
  private static let waiting = " (waiting for room on the disk)"

  /// Makes the files of a recording whose spool is complete, or as complete as it will get.
  func complete(_ recording: RecordingRecord) async {
    var recording = recording
    guard let name = recording.spool else { return await fail(recording, "its spool is not known") }
    recording.state = .rendering
    recording.progress = 0
    if recording.reason.hasSuffix(Self.waiting) { recording.reason.removeLast(Self.waiting.count) }
    try? await store.save(recording)
    guard let renderer = renderers.withLock({ $0[recording.kind] }) else {
      return await fail(recording, "recordings of a \(recording.kind.rawValue) cannot be rendered")
    }
    while true {
      switch await render(recording, by: renderer, spool: path(of: name)) {
      case .success(let files): return await save(recording, files, spool: name)
      case .failure(let error) where error.isDiskFull:
        logger.error(
          "a recording waits to be rendered", metadata: ["recording": "\(recording.id)", "error": "\(error)"])
        var waiting = recording
        waiting.reason += Self.waiting
        try? await store.save(waiting)
        // Cancelled at the end of the process: the next start goes on.
        guard (try? await Task.sleep(for: retryDelay)) != nil else { return }
      case .failure(let error): return await fail(recording, "\(error)")
      }
    }
  }

  private func render(
    _ recording: RecordingRecord, by renderer: @escaping Renderer, spool: String
  ) async -> Result<[RecordingFile], RecordingError> {
    let result = await renders.run { [self] () -> Result<[RecordingFile], RecordingError> in
      var told = 0.0
      do throws(RecordingError) {
        let rendered = try renderer(recording, spool, self) { share in
          guard share - told >= 0.1 else { return }
          told = share
          let share = share
          Task { try? await self.store.noteProgress(share, of: recording.id) }
        }
        var files: [RecordingFile] = []
        for file in rendered {
          let hash = try FileHash.sha256(of: path(of: file.location))
          files.append(
            RecordingFile(
              name: file.name, location: file.location, format: file.format, contentType: file.contentType,
              bytes: hash.bytes, sha256: hash.hex, duration: file.duration))
        }
        return .success(files)
      } catch {
        return .failure(error)
      }
    }
    return result ?? .failure(.io(path: spool, errno: ECANCELED, text: "the server is stopping"))
  }

  private func save(_ recording: RecordingRecord, _ files: [RecordingFile], spool: String) async {
    var recording = recording
    recording.files = files
    recording.state = .saved
    recording.progress = 1
    recording.spool = nil
    let length = Int64((recording.duration ?? 0) * 1_000)
    if recording.endedAt == nil {
      recording.endedAt = WallTime(milliseconds: recording.startedAt.milliseconds + length)
    }
    var delay = Duration.seconds(1)
    while true {
      do {
        try await store.saveComplete(recording)
        break
      } catch {
        logger.error(
          "a saved recording cannot be entered", metadata: ["recording": "\(recording.id)", "error": "\(error)"])
        guard (try? await Task.sleep(for: delay)) != nil else { return }
        delay = min(delay * 2, .seconds(60))
      }
    }
    unlink(path(of: spool))
    logger.info(
      "recording saved",
      metadata: [
        "recording": "\(recording.id)", "bytes": "\(recording.bytes)", "seconds": "\(recording.duration ?? 0)",
      ])
  }

  private func fail(_ recording: RecordingRecord, _ why: String) async {
    if why.contains("the server is stopping") { return }
    var recording = recording
    recording.state = .failed
    recording.reason = why
    if recording.endedAt == nil { recording.endedAt = .now() }
    logger.error("a recording failed", metadata: ["recording": "\(recording.id)", "reason": "\(why)"])
    try? await store.save(recording)
  }

  /// Renders what the last run left. At the start, before recordings begin; returns when all is rendered.
  package func recover() async {
    let left: [RecordingRecord]
    do {
      left = try await store.unfinished()
    } catch {
      logger.error("unfinished recordings cannot be read", metadata: ["error": "\(error)"])
      return
    }
    // Kinds without a renderer are somebody else's.
    for var recording in left where renderers.withLock({ $0[recording.kind] != nil }) {
      guard let name = recording.spool, access(path(of: name), R_OK) == 0 else {
        await fail(recording, "its spool is gone")
        continue
      }
      if recording.state == .recording, recording.reason.isEmpty {
        recording.reason = "the server stopped while it was recording"
      }
      logger.notice("an unfinished recording is rendered", metadata: ["recording": "\(recording.id)"])
      await complete(recording)
    }
  }

  // MARK: Other formats

  /// The recording with a WAV file among its files, made from its Ogg file where it is missing; nil where there is none
  /// to make it from.
  package func withWAV(_ recording: RecordingRecord) async throws -> RecordingRecord? {
    guard recording.state == .saved else { return nil }
    if recording.files.contains(where: { $0.format == "wav" }) { return recording }
    guard let ogg = recording.files.first(where: { $0.format == "ogg" && !$0.location.contains("://") }),
      let dot = ogg.location.lastIndex(of: ".")
    else { return nil }
    let location = ogg.location[..<dot] + ".wav"
    let made = await renders.run { [self] () -> Result<RecordingFile, RecordingError> in
      let part = path(of: location + ".part")
      do throws(RecordingError) {
        try CallFiles.exportWAV(path(of: ogg.location), to: part)
        guard rename(part, path(of: String(location))) == 0 else { throw RecordingError(errno, path: part) }
        let hash = try FileHash.sha256(of: path(of: String(location)))
        return .success(
          RecordingFile(
            name: ogg.name, location: String(location), format: "wav", contentType: "audio/wav", bytes: hash.bytes,
            sha256: hash.hex, duration: ogg.duration))
      } catch {
        unlink(part)
        return .failure(error)
      }
    }
    guard let file = try made?.get(), var latest = try await store.recording(recording.id) else { return nil }
    if !latest.files.contains(where: { $0.format == "wav" }) {
      latest.files.append(file)
      try await store.save(latest)
    }
    return latest
  }

  // MARK: Removing

  /// Removes a recording's files from the disk, then its row. Files elsewhere (`s3://…`) are the caller's.
  package func remove(_ recording: RecordingRecord) async throws {
    try Self.removeFiles(of: recording, in: directory)
    try await store.remove(recording.id)
  }

  /// The files alone: the row must go after them.
  package static func removeFiles(of recording: RecordingRecord, in directory: String) throws(RecordingError) {
    var places = recording.files.map(\.location).filter { !$0.contains("://") }
    if let spool = recording.spool { places.append(spool) }
    for place in places {
      let path = directory + "/" + place
      if unlink(path) != 0, errno != ENOENT { throw RecordingError(errno, path: path) }
      if let dot = path.lastIndex(of: ".") { unlink(String(path[..<dot]) + ".peaks") }
    }
  }

  /// Ends spools and rendering; what is not rendered then is at the next start.
  package func stop() {
    writer.stop()
    renders.stop()
  }
}

/// A recording that runs.
package final class RunningRecording: Sendable {
  package let record: RecordingRecord
  package let spool: Spool
  private let catalog: RecordingCatalog

  init(record: RecordingRecord, spool: Spool, catalog: RecordingCatalog) {
    self.record = record
    self.spool = spool
    self.catalog = catalog
  }

  package var id: String { record.id }

  /// Ends it; returns when its files are saved, or will not be.
  package func finish(reason: String, at now: Instant) async {
    let summary = await spool.finish(reason: reason, at: now)
    var record = record
    record.endedAt = .now()
    record.reason = summary.failure.map { "ended early: \($0)" } ?? reason
    if summary.packetsDropped > 0 { record.attributes["packets-dropped"] = "\(summary.packetsDropped)" }
    await catalog.complete(record)
  }
}
