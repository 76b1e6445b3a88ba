import Core
import Foundation
import Logging

#if canImport(Glibc)
  import Glibc
#endif

/// Logs go to standard error: a line of text each, or a JSON object each.
enum LogOutput {
  static func bootstrap(_ settings: Configuration.LogSection) {
    let level = Logger.Level(rawValue: settings.level.rawValue) ?? .info
    let format = settings.format
    LoggingSystem.bootstrap { label in
      var handler: any LogHandler = format == .json ? JSONLogHandler(label: label) : TextLogHandler(label: label)
      handler.logLevel = level
      return handler
    }
  }

  /// One system call a line, so that lines of several threads do not mix.
  static func write(_ line: String) {
    var line = line + "\n"
    line.withUTF8 { bytes in
      #if canImport(Glibc)
        _ = Glibc.write(STDERR_FILENO, bytes.baseAddress, bytes.count)
      #endif
    }
  }
}

/// `time level message key=value …` on one line. What came from the network may hold line ends and escape codes: every
/// control character is written as `\u{…}`, so nobody forges a line that fail2ban or a person believes.
struct TextLogHandler: LogHandler {
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]
  let label: String

  init(label: String) { self.label = label }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { _, new in new }.sorted { $0.key < $1.key }
      .map { " \($0.key)=\(Self.visible("\($0.value)", quoting: true))" }.joined()
    let level = event.level.rawValue
    let padding = String(repeating: " ", count: max(0, 8 - level.count))
    LogOutput.write(
      "\(WallTime.now().rfc3339) \(level)\(padding) \(Self.visible("\(event.message)", quoting: false))\(fields)")
  }

  /// Without control characters; quoted where a space would end the value.
  static func visible(_ text: String, quoting: Bool) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      if scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .lineSeparator {
        out += scalar.escaped(asASCII: true)
      } else if quoting, scalar == "\"" || scalar == "\\" {
        out += "\\" + String(scalar)
      } else {
        out.unicodeScalars.append(scalar)
      }
    }
    return quoting && (out.isEmpty || out.contains(" ")) ? "\"\(out)\"" : out
  }
}

/// One JSON object a line: time, level, logger, message, and the metadata's keys beside them.
struct JSONLogHandler: LogHandler {
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]
  let label: String

  init(label: String) { self.label = label }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var fields: [String: String] = [:]
    for (key, value) in metadata { fields[key] = "\(value)" }
    for (key, value) in event.metadata ?? [:] { fields[key] = "\(value)" }
    fields["time"] = WallTime.now().rfc3339
    fields["level"] = event.level.rawValue
    fields["logger"] = label
    fields["message"] = event.message.description
    guard
      let line = try? JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys, .withoutEscapingSlashes])
    else { return }
    LogOutput.write(String(decoding: line, as: UTF8.self))
  }
}
