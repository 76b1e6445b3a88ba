import ArgumentParser
import Core

struct CheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Look for what will not work: configuration, ports, certificate, addresses, data directory, limits.",
    discussion:
      "Changes nothing. Exits with 1 if anything is FAIL. Run it while the server is stopped: its ports are tried.")

  @OptionGroup var options: ConfigurationOptions

  func run() async throws {
    let configuration: Configuration
    do {
      configuration = try options.load()
    } catch let error as ConfigurationError {
      for problem in error.problems { print(Finding(.fail, "configuration", problem.description).line) }
      throw ExitCode.failure
    }
    let findings = await Checks(configuration: configuration).run()
    for finding in findings { print(finding.line) }
    if findings.contains(where: { $0.level == .fail }) { throw ExitCode.failure }
  }
}

/// One line of `parley check`.
struct Finding: Sendable, Equatable {
  enum Level: String, Sendable { case ok = "OK", warn = "WARN", fail = "FAIL" }

  let level: Level
  /// What was looked at: `port 5060/udp`.
  let subject: String
  let message: String
  /// What to do; empty where all is well.
  let remedy: String

  init(_ level: Level, _ subject: String, _ message: String, remedy: String = "") {
    self.level = level
    self.subject = subject
    self.message = message
    self.remedy = remedy
  }

  var line: String {
    let padding = String(repeating: " ", count: max(1, 5 - level.rawValue.count))
    return "\(level.rawValue)\(padding)\(subject): \(message)" + (remedy.isEmpty ? "" : " → \(remedy)")
  }
}

/// All checks on one configuration.
struct Checks: Sendable {
  let configuration: Configuration

  func run() async -> [Finding] {
    let speech = await speechFindings()
    return configurationFindings() + secretFindings() + listenerFindings() + mediaPortFindings() + singlePortFindings()
      + certificateFindings()
      + addressFindings() + dataFindings() + databaseFindings() + webFindings() + speech + limitFindings()
  }

  func configurationFindings() -> [Finding] {
    let file = configuration.file.map { "\($0) is valid." } ?? "there is no file; the embedded defaults hold."
    return [Finding(.ok, "configuration", file)]
      + configuration.warnings.map {
        Finding(.warn, "environment", $0, remedy: "Correct or unset it.")
      }
  }

  /// Whether anybody beyond this machine can reach the HTTP listeners.
  var isReachable: Bool {
    [configuration.http.listen, configuration.http.tls.listen].contains { $0.map { !$0.ip.isLoopback } ?? false }
  }

  func secretFindings() -> [Finding] {
    var findings: [Finding] = []
    for (name, secret) in configuration.keys.sorted(by: { $0.key < $1.key })
    where isReachable && (secret.revealed.utf8.count < 16 || secret.revealed == "devsecret") {
      findings.append(
        Finding(
          .warn, "keys.\(name)", "its secret is short, and REST is reachable from other machines.",
          remedy: "Use 32 random bytes: openssl rand -hex 32."))
    }
    for user in configuration.provision.users
    where user.password.revealed.utf8.count < 8 || user.password.revealed == user.name {
      findings.append(
        Finding(
          .warn, "provision.users", "the password of \(user.name) is easily guessed; strangers' calls cost money.",
          remedy: "Use at least 8 characters that are not the name."))
    }
    return findings.isEmpty ? [Finding(.ok, "secrets", "none is short.")] : findings
  }
}
