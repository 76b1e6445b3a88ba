package import Audio
package import Bridge
package import Core

/// The rooms as calls see them. Calls know no room, rooms no call: the executable ties the two together.
///
/// Every method is called on the signalling loop and acts at once. What befalls a seat comes back through `Gateway.seat`,
/// on the loop too, after the call that brought it about has returned.
package protocol ConferenceRooms: Sendable {
  /// What one who is about to enter would find.
  func standing(of room: String) -> RoomStanding

  /// Takes a phone in. It is seen by everybody from now on, without sound until `connect`.
  /// - Parameter call: the call's identifier, for the seat's events.
  func enter(_ entry: PhoneEntry, call: String) throws(EntryRefusal) -> PhoneSeat

  /// Joins the phone's audio with the room's: its track appears, and `port` gives the mix.
  func connect(_ seat: SeatID, port: ConferencePort)

  /// The phone has gone; no event follows.
  func leave(_ seat: SeatID, _ departure: SeatDeparture)

  /// Sets attributes; an empty value removes one.
  func setAttributes(_ seat: SeatID, _ attributes: [String: String])

  func isMuted(_ seat: SeatID) -> Bool

  /// The phone's own wish. False: it stays muted, because a moderator switched it off and the configuration does not let
  /// it undo that.
  func setMuted(_ seat: SeatID, _ muted: Bool) -> Bool

  /// A key that the phone pressed, for the participants' data channels (LiveKit's `SipDTMF`).
  func publish(digit: Character, from seat: SeatID)

  /// False: the phone is no host, or the command is not served.
  func perform(_ command: HostCommand, by seat: SeatID) -> Bool

  /// Says something to this phone alone, over the mix.
  func say(_ clip: AudioClip, to seat: SeatID)

  /// Says something to the other phones of this one's room.
  func announce(_ clip: AudioClip, from seat: SeatID)
}
