import Audio
import Bridge
import Core
import LiveKitProtocol
import SFU
import Testing

@testable import Rooms

/// Telephones as participants.
@Suite struct PhoneTests {
  /// A phone in the hall, with what it was told.
  private final class Phone {
    let rooms: RoomHarness
    private(set) var events: [SeatEvent] = []
    private(set) var seat = PhoneSeat(id: SeatID(rawValue: 0), identity: "", participantSID: "")

    init(
      _ rooms: RoomHarness, _ identity: String = "sip_1", host: Bool = false, connects: Bool = true,
      _ change: (inout PhoneEntry) -> Void = { _ in }
    ) throws {
      self.rooms = rooms
      var entry = PhoneEntry(
        room: "hall", identity: identity, name: "Phone 1", attributes: [PhoneAttribute.phoneNumber: "+15550100"],
        isHost: host)
      change(&entry)
      seat = try rooms.core.phones.enter(entry) { [weak self] seat, event in
        #expect(seat == self?.seat.id)
        self?.events.append(event)
      }
      rooms.settle()
      if connects { connect() }
    }

    func connect() {
      rooms.core.phones.connect(seat.id, ConferencePort(sampleRate: 8_000))
      rooms.advance(.milliseconds(20))
    }

    var session: PhoneSession? { rooms.core.phones.find(seat.id) }
    var track: PublishedTrack? { session?.track }
  }

  private func infos(_ client: TestClient, _ identity: String) -> Livekit_ParticipantInfo? {
    var last: Livekit_ParticipantInfo?
    for message in client.messages {
      guard case .update(let update) = message else { continue }
      last = update.participants.last { $0.identity == identity } ?? last
    }
    return last
  }

  private func orders(_ rooms: RoomHarness) -> [RoomMediaCommand] { rooms.media[0].commands }

  @Test func isSeenAsAParticipantOfKindSIPWithAMicrophone() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let phone = try Phone(rooms)
    rooms.settle()
    let info = try #require(infos(ann, "sip_1"))
    #expect(info.kind == .sip && info.state == .active && info.name == "Phone 1")
    #expect(info.attributes[PhoneAttribute.phoneNumber] == "+15550100")
    let track = try #require(info.tracks.first)
    #expect((track.type, track.source, track.mimeType, track.muted) == (.audio, .microphone, "audio/opus", false))
    #expect(info.sid == phone.seat.participantSID)
    let opened = orders(rooms).contains { command in
      if case .openPhone(_, _, let producer, _) = command { producer == phone.track?.producer } else { false }
    }
    #expect(opened)
    let joined = rooms.events.contains { event in
      if case .participantJoined(_, let who) = event { who.kind == .sip } else { false }
    }
    #expect(joined)
    let published = rooms.events.contains { event in
      if case .trackPublished(_, _, let what) = event { what.sid == track.sid } else { false }
    }
    #expect(published)
  }

  @Test func isOfferedToWhoeverListens() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let phone = try Phone(rooms)
    rooms.advance(.milliseconds(600))
    let room = try rooms.room()
    let listener = try #require(room.participant("ann"))
    #expect(listener.subscribing.subscriptions[try #require(phone.track).sid]?.isForwarding == true)
    _ = ann
  }

  @Test func hasNoSoundBeforeItIsConnected() throws {
    let rooms = RoomHarness { $0.joinTimeout = .seconds(2) }
    let ann = try rooms.join("ann")
    let phone = try Phone(rooms, connects: false)
    #expect(infos(ann, "sip_1")?.tracks.isEmpty == true)
    rooms.advance(.seconds(5))
    #expect(phone.events.isEmpty, "a phone that rings is not late")
    phone.connect()
    rooms.settle()
    #expect(infos(ann, "sip_1")?.tracks.count == 1)
  }

  @Test func twoPhonesOfOneNumberAreTwoParticipants() throws {
    let rooms = RoomHarness()
    let first = try Phone(rooms)
    let second = try Phone(rooms)
    #expect(second.seat.identity == "sip_1-2" && first.events.isEmpty)
    let third = try Phone(rooms, connects: false) { $0.replaces = true }
    #expect(third.seat.identity == "sip_1")
    #expect(first.events.count == 1 && second.events.isEmpty)
  }

  @Test func theServersMuteIsToldAndItsOwnIsSeen() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let phone = try Phone(rooms)
    let sid = try #require(phone.track).sid
    var request = Livekit_MuteRoomTrackRequest()
    request.room = "hall"
    request.identity = "sip_1"
    request.trackSid = sid
    request.muted = true
    _ = try rooms.core.mutePublishedTrack(request)
    rooms.settle()
    #expect(phone.events == [.muted(true)])
    #expect(infos(ann, "sip_1")?.tracks.first?.muted == true)
    #expect(phone.session?.setMuted(false) == true)
    rooms.settle()
    #expect(infos(ann, "sip_1")?.tracks.first?.muted == false)
    #expect(phone.events == [.muted(true)], "its own doing is no news")
  }

  @Test func whoMayNotPublishStaysMutedButListens() throws {
    let rooms = RoomHarness()
    try rooms.join("ann")
    let phone = try Phone(rooms)
    var request = Livekit_UpdateParticipantRequest()
    request.room = "hall"
    request.identity = "sip_1"
    request.permission.canSubscribe = true
    _ = try rooms.core.updateParticipant(request)
    rooms.settle()
    #expect(phone.track?.info.muted == true && phone.events == [.muted(true)])
    #expect(phone.session?.setMuted(false) == false)
    #expect(!orders(rooms).contains { if case .closePhone = $0 { true } else { false } })
  }

  @Test func removalAndTheEndOfTheRoomAreTold() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let phone = try Phone(rooms)
    try rooms.core.removeParticipant("hall", "sip_1")
    rooms.settle()
    guard case .removed = phone.events.last else {
      Issue.record("\(phone.events)")
      return
    }
    #expect(infos(ann, "sip_1")?.state == .disconnected && rooms.core.phones.count == 0)
    #expect(orders(rooms).contains { if case .closePhone = $0 { true } else { false } })
    let other = try Phone(rooms)
    try rooms.core.deleteRoom("hall")
    rooms.settle()
    #expect(other.events == [.roomEnded] && rooms.core.phones.count == 0)
  }

  @Test func hangingUpIsALeaveWithItsReasonAndNoEvent() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    for (departure, reason) in [
      (SeatDeparture.hungUp, Livekit_DisconnectReason.clientInitiated), (.unavailable, .userUnavailable),
      (.rejected, .userRejected), (.trunkFailure, .sipTrunkFailure),
    ] {
      let phone = try Phone(rooms)
      phone.session?.leave(departure)
      rooms.settle()
      #expect(infos(ann, "sip_1")?.disconnectReason == reason && phone.events.isEmpty)
    }
  }

  @Test func keysGoToEverybodysDataChannelAndComeFromThere() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    rooms.advance(.milliseconds(300))
    let phone = try Phone(rooms)
    let other = try Phone(rooms, "sip_2")
    rooms.media[0].forget()
    phone.session?.publish(digit: "#")
    rooms.settle()
    let packets = orders(rooms).compactMap { command -> Livekit_DataPacket? in
      guard case .sendData(_, .reliable, let bytes) = command else { return nil }
      return Livekit_DataPacket(parsing: bytes)
    }
    let packet = try #require(packets.first)
    #expect((packet.sipDtmf.code, packet.sipDtmf.digit) == (11, "#") && packet.participantIdentity == "sip_1")
    #expect(other.events.isEmpty, "a phone's keys are not pressed on other phones")
    // From a participant: to all phones, or to the one that is named.
    func send(_ to: [String], _ fill: (inout Livekit_SipDTMF) -> Void) throws {
      var packet = Livekit_DataPacket()
      packet.destinationIdentities = to
      fill(&packet.sipDtmf)
      let sender = try #require(try rooms.room().participant(ann.identity))
      rooms.core.receive(.data(sender.openPublisher().id, .reliable, packet.bytes))
      rooms.settle()
    }
    try send([]) { $0.digit = "12" }
    try send(["sip_2"]) { $0.code = 10 }
    try send([]) { $0.digit = "\u{1F600}" }
    try send([]) { $0.code = 77 }
    #expect(phone.events == [.digits("12")] && other.events == [.digits("12"), .digits("*")])
  }

  @Test func aFullOrLockedRoomRefuses() throws {
    let rooms = RoomHarness { $0.maximumParticipants = 2 }
    try rooms.join("ann")
    let host = try Phone(rooms, host: true)
    #expect(throws: EntryRefusal.full) { try Phone(rooms, "sip_2") }
    host.session?.leave(.hungUp)
    let next = try Phone(rooms, host: true)
    #expect(rooms.core.phones.perform(.lock, by: next.seat.id))
    next.session?.leave(.hungUp)
    #expect(rooms.core.phones.standing(of: "hall").isLocked)
    #expect(throws: EntryRefusal.locked) { try Phone(rooms, "sip_2") }
    #expect(throws: JoinRefusal(status: 403, text: "the room is locked")) { try rooms.join("ben") }
    // Moderators have a key.
    try rooms.join("cid") { $0.claims.video.roomAdmin = true }
  }

  @Test func aRoomThatNobodyMayMakeIsNone() throws {
    let rooms = RoomHarness { $0.autoCreate = false }
    #expect(throws: EntryRefusal.noRoom) { try Phone(rooms) }
    #expect(!rooms.core.phones.standing(of: "hall").isOpen)
  }

  @Test func onlyAHostCommands() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let sid = try rooms.publish(ann, cid: "mic")
    let guest = try Phone(rooms)
    for command in [HostCommand.lock, .muteAll, .end, .record] {
      #expect(!rooms.core.phones.perform(command, by: guest.seat.id))
    }
    let host = try Phone(rooms, "sip_2", host: true)
    #expect(rooms.core.phones.standing(of: "hall").hasHost)
    #expect(rooms.core.phones.perform(.muteAll, by: host.seat.id))
    rooms.settle()
    #expect(guest.track?.info.muted == true && guest.events == [.muted(true)])
    #expect(try rooms.room().participant("ann")?.publishing.track(sid)?.info.muted == true)
    #expect(host.track?.info.muted == false)
    #expect(rooms.core.phones.perform(.unmuteAll, by: host.seat.id))
    #expect(guest.track?.info.muted == false)
    #expect(try rooms.room().participant("ann")?.publishing.track(sid)?.info.muted == true, "only ann herself may")
    #expect(rooms.core.phones.perform(.end, by: host.seat.id))
    rooms.settle()
    #expect(rooms.core.room("hall") == nil && host.events == [.roomEnded])
  }

  @Test func aFailureOfItsMediaSendsItAway() throws {
    let rooms = RoomHarness()
    try rooms.join("ann")
    let phone = try Phone(rooms)
    rooms.core.receive(.phoneFailed(try #require(phone.session).peer, "a test"))
    rooms.settle()
    #expect(phone.events.count == 1 && rooms.core.phones.count == 0)
    rooms.core.receive(.phoneFailed(PeerID(rawValue: 12_345), "nobody's"))
  }
}
