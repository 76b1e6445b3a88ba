import Core

/// Recording of calls.
extension Gateway {
  /// Makes the recorder known. Before the first message.
  package func serve(recorder: any CallRecorder) {
    core.recorder = recorder
    core.deliverRecording = { [weak self] call, event in
      Task { await self?.recording(call, event) }
    }
  }

  private func recording(_ call: String, _ event: RecordingEvent) {
    guard let found = core.calls[call] else {
      // The call has ended meanwhile.
      if case .began(_, .success(let session)) = event { session.finish(reason: "the call had ended", at: core.now) }
      return
    }
    core.enqueue(.recording(event), to: found)
    pump()
  }

  /// Begins, pauses, resumes or stops the recording of a running call.
  package func record(
    _ action: RecordingAction, call id: String, by trigger: RecordingTrigger
  ) async throws(RecordingRefusal) -> RecordingStatus {
    guard let call = core.calls[id] else { throw RecordingRefusal(.notFound, "There is no running call \(id).") }
    let result = await withCheckedContinuation { continuation in
      core.enqueue(.recording(.action(action, trigger, reply: { continuation.resume(returning: $0) })), to: call)
      pump()
    }
    return try result.get()
  }

  /// How the recording of a running call stands; nil where there is no such call.
  package func recordingStatus(call id: String) -> RecordingStatus? { core.calls[id]?.recording.status }

  /// The running call in which a user has a leg of this SIP Call-ID, or the call of this identifier if the user is in it.
  package func call(_ id: String, of user: String) -> String? {
    core.calls.values.first { call in
      call.legs.contains { leg in
        guard case .user(user) = leg.party else { return false }
        return leg.callID == id || call.id == id
      }
    }?.id
  }
}
