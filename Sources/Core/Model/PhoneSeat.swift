/// One phone's place in one room, unique in the process. A phone that comes back gets a new one.
package struct SeatID: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A phone that takes a place in a room, as a participant of kind SIP.
package struct PhoneEntry: Hashable, Sendable {
  package var room: String
  package var identity: String
  /// Whether a participant that has the identity already is sent away; otherwise this one gets a number behind it.
  package var replaces = false
  /// What others see, such as `Phone +15550100`.
  package var name: String
  package var metadata: String
  /// `sip.phoneNumber` and the like (`PhoneAttribute`).
  package var attributes: [String: String]
  /// Entered with the host's PIN: may lock, mute all, record and end, and lets the waiting in.
  package var isHost: Bool
  /// Its microphone is off until it switches it on.
  package var isMuted: Bool
  /// LiveKit's `RoomConfiguration`, for a room that it makes; empty: none.
  package var roomConfiguration: [UInt8] = []

  package init(
    room: String, identity: String, name: String, metadata: String = "", attributes: [String: String] = [:],
    isHost: Bool = false, isMuted: Bool = false
  ) {
    self.room = room
    self.identity = identity
    self.name = name
    self.metadata = metadata
    self.attributes = attributes
    self.isHost = isHost
    self.isMuted = isMuted
  }
}

/// A phone's place, once taken.
package struct PhoneSeat: Hashable, Sendable {
  package var id: SeatID
  /// As it turned out.
  package var identity: String
  /// `PA_…`.
  package var participantSID: String

  package init(id: SeatID, identity: String, participantSID: String) {
    self.id = id
    self.identity = identity
    self.participantSID = participantSID
  }
}

/// Why a room does not take a phone.
package enum EntryRefusal: Error, Hashable, Sendable {
  case full
  case locked
  /// It does not exist, and entering makes none.
  case noRoom
  case shuttingDown
  case refused(String)
}

/// What a room tells the phone that sits in it.
package enum SeatEvent: Hashable, Sendable {
  /// Sent away: by the server's API, a host, or because another came under the same identity.
  case removed(String)
  /// The room ended for everybody.
  case roomEnded
  /// Somebody else switched the phone's microphone off or on.
  case muted(Bool)
  /// Somebody pressed keys for this phone: to be sent as RFC 4733 events.
  case digits(String)
  /// The room is being recorded from now on, or no longer.
  case recording(Bool)
}

/// A room as one who waits at its door sees it.
package struct RoomStanding: Hashable, Sendable {
  package var exists: Bool
  /// Whether entering would make it.
  package var isOpen: Bool
  package var participants: Int
  package var isFull: Bool
  package var isLocked: Bool
  package var hasHost: Bool
  package var isRecorded: Bool

  package init(
    exists: Bool = false, isOpen: Bool = true, participants: Int = 0, isFull: Bool = false, isLocked: Bool = false,
    hasHost: Bool = false, isRecorded: Bool = false
  ) {
    self.exists = exists
    self.isOpen = isOpen
    self.participants = participants
    self.isFull = isFull
    self.isLocked = isLocked
    self.hasHost = hasHost
    self.isRecorded = isRecorded
  }
}

/// Why a phone left its room, as others are told.
package enum SeatDeparture: Hashable, Sendable {
  case hungUp
  /// It was rung and nobody answered, or the line was busy.
  case unavailable
  case rejected
  /// The trunk did not take the call.
  case trunkFailure
}

/// What a host does by keys.
package enum HostCommand: String, Hashable, Sendable {
  case lock, unlock, muteAll, unmuteAll, record, stopRecording, end
}

/// Names of the attributes that LiveKit gives to participants of kind SIP.
package enum PhoneAttribute {
  package static let callID = "sip.callID"
  package static let fullCallID = "sip.callIDFull"
  package static let status = "sip.callStatus"
  package static let phoneNumber = "sip.phoneNumber"
  package static let trunkID = "sip.trunkID"
  package static let trunkPhoneNumber = "sip.trunkPhoneNumber"
  package static let ruleID = "sip.ruleID"
  package static let hostname = "sip.hostname"
  /// Milliseconds since 1970 at which a hand was raised; absent while it is down. The room page's own.
  package static let hand = "hand"
}

/// Values of `sip.callStatus`.
package enum PhoneStatus: String, Hashable, Sendable {
  case dialing, ringing, automation, active, hangup
}
