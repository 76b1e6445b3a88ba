import Yams

/// Walks a YAML tree along the table of settings and collects everything that is wrong.
struct ConfigurationReader {
  /// The name shown in messages.
  let file: String
  var problems: [ConfigurationProblem] = []
  var origins: [String: Configuration.Origin] = [:]

  init(file: String) { self.file = file }

  /// Reads a mapping whose keys are names of `settings` below `path`, or sections of such names.
  ///
  /// - Parameter shownAs: what to put before a name in messages: empty, or `provision.trunks[0].`.
  /// - Returns: the names of the settings that were there.
  @discardableResult
  mutating func readSection<Root>(
    _ node: Node, at path: String, of settings: [Setting<Root>], shownAs prefix: String = "", into root: inout Root
  ) -> Set<String> {
    guard case .mapping(let mapping) = node else {
      if isNull(node) { return [] }
      let names = children(of: path, settings).joined(separator: ", ")
      report(node, "\(prefix)\(path.dropLast()) must be a section with any of: \(names).")
      return []
    }
    var seen: Set<String> = []
    for (key, value) in mapping {
      guard case .scalar(let scalar) = key else {
        report(key, "a key must be text.")
        continue
      }
      let name = path + scalar.string
      if let setting = settings.first(where: { $0.name == name }) {
        seen.insert(name)
        if isNull(value) {
          report(
            value.mark == nil ? key : value,
            "\(prefix)\(name) has no value. It must be \(setting.description.expectation); or remove the line.")
        } else if setting.read(value, prefix + name, &self, &root), prefix.isEmpty {
          origins[name] = .file(line: key.mark?.line ?? 0)
        }
      } else if settings.contains(where: { $0.name.hasPrefix(name + ".") }) {
        seen.formUnion(readSection(value, at: name + ".", of: settings, shownAs: prefix, into: &root))
      } else {
        report(key, unknown(name, prefix: prefix, at: path, settings.map(\.name)))
      }
    }
    return seen
  }

  /// The scalar's text; anything else is refused.
  mutating func text(of node: Node, _ name: String, _ expectation: String) -> String? {
    guard case .scalar(let scalar) = node else {
      refuse(node, name, nil, expectation)
      return nil
    }
    return scalar.string
  }

  mutating func refuse(_ node: Node, _ name: String, _ value: String?, _ expectation: String) {
    problems.append(
      ConfigurationProblem(
        file: file, line: node.mark?.line, column: node.mark?.column,
        message: (value.map { "\(name) is \"\($0)\"; it" } ?? name) + " must be \(expectation).",
        expectation: expectation))
  }

  mutating func report(_ node: Node, _ message: String) {
    problems.append(
      ConfigurationProblem(file: file, line: node.mark?.line, column: node.mark?.column, message: message))
  }

  /// Widens what the problems since `index` say is accepted.
  mutating func amend(since index: Int, expectation: String) {
    for i in problems.indices[index...] {
      guard let old = problems[i].expectation, problems[i].message.hasSuffix("must be \(old).") else { continue }
      problems[i].message = problems[i].message.dropLast(old.count + 1) + expectation + "."
      problems[i].expectation = expectation
    }
  }

  private func isNull(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
    return ["", "~", "null"].contains(scalar.string)
  }

  /// The names one level below a path.
  private func children<Root>(of path: String, _ settings: [Setting<Root>]) -> [String] {
    var names: [String] = []
    for setting in settings where setting.name.hasPrefix(path) {
      let name = String(setting.name.dropFirst(path.count).prefix { $0 != "." })
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  private func unknown(_ name: String, prefix: String, at path: String, _ all: [String]) -> String {
    var candidates = all
    for name in all {
      // Sections can be misspelt too.
      var section = name
      while let dot = section.lastIndex(of: ".") {
        section = String(section[..<dot])
        if !candidates.contains(section) { candidates.append(section) }
      }
    }
    if let nearest = Spelling.nearest(to: name, among: candidates) {
      return "\(prefix)\(name) is no setting. Did you mean \(prefix)\(nearest)?"
    }
    let here = candidates.filter { $0.hasPrefix(path) && !$0.dropFirst(path.count).contains(".") }
      .map { String($0.dropFirst(path.count)) }.sorted().joined(separator: ", ")
    let place = path.isEmpty && prefix.isEmpty ? "At the top there are" : "Here there are"
    return "\(prefix)\(name) is no setting. \(place): \(here)."
  }
}

/// One thing that is wrong, and where.
struct ConfigurationProblem: Error, Sendable, Equatable, CustomStringConvertible {
  var file: String
  var line: Int?
  var column: Int?
  /// A sentence that names the setting, the value and what is accepted.
  var message: String
  /// What the message says is accepted, where it does.
  var expectation: String?

  var description: String {
    var place = file
    if let line { place += ":\(line)" }
    if let column, line != nil { place += ":\(column)" }
    return "\(place): \(message)"
  }
}

/// Everything that is wrong with the configuration.
struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
  let problems: [ConfigurationProblem]
  var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Finds what somebody probably meant.
enum Spelling {
  /// The candidate with the fewest edits, if they are few enough to be a slip.
  static func nearest(to text: String, among candidates: [String]) -> String? {
    // The beginning of one word, such as auth.user.
    let longer = candidates.filter { $0.hasPrefix(text) && text.count >= 3 }
    if longer.count == 1 { return longer[0] }
    let best = candidates.map { ($0, distance(text, $0)) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
    guard let best, best.1 <= max(1, min(3, text.count / 3)) else {
      // The right word in the wrong section, such as sip.listen.
      let last = text.split(separator: ".").last.map(String.init) ?? text
      let same = candidates.filter { $0.hasSuffix("." + last) || $0 == last }
      return same.count == 1 ? same[0] : nil
    }
    return best.0
  }

  /// Insertions, removals, replacements and swaps of neighbours between the two.
  static func distance(_ a: String, _ b: String) -> Int {
    let a = Array(a.lowercased().prefix(100))
    let b = Array(b.lowercased().prefix(100))
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var row = [i + 1]
      for (j, y) in b.enumerated() {
        var cost = min(last[j] + (x == y ? 0 : 1), last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, x == b[j - 1], a[i - 1] == y { cost = min(cost, beforeLast[j - 1] + 1) }
        row.append(cost)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
