package import Core

/// How the recording of a running call stands.
package struct CallRecordingInfo: Sendable, Hashable, Encodable {
  /// `off`, `recording`, `paused` or `failed`.
  package var state: String
  /// The recording's identifier; not there before the first.
  package var recording: String?
  /// Why it failed.
  package var reason: String?

  package init(state: String, recording: String?, reason: String?) {
    self.state = state
    self.recording = recording
    self.reason = reason
  }
}

/// Why the recording of a call was not changed.
package enum RecordingControlError: Error, Sendable, Hashable {
  case notFound(String)
  case conflict(String)
  case unavailable(String)
}

/// What REST asks of recordings, beside the catalogue. The composition root implements it.
package protocol RecordingControl: Sendable {
  /// Nil where no such call runs.
  func status(call id: String) async -> CallRecordingInfo?
  /// The running call of which a user is a part, by its own identifier or the user's SIP Call-ID.
  func call(_ id: String, of user: String) async -> String?
  /// - Parameters:
  ///   - action: `start`, `pause`, `resume` or `stop`.
  ///   - user: who asks; nil for an operator.
  func perform(
    _ action: String, call id: String, by user: String?
  ) async throws(RecordingControlError) -> CallRecordingInfo
  /// Where a file lies on this machine; nil for one that is elsewhere.
  func path(of file: RecordingFile) -> String?
  /// A URL from which a file that is elsewhere can be fetched for some minutes.
  func url(of file: RecordingFile) async -> String?
  /// For each channel the loudest sample of every 100 ms, 0…255; nil where that is not known.
  func peaks(of recording: RecordingRecord) async -> [[UInt8]]?
  /// The recording with a WAV file among its files, which is made where it is missing; nil where it cannot be.
  func withWAV(_ recording: RecordingRecord) async throws -> RecordingRecord?
  /// Removes files and row.
  func remove(_ recording: RecordingRecord) async throws
}

/// Where nothing is recorded.
struct NoRecordings: RecordingControl {
  func status(call id: String) async -> CallRecordingInfo? { nil }
  func call(_ id: String, of user: String) async -> String? { nil }
  func perform(
    _ action: String, call id: String, by user: String?
  ) async throws(RecordingControlError) -> CallRecordingInfo {
    throw .unavailable("This server does not record.")
  }
  func path(of file: RecordingFile) -> String? { nil }
  func url(of file: RecordingFile) async -> String? { nil }
  func peaks(of recording: RecordingRecord) async -> [[UInt8]]? { nil }
  func withWAV(_ recording: RecordingRecord) async throws -> RecordingRecord? { nil }
  func remove(_ recording: RecordingRecord) async throws { throw RecordingControlError.unavailable("It is not here.") }
}
