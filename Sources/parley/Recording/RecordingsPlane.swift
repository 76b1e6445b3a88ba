import API
import Core
import Foundation
import Gateway
import Logging
import Recording
import Store

/// Recording of calls, put together.
struct RecordingsPlane: Sendable {
  let catalog: RecordingCatalog
  let store: Store
  let retention: Retention
  let logger: Logger

  struct Retention: Sendable {
    /// Nil: for ever.
    var keep: Duration?
    /// Bytes of all files; nil: no limit.
    var bytes: Int?
  }

  init(_ configuration: Configuration, store: Store, webhooks: [String], logger: Logger) throws {
    var writer = SpoolWriter.Configuration()
    writer.minimumFree = configuration.recordings.minFree << 20
    catalog = try RecordingCatalog(
      directory: configuration.recordingsDirectory, writer: SpoolWriter(configuration: writer),
      store: CatalogStore(store: store, webhooks: webhooks),
      renderers: [.call: CallFiles.renderer(format: configuration.recordings.format)], logger: logger)
    self.store = store
    let recordings = configuration.recordings
    retention = Retention(
      keep: recordings.keepDays.map { .seconds(Int64($0) * 86_400) }, bytes: recordings.maxSize.map { $0 << 20 })
    self.logger = logger
  }

  var recorder: CatalogCallRecorder { CatalogCallRecorder(catalog: catalog) }

  /// Renders what the last process left, and removes what is too old or too much. Until cancelled.
  func run() async {
    async let recovery: Void = catalog.recover()
    while !Task.isCancelled {
      await removeExpired()
      try? await Task.sleep(for: .seconds(600))
    }
    await recovery
  }

  private func removeExpired() async {
    guard retention.keep != nil || retention.bytes != nil else { return }
    let limit = retention.keep.map { WallTime(milliseconds: WallTime.now().milliseconds - $0.nanoseconds / 1_000_000) }
    do {
      for recording in try await store.expiredRecordings(endedBefore: limit, beyond: retention.bytes)
      where !recording.files.contains(where: { $0.location.contains("://") }) {
        try await catalog.remove(recording)
        logger.info("a recording was removed", metadata: ["recording": "\(recording.id)"])
      }
    } catch {
      logger.error("old recordings cannot be removed", metadata: ["error": "\(error)"])
    }
  }

  /// What runs is ended; what is not rendered in this time is at the next start.
  func stop() { catalog.stop() }
}

/// The database as the catalogue sees it.
struct CatalogStore: RecordingStore {
  let store: Store
  /// Who is told of saved recordings.
  let webhooks: [String]

  func save(_ recording: RecordingRecord) async throws { try await store.save(recording) }

  func saveComplete(_ recording: RecordingRecord) async throws {
    let now = WallTime.now()
    let webhook = WebhookRecord(
      id: "RE_" + RandomToken.hex(bytes: 8), room: recording.call ?? recording.room ?? "", event: "recording.saved",
      body: SavedWebhook(recording, at: now).json, createdAt: now)
    try await store.save(recording, telling: webhook, to: webhooks)
  }

  func noteProgress(_ progress: Double, of id: String) async throws {
    try await store.noteProgress(progress, ofRecording: id)
  }

  func unfinished() async throws -> [RecordingRecord] { try await store.unfinishedRecordings() }
  func recording(_ id: String) async throws -> RecordingRecord? { try await store.recording(id: id) }
  func remove(_ id: String) async throws { try await store.removeRecording(id: id) }
}

/// What `recording.saved` says: signaling/webhooks/recording.saved.json.
private struct SavedWebhook: Encodable {
  struct File: Encodable {
    let name: String
    let format: String
    let contentType: String
    let bytes: Int
    let sha256: String
    let duration: Double
  }

  struct Recording: Encodable {
    let id: String
    let kind: String
    let call: String?
    let room: String?
    let startedAt: String
    let endedAt: String?
    let reason: String
    let files: [File]
  }

  let event = "recording.saved"
  let createdAt: String
  let recording: Recording

  init(_ recording: RecordingRecord, at now: WallTime) {
    createdAt = now.rfc3339
    self.recording = Recording(
      id: recording.id, kind: recording.kind.rawValue, call: recording.call, room: recording.room,
      startedAt: recording.startedAt.rfc3339, endedAt: recording.endedAt?.rfc3339, reason: recording.reason,
      files: recording.files.map {
        File(
          name: $0.name, format: $0.format, contentType: $0.contentType, bytes: $0.bytes, sha256: $0.sha256,
          duration: $0.duration)
      })
  }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Only a number that is not finite would fail; durations come from counts.
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }
}

/// Recordings as REST sees them.
struct RecordingsBridge: RecordingControl {
  let gateway: Gateway
  let plane: RecordingsPlane
  /// Knows the bucket that files may be in.
  let storage: RecordingStorage

  func status(call id: String) async -> CallRecordingInfo? {
    await gateway.recordingStatus(call: id).map(info)
  }

  func call(_ id: String, of user: String) async -> String? { await gateway.call(id, of: user) }

  func perform(
    _ action: String, call id: String, by user: String?
  ) async throws(RecordingControlError) -> CallRecordingInfo {
    guard let action = RecordingAction(rawValue: action) else { throw .conflict("unknown action") }
    do throws(RecordingRefusal) {
      return info(try await gateway.record(action, call: id, by: user.map { .user($0) } ?? .operatorRequest))
    } catch {
      switch error.kind {
      case .notFound: throw .notFound(error.reason)
      case .conflict: throw .conflict(error.reason)
      case .unavailable: throw .unavailable(error.reason)
      }
    }
  }

  private func info(_ status: RecordingStatus) -> CallRecordingInfo {
    CallRecordingInfo(
      state: status.state.rawValue, recording: status.recording, reason: status.reason.isEmpty ? nil : status.reason)
  }

  func path(of file: RecordingFile) -> String? {
    file.location.contains("://") || file.location.hasPrefix("/") ? nil : plane.catalog.path(of: file.location)
  }

  func url(of file: RecordingFile) async -> String? { storage.presignedURL(of: file.location, expires: .seconds(900)) }

  func peaks(of recording: RecordingRecord) async -> [[UInt8]]? {
    guard let file = recording.files.first(where: { !$0.location.contains("://") }) else { return nil }
    return CallFiles.peaks(of: file.location, in: plane.catalog)
  }

  func withWAV(_ recording: RecordingRecord) async throws -> RecordingRecord? {
    try await plane.catalog.withWAV(recording)
  }

  func remove(_ recording: RecordingRecord) async throws { try await plane.catalog.remove(recording) }
}
