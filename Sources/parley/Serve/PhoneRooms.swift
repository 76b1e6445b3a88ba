import Audio
import Bridge
import Core
import Gateway
import Rooms

/// The rooms as calls see them. Both live on the signalling loop, so that nothing waits for the other.
struct PhoneRooms: ConferenceRooms {
  let service: RoomService
  let signalling: ServiceLoop<Gateway>

  func standing(of room: String) -> RoomStanding { service.assumeIsolated { $0.standing(of: room) } }

  func enter(_ entry: PhoneEntry, call: String) throws(EntryRefusal) -> PhoneSeat {
    let result: Result<PhoneSeat, EntryRefusal> = service.assumeIsolated { [signalling] service in
      do throws(EntryRefusal) {
        return .success(
          try service.openPhone(entry) { seat, event in
            // Later: the call is in the middle of something, perhaps of what brought this about.
            signalling.submit { $0.seat(seat, call: call, event) }
          })
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  func connect(_ seat: SeatID, port: ConferencePort) { service.assumeIsolated { $0.connectPhone(seat, port: port) } }

  func leave(_ seat: SeatID, _ departure: SeatDeparture) {
    service.assumeIsolated { $0.closePhone(seat, departure) }
  }

  func setAttributes(_ seat: SeatID, _ attributes: [String: String]) {
    service.assumeIsolated { $0.setPhoneAttributes(seat, attributes) }
  }

  func isMuted(_ seat: SeatID) -> Bool { service.assumeIsolated { $0.isPhoneMuted(seat) } }

  func setMuted(_ seat: SeatID, _ muted: Bool) -> Bool { service.assumeIsolated { $0.setPhoneMuted(seat, muted) } }

  func publish(digit: Character, from seat: SeatID) {
    service.assumeIsolated { $0.publishPhoneDigit(digit, from: seat) }
  }

  func perform(_ command: HostCommand, by seat: SeatID) -> Bool {
    service.assumeIsolated { $0.perform(command, byPhone: seat) }
  }

  func say(_ clip: AudioClip, to seat: SeatID) { service.assumeIsolated { $0.say(clip, toPhone: seat) } }

  func announce(_ clip: AudioClip, from seat: SeatID) { service.assumeIsolated { $0.announce(clip, fromPhone: seat) } }
}
