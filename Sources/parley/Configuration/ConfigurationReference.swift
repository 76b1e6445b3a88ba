/// The table of settings as text: a commented file, the tables of the manual, the values in force.
enum ConfigurationReference {
  /// A configuration file with every setting at its default. What has no value by default is commented out.
  static func yaml() -> String {
    var out = "# Every setting of Parley with its default. All are optional.\n"
    render(&out) { setting in
      let description = setting.description
      var lines = wrap(description.summary, at: 90).map { "# \($0)" }
      if let variable = description.environmentName { lines.append("# \(variable)") }
      for field in description.fields {
        let fallback = field.isRequired ? "required" : "default \(field.fallback)"
        lines.append("#   \(field.name) (\(fallback)): \(field.summary)")
      }
      let isAbsent = description.fallback.hasPrefix("(")
      let last = lastPart(setting.name)
      lines.append(isAbsent ? "# \(last):   # \(description.fallback)" : "\(last): \(description.fallback)")
      return lines
    }
    return out
  }

  /// Every setting as it is in force, with where it comes from.
  static func effective(_ configuration: Configuration) -> String {
    var out = "# \(configuration.file.map { "From \($0)" } ?? "No configuration file: the embedded defaults")\n"
    render(&out) { setting in
      let shown = setting.show(configuration)
      let origin = configuration.origins[setting.name].map { "   # \($0)" } ?? ""
      let isAbsent = shown == "(none)"
      return [
        isAbsent
          ? "# \(lastPart(setting.name)):   # \(setting.description.fallback)"
          : "\(lastPart(setting.name)): \(shown)\(origin)"
      ]
    }
    return out
  }

  /// The tables of `Docs/configuration.md`.
  static func markdown() -> String {
    var out = "| setting | default | environment | meaning |\n|---|---|---|---|\n"
    for setting in Configuration.settings {
      let it = setting.description
      let variable = it.environmentName.map { "`\($0)`" } ?? ""
      out +=
        "| `\(it.name)` | \(code(it.fallback)) | \(variable) | \(escape(it.summary)) It must be \(escape(it.expectation)). |\n"
    }
    for setting in Configuration.settings where !setting.description.fields.isEmpty {
      out += "\n### Entries of `\(setting.name)`\n\n| field | default | meaning |\n|---|---|---|\n"
      for field in setting.description.fields {
        let fallback = field.isRequired ? "(required)" : code(field.fallback)
        out += "| `\(field.name)` | \(fallback) | \(escape(field.summary)) It must be \(escape(field.expectation)). |\n"
      }
    }
    return out
  }

  /// Calls `lines` for each setting, and puts the lines below headings of their sections.
  private static func render(_ out: inout String, _ lines: (Setting<Configuration>) -> [String]) {
    var open: [String] = []
    for setting in Configuration.settings {
      let sections = setting.name.split(separator: ".").dropLast().map(String.init)
      let common = zip(open, sections).prefix { $0 == $1 }.count
      for (depth, section) in sections.enumerated().dropFirst(common) {
        out += (depth == 0 ? "\n" : "") + indent(depth) + section + ":\n"
      }
      if sections.isEmpty { out += "\n" }
      open = sections
      for line in lines(setting) { out += indent(sections.count) + line + "\n" }
    }
  }

  private static func indent(_ depth: Int) -> String { String(repeating: "  ", count: depth) }
  private static func lastPart(_ name: String) -> String { name.split(separator: ".").last.map(String.init) ?? name }

  /// Explanations in parentheses stay words; values become code.
  private static func code(_ text: String) -> String { text.hasPrefix("(") ? text : "`\(text)`" }
  private static func escape(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }

  private static func wrap(_ text: String, at width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.count + word.count + 1 > width {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return line.isEmpty ? lines : lines + [line]
  }
}
