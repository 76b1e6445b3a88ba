/// A person or device that registers and places calls.
package struct User: Sendable, Hashable, Codable {
  package var tenant: TenantID
  /// The user part of the address of record, such as `1001`.
  package var name: String
  package var display: String
  /// H(name:realm:password) by MD5, lower-case hexadecimal (RFC 7616 §3.4.2). The password itself is never stored.
  package var ha1MD5: String
  /// The same by SHA-256.
  package var ha1SHA256: String
  package var enabled: Bool
  /// All the user's calls are recorded.
  package var record: Bool
  /// Kept apart from the account: written by the user, read with the directory.
  package var handling = CallHandling()

  package init(
    tenant: TenantID = .default, name: String, display: String, ha1MD5: String, ha1SHA256: String, enabled: Bool = true,
    record: Bool = false
  ) {
    self.tenant = tenant
    self.name = name
    self.display = display
    self.ha1MD5 = ha1MD5
    self.ha1SHA256 = ha1SHA256
    self.enabled = enabled
    self.record = record
  }
}

/// A carrier or PBX that calls are exchanged with.
package struct Trunk: Sendable, Hashable, Codable {
  package var tenant: TenantID
  package var name: String
  /// Host name or address, without port.
  package var host: String
  package var port: UInt16
  /// `udp`, `tcp` or `tls`.
  package var transport: String
  /// In order of preference.
  package var codecs: [AudioCodec]
  /// Source networks whose INVITEs this trunk accepts, besides `host` itself: `192.0.2.0/24`.
  package var allow: [String]
  /// Digest user name and password towards the carrier.
  package var username: String?
  package var password: String?
  /// Whether Parley registers at the carrier.
  package var register: Bool
  package var enabled: Bool
  /// All calls over it are recorded.
  package var record: Bool

  package init(
    tenant: TenantID = .default, name: String, host: String, port: UInt16 = 5060, transport: String = "udp",
    codecs: [AudioCodec] = [.pcmu, .pcma], allow: [String] = [], username: String? = nil, password: String? = nil,
    register: Bool = false, enabled: Bool = true, record: Bool = false
  ) {
    self.tenant = tenant
    self.name = name
    self.host = host
    self.port = port
    self.transport = transport
    self.codecs = codecs
    self.allow = allow
    self.username = username
    self.password = password
    self.register = register
    self.enabled = enabled
    self.record = record
  }
}

/// Where a call goes: `user:1001`, `trunk:carrier`, `room:sales`, `app:ivr`, `queue:support`, `echo:` or `milliwatt:`.
package enum RouteTarget: Sendable, Hashable, Codable, CustomStringConvertible {
  case user(String)
  case trunk(String)
  case room(String)
  case app(String)
  case queue(String)
  /// Plays the caller's own audio back.
  case echo
  /// 1,004 Hz at 0 dBm0.
  case milliwatt

  /// Parses `kind:name`; nil for an unknown kind or an empty name where one is needed.
  package init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let name = parts.count > 1 ? parts[1] : ""
    switch (parts[0], name.isEmpty) {
    case ("echo", true): self = .echo
    case ("milliwatt", true): self = .milliwatt
    case ("user", false): self = .user(name)
    case ("trunk", false): self = .trunk(name)
    case ("room", false): self = .room(name)
    case ("app", false): self = .app(name)
    case ("queue", false): self = .queue(name)
    default: return nil
    }
  }

  package var description: String {
    switch self {
    case .user(let name): "user:\(name)"
    case .trunk(let name): "trunk:\(name)"
    case .room(let name): "room:\(name)"
    case .app(let name): "app:\(name)"
    case .queue(let name): "queue:\(name)"
    case .echo: "echo:"
    case .milliwatt: "milliwatt:"
    }
  }
}

/// A dialled or called number and where it leads: a DID such as `+15550100` or an extension such as `600`.
package struct NumberRule: Sendable, Hashable, Codable {
  package var tenant: TenantID
  package var number: String
  package var to: RouteTarget
  /// All calls to it are recorded.
  package var record: Bool

  package init(tenant: TenantID = .default, number: String, to: RouteTarget, record: Bool = false) {
    self.tenant = tenant
    self.number = number
    self.to = to
    self.record = record
  }
}

/// An outbound rule: dialled numbers that match `match` go to `to`, rewritten by `number`.
package struct RouteRule: Sendable, Hashable, Codable {
  package var tenant: TenantID
  /// Lower is tried first.
  package var position: Int
  /// A regular expression over the dialled number.
  package var match: String
  package var to: RouteTarget
  /// The number sent on, with `$1`… for the captures; nil keeps the dialled one.
  package var number: String?
  /// All calls that it routes are recorded.
  package var record: Bool

  package init(
    tenant: TenantID = .default, position: Int, match: String, to: RouteTarget, number: String? = nil,
    record: Bool = false
  ) {
    self.tenant = tenant
    self.position = position
    self.match = match
    self.to = to
    self.number = number
    self.record = record
  }
}
