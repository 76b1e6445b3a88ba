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
    LoggingSystem.bootstrap { label in LineLogHandler(label: label, format: format, level: level) }
  }

  /// `time level message key=value …`. What came from the network may hold line ends and escape codes: every control
  /// character is written as `\u{…}`, so nobody forges a line that fail2ban or a person believes.
  static func text(_ event: LogEvent, _ fields: [String: String]) -> String {
    let level = event.level.rawValue
    let padding = String(repeating: " ", count: max(0, 8 - level.count))
    let pairs = fields.sorted { $0.key < $1.key }.map { " \($0.key)=\(visible($0.value, quoting: true))" }.joined()
    return "\(WallTime.now().rfc3339) \(level)\(padding) \(visible("\(event.message)", quoting: false))\(pairs)"
  }

  /// One JSON object: time, level, logger, message, and the metadata's keys beside them.
  static func json(_ event: LogEvent, _ fields: [String: String], label: String) -> String? {
    var object = fields
    object["time"] = WallTime.now().rfc3339
    object["level"] = event.level.rawValue
    object["logger"] = label
    object["message"] = event.message.description
    let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
    return (try? JSONSerialization.data(withJSONObject: object, options: options)).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// Without control characters; quoted where a space would end the value.
  private static func visible(_ text: String, quoting: Bool) -> String {
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

/// Writes each event as one line in the configured format.
struct LineLogHandler: LogHandler {
  let label: String
  let format: LogFormat
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  init(label: String, format: LogFormat, level: Logger.Level) {
    self.label = label
    self.format = format
    logLevel = level
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = metadata.merging(event.metadata ?? [:]) { _, new in new }.mapValues { "\($0)" }
    switch format {
    case .text: LogOutput.write(LogOutput.text(event, fields))
    case .json: if let line = LogOutput.json(event, fields, label: label) { LogOutput.write(line) }
    }
  }
}
