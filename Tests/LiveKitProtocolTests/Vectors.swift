import Foundation

/// The files of `Tests/Vectors/livekit`.
enum Vectors {
  static func bytes(_ name: String) throws -> [UInt8] {
    let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: directory.appendingPathComponent("Vectors/livekit/\(name)")))
  }

  /// A file's only line.
  static func line(_ name: String) throws -> String {
    String(decoding: try bytes(name).prefix { $0 != 0x0A }, as: UTF8.self)
  }
}
