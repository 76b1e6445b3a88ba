import Core

/// The recording of one call: a machine beside the call's others. Confined to the gateway's executor.
final class CallRecording {
  enum State {
    case off
    /// The recorder was asked; the call goes on meanwhile.
    case beginning
    case recording
    case paused
    case failed(String)
  }

  /// A leg as the recording knows it.
  struct Stream {
    let id: UInt16
    let name: String
    let channel: RecordingChannel
    var audio: NegotiatedAudio
    var isHeld = false
  }

  var state = State.off
  var session: (any CallRecordingSession)?
  /// The identifier of the latest, also after its end.
  var lastID: String?
  var streams: [LegID: Stream] = [:]
  /// Whether the agent stands on the caller's side. Settled when the first recording begins, and kept through transfers.
  var agentCalls: Bool?
  /// Whether policy was asked.
  var isDecided = false
  /// What was asked for while the recorder began.
  var afterBeginning: RecordingAction?
  var waiters: [@Sendable (Result<RecordingStatus, RecordingRefusal>) -> Void] = []
  /// The legs that hear the notice.
  var notified: Set<LegID> = []
  /// The first key of a feature code, and when it was pressed.
  var keys: (leg: LegID, at: Instant)?
  /// Counts recordings, so that late news of an earlier one is told apart.
  var generation = 0

  var status: RecordingStatus {
    switch state {
    case .off, .beginning: RecordingStatus(state: .off, recording: lastID)
    case .recording: RecordingStatus(state: .recording, recording: lastID)
    case .paused: RecordingStatus(state: .paused, recording: lastID)
    case .failed(let why): RecordingStatus(state: .failed, recording: lastID, reason: why)
    }
  }

  func answer(_ result: Result<RecordingStatus, RecordingRefusal>) {
    let waiting = waiters
    waiters = []
    for waiter in waiting { waiter(result) }
  }
}

/// What befalls a recording.
enum RecordingEvent: Sendable {
  case action(RecordingAction, RecordingTrigger, reply: @Sendable (Result<RecordingStatus, RecordingRefusal>) -> Void)
  /// The recorder has begun, or could not.
  case began(generation: Int, Result<any CallRecordingSession, RecordingRefusal>)
  case failed(generation: Int, String)
}
