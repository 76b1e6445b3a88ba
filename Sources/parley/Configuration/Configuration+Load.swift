import Core
import Foundation
import Store
import Yams

extension Configuration {
  /// Where a configuration file is looked for when none is named.
  static let usualFiles = ["parley.yaml", "/etc/parley/parley.yaml"]
  /// Bigger files are refused before they are parsed.
  static let largestFile = 1_048_576
  /// Variables with our prefix that are no settings.
  private static let otherVariables: Set<String> = ["PARLEY_CONFIG", "PARLEY_STRICT"]

  /// Reads the configuration: the named file, else the one in `PARLEY_CONFIG`, else the first usual one, else none; then
  /// the environment.
  ///
  /// - Throws: `ConfigurationError` with everything that is wrong.
  static func load(
    path: String?, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(ConfigurationError) -> Configuration {
    var file = path ?? environment["PARLEY_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
    if file == nil { file = usualFiles.first { FileManager.default.fileExists(atPath: $0) } }
    guard let file else { return try parse(yaml: "", file: nil, environment: environment) }
    return try parse(yaml: text(of: file), file: file, environment: environment)
  }

  private static func text(of file: String) throws(ConfigurationError) -> String {
    func fail(_ message: String) -> ConfigurationError {
      ConfigurationError(problems: [ConfigurationProblem(file: file, message: message)])
    }
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: file))
    } catch {
      let found = FileManager.default.fileExists(atPath: file)
      throw fail(
        found
          ? "the configuration file cannot be read. Give this user read permission on it."
          : "there is no such configuration file. Name one with --config, or leave it away to run with defaults.")
    }
    if data.count > largestFile { throw fail("the configuration file has more than \(largestFile) bytes.") }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw fail("the configuration file is not UTF-8 text.")
    }
    return text
  }

  /// Reads a configuration from YAML text and the environment.
  static func parse(
    yaml: String, file: String?, environment: [String: String]
  ) throws(ConfigurationError) -> Configuration {
    var configuration = Configuration()
    configuration.file = file
    var reader = ConfigurationReader(file: file ?? "configuration")
    do {
      if let root = try compose(yaml: yaml) {
        reader.readSection(root, at: "", of: settings, into: &configuration)
      }
    } catch {
      throw ConfigurationError(problems: [problem(with: error, file: reader.file)])
    }
    configuration.origins = reader.origins
    configuration.apply(environment, problems: &reader.problems)
    if reader.problems.isEmpty { reader.problems = configuration.contradictions() }
    if !reader.problems.isEmpty { throw ConfigurationError(problems: reader.problems) }
    return configuration
  }

  private mutating func apply(_ environment: [String: String], problems: inout [ConfigurationProblem]) {
    let known = Configuration.settings.compactMap(\.description.environmentName)
    for (variable, value) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix("PARLEY_") {
      if Configuration.otherVariables.contains(variable) { continue }
      guard
        let setting = Configuration.settings.first(where: { $0.description.environmentName == variable }),
        let readText = setting.readText
      else {
        let nearest = Spelling.nearest(to: variable, among: known)
        warnings.append("\(variable) sets nothing." + (nearest.map { " Did you mean \($0)?" } ?? ""))
        continue
      }
      if readText(value, &self) {
        origins[setting.name] = .environment(variable)
      } else {
        let shown = setting.isSecret ? "" : " is \"\(value)\"; it"
        problems.append(
          ConfigurationProblem(
            file: variable, message: "\(setting.name)\(shown) must be \(setting.description.expectation)."))
      }
    }
  }

  private static func problem(with error: any Error, file: String) -> ConfigurationProblem {
    guard let error = error as? YamlError else { return ConfigurationProblem(file: file, message: "\(error)") }
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return ConfigurationProblem(
        file: file, line: mark.line, column: mark.column, message: "this is no YAML: \(problem).")
    case .duplicatedKeysInMapping(let duplicates, let context):
      return ConfigurationProblem(
        file: file, line: context.mark.line, column: context.mark.column,
        message: "\(duplicates.sorted().joined(separator: ", ")) is given twice in one section. Keep one of them.")
    case .reader(let problem, let offset, _, _):
      let place = offset.map { " at byte \($0)" } ?? ""
      return ConfigurationProblem(file: file, message: "this is no YAML: \(problem)\(place).")
    default: return ConfigurationProblem(file: file, message: "this is no YAML: \(error)")
    }
  }
}

/// Whether the text is an address prefix.
func isNetwork(_ text: String) -> Bool { DirectoryRules.isNetwork(text) }
