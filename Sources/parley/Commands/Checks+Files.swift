import Core
import Crypto
import Foundation
import Store
import SwiftASN1
import X509

extension Checks {
  func certificateFindings(now: Date = Date()) -> [Finding] {
    guard configuration.http.tls.listen != nil || !configuration.sip.tls.isEmpty else { return [] }
    guard let path = configuration.http.tls.certificate, let keyPath = configuration.http.tls.key else {
      return [
        Finding(
          .warn, "certificate", "self-signed: browsers ask before they open the page, carriers refuse SIP over TLS.",
          remedy: "For real use set http.tls.certificate and http.tls.key.")
      ]
    }
    guard let pem = try? String(contentsOfFile: path, encoding: .utf8) else {
      return [
        Finding(
          .fail, "certificate", "\(path) cannot be read.", remedy: "Correct http.tls.certificate or its permissions.")
      ]
    }
    guard let keyPEM = try? String(contentsOfFile: keyPath, encoding: .utf8) else {
      return [
        Finding(.fail, "certificate", "\(keyPath) cannot be read.", remedy: "Correct http.tls.key or its permissions.")
      ]
    }
    // The first one is the server's own.
    guard let certificate = try? Certificate(pemEncoded: pem) else {
      return [
        Finding(
          .fail, "certificate", "\(path) is no PEM certificate.",
          remedy: "It must begin with -----BEGIN CERTIFICATE-----.")
      ]
    }
    guard let key = try? Certificate.PrivateKey(pemEncoded: keyPEM) else {
      return [
        Finding(
          .fail, "certificate", "\(keyPath) is no unencrypted PEM private key.", remedy: "Convert it: openssl pkey.")
      ]
    }
    if key.publicKey != certificate.publicKey {
      return [
        Finding(
          .fail, "certificate", "\(keyPath) is not the key of \(path).",
          remedy: "Name the two files that belong together.")
      ]
    }
    let end = WallTime(milliseconds: Int64(certificate.notValidAfter.timeIntervalSince1970 * 1000)).rfc3339
    if certificate.notValidAfter <= now {
      return [Finding(.fail, "certificate", "\(path) expired at \(end).", remedy: "Renew it.")]
    }
    if certificate.notValidBefore > now {
      return [Finding(.fail, "certificate", "\(path) is not valid yet.", remedy: "Check this machine's clock.")]
    }
    if certificate.notValidAfter < now.addingTimeInterval(14 * 86_400) {
      return [Finding(.warn, "certificate", "\(path) expires at \(end).", remedy: "Renew it soon.")]
    }
    return [Finding(.ok, "certificate", "\(path) is valid until \(end).")]
  }

  func dataFindings() -> [Finding] {
    let directory = configuration.data.directory
    // The nearest parent that exists decides where the directory is to be created.
    var existing = URL(fileURLWithPath: directory).standardizedFileURL
    var isDirectory: ObjCBool = false
    while !FileManager.default.fileExists(atPath: existing.path, isDirectory: &isDirectory), existing.path != "/" {
      existing.deleteLastPathComponent()
    }
    guard isDirectory.boolValue else {
      return [
        Finding(
          .fail, "data.directory", "\(existing.path) is a file, not a directory.",
          remedy: "Remove it or change data.directory.")
      ]
    }
    guard access(existing.path, W_OK | X_OK) == 0 else {
      return [
        Finding(
          .fail, "data.directory", "\(existing.path) is not writable for this user.",
          remedy: "Change its owner, or set data.directory.")
      ]
    }
    var status = statvfs()
    if statvfs(existing.path, &status) == 0 {
      let free = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
      if !free.overflow, free.partialValue < 200 << 20 {
        return [
          Finding(
            .warn, "data.directory", "only \(free.partialValue >> 20) MB are free: call records will soon be refused.",
            remedy: "Free space or set data.directory to another file system.")
        ]
      }
    }
    let isNew = existing.path != URL(fileURLWithPath: directory).standardizedFileURL.path
    return [Finding(.ok, "data.directory", isNew ? "\(directory) will be created." : "\(directory) is writable.")]
  }

  /// What the stored directory and the configuration say to each other.
  func databaseFindings() -> [Finding] {
    let inspection: StoreInspection?
    do {
      inspection = try Store.inspect(directory: configuration.data.directory)
    } catch {
      return [Finding(.fail, "database", error.problem, remedy: error.remedy)]
    }
    guard let inspection else { return [Finding(.ok, "database", "will be created or brought up to date.")] }
    var findings: [Finding] = []
    let realm = configuration.sip.effectiveRealm
    let directory = inspection.directory
    if let stored = inspection.realm, stored != realm, !directory.users.isEmpty {
      findings.append(
        Finding(
          .fail, "sip.realm", "is \"\(realm)\", but the users' passwords were stored for \"\(stored)\".",
          remedy: "Set sip.realm to \"\(stored)\", or remove the users and add them again."))
    }
    for user in configuration.provision.users {
      guard let stored = directory.users.first(where: { $0.name == user.name }) else { continue }
      if inspection.realm == realm, stored.ha1SHA256 != user.stored(realm: realm).ha1SHA256 {
        findings.append(
          Finding(
            .warn, "provision.users", "\(user.name) exists with another password, which stays in force.",
            remedy: "parley user password \(user.name), or remove the user from the file."))
      }
    }
    findings += targetFindings(directory)
    return findings.isEmpty
      ? [Finding(.ok, "database", "\(directory.users.count) users, \(directory.trunks.count) trunks.")] : findings
  }

  /// Numbers and routes that lead nowhere.
  private func targetFindings(_ stored: DirectorySnapshot) -> [Finding] {
    let users = Set(stored.users.map(\.name) + configuration.provision.users.map(\.name))
    let trunks = Set(stored.trunks.map(\.name) + configuration.provision.trunks.map(\.name))
    let rules =
      stored.numbers.map { ("number \($0.number)", $0.to) } + stored.routes.map { ("route \($0.match)", $0.to) }
    return rules.compactMap { subject, target in
      switch target {
      case .user(let name) where !users.contains(name):
        Finding(.warn, subject, "leads to user \(name), who does not exist.", remedy: "parley user add \(name)")
      case .trunk(let name) where !trunks.contains(name):
        Finding(
          .warn, subject, "leads to trunk \(name), which does not exist.", remedy: "parley trunk add \(name) HOST")
      default: nil
      }
    }
  }

  func webFindings() -> [Finding] {
    guard let web = configuration.http.web else { return [] }
    let page = URL(fileURLWithPath: web).appendingPathComponent("desk/index.html").path
    if FileManager.default.isReadableFile(atPath: page) { return [Finding(.ok, "http.web", "\(web) has the pages.")] }
    return [
      Finding(
        .fail, "http.web", "\(page) cannot be read.", remedy: "Set http.web to the directory web of the distribution.")
    ]
  }

  /// Open files: each connection and each media socket is one. The server raises its limit to the hard one.
  func limitFindings(hard: Int = OpenFiles.limits().hard) -> [Finding] {
    let subject = "open files"
    // What a busy small installation needs: 1,000 agents, 200 calls with four sockets, and some room.
    if hard < 2_048 {
      return [
        Finding(
          .warn, subject, "at most \(hard) per process, enough for about \(max(0, hard - 200) / 5) calls.",
          remedy: "Raise it: ulimit -Hn 65536, or LimitNOFILE=65536 in the systemd unit.")
      ]
    }
    return [Finding(.ok, subject, "at most \(hard == Int.max ? "any number" : "\(hard)").")]
  }
}
