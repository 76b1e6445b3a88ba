import Core
import Logging
import SDP

/// The call's part in its recording: when it begins, which legs are tapped, and when it ends.
extension Call {
  func handle(recording event: RecordingEvent) async {
    switch event {
    case .action(let action, let trigger, let reply): await perform(action, trigger, reply)
    case .began(let generation, let result): await recorderBegan(generation, result)
    case .failed(let generation, let why):
      guard generation == recording.generation, recording.session != nil else { return }
      logger.error("the call is recorded no more", metadata: ["reason": "\(why)"])
      closeRecording(reason: why)
      recording.state = .failed(why)
    }
  }

  // MARK: Actions

  private func perform(
    _ action: RecordingAction, _ trigger: RecordingTrigger,
    _ reply: @escaping @Sendable (Result<RecordingStatus, RecordingRefusal>) -> Void
  ) async {
    func refuse(_ reason: String) { reply(.failure(RecordingRefusal(.conflict, reason))) }
    let now = core.now
    switch (action, recording.state) {
    case (.start, .off), (.start, .failed):
      guard phase == .answered else { return refuse("the call is not answered") }
      guard conference == nil else { return refuse("the phone sits in a room: rooms are recorded, not their phones") }
      recording.waiters.append(reply)
      beginRecording(trigger)
    case (_, .beginning):
      if action != .start { recording.afterBeginning = action }
      recording.waiters.append(reply)
    case (.start, .recording), (.resume, .recording), (.pause, .paused), (.stop, .off), (.stop, .failed):
      reply(.success(recording.status))
    case (.start, .paused), (.resume, .paused):
      recording.session?.resume(at: now)
      recording.state = .recording
      await changed(by: trigger, reply)
    case (.pause, .recording):
      recording.session?.pause(at: now)
      recording.state = .paused
      await changed(by: trigger, reply)
    case (.stop, .recording), (.stop, .paused):
      closeRecording(reason: "stopped by \(trigger)")
      recording.state = .off
      await changed(by: trigger, reply)
    case (.pause, .off), (.resume, .off), (.pause, .failed), (.resume, .failed): refuse("the call is not recorded")
    }
  }

  private func changed(
    by trigger: RecordingTrigger, _ reply: (Result<RecordingStatus, RecordingRefusal>) -> Void
  ) async {
    logger.info("recording", metadata: ["state": "\(recording.status.state.rawValue)", "by": "\(trigger)"])
    reply(.success(recording.status))
    await signalRecording()
  }

  private func beginRecording(_ trigger: RecordingTrigger) {
    guard let recorder = core.recorder else {
      recording.answer(.failure(RecordingRefusal(.unavailable, "this server does not record")))
      return
    }
    recording.generation += 1
    recording.state = .beginning
    recording.afterBeginning = nil
    let generation = recording.generation
    let request = CallRecordingRequest(call: record, trigger: trigger, began: core.now, beganAt: .now())
    let deliver = core.deliverRecording
    let id = id
    Task {
      let result: Result<any CallRecordingSession, RecordingRefusal>
      do {
        result = .success(
          try await recorder.begin(request) { why in deliver(id, .failed(generation: generation, why)) })
      } catch {
        result = .failure(RecordingRefusal(.unavailable, "\(error)"))
      }
      deliver(id, .began(generation: generation, result))
    }
  }

  private func recorderBegan(_ generation: Int, _ result: Result<any CallRecordingSession, RecordingRefusal>) async {
    guard generation == recording.generation, case .beginning = recording.state else {
      if case .success(let session) = result { session.finish(reason: "the call had ended", at: core.now) }
      return
    }
    switch result {
    case .failure(let refusal):
      recording.state = .failed(refusal.reason)
      logger.error("the call is not recorded", metadata: ["reason": "\(refusal)"])
      recording.answer(.failure(refusal))
    case .success(let session):
      recording.session = session
      recording.lastID = session.id
      recording.state = .recording
      logger.info("recording", metadata: ["recording": "\(session.id)"])
      switch recording.afterBeginning {
      case .pause:
        session.pause(at: core.now)
        recording.state = .paused
      case .stop:
        closeRecording(reason: "stopped")
        recording.state = .off
      case .start, .resume, nil: break
      }
      recording.answer(.success(recording.status))
      await tapLegs()
      await signalRecording()
    }
  }

  // MARK: The notice

  /// Both sides hear that the recording begins or goes on, where the configuration wants that.
  private func signalRecording() async {
    guard case .recording = recording.state, let clip = core.configuration.recordingNotice.clip, transfer == nil,
      phase == .answered
    else { return }
    let hearing = [caller, callee].compactMap { $0 }.filter { $0.hasMedia && !$0.isRoom && !$0.isHeldByPeer }
    recording.notified = Set(hearing.map(\.id))
    // Where that fails the call goes on without it.
    try? await host.setSources(hearing.map { ($0.id, .clip(clip, loops: false)) })
  }

  /// True where the clip was the notice: then both sides hear each other again.
  func recordingNoticeEnded(_ leg: SIPLeg) async -> Bool {
    guard recording.notified.remove(leg.id) != nil else { return false }
    if recording.notified.isEmpty { await updateSources() }
    return true
  }

  // MARK: Legs

  /// The media graph changed: policy is asked once, and legs that came or went are tapped or let go.
  func mediaChanged() async {
    guard phase == .answered else { return }
    if !recording.isDecided, conference == nil {
      recording.isDecided = true
      if core.recorder != nil, isRecordedByPolicy { beginRecording(.policy) }
    }
    await tapLegs()
  }

  private var isRecordedByPolicy: Bool {
    if core.configuration.recordsAllCalls || routed.record { return true }
    return [caller, callee].contains { leg in
      switch leg?.party {
      case .user(let name): core.directory.user(name)?.record ?? false
      case .trunk(let trunk): trunk.record
      case .room, nil: false
      }
    }
  }

  private func tapLegs() async {
    guard let session = recording.session else { return }
    let now = core.now
    let present = [caller, callee].compactMap { $0 }.filter { $0.hasMedia && !$0.isRoom }
    for (id, stream) in recording.streams where !present.contains(where: { $0.id == id }) {
      recording.streams[id] = nil
      session.endStream(stream.id, at: now)
    }
    for leg in present {
      guard let audio = leg.session?.negotiated else { continue }
      if var stream = recording.streams[leg.id] {
        if stream.audio != audio {
          stream.audio = audio
          session.update(stream.id, name: stream.name, channel: stream.channel, audio: audio, at: now)
        }
        if stream.isHeld != leg.isHeldByPeer {
          stream.isHeld = leg.isHeldByPeer
          session.setHeld(stream.isHeld, stream: stream.id, at: now)
        }
        recording.streams[leg.id] = stream
        continue
      }
      let channel = channel(of: leg)
      guard let (id, tap) = session.addStream(name: leg.record.party, channel: channel, audio: audio, at: now) else {
        continue
      }
      recording.streams[leg.id] = CallRecording.Stream(
        id: id, name: leg.record.party, channel: channel, audio: audio)
      await host.setTap(leg.id, tap)
    }
  }

  /// The agent is the side that is a user; between two users, who was called. To the left.
  private func channel(of leg: SIPLeg) -> RecordingChannel {
    let agentCalls = recording.agentCalls ?? (caller.isUser && !(callee?.isUser ?? false) && callee != nil)
    recording.agentCalls = agentCalls
    return (leg === caller) == agentCalls ? .left : .right
  }

  /// The leg goes to another call, which may tap it itself.
  func stopRecording(of leg: SIPLeg) {
    guard let stream = recording.streams.removeValue(forKey: leg.id) else { return }
    recording.session?.endStream(stream.id, at: core.now)
  }

  /// The call is over; nobody waits for the files.
  func closeRecording(reason: String) {
    recording.answer(.failure(RecordingRefusal(.conflict, "the call ended")))
    let session = recording.session
    recording.session = nil
    recording.streams = [:]
    session?.finish(reason: reason, at: core.now)
  }

  /// At the end of the call.
  func endRecording(reason: String) {
    closeRecording(reason: reason)
    switch recording.state {
    case .beginning:
      // What the recorder still makes is closed when it comes.
      recording.generation += 1
      recording.state = .off
    case .recording, .paused: recording.state = .off
    case .off, .failed: break
    }
  }

  // MARK: Keys

  /// Feature codes of an agent in a call: `*1` begins and ends the recording, `*2` pauses and resumes it.
  func recordingKey(_ digit: Character, from leg: SIPLeg) async {
    guard core.recorder != nil, core.configuration.hasRecordingKeys, conference == nil, case .user(let name) = leg.party
    else { return }
    let now = core.now
    if digit == "*" {
      recording.keys = (leg.id, now)
      return
    }
    guard let first = recording.keys, first.leg == leg.id, now - first.at < .seconds(3) else { return }
    recording.keys = nil
    let action: RecordingAction
    switch (digit, recording.state) {
    case ("1", .recording), ("1", .paused): action = .stop
    case ("1", _): action = .start
    case ("2", .recording): action = .pause
    case ("2", .paused): action = .resume
    default: return
    }
    await perform(action, .user(name)) { _ in }
  }
}
