/// A phone that is to be rung into a room.
package struct DialOut: Sendable {
  /// Over which way.
  package enum Route: Sendable {
    /// A trunk, of the directory or made for this call. Its host may be a name.
    case trunk(Trunk)
    /// The devices of a user.
    case user(String)
    /// As if a user had dialled the number.
    case directory
  }

  package var room: String
  package var identity: String
  package var name = ""
  package var metadata = ""
  package var attributes: [String: String] = [:]
  package var route: Route
  /// What is dialled.
  package var number: String
  /// What the phone shows; nil: the trunk's own.
  package var callerNumber: String?
  package var callerName = ""
  /// Sent as RFC 4733 events after the answer: `0-9*#A-D`, `w` waits half a second.
  package var digits = ""
  /// How long it may ring.
  package var ringingTimeout: Duration = .seconds(60)
  /// How long the call may last.
  package var maximumDuration: Duration?
  /// Further header fields of the INVITE.
  package var headers: [String: String] = [:]
  /// Whether `dialOut` returns only with the answer.
  package var waitsForAnswer = false

  package init(room: String, identity: String, route: Route, number: String) {
    self.room = room
    self.identity = identity
    self.route = route
    self.number = number
  }
}

/// A phone that rings, or talks, in a room.
package struct DialledPhone: Hashable, Sendable {
  /// Of the call record.
  package var callID: String
  /// The Call-ID header of its INVITE.
  package var sipCallID: String
  package var room: String
  package var identity: String
  /// `PA_…`.
  package var participantSID: String

  package init(callID: String, sipCallID: String, room: String, identity: String, participantSID: String) {
    self.callID = callID
    self.sipCallID = sipCallID
    self.room = room
    self.identity = identity
    self.participantSID = participantSID
  }
}

/// Where a phone is moved to.
package enum PhoneDestination: Hashable, Sendable {
  case room(String)
  /// As if a user had dialled it.
  case number(String)
  case user(String)
}

/// Why a phone could not be rung or commanded.
package struct PhoneError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Kind: String, Hashable, Sendable {
    /// The request makes no sense.
    case invalid
    /// No such phone, call or trunk.
    case notFound
    /// The room does not take it.
    case refused
    /// The far end.
    case busy, rejected, noAnswer, failed
    /// Removed, or the room ended, before the answer.
    case cancelled
    case unavailable
  }

  package var kind: Kind
  /// The final status of its INVITE, where there was one.
  package var sipStatus: Int?
  package var message: String

  package init(_ kind: Kind, _ message: String, sipStatus: Int? = nil) {
    self.kind = kind
    self.message = message
    self.sipStatus = sipStatus
  }

  package var description: String {
    sipStatus.map { "\(kind.rawValue): \(message) (SIP \($0))" } ?? "\(kind.rawValue): \(message)"
  }
}

/// What REST and LiveKit's SIP service do with phones in rooms.
package protocol PhoneControl: Sendable {
  /// Rings a phone into a room. Throws where it cannot be rung; with `waitsForAnswer` also where nobody answers.
  func dialOut(_ request: DialOut) async throws(PhoneError) -> DialledPhone

  /// Ends a phone's call; the participant leaves.
  func hangUp(room: String, identity: String, reason: String) async throws(PhoneError)

  /// Presses keys for the far end: `0-9*#A-D`, `w` waits half a second.
  func sendDigits(room: String, identity: String, digits: String) async throws(PhoneError)

  /// Moves a phone out of its room. Returns when the new party has answered, or the phone has entered the new room; where
  /// that fails, the phone is back in its room.
  func transfer(room: String, identity: String, to: PhoneDestination) async throws(PhoneError)
}
