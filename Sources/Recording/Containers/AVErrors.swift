import CAVFormat

/// What libav says of one of its numbers.
func describeAV(_ code: Int32) -> String {
  var text = [CChar](repeating: 0, count: 128)
  av_strerror(code, &text, text.count)
  return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// libav's messages are about the files of others; ours come as errors.
enum AVLogging {
  static let quiet: Void = av_log_set_level(AV_LOG_FATAL)
}

extension RecordingError {
  static func container(_ what: String, _ code: Int32) -> RecordingError { .container("\(what): \(describeAV(code))") }
  static func codec(_ what: String, _ code: Int32) -> RecordingError { .codec("\(what): \(describeAV(code))") }
}
