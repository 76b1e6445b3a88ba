import Core

// What the answers look like. Times are RFC 3339 in UTC; what is unknown is left out.

struct CallBody: Encodable {
  let id: String
  let direction: String
  let from: String
  let fromDisplay: String
  let to: String
  let outcome: String
  let endedBy: String?
  let status: Int?
  let reason: String
  let startedAt: String
  let ringingAt: String?
  let answeredAt: String?
  let endedAt: String?
  /// Seconds from the answer to the end; of a running call up to now.
  let duration: Double?
  let legs: [LegBody]
  let transfers: [TransferBody]

  init(_ call: CallRecord, now: WallTime = .now()) {
    id = call.id
    direction = call.direction.rawValue
    from = call.from
    fromDisplay = call.fromDisplay
    to = call.to
    outcome = call.outcome.rawValue
    endedBy = call.endedBy?.rawValue
    status = call.status
    reason = call.reason
    startedAt = call.startedAt.rfc3339
    ringingAt = call.ringingAt?.rfc3339
    answeredAt = call.answeredAt?.rfc3339
    endedAt = call.endedAt?.rfc3339
    duration = call.answeredAt.map { answered in
      let milliseconds = (call.endedAt ?? now).milliseconds.subtractingReportingOverflow(answered.milliseconds)
      return milliseconds.overflow ? 0 : Double(max(0, milliseconds.partialValue)) / 1000
    }
    legs = call.legs.map(LegBody.init)
    transfers = call.transfers.map(TransferBody.init)
  }
}

struct TransferBody: Encodable {
  let at: String
  let kind: String
  let by: Int?
  let moved: Int
  let to: String
  let status: Int?
  let leg: Int?

  init(_ transfer: TransferRecord) {
    at = transfer.at.rfc3339
    kind = transfer.kind
    by = transfer.by
    moved = transfer.moved
    to = transfer.to
    status = transfer.status
    leg = transfer.leg
  }
}

struct LegBody: Encodable {
  struct Media: Encodable {
    let packetsSent: Int
    let packetsReceived: Int
    let octetsSent: Int
    let octetsReceived: Int
    let packetsLost: Int
    let packetsRejected: Int
    let jitter: Double
    let roundTrip: Double?
  }

  let index: Int
  let kind: String
  let party: String
  let sipCallID: String
  let remoteAddress: String
  let transport: String
  let startedAt: String
  let answeredAt: String?
  let endedAt: String?
  let status: Int?
  let reason: String
  let codec: String?
  let media: Media

  init(_ leg: LegRecord) {
    index = leg.index
    kind = leg.kind.rawValue
    party = leg.party
    sipCallID = leg.sipCallID
    remoteAddress = leg.remoteAddress
    transport = leg.transport
    startedAt = leg.startedAt.rfc3339
    answeredAt = leg.answeredAt?.rfc3339
    endedAt = leg.endedAt?.rfc3339
    status = leg.status
    reason = leg.reason
    codec = leg.codec
    media = Media(
      packetsSent: leg.media.packetsSent, packetsReceived: leg.media.packetsReceived,
      octetsSent: leg.media.octetsSent, octetsReceived: leg.media.octetsReceived,
      packetsLost: leg.media.packetsLost, packetsRejected: leg.media.packetsRejected,
      // JSON has no NaN or infinity.
      jitter: leg.media.jitter.isFinite ? leg.media.jitter : 0,
      roundTrip: leg.media.roundTrip.flatMap { $0.isFinite ? $0 : nil })
  }
}

struct CallPage: Encodable {
  let calls: [CallBody]
  /// Give it as `before` to get the next page; not there on the last one.
  let next: String?
}

/// A call as one user sees it in the history.
struct HistoryBody: Encodable {
  let id: String
  /// `outgoing` or `incoming`.
  let direction: String
  /// The other party: a number or a user name.
  let party: String
  let display: String
  /// `answered`, `missed`, and so on.
  let outcome: String
  let startedAt: String
  let answeredAt: String?
  let endedAt: String?
  let duration: Double?

  init(_ call: CallRecord, for user: String) {
    let body = CallBody(call)
    let isCaller = call.legs.contains { $0.index == 0 && $0.kind == .user && $0.party == user }
    let own = call.legs.first { $0.index != 0 && $0.kind == .user && $0.party == user }
    id = call.id
    direction = isCaller ? "outgoing" : "incoming"
    party = isCaller ? call.to : call.from
    display = isCaller ? "" : call.fromDisplay
    // Somebody else may have answered while this user's phone rang.
    let answeredElsewhere = !isCaller && call.answeredAt != nil && own?.answeredAt == nil
    outcome =
      switch call.outcome {
      case .answered where answeredElsewhere: "answered-elsewhere"
      case .cancelled where !isCaller: "missed"
      case .noAnswer where !isCaller: "missed"
      default: call.outcome.rawValue
      }
    startedAt = body.startedAt
    answeredAt = body.answeredAt
    endedAt = body.endedAt
    duration = answeredElsewhere ? nil : body.duration
  }
}

struct HistoryPage: Encodable {
  let calls: [HistoryBody]
  let next: String?
}

struct UserBody: Encodable {
  let name: String
  let display: String
  let enabled: Bool
  let record: Bool

  init(_ user: User) {
    name = user.name
    display = user.display
    enabled = user.enabled
    record = user.record
  }
}

struct TrunkBody: Encodable {
  let name: String
  let host: String
  let port: Int
  let transport: String
  let codecs: [String]
  let allow: [String]
  let username: String?
  /// The password itself is never told.
  let hasPassword: Bool
  let register: Bool
  let enabled: Bool
  let record: Bool
  /// `unused`, `trying`, `registered` or `failed`; not there before the gateway has taken the trunk over.
  let registration: String?
  /// Why the registration failed.
  let registrationError: String?
  let activeCalls: Int?

  init(_ trunk: Trunk, state: TrunkInfo?) {
    name = trunk.name
    host = trunk.host
    port = Int(trunk.port)
    transport = trunk.transport
    codecs = trunk.codecs.map(\.rawValue)
    allow = trunk.allow
    username = trunk.username
    hasPassword = trunk.password != nil
    register = trunk.register
    enabled = trunk.enabled
    record = trunk.record
    activeCalls = state?.activeCalls
    switch state?.registration {
    case nil: (registration, registrationError) = (nil, nil)
    case .unused: (registration, registrationError) = ("unused", nil)
    case .trying: (registration, registrationError) = ("trying", nil)
    case .registered: (registration, registrationError) = ("registered", nil)
    case .failed(let why): (registration, registrationError) = ("failed", why)
    }
  }
}

struct NumberBody: Encodable {
  let number: String
  let to: String
  let record: Bool

  init(_ rule: NumberRule) {
    number = rule.number
    to = rule.to.description
    record = rule.record
  }
}

struct RouteBody: Encodable {
  let position: Int
  let match: String
  let to: String
  let number: String?
  let record: Bool

  init(_ rule: RouteRule) {
    position = rule.position
    match = rule.match
    to = rule.to.description
    number = rule.number
    record = rule.record
  }
}
