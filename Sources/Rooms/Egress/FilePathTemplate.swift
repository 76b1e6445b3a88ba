package import Core

/// The placeholders of a file's path: `{room_name}`, `{room_id}`, `{time}`, `{utc}`, `{publisher_identity}`, `{track_id}`,
/// `{track_type}`, `{track_source}`. Unknown ones stay.
package struct FilePathTemplate: Sendable {
  package var values: [String: String] = [:]

  package init(roomName: String, roomSID: String, at time: WallTime) {
    values["room_name"] = roomName
    values["room_id"] = roomSID
    values["time"] = Self.stamp(time)
    values["utc"] = Self.stamp(time)
  }

  /// - Parameters:
  ///   - fallback: Of the name, where the path is empty or ends with "/".
  ///   - fileExtension: Put behind a name that does not have it; empty: none.
  package func path(_ template: String, fallback: String, fileExtension: String) -> String {
    var path = template
    if path.isEmpty || path.hasSuffix("/") { path += fallback }
    for (name, value) in values { path = Self.replace("{\(name)}", in: path, by: Self.clean(value)) }
    while path.hasPrefix("/") { path.removeFirst() }
    // What came in by a value leads nowhere either.
    path = path.split(separator: "/").map { $0 == ".." || $0 == "." ? "_" : String($0) }.joined(separator: "/")
    guard !fileExtension.isEmpty else { return path }
    let suffix = "." + fileExtension
    if !path.lowercased().hasSuffix(suffix) { path += suffix }
    return path
  }

  private static func replace(_ placeholder: String, in text: String, by value: String) -> String {
    var result = ""
    var rest = text[...]
    while let range = rest.firstRange(of: placeholder) {
      result += rest[..<range.lowerBound] + value
      rest = rest[range.upperBound...]
    }
    return result + rest
  }

  /// A value is one part of a path.
  private static func clean(_ value: String) -> String {
    String(value.map { $0 == "/" || $0 == "\\" || $0 == "\0" || $0.isNewline ? "_" : $0 })
  }

  /// `2026-11-21T040506`.
  static func stamp(_ time: WallTime) -> String {
    String(time.rfc3339.prefix(19).filter { $0 != ":" })
  }
}
