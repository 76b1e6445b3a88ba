// Trunks and rules of rooms, as LiveKit's SIP service and `/v1/sip` keep them. They stand beside `Trunk`, `NumberRule`
// and `RouteRule`, which belong to the exchange: these bring phones into rooms and nowhere else.

/// Which header fields of a phone's INVITE, or of the 200 to ours, become attributes of its participant.
package enum HeaderSelection: String, Sendable, Hashable, Codable {
  case none
  /// Those that begin with `X-`.
  case extensions
  case all
}

/// Calls that come in from outside, for rooms.
package struct InboundRoomTrunk: Sendable, Hashable, Codable {
  package var tenant: TenantID
  /// `ST_…`
  package var id: String
  package var name: String
  package var metadata: String
  /// Called numbers that it answers; empty: all.
  package var numbers: [String]
  /// Networks, addresses and host names that calls may come from; empty: every one.
  package var allowedAddresses: [String]
  /// Callers; empty: all.
  package var allowedNumbers: [String]
  /// Asked for by digest, where both are there.
  package var username: String?
  package var password: String?
  /// Name of a header field → attribute of the participant.
  package var headersToAttributes: [String: String]
  package var headerSelection: HeaderSelection
  /// Seconds; nil: no bound of its own.
  package var maximumDuration: Double?
  /// What else came with it over LiveKit's service: its message, of which the fields above are newer.
  package var original: [UInt8]
  package var createdAt: WallTime
  package var updatedAt: WallTime

  package init(tenant: TenantID = .default, id: String, name: String, createdAt: WallTime) {
    self.tenant = tenant
    self.id = id
    self.name = name
    metadata = ""
    numbers = []
    allowedAddresses = []
    allowedNumbers = []
    headersToAttributes = [:]
    headerSelection = .none
    original = []
    self.createdAt = createdAt
    updatedAt = createdAt
  }

  package var hasCredentials: Bool { username?.isEmpty == false && password?.isEmpty == false }
}

/// Calls that rooms make.
package struct OutboundRoomTrunk: Sendable, Hashable, Codable {
  package var tenant: TenantID
  /// `ST_…`
  package var id: String
  package var name: String
  package var metadata: String
  /// Host name or address, `host:port` where the port is not the usual one.
  package var address: String
  /// `auto`, `udp`, `tcp` or `tls`.
  package var transport: String
  /// Our numbers there: the caller is one of them, the first where nothing else is asked for.
  package var numbers: [String]
  package var username: String?
  package var password: String?
  /// Sent in the INVITE.
  package var headers: [String: String]
  /// In order of preference; empty: the usual ones.
  package var codecs: [AudioCodec]
  package var original: [UInt8]
  package var createdAt: WallTime
  package var updatedAt: WallTime

  package init(tenant: TenantID = .default, id: String, name: String, address: String, createdAt: WallTime) {
    self.tenant = tenant
    self.id = id
    self.name = name
    metadata = ""
    self.address = address
    transport = "auto"
    numbers = []
    headers = [:]
    codecs = []
    original = []
    self.createdAt = createdAt
    updatedAt = createdAt
  }
}

/// Which room a caller goes into.
package struct DispatchRule: Sendable, Hashable, Codable {
  package enum Target: Sendable, Hashable, Codable {
    /// All callers into this room.
    case direct(room: String)
    /// Each caller into a room of its own: `prefix_caller`, and a random part.
    case individual(prefix: String, random: Bool)
    /// One room for each called number: `prefix_called`, and a random part.
    case callee(prefix: String, random: Bool)
  }

  package var tenant: TenantID
  /// `SDR_…`
  package var id: String
  package var name: String
  package var target: Target
  /// Digits that a caller must enter; nil: none.
  package var pin: String?
  /// Digits that make a caller the room's host; asked for like `pin`. Ours: LiveKit has none.
  package var hostPIN: String?
  /// Callers wait until a host is there. Ours.
  package var waitsForHost: Bool
  /// Ids of room trunks, or names of trunks; empty: all.
  package var trunks: [String]
  /// Callers; empty: all.
  package var callers: [String]
  /// Called numbers; empty: all.
  package var numbers: [String]
  /// The participant's identity, name and attributes do not tell its number.
  package var hidesNumber: Bool
  /// The participant's.
  package var metadata: String
  package var attributes: [String: String]
  package var roomPreset: String
  /// LiveKit's `RoomConfiguration`, for the room that the call creates.
  package var roomConfiguration: [UInt8]
  package var original: [UInt8]
  package var createdAt: WallTime
  package var updatedAt: WallTime

  package init(tenant: TenantID = .default, id: String, name: String, target: Target, createdAt: WallTime) {
    self.tenant = tenant
    self.id = id
    self.name = name
    self.target = target
    waitsForHost = false
    trunks = []
    callers = []
    numbers = []
    hidesNumber = false
    metadata = ""
    attributes = [:]
    roomPreset = ""
    roomConfiguration = []
    original = []
    self.createdAt = createdAt
    updatedAt = createdAt
  }

  /// Whether a caller has to enter something.
  package var asksForPIN: Bool { pin?.isEmpty == false || hostPIN?.isEmpty == false }
}
