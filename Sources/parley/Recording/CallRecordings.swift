import Core
import Gateway
import Recording

/// The gateway's recorder: calls into the catalogue of recordings.
struct CatalogCallRecorder: CallRecorder {
  let catalog: RecordingCatalog

  func begin(
    _ request: CallRecordingRequest, failed: @escaping @Sendable (String) -> Void
  ) async throws -> any CallRecordingSession {
    let call = request.call
    var attributes = ["from": call.from, "to": call.to, "trigger": "\(request.trigger)"]
    if !call.fromDisplay.isEmpty { attributes["from-display"] = call.fromDisplay }
    let record = RecordingRecord(
      id: RandomToken.hex(bytes: 12), tenant: call.tenant, kind: .call, call: call.id, startedAt: request.beganAt,
      attributes: attributes)
    let running = try await catalog.begin(record, began: request.began) { failed("\($0)") }
    return CatalogCallSession(running: running)
  }
}

/// One call's recording.
struct CatalogCallSession: CallRecordingSession {
  let running: RunningRecording

  var id: String { running.id }

  private func stream(_ name: String, _ channel: RecordingChannel, _ audio: NegotiatedAudio) -> SpoolStream {
    SpoolStream(name: name, negotiated: audio, attributes: ["channel": channel.rawValue])
  }

  func addStream(
    name: String, channel: RecordingChannel, audio: NegotiatedAudio, at now: Instant
  ) -> (stream: UInt16, tap: any PacketTap & Sendable)? {
    running.spool.addStream(stream(name, channel, audio), at: now).map { ($0.id, $0.ring) }
  }

  func update(_ id: UInt16, name: String, channel: RecordingChannel, audio: NegotiatedAudio, at now: Instant) {
    running.spool.update(id, stream(name, channel, audio), at: now)
  }

  func endStream(_ stream: UInt16, at now: Instant) { running.spool.endStream(stream, at: now) }

  func setHeld(_ held: Bool, stream: UInt16, at now: Instant) {
    running.spool.note(held ? .hold : .unhold, stream: stream, at: now)
  }

  func pause(at now: Instant) { running.spool.pause(at: now) }
  func resume(at now: Instant) { running.spool.resume(at: now) }

  func finish(reason: String, at now: Instant) {
    Task { await running.finish(reason: reason, at: now) }
  }
}
