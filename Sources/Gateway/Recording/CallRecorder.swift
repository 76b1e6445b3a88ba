package import Core

/// Which side of a call a leg is: agents lie left, callers right.
package enum RecordingChannel: String, Sendable, Hashable { case left, right }

/// Who wanted a recording.
package enum RecordingTrigger: Sendable, Hashable, CustomStringConvertible {
  /// A number, route, trunk or user whose calls are recorded, or the configuration.
  case policy
  /// Keys or the button of a user.
  case user(String)
  case operatorRequest

  package var description: String {
    switch self {
    case .policy: "policy"
    case .user(let name): "user \(name)"
    case .operatorRequest: "operator"
    }
  }
}

/// What a recorder is told of the call.
package struct CallRecordingRequest: Sendable, Hashable {
  package var call: CallRecord
  package var trigger: RecordingTrigger
  /// The recording's zero, on both clocks.
  package var began: Instant
  package var beganAt: WallTime
}

/// Makes recordings of calls. Implemented outside: the gateway writes no files.
package protocol CallRecorder: Sendable {
  /// Begins one. May take as long as the disk does; the call goes on meanwhile.
  /// - Parameter failed: called once if nothing can be recorded any more, with the reason in words.
  func begin(
    _ request: CallRecordingRequest, failed: @escaping @Sendable (String) -> Void
  ) async throws -> any CallRecordingSession
}

/// A recording that runs. None of the methods waits.
package protocol CallRecordingSession: Sendable {
  var id: String { get }
  /// - Returns: the stream's number, and the tap for the leg's packets; nil once the recording has ended.
  func addStream(
    name: String, channel: RecordingChannel, audio: NegotiatedAudio, at now: Instant
  ) -> (stream: UInt16, tap: any PacketTap & Sendable)?
  /// Offer and answer settled something else.
  func update(_ stream: UInt16, name: String, channel: RecordingChannel, audio: NegotiatedAudio, at now: Instant)
  func endStream(_ stream: UInt16, at now: Instant)
  func setHeld(_ held: Bool, stream: UInt16, at now: Instant)
  func pause(at now: Instant)
  func resume(at now: Instant)
  func finish(reason: String, at now: Instant)
}

/// What may be asked of a call's recording.
package enum RecordingAction: String, Sendable, Hashable, CaseIterable { case start, pause, resume, stop }

/// How a call's recording stands.
package struct RecordingStatus: Sendable, Hashable {
  package enum State: String, Sendable, Hashable {
    /// Not recorded, or no more.
    case off
    case recording
    case paused
    /// It ended early; `reason` says why.
    case failed
  }

  package var state: State
  /// The recording's identifier, once there is one; the latest, where there were several.
  package var recording: String?
  package var reason: String

  package init(state: State, recording: String? = nil, reason: String = "") {
    self.state = state
    self.recording = recording
    self.reason = reason
  }
}

/// Why an action on a recording was not done.
package struct RecordingRefusal: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Kind: Sendable, Hashable { case notFound, conflict, unavailable }
  package let kind: Kind
  package let reason: String

  package init(_ kind: Kind, _ reason: String) {
    self.kind = kind
    self.reason = reason
  }

  package var description: String { reason }
}
