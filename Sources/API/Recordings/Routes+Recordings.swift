import Core
import HTTPTypes
import Hummingbird
import Store

extension RESTRoutes {
  /// Recordings: running ones by their call, finished ones by the catalogue.
  mutating func addRecordings() {
    let store = services.store
    let control = services.recordings ?? NoRecordings()

    on(.get, "/v1/calls/{id}/recording", .apiKey) { call in
      let id = try call.parameter("id")
      guard let info = await control.status(call: id) else {
        throw RESTError.missing("There is no running call \(id).")
      }
      return .json(info)
    }

    on(.post, "/v1/calls/{id}/recording", .apiKey) { call in
      let action = try await call.recordingAction()
      return .json(try await perform(action, control, call: try call.parameter("id"), by: nil))
    }

    on(.get, "/v1/recordings", .apiKey) { call in
      try call.allowQuery("limit", "before", "call", "room", "kind", "state", "since", "until")
      return try await call.page(store, try call.recordingFilter())
    }

    on(.get, "/v1/recordings/{id}", .apiKey) { call in .json(RecordingBody(try await call.recording(store))) }

    on(.delete, "/v1/recordings/{id}", .apiKey) { call in
      let recording = try await call.recording(store)
      guard recording.state == .saved || recording.state == .failed else {
        throw RESTError(.conflict, "running", "The recording is not finished.")
      }
      try await control.remove(recording)
      return .noContent
    }

    for method: HTTPRequest.Method in [.get, .head] {
      on(method, "/v1/recordings/{id}/media", .apiKey) { call in
        try await call.media(of: try await call.recording(store), control)
      }
      on(method, "/v1/me/recordings/{id}/media", .user) { call in
        try await call.media(of: try await call.recording(store, of: call.user), control)
      }
    }

    on(.get, "/v1/recordings/{id}/waveform", .apiKey) { call in
      try await call.waveform(of: try await call.recording(store), control)
    }

    // A user's own.
    on(.get, "/v1/me/calls/{id}/recording", .user) { call in
      let id = try await call.ownCall(control)
      guard let info = await control.status(call: id) else { throw RESTError.missing("The call has ended.") }
      return .json(info)
    }

    on(.post, "/v1/me/calls/{id}/recording", .user) { call in
      let action = try await call.recordingAction()
      return .json(try await perform(action, control, call: try await call.ownCall(control), by: call.user))
    }

    on(.get, "/v1/me/recordings", .user) { call in
      try call.allowQuery("limit", "before", "call")
      var filter = RecordingFilter()
      filter.call = call.query("call")
      filter.user = call.user
      return try await call.page(store, filter)
    }

    on(.get, "/v1/me/recordings/{id}/waveform", .user) { call in
      try await call.waveform(of: try await call.recording(store, of: call.user), control)
    }
  }
}

@Sendable private func perform(
  _ action: String, _ control: any RecordingControl, call id: String, by user: String?
) async throws(RESTError) -> CallRecordingInfo {
  do throws(RecordingControlError) {
    return try await control.perform(action, call: id, by: user)
  } catch {
    switch error {
    case .notFound(let why): throw .missing(why)
    case .conflict(let why): throw RESTError(.conflict, "conflict", why)
    case .unavailable(let why): throw RESTError(.serviceUnavailable, "unavailable", why)
    }
  }
}

extension RESTRoutes.Call {
  fileprivate func recordingAction() async throws -> String {
    var body = try await body()
    let action = try body.requiredText("action")
    try body.finish()
    guard ["start", "pause", "resume", "stop"].contains(action) else {
      throw RESTError.invalid("action must be start, pause, resume or stop.")
    }
    return action
  }

  fileprivate func ownCall(_ control: any RecordingControl) async throws -> String {
    guard let id = await control.call(try parameter("id"), of: user) else {
      throw RESTError.missing("You have no such call.")
    }
    return id
  }

  fileprivate func recording(_ store: Store, of user: String? = nil) async throws -> RecordingRecord {
    let id = try parameter("id")
    var found = try await store.recording(id: id)
    if let user, let call = found?.call {
      let record = try await store.call(id: call)
      if record?.legs.contains(where: { $0.kind == .user && $0.party == user }) != true { found = nil }
    } else if user != nil {
      found = nil
    }
    guard let found else { throw RESTError.missing("There is no recording \(id).") }
    return found
  }

  fileprivate func recordingFilter() throws(RESTError) -> RecordingFilter {
    let times = try callFilter()
    var filter = RecordingFilter()
    filter.since = times.since
    filter.until = times.until
    filter.call = query("call")
    filter.room = query("room")
    if let text = query("kind") {
      filter.kind = RecordingRecord.Kind(rawValue: text)
      if filter.kind == nil { throw .invalid("kind must be call, room, participant or track.") }
    }
    if let text = query("state") {
      filter.state = RecordingRecord.State(rawValue: text)
      if filter.state == nil { throw .invalid("state must be recording, rendering, saved or failed.") }
    }
    return filter
  }

  fileprivate func page(_ store: Store, _ filter: RecordingFilter) async throws -> Response {
    let limit = try limit()
    let found = try await store.recordings(limit: limit + 1, before: try cursor(), filter: filter)
    let page = found.prefix(limit)
    return .json(
      RecordingPage(
        recordings: page.map(RecordingBody.init),
        next: found.count > limit
          ? page.last.map { CallCursor(startedAt: $0.startedAt, id: $0.id).description } : nil))
  }

  fileprivate func waveform(of recording: RecordingRecord, _ control: any RecordingControl) async throws -> Response {
    guard let peaks = await control.peaks(of: recording) else {
      throw RESTError.missing("There is no waveform of this recording.")
    }
    return .json(WaveformBody(interval: 0.1, channels: peaks))
  }

  /// A file's bytes, whole or one range of them.
  fileprivate func media(of recording: RecordingRecord, _ control: any RecordingControl) async throws -> Response {
    try allowQuery("format", "file", "download")
    var recording = recording
    guard recording.state == .saved, !recording.files.isEmpty else {
      throw RESTError(.conflict, "not-saved", "The recording is \(recording.state.rawValue).")
    }
    var file = recording.files.first
    if let format = query("format") {
      if format == "wav", let made = try await control.withWAV(recording) { recording = made }
      file = recording.files.first { $0.format == format }
    } else if let name = query("file") {
      file = recording.files.first { $0.name == name }
    }
    guard let file else { throw RESTError.missing("The recording has no such file.") }
    guard let path = control.path(of: file) else {
      guard let url = await control.url(of: file) else { throw RESTError.missing("The file cannot be reached.") }
      return Response(status: .found, headers: [.location: url, .cacheControl: "no-store"])
    }
    let tag = "\"\(file.sha256)\""
    var headers: HTTPFields = [
      .contentType: file.contentType, .eTag: tag, .cacheControl: "private, no-cache", .acceptRanges: "bytes",
    ]
    if query("download") != nil {
      headers[.contentDisposition] = "attachment; filename=\"\(recording.id).\(file.format)\""
    }
    if request.headers[.ifNoneMatch] == tag { return Response(status: .notModified, headers: headers) }
    var range = 0..<file.bytes
    var status = HTTPResponse.Status.ok
    if let text = request.headers[.range], request.headers[.ifRange].map({ $0 == tag }) ?? true {
      switch ByteRange.parse(text, size: file.bytes) {
      case .whole: break
      case .unsatisfiable:
        headers[.contentRange] = "bytes */\(file.bytes)"
        return Response(status: .rangeNotSatisfiable, headers: headers)
      case .part(let part):
        range = part
        status = .partialContent
        headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(file.bytes)"
      }
    }
    guard request.method == .get, !range.isEmpty else {
      headers[.contentLength] = "\(range.count)"
      return Response(status: status, headers: headers)
    }
    let body: ResponseBody
    do {
      body = try await FileIO().loadFile(
        path: path, range: range.lowerBound...(range.upperBound - 1), context: context)
    } catch {
      throw RESTError.missing("The file is gone.")
    }
    return Response(status: status, headers: headers, body: body)
  }
}

private struct RecordingPage: Encodable {
  let recordings: [RecordingBody]
  let next: String?
}

private struct WaveformBody: Encodable {
  /// Seconds that one number stands for.
  let interval: Double
  /// The loudest sample, 0…255; for calls the agent's channel first.
  let channels: [[UInt8]]
}

private struct RecordingBody: Encodable {
  struct File: Encodable {
    let name: String
    let format: String
    let contentType: String
    let bytes: Int
    let sha256: String
    let duration: Double
  }

  let id: String
  let kind: String
  let call: String?
  let room: String?
  /// Of a call: who called, and what was dialled.
  let from: String?
  let to: String?
  let state: String
  let reason: String
  let startedAt: String
  let endedAt: String?
  let progress: Double
  /// Seconds.
  let duration: Double?
  let files: [File]

  init(_ recording: RecordingRecord) {
    id = recording.id
    kind = recording.kind.rawValue
    call = recording.call
    room = recording.room
    from = recording.call == nil ? nil : recording.attributes["from"]
    to = recording.call == nil ? nil : recording.attributes["to"]
    state = recording.state.rawValue
    reason = recording.reason
    startedAt = recording.startedAt.rfc3339
    endedAt = recording.endedAt?.rfc3339
    progress = recording.progress
    duration = recording.duration
    files = recording.files.map {
      File(
        name: $0.name, format: $0.format, contentType: $0.contentType, bytes: $0.bytes, sha256: $0.sha256,
        duration: $0.duration)
    }
  }
}
