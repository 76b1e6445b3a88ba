package import Core
package import Store

/// A phone that is to be rung into a room.
package struct PhoneDial: Sendable {
  /// Over which way.
  package enum Way: Sendable {
    case trunk(OutboundRoomTrunk)
    /// As if a user of the exchange had dialled it: extension, user name, or number by its routes.
    case exchange
  }

  package var room: String
  package var identity: String
  package var name = ""
  package var metadata = ""
  package var attributes: [String: String] = [:]
  package var way: Way
  package var number: String
  /// What the phone shows; nil: the trunk's own.
  package var callerNumber: String?
  package var callerName = ""
  /// Pressed after the answer: `0-9*#A-D`, `w` waits half a second.
  package var digits = ""
  package var ringingTimeout: Duration = .seconds(30)
  package var maximumDuration: Duration?
  package var headers: [String: String] = [:]
  /// Whether the answer is awaited.
  package var waitsForAnswer = false

  package init(room: String, identity: String, way: Way, number: String) {
    self.room = room
    self.identity = identity
    self.way = way
    self.number = number
  }
}

/// A phone that rings, or talks, in a room.
package struct RoomPhone: Sendable, Hashable {
  /// Of the call record.
  package var callID: String
  package var sipCallID: String
  package var room: String
  package var identity: String
  package var participantSID: String

  package init(callID: String, sipCallID: String, room: String, identity: String, participantSID: String) {
    self.callID = callID
    self.sipCallID = sipCallID
    self.room = room
    self.identity = identity
    self.participantSID = participantSID
  }
}

/// Why a phone could not be rung or commanded.
package struct PhoneFailure: Error, Sendable, Hashable {
  package enum Kind: String, Sendable, Hashable {
    case invalid
    /// No such phone.
    case notFound = "not-found"
    /// The room does not take it.
    case refused
    /// What the far end did; with its status where it sent one.
    case busy, rejected
    case noAnswer = "no-answer"
    case failed
    /// Removed before the answer.
    case cancelled
    case unavailable
  }

  package var kind: Kind
  package var message: String
  /// The final status of the INVITE.
  package var sipStatus: Int?

  package init(_ kind: Kind, _ message: String, sipStatus: Int? = nil) {
    self.kind = kind
    self.message = message
    self.sipStatus = sipStatus
  }
}

/// What LiveKit's SIP service and REST do with phones in rooms. The composition root implements it.
package protocol SIPControl: Sendable {
  func dial(_ phone: PhoneDial) async throws(PhoneFailure) -> RoomPhone
  /// `to`: a number, `tel:…` or `sip:…`, or `room:…`.
  func transfer(room: String, identity: String, to: String) async throws(PhoneFailure)
  func hangUp(room: String, identity: String) async throws(PhoneFailure)
  func sendDigits(room: String, identity: String, digits: String) async throws(PhoneFailure)
}

/// What the faces of the rooms' telephony work on.
package struct SIPServices: Sendable {
  package let store: Store
  package let control: any SIPControl

  package init(store: Store, control: any SIPControl) {
    self.store = store
    self.control = control
  }
}

/// `ST_…` and the like: a prefix and 12 characters, as LiveKit makes ids.
enum PhoneID {
  private static let alphabet = Array("23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz")

  static func make(_ prefix: String) -> String {
    prefix + String((0..<12).map { _ in alphabet.randomElement() ?? "2" })
  }
}
