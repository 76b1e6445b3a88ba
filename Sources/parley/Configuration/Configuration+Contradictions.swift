import Core
import Store

extension Configuration {
  /// What cannot hold together although each setting is acceptable alone.
  func contradictions() -> [ConfigurationProblem] {
    var problems: [ConfigurationProblem] = []
    func require(_ holds: Bool, _ setting: String, _ message: @autoclosure () -> String) {
      if !holds { problems.append(problem(setting, message())) }
    }
    require(
      (http.tls.certificate == nil) == (http.tls.key == nil),
      http.tls.certificate == nil ? "http.tls.key" : "http.tls.certificate",
      "http.tls.certificate and http.tls.key go together. Give both, or neither for a self-signed certificate.")
    require(
      sip.minSE <= sip.sessionExpires, "sip.min-se",
      "sip.min-se must not be longer than sip.session-expires.")
    require(
      Set(sip.digest).count == sip.digest.count, "sip.digest", "sip.digest lists an algorithm twice.")
    require(Set(sip.qop).count == sip.qop.count, "sip.qop", "sip.qop lists a value twice.")
    for family in [false, true] {
      require(
        media.address.count { $0.isIPv6 == family } <= 1, "media.address",
        "media.address has two addresses of one family. Give at most one IPv4 and one IPv6 address.")
    }
    require(
      !media.address.contains { $0.isUnspecified || $0.isMulticast }, "media.address",
      "media.address must be an address that peers can send to, not 0.0.0.0, :: or a multicast one.")
    if media.ice == .singlePort {
      require(
        !media.ports.contains(media.port), "media.port",
        "media.port \(media.port) lies in media.ports. Move one: phones and trunks would find it taken.")
      require(
        !sip.udp.contains { $0.port == media.port }, "media.port",
        "media.port and sip.udp both want UDP port \(media.port). Change one.")
    }
    require(
      http.listen != nil || http.tls.listen != nil || !(sip.udp + sip.tcp + sip.tls).isEmpty, "http.listen",
      "nothing would listen: http and sip are all off.")
    require(
      speech.languages.allSatisfy { speech.voices[$0] != nil }, "speech.languages",
      "speech.languages names a language without a voice in speech.voices.")
    require(
      speech.languages.count <= 9 && Set(speech.languages).count == speech.languages.count, "speech.languages",
      "speech.languages must name at most nine languages, each once.")
    require(
      speech.service.voices.keys.allSatisfy { speech.voices[$0] != nil }, "speech.service.voices",
      "speech.service.voices names a language without a voice in speech.voices: espeak-ng speaks where the service fails."
    )
    require(
      storage.bucket == nil || storage.accessKey != nil && storage.secret != nil, "recordings.s3.bucket",
      "recordings.s3.bucket needs recordings.s3.access-key and recordings.s3.secret.")
    require(
      storage.encryptionKey == nil || storage.keyBytes != nil, "recordings.encryption-key",
      "recordings.encryption-key must be 64 hexadecimal digits.")
    problems += listenConflicts()
    for (name, secret) in keys.sorted(by: { $0.key < $1.key }) {
      if let wrong = DirectoryRules.problem(withKeyName: name) { problems.append(problem("keys", "keys: \(wrong)")) }
      // Basic credentials split the name from the secret at the first colon (RFC 7617 §2).
      require(!secret.revealed.isEmpty, "keys", "keys.\(name) has an empty secret.")
    }
    if let key = webhooks.key {
      require(
        keys[key] != nil || wantsDemo && keys.isEmpty, "webhooks.key",
        "webhooks.key names \(key), which is not among the keys.")
    } else {
      require(
        webhooks.urls.isEmpty || keys.count <= 1, "webhooks.key",
        "webhooks.key is needed where keys has several: it says whose secret signs the webhooks.")
    }
    require(
      webhooks.urls.isEmpty || !keys.isEmpty || wantsDemo, "webhooks.urls",
      "webhooks.urls needs an API key in keys: its secret signs the webhooks.")
    return problems + provisioningProblems()
  }

  private func problem(_ setting: String, _ message: String) -> ConfigurationProblem {
    switch origins[setting] {
    case .file(let line): ConfigurationProblem(file: file ?? "configuration", line: line, message: message)
    case .environment(let variable): ConfigurationProblem(file: variable, message: message)
    case nil: ConfigurationProblem(file: file ?? "configuration", message: message)
    }
  }

  /// Two TCP listeners on one port.
  private func listenConflicts() -> [ConfigurationProblem] {
    var listeners: [(setting: String, address: SocketAddress)] = []
    if let listen = http.listen { listeners.append(("http.listen", listen)) }
    if let listen = http.tls.listen { listeners.append(("http.tls.listen", listen)) }
    listeners += sip.tcp.map { ("sip.tcp", $0) } + sip.tls.map { ("sip.tls", $0) }
    if media.ice == .singlePort {
      listeners.append(("media.port", SocketAddress(ip: IPAddress(v4: 0), port: media.port)))
    }
    var problems: [ConfigurationProblem] = []
    for (index, one) in listeners.enumerated() {
      for other in listeners.dropFirst(index + 1) {
        let overlap =
          one.address.ip == other.address.ip
          || one.address.ip.isIPv6 == other.address.ip.isIPv6
            && (one.address.ip.isUnspecified || other.address.ip.isUnspecified)
        guard one.address.port == other.address.port, one.address.port != 0, overlap else { continue }
        problems.append(
          problem(
            other.setting,
            "\(one.setting) (\(one.address)) and \(other.setting) (\(other.address)) want the same port. Change one."))
      }
    }
    return problems
  }

  private func provisioningProblems() -> [ConfigurationProblem] {
    var problems: [ConfigurationProblem] = []
    func check(_ setting: String, _ index: Int, _ wrong: String?) {
      if let wrong { problems.append(problem(setting, "\(setting)[\(index)]: \(wrong)")) }
    }
    func checkUnique(_ setting: String, _ names: [String]) {
      var seen: Set<String> = []
      for name in names where !seen.insert(name).inserted {
        problems.append(problem(setting, "\(setting) lists \(name) twice."))
      }
    }
    for (i, user) in provision.users.enumerated() {
      check("provision.users", i, DirectoryRules.problem(with: user.stored(realm: sip.effectiveRealm)))
    }
    for (i, trunk) in provision.trunks.enumerated() {
      check("provision.trunks", i, DirectoryRules.problem(with: trunk.stored))
    }
    for (i, number) in provision.numbers.enumerated() {
      check("provision.numbers", i, DirectoryRules.problem(with: number.stored))
    }
    for (i, route) in provision.routes.enumerated() {
      check("provision.routes", i, DirectoryRules.problem(with: route.stored(at: i)))
    }
    checkUnique("provision.users", provision.users.map(\.name))
    checkUnique("provision.trunks", provision.trunks.map(\.name))
    checkUnique("provision.numbers", provision.numbers.map(\.number))
    checkUnique("provision.routes", provision.routes.map(\.match))
    return problems
  }
}
