package import Audio
package import Bridge
package import Core
import LiveKitProtocol

/// The mix and the phone's own sound, between the room's media worker and the leg's.
package typealias PhonePort = ConferencePort

/// Phones as participants. Synchronous on the loop; events come in the middle of whatever brought them about.
extension RoomService {
  package func standing(of room: String) -> RoomStanding { core.phones.standing(of: room) }

  /// Takes a phone in: everybody sees it from now on. It is silent until `connectPhone`.
  package func openPhone(
    _ entry: PhoneEntry, onEvent: @escaping (SeatID, SeatEvent) -> Void
  ) throws(EntryRefusal) -> PhoneSeat {
    defer { context.flush() }
    return try core.phones.enter(entry, onEvent)
  }

  /// Its track appears, and `port` gives the mix.
  package func connectPhone(_ seat: SeatID, port: PhonePort) {
    core.phones.connect(seat, port)
    context.flush()
  }

  /// It hung up; no event follows.
  package func closePhone(_ seat: SeatID, _ departure: SeatDeparture) {
    core.phones.find(seat)?.leave(departure)
    context.flush()
  }

  package func setPhoneAttributes(_ seat: SeatID, _ attributes: [String: String]) {
    core.phones.setAttributes(seat, attributes)
    context.flush()
  }

  package func isPhoneMuted(_ seat: SeatID) -> Bool { core.phones.find(seat)?.track?.info.muted ?? false }

  /// False where it may not speak.
  package func setPhoneMuted(_ seat: SeatID, _ muted: Bool) -> Bool {
    defer { context.flush() }
    return core.phones.find(seat)?.setMuted(muted) ?? false
  }

  /// A key for the participants' data channels.
  package func publishPhoneDigit(_ digit: Character, from seat: SeatID) {
    core.phones.find(seat)?.publish(digit: digit)
    context.flush()
  }

  /// Says something to this phone alone.
  package func say(_ clip: AudioClip, toPhone seat: SeatID) {
    core.phones.say(clip, to: seat)
    context.flush()
  }

  /// Says something to the other phones of this one's room.
  package func announce(_ clip: AudioClip, fromPhone seat: SeatID) {
    core.phones.announce(clip, from: seat)
    context.flush()
  }

  /// False: the phone is no host, or nobody serves the command.
  package func perform(_ command: HostCommand, byPhone seat: SeatID) -> Bool {
    defer { context.flush() }
    return core.phones.perform(command, by: seat)
  }

  package var phoneCount: Int { core.phones.count }
}
