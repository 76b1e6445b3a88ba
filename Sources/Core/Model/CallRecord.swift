/// A call's detail record (CDR). Written when the call starts, when it is answered and when it ends.
package struct CallRecord: Sendable, Hashable, Codable {
  /// Our identifier of the call, URL-safe.
  package var id: String
  package var tenant: TenantID
  /// Who called, as `1001` or `+15550199`.
  package var from: String
  package var fromDisplay: String
  /// What was dialled.
  package var to: String
  package var direction: Direction
  package var startedAt: WallTime
  package var ringingAt: WallTime?
  package var answeredAt: WallTime?
  /// Nil while the call runs. A record found without it after a restart was cut by the crash.
  package var endedAt: WallTime?
  package var outcome: Outcome
  /// Who ended it.
  package var endedBy: EndedBy?
  /// The SIP status that the caller saw: 200 for an answered call.
  package var status: Int?
  /// Why it ended, in words.
  package var reason: String
  package var legs: [LegRecord]
  /// In the order in which they began.
  package var transfers: [TransferRecord] = []

  package enum Direction: String, Sendable, Hashable, Codable { case inbound, outbound, `internal` }
  package enum Outcome: String, Sendable, Hashable, Codable {
    case inProgress = "in-progress"
    case answered, busy, cancelled, rejected, failed
    case noAnswer = "no-answer"
    case interrupted
  }
  package enum EndedBy: String, Sendable, Hashable, Codable { case caller, callee, system }

  package init(
    id: String, tenant: TenantID = .default, from: String, fromDisplay: String = "", to: String, direction: Direction,
    startedAt: WallTime, outcome: Outcome = .inProgress, legs: [LegRecord] = []
  ) {
    self.id = id
    self.tenant = tenant
    self.from = from
    self.fromDisplay = fromDisplay
    self.to = to
    self.direction = direction
    self.startedAt = startedAt
    self.outcome = outcome
    reason = ""
    self.legs = legs
  }
}

/// One party's part of a call.
package struct LegRecord: Sendable, Hashable, Codable {
  /// Position in the call: 0 is the caller.
  package var index: Int
  package var kind: Kind
  /// User name, trunk name or built-in.
  package var party: String
  package var sipCallID: String
  /// Source of the signalling, `192.0.2.1:5060`.
  package var remoteAddress: String
  package var transport: String
  package var startedAt: WallTime
  package var answeredAt: WallTime?
  package var endedAt: WallTime?
  package var status: Int?
  package var reason: String
  package var codec: String?
  package var media: MediaCounters

  package enum Kind: String, Sendable, Hashable, Codable { case user, trunk, room, builtIn = "built-in" }

  package init(
    index: Int, kind: Kind, party: String, sipCallID: String, remoteAddress: String = "", transport: String = "",
    startedAt: WallTime
  ) {
    self.index = index
    self.kind = kind
    self.party = party
    self.sipCallID = sipCallID
    self.remoteAddress = remoteAddress
    self.transport = transport
    self.startedAt = startedAt
    reason = ""
    media = MediaCounters()
  }
}

/// One side of a call was moved to somebody else, or was meant to be.
package struct TransferRecord: Sendable, Hashable, Codable {
  package var at: WallTime
  /// `blind` or `attended`.
  package var kind: String
  /// Index of the leg that asked; nil for an operator.
  package var by: Int?
  /// Index of the leg that was moved.
  package var moved: Int
  /// As asked for: a number or a user.
  package var to: String
  /// 200 when it was done, else why not; nil while it is under way.
  package var status: Int?
  /// Index of the leg that took the transferor's place.
  package var leg: Int?

  package init(at: WallTime, kind: String, by: Int?, moved: Int, to: String, status: Int? = nil, leg: Int? = nil) {
    self.at = at
    self.kind = kind
    self.by = by
    self.moved = moved
    self.to = to
    self.status = status
    self.leg = leg
  }
}

/// RTP counters of one leg over the whole call.
package struct MediaCounters: Sendable, Hashable, Codable {
  package var packetsSent = 0
  package var packetsReceived = 0
  package var octetsSent = 0
  package var octetsReceived = 0
  /// Expected minus received (RFC 3550 §A.3); duplicates can make it negative.
  package var packetsLost = 0
  /// Interarrival jitter in milliseconds (RFC 3550 §A.8).
  package var jitter = 0.0
  /// Round trip by RTCP in milliseconds; nil before the first report.
  package var roundTrip: Double?
  /// Packets that were not sent by the far end's locked address, failed authentication or did not parse.
  package var packetsRejected = 0

  package init() {}
}
