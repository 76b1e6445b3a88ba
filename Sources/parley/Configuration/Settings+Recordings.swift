import Core
import Recording

/// How calls are recorded, and how long recordings are kept.
struct RecordingsSection: Sendable {
  /// Nil: `recordings` in the data directory.
  var directory: String?
  var calls = RecordedCalls.selected
  var format = CallFiles.Format.ogg
  var keys = true
  var notice = RecordingNoticeName.none
  /// Nil: for ever.
  var keepDays: Int?
  /// In mebibytes; nil: no limit.
  var maxSize: Int?
  /// In mebibytes.
  var minFree = 64
}

enum RecordedCalls: String, Sendable, CaseIterable {
  /// Those of users, numbers, routes and trunks with `record`, and on demand.
  case selected
  case all
}

enum RecordingNoticeName: String, Sendable, CaseIterable { case none, beep }

extension Configuration {
  static let recordings: [Setting<Configuration>] = [
    Setting(
      "recordings.directory", \.recordings.directory, Kind<String>.text("a path").optional(), in: Configuration(),
      fallback: "(recordings in data.directory)", "Where recordings are kept. Created where missing."),
    Setting(
      "recordings.calls", \.recordings.calls, .choice(), in: Configuration(),
      "Which calls are recorded of themselves: all, or those of users, numbers, routes and trunks that say record. Any "
        + "other call may be recorded on demand."),
    Setting(
      "recordings.format", \.recordings.format, .choice(), in: Configuration(),
      "How calls are kept, the agent left and the caller right: ogg carries each side's own Opus untouched, wav is PCM "
        + "at 16 kHz."),
    Setting(
      "recordings.keys", \.recordings.keys, .flag, in: Configuration(),
      "Whether a user in a call begins and ends its recording with *1, and pauses and resumes it with *2."),
    Setting(
      "recordings.notice", \.recordings.notice, .choice(), in: Configuration(),
      "What both sides of a call hear when its recording begins or goes on."),
    Setting(
      "recordings.keep-days", \.recordings.keepDays, Kind<Int>.integer(1...36_500).orNone("forever"),
      in: Configuration(), "How many days recordings are kept after they ended."),
    Setting(
      "recordings.max-size", \.recordings.maxSize,
      Kind<Int>.integer(1...1_000_000_000, unit: "mebibytes").orNone("off"),
      in: Configuration(), "How much recordings may take together; the oldest are removed first."),
    Setting(
      "recordings.min-free", \.recordings.minFree, .integer(0...1_000_000, unit: "mebibytes"), in: Configuration(),
      "Recordings end, and none begins, rather than leave less room than this on their disk."),
  ]

  var recordingsDirectory: String { recordings.directory ?? data.directory + "/recordings" }
}
