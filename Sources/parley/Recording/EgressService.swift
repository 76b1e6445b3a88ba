import API
import Core
import Foundation
import LiveKitProtocol
import Logging
import Recording
import Rooms
import Store
import SwiftProtobuf
import Synchronization

/// All recordings of rooms, from the order to the file: spool, rendering, storage, catalogue, events.
///
/// What a step needs is on the disk before it begins, so that a restart goes on where the last process stopped
/// (`recover`).
actor EgressService: EgressControl {
  struct Dependencies: Sendable {
    var rooms: RoomService
    var store: Store
    /// Enters saved recordings together with the webhook that says so.
    var catalog: any RecordingStore
    var writer: SpoolWriter
    var queue: RenderQueue
    var storage: RecordingStorage
    /// True from the moment on when the process ends.
    var ending: EndingFlag
    /// Spools, and files until they are stored.
    var directory: String
    var post: @Sendable (RoomEvent) -> Void
    var logger: Logger
  }

  /// One that is not finished.
  private struct Running {
    var record: RecordingRecord
    var info: Livekit_EgressInfo
    var spool: Spool
    /// Nil until the room has taken it.
    var recording: RoomRecordingID?
    var isEnding = false
  }

  let dependencies: Dependencies
  private var running: [String: Running] = [:]
  private var finishing: [String: (record: RecordingRecord, info: Livekit_EgressInfo)] = [:]
  /// What rooms asked for when they were made, by SID.
  private var automatic: [String: Livekit_RoomEgress] = [:]
  private let recordsRooms: Bool

  /// - Parameter recordsRooms: Every room is recorded from its start on.
  init(_ dependencies: Dependencies, recordsRooms: Bool) {
    self.dependencies = dependencies
    self.recordsRooms = recordsRooms
  }

  // MARK: Orders

  func start(_ plan: EgressPlan) async throws(RoomError) -> Livekit_EgressInfo {
    guard let room = await dependencies.rooms.roomInfo(plan.room) else {
      throw RoomError(.notFound, "requested room does not exist")
    }
    let id = "EG_" + RandomToken.hex(bytes: 8)
    let began = Instant.now()
    let beganAt = WallTime.now()
    var info = plan.info
    info.egressID = id
    info.roomID = room.sid
    info.startedAt = beganAt.nanoseconds
    info.updatedAt = beganAt.nanoseconds
    var destination = plan.destination
    destination.path = await path(plan, room, at: beganAt)
    var record = RecordingRecord(
      id: id, kind: plan.kind, room: plan.room, startedAt: beganAt, spool: id + ".spool")
    let spool: Spool
    do {
      let header = SpoolHeader(
        id: id, began: began, beganAt: beganAt,
        attributes: [
          "kind": plan.kind.rawValue, "room": plan.room, "title": plan.room, "plan": try Self.json(plan.render),
          "destination": try Self.json(destination),
        ])
      spool = try dependencies.writer.begin(header, path: dependencies.directory + "/" + id + ".spool") { error in
        Task { await self.failed(id, error) }
      }
    } catch {
      throw RoomError(.unavailable, "the recording cannot be written: \(error)")
    }
    let recorder = SpoolRecorder(spool: spool) { reason in Task { await self.sourceEnded(id, reason) } }
    running[id] = Running(record: record, info: info, spool: spool)
    do throws(RoomError) {
      let taken = try await dependencies.rooms.startRecording(of: plan.room, plan.part, recorder: recorder)
      running[id]?.recording = taken.id
    } catch {
      running[id] = nil
      _ = await spool.finish(reason: "refused", at: .now())
      unlinkQuietly(spool.path)
      throw error
    }
    dependencies.post(.egressStarted(info))
    // The room may have closed meanwhile.
    if running[id]?.isEnding == false { running[id]?.info.status = .egressActive }
    info = running[id]?.info ?? info
    record.attributes = attributes(info)
    running[id]?.record = record
    await save(record)
    dependencies.logger.info("egress started", metadata: ["egress": "\(id)", "room": "\(plan.room)"])
    return info
  }

  func updateLayout(_ id: String, _ layout: String) async throws(RoomError) -> Livekit_EgressInfo {
    let wanted = try EgressPlan.layout(layout)
    guard var entry = running[id], !entry.isEnding else { throw await missing(id) }
    guard case .roomComposite(var request) = entry.info.request else {
      throw RoomError(.failedPrecondition, "only room composites have a layout")
    }
    request.layout = layout
    entry.info.roomComposite = request
    entry.info.updatedAt = WallTime.now().nanoseconds
    running[id] = entry
    entry.spool.note(RoomNote.layout(wanted).event, at: .now())
    dependencies.post(.egressUpdated(entry.info))
    return entry.info
  }

  func list(room: String?, id: String?, active: Bool) async throws(RoomError) -> [Livekit_EgressInfo] {
    var infos: [String: Livekit_EgressInfo] = [:]
    if !active {
      var filter = RecordingFilter()
      filter.room = room
      do {
        let records =
          try await id == nil
          ? dependencies.store.recordings(limit: 1_000, filter: filter)
          : [dependencies.store.recording(id: id ?? "")].compactMap { $0 }
        for record in records {
          guard let text = record.attributes["egress"], let info = try? Livekit_EgressInfo(jsonString: text) else {
            continue
          }
          infos[record.id] = info
        }
      } catch {
        throw RoomError(.unavailable, "\(error)")
      }
    }
    for (key, entry) in finishing { infos[key] = entry.info }
    for (key, entry) in running { infos[key] = entry.info }
    return infos.values.filter { info in
      (room == nil || info.roomName == room) && (id == nil || info.egressID == id)
        && (!active || [.egressStarting, .egressActive, .egressEnding].contains(info.status))
    }.sorted { ($0.startedAt, $0.egressID) > ($1.startedAt, $1.egressID) }
  }

  func stop(_ id: String) async throws(RoomError) -> Livekit_EgressInfo {
    guard let entry = running[id], !entry.isEnding else { throw await missing(id) }
    running[id]?.isEnding = true
    running[id]?.info.status = .egressEnding
    running[id]?.info.details = "stopped by StopEgress"
    let info = running[id]?.info ?? entry.info
    if let recording = entry.recording {
      // Answers by `sourceEnded`.
      if await !dependencies.rooms.stopRecording(recording, of: entry.info.roomName) { sourceEnded(id, .stopped) }
    }
    return info
  }

  private func missing(_ id: String) async -> RoomError {
    let known = (try? await list(room: nil, id: id, active: false))?.first
    return known == nil
      ? RoomError(.notFound, "egress does not exist")
      : RoomError(.failedPrecondition, "egress with status \(known.map { "\($0.status)" } ?? "") cannot be changed")
  }

  // MARK: The end

  /// The disk failed: what was written is made into a file all the same.
  private func failed(_ id: String, _ error: RecordingError) async {
    guard let entry = running[id] else { return }
    dependencies.logger.error("a recording cannot be written", metadata: ["egress": "\(id)", "error": "\(error)"])
    running[id]?.info.error = "\(error)"
    running[id]?.info.errorCode = error.isDiskFull ? 507 : 500
    if let recording = entry.recording { await dependencies.rooms.stopRecording(recording, of: entry.info.roomName) }
  }

  private func sourceEnded(_ id: String, _ reason: RecordingEnd) {
    guard var entry = running.removeValue(forKey: id) else { return }
    entry.info.status = .egressEnding
    entry.info.updatedAt = WallTime.now().nanoseconds
    if entry.info.details.isEmpty {
      entry.info.details = reason == .roomClosed ? "the room closed" : reason == .stopped ? "" : "the source ended"
    }
    entry.record.endedAt = .now()
    entry.record.state = .rendering
    entry.record.attributes = attributes(entry.info)
    finishing[id] = (entry.record, entry.info)
    dependencies.post(.egressUpdated(entry.info))
    let (spool, record, info) = (entry.spool, entry.record, entry.info)
    Task {
      await spool.finish(reason: "\(reason)", at: .now())
      await self.save(record)
      await self.finish(record, info)
    }
  }

  /// From the spool to the stored file.
  private func finish(_ record: RecordingRecord, _ info: Livekit_EgressInfo) async {
    var (record, info) = (record, info)
    let id = record.id
    let spool = dependencies.directory + "/" + (record.spool ?? id + ".spool")
    var isKept = false
    do throws(RecordingError) {
      let made = try await render(id, spool: spool)
      record.progress = 1
      let stored = try await dependencies.storage.store(
        made.file, id: id, destination: made.destination, queue: dependencies.queue)
      record.files = [stored.file]
      record.state = .saved
      var file = Livekit_FileInfo()
      file.filename = stored.name
      file.location = stored.location
      file.size = Int64(stored.file.bytes)
      file.duration = made.file.duration.nanoseconds
      file.startedAt = made.began.nanoseconds &+ made.file.start.nanoseconds
      file.endedAt = file.startedAt &+ file.duration
      info.fileResults = [file]
      info.file = file
      info.status = info.error.isEmpty ? .egressComplete : .egressFailed
      if info.error.isEmpty == false { record.reason = info.error }
    } catch {
      if dependencies.ending.isSet {
        // The next process goes on.
        finishing[id] = nil
        return
      }
      dependencies.logger.error("a recording could not be made", metadata: ["egress": "\(id)", "error": "\(error)"])
      record.state = .failed
      record.reason = "\(error)"
      info.status = .egressFailed
      if info.error.isEmpty { info.error = "\(error)" }
      // What was recorded may be rescued by hand.
      isKept = true
    }
    if record.endedAt == nil { record.endedAt = .now() }
    info.endedAt = WallTime.now().nanoseconds
    info.updatedAt = info.endedAt
    record.attributes = attributes(info)
    if !isKept { record.spool = nil }
    await save(record, isComplete: record.state == .saved)
    if !isKept { unlinkQuietly(spool) }
    finishing[id] = nil
    dependencies.post(.egressEnded(info))
    dependencies.logger.info(
      "egress ended", metadata: ["egress": "\(id)", "status": "\(info.status)", "location": "\(info.file.location)"])
  }

  private struct Made: Sendable {
    var file: RenderedMedia
    var destination: RecordingDestination
    var began: WallTime
  }

  private func render(_ id: String, spool: String) async throws(RecordingError) -> Made {
    let (ending, store, stem) = (dependencies.ending, dependencies.store, dependencies.directory + "/" + id)
    return try await dependencies.queue.perform { () throws(RecordingError) -> Made in
      let header = try SpoolReader(path: spool).header
      guard
        let plan = header.attributes["plan"].flatMap({ try? JSONDecoder().decode(RenderPlan.self, from: Data($0.utf8)) }
        ),
        let destination = header.attributes["destination"].flatMap({
          try? JSONDecoder().decode(RecordingDestination.self, from: Data($0.utf8))
        })
      else { throw .container("\(spool) does not say what is to be made of it") }
      let told = ProgressNote()
      let file = try RoomRenderer.render(spool: spool, plan: plan, stem: stem) { progress in
        if told.isNews(progress) { Task { try? await store.noteProgress(progress, ofRecording: id) } }
        return !ending.isSet
      }
      return Made(file: file, destination: destination, began: header.beganAt)
    }
  }

  // MARK: Restart

  /// Finishes what the last process left.
  func recover() async {
    let unfinished = ((try? await dependencies.store.unfinishedRecordings()) ?? []).filter { $0.kind != .call }
    for record in unfinished {
      var record = record
      var info =
        record.attributes["egress"].flatMap { try? Livekit_EgressInfo(jsonString: $0) } ?? Livekit_EgressInfo()
      if record.state == .recording {
        info.details = "the server was interrupted; recorded up to then"
        info.status = .egressEnding
        record.state = .rendering
        record.attributes = attributes(info)
        await save(record)
      }
      finishing[record.id] = (record, info)
      dependencies.logger.notice("an interrupted recording is finished", metadata: ["egress": "\(record.id)"])
      await finish(record, info)
    }
  }

  /// Ends all recordings in order and waits for their spools; files are made after the next start where time does not do.
  func drain() async {
    for (id, entry) in running where entry.recording != nil { _ = try? await stop(id) }
    for _ in 0..<50 where !running.isEmpty { try? await Task.sleep(for: .milliseconds(20)) }
  }

  // MARK: Of their own accord

  /// Events of all rooms, in order.
  func receive(_ event: RoomEvent) async {
    switch event {
    case .roomStarted(let room):
      guard recordsRooms else { return }
      var request = Livekit_RoomCompositeEgressRequest()
      request.roomName = room.name
      await begin { () throws(RoomError) in try EgressPlan(request) }
    case .egressWanted(let room, let egress):
      automatic[room.sid] = egress
      guard egress.hasRoom else { return }
      var request = egress.room
      request.roomName = room.name
      await begin { () throws(RoomError) in try EgressPlan(request) }
    case .participantJoined(let room, let participant):
      guard let wanted = automatic[room.sid], wanted.hasParticipant, participant.kind != .egress else { return }
      var request = Livekit_ParticipantEgressRequest()
      request.roomName = room.name
      request.identity = participant.identity
      request.fileOutputs = wanted.participant.fileOutputs
      await begin { () throws(RoomError) in try EgressPlan(request) }
    case .trackPublished(let room, _, let track):
      guard let wanted = automatic[room.sid], wanted.hasTracks else { return }
      var request = Livekit_TrackEgressRequest()
      request.roomName = room.name
      request.trackID = track.sid
      var output = Livekit_DirectFileOutput()
      output.filepath = wanted.tracks.filepath
      if case .s3(let s3) = wanted.tracks.output { output.s3 = s3 }
      request.file = output
      await begin { () throws(RoomError) in try EgressPlan(request) }
    case .roomFinished(let room): automatic[room.sid] = nil
    default: break
    }
  }

  private func begin(_ plan: () throws(RoomError) -> EgressPlan) async {
    do throws(RoomError) {
      _ = try await start(try plan())
    } catch {
      dependencies.logger.error("a room is not recorded as it should be", metadata: ["error": "\(error)"])
    }
  }

  // MARK: Parts

  private func path(_ plan: EgressPlan, _ room: Livekit_Room, at time: WallTime) async -> String {
    var template = FilePathTemplate(roomName: room.name, roomSID: room.sid, at: time)
    var fallback = "{room_name}-{time}"
    switch plan.part {
    case .room: break
    case .participant(let identity, _):
      template.values["publisher_identity"] = identity
      fallback = "{room_name}-{publisher_identity}-{time}"
    case .tracks(let sids):
      template.values["track_id"] = sids.first ?? ""
      if let sid = sids.first, let found = await dependencies.rooms.trackInfo(sid, in: room.name) {
        template.values["publisher_identity"] = found.identity
        template.values["track_type"] = found.track.type == .audio ? "audio" : "video"
        template.values["track_source"] = found.track.source.name
      }
      fallback = sids.count > 1 ? "{room_name}-{publisher_identity}-{time}" : "{room_name}-{track_id}-{time}"
    }
    // The extension follows from what was recorded.
    return template.path(plan.destination.path, fallback: fallback, fileExtension: "")
  }

  private func attributes(_ info: Livekit_EgressInfo) -> [String: String] {
    ["egress": (try? info.jsonString()) ?? "{}"]
  }

  private func save(_ record: RecordingRecord, isComplete: Bool = false) async {
    do {
      if isComplete {
        try await dependencies.catalog.saveComplete(record)
      } else {
        try await dependencies.store.save(record)
      }
    } catch {
      dependencies.logger.error("a recording cannot be catalogued", metadata: ["error": "\(error)"])
    }
  }

  private static func json(_ value: some Encodable) throws -> String {
    String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
  }
}

/// Told to jobs that take long.
final class EndingFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  var isSet: Bool { flag.load(ordering: .relaxed) }
  func set() { flag.store(true, ordering: .relaxed) }
}

/// Every twentieth of the way is told.
private final class ProgressNote {
  private var last = 0.0

  func isNews(_ progress: Double) -> Bool {
    guard progress - last >= 0.05 else { return false }
    last = progress
    return true
  }
}

extension WallTime {
  var nanoseconds: Int64 { milliseconds &* 1_000_000 }
}

private func unlinkQuietly(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
