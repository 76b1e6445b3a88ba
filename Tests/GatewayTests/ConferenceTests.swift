import Audio
import Bridge
import Core
import Gateway
import SIP
import Synchronization
import Testing

/// Rooms that remember what calls do with them.
final class FakeRooms: ConferenceRooms {
  struct State {
    var standings: [String: RoomStanding] = [:]
    var refusal: EntryRefusal?
    var entries: [(entry: PhoneEntry, call: String)] = []
    var connected: Set<SeatID> = []
    var left: [(SeatID, SeatDeparture)] = []
    var attributes: [SeatID: [String: String]] = [:]
    var muted: Set<SeatID> = []
    var keys = ""
    var commands: [HostCommand] = []
    var said = 0
  }
  let state = Mutex(State())

  func standing(of room: String) -> RoomStanding { state.withLock { $0.standings[room] ?? RoomStanding() } }

  func enter(_ entry: PhoneEntry, call: String) throws(EntryRefusal) -> PhoneSeat {
    if let refusal = state.withLock({ $0.refusal }) { throw refusal }
    return state.withLock { state in
      state.entries.append((entry, call))
      let id = SeatID(rawValue: UInt64(state.entries.count))
      state.attributes[id] = entry.attributes
      return PhoneSeat(id: id, identity: entry.identity, participantSID: "PA_\(id.rawValue)")
    }
  }

  func connect(_ seat: SeatID, port: ConferencePort) { state.withLock { _ = $0.connected.insert(seat) } }
  func leave(_ seat: SeatID, _ departure: SeatDeparture) { state.withLock { $0.left.append((seat, departure)) } }
  func setAttributes(_ seat: SeatID, _ attributes: [String: String]) {
    state.withLock { state in
      for (name, value) in attributes { state.attributes[seat, default: [:]][name] = value.isEmpty ? nil : value }
    }
  }
  func isMuted(_ seat: SeatID) -> Bool { state.withLock { $0.muted.contains(seat) } }
  func setMuted(_ seat: SeatID, _ muted: Bool) -> Bool {
    state.withLock { if muted { $0.muted.insert(seat) } else { $0.muted.remove(seat) } }
    return true
  }
  func publish(digit: Character, from seat: SeatID) { state.withLock { $0.keys.append(digit) } }
  func perform(_ command: HostCommand, by seat: SeatID) -> Bool {
    state.withLock { $0.commands.append(command) }
    return true
  }
  func say(_ clip: AudioClip, to seat: SeatID) { state.withLock { $0.said += 1 } }
  func announce(_ clip: AudioClip, from seat: SeatID) {}

  var entries: [PhoneEntry] { state.withLock { $0.entries.map(\.entry) } }
  var calls: [String] { state.withLock { $0.entries.map(\.call) } }
  func attributes(_ seat: UInt64) -> [String: String] {
    state.withLock { $0.attributes[SeatID(rawValue: seat)] ?? [:] }
  }
  func isConnected(_ seat: UInt64) -> Bool { state.withLock { $0.connected.contains(SeatID(rawValue: seat)) } }
  var departures: [SeatDeparture] { state.withLock { $0.left.map(\.1) } }
  func set(_ room: String, _ standing: RoomStanding) { state.withLock { $0.standings[room] = standing } }
}

/// Calls that lead into rooms, out of them and from one to the other.
@Suite(.serialized) struct ConferenceTests {
  struct Scene {
    let world: World
    let rooms = FakeRooms()
    let carrier: Agent

    init(
      rules: [DispatchRule] = [], _ configure: (inout GatewayConfiguration) -> Void = { _ in }
    ) async throws {
      let trunk = Trunk(name: "carrier", host: "127.0.0.9", codecs: [.pcmu, .pcma])
      world = try await World(trunk: trunk, configure)
      let users = ["1001", "1002"].map { name in
        User(
          name: name, display: "Agent \(name)",
          ha1MD5: DigestHash.ha1(username: name, realm: "parley.test", password: World.password, algorithm: .md5),
          ha1SHA256: DigestHash.ha1(username: name, realm: "parley.test", password: World.password, algorithm: .sha256))
      }
      let directory = Directory(
        users: users, trunks: [trunk],
        numbers: [
          NumberRule(number: "+15550700", to: .room("sales")), NumberRule(number: "701", to: .room("support")),
        ], routes: [RouteRule(position: 1, match: "9(\\d+)", to: .trunk("carrier"), number: "$1")],
        dialIn: DialInDispatcher(rules: rules))
      await world.gateway.update(directory, trunkAddresses: World.addresses(trunk))
      await world.gateway.serve(rooms: rooms, prompts: nil)
      carrier = Agent.carrier(world)
    }

    func keys(_ call: any Side, _ keys: String) async throws {
      for key in keys {
        try await call.send(.info, body: "Signal=\(key)\r\nDuration=100\r\n", type: "application/dtmf-relay")
        #expect(try await call.agent.response(.info).status == 200)
        try await Task.sleep(for: .milliseconds(15))
      }
      try await world.settle()
    }

    var record: CallRecord? { world.records.final.last }
  }

  // MARK: Dial-in

  @Test func aNumberLeadsIntoItsRoomAndTheByeOutOfIt() async throws {
    let scene = try await Scene()
    let call = try await scene.carrier.call("+15550700")
    try await call.answered()
    try await scene.world.settle()
    let entry = try #require(scene.rooms.entries.first)
    #expect((entry.room, entry.identity, entry.name) == ("sales", "sip_+4930123", "Phone +4930123"))
    #expect(entry.attributes[PhoneAttribute.trunkID] == "carrier")
    #expect(entry.attributes[PhoneAttribute.trunkPhoneNumber] == "+15550700")
    #expect(entry.attributes[PhoneAttribute.phoneNumber] == "+4930123")
    #expect(scene.rooms.isConnected(1))
    #expect(scene.rooms.attributes(1)[PhoneAttribute.status] == "active")
    try await call.bye()
    #expect(scene.rooms.departures == [.hungUp])
    try await scene.world.expectNothingLeft(calls: 1)
    let record = try #require(scene.record)
    #expect(record.legs.map(\.kind) == [.trunk, .room] && record.legs[1].party == "sales")
    #expect(record.outcome == .answered && record.endedBy == .caller)
  }

  @Test(arguments: [
    (RoomStanding(exists: true, isFull: true), 486), (RoomStanding(exists: true, isLocked: true), 403),
    (RoomStanding(isOpen: false), 404),
  ])
  func whoIsNotLetInIsNotAnswered(_ standing: RoomStanding, _ status: Int) async throws {
    let scene = try await Scene()
    scene.rooms.set("sales", standing)
    let call = try await scene.carrier.call("+15550700")
    #expect(try await call.final().status == status)
    try await call.ack()
    #expect(scene.rooms.entries.isEmpty)
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [SeatEvent.removed("a test"), .roomEnded])
  func whoIsSentAwayIsHungUpWithAReason(_ event: SeatEvent) async throws {
    let scene = try await Scene()
    let call = try await scene.carrier.call("+15550700")
    try await call.answered()
    try await scene.world.settle()
    await scene.world.gateway.seat(SeatID(rawValue: 1), call: try #require(scene.rooms.calls.first), event)
    let bye = try await scene.carrier.request(.bye)
    await scene.carrier.reply(to: bye, 200, tag: nil)
    #expect(bye.headers.reasons.first?.text?.isEmpty == false)
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func anEventOfAnotherSeatMeansNothing() async throws {
    let scene = try await Scene()
    let call = try await scene.carrier.call("+15550700")
    try await call.answered()
    try await scene.world.settle()
    let id = try #require(scene.rooms.calls.first)
    await scene.world.gateway.seat(SeatID(rawValue: 7), call: id, .roomEnded)
    await scene.world.gateway.seat(SeatID(rawValue: 1), call: "no call", .roomEnded)
    try await scene.world.settle()
    #expect(scene.world.untaken(scene.carrier.remote).isEmpty)
    try await call.bye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func keysAreCodesOrGoToTheRoom() async throws {
    let scene = try await Scene()
    let call = try await scene.carrier.call("+15550700")
    try await call.answered()
    try await scene.keys(call, "12*6")
    #expect(scene.rooms.state.withLock { $0.keys } == "12")
    #expect(scene.rooms.isMuted(SeatID(rawValue: 1)))
    try await scene.keys(call, "*6*9")
    #expect(!scene.rooms.isMuted(SeatID(rawValue: 1)))
    #expect(scene.rooms.attributes(1)[PhoneAttribute.hand] != nil)
    try await scene.keys(call, "*9*")
    #expect(scene.rooms.attributes(1)[PhoneAttribute.hand] == nil)
    try await scene.world.advance(.seconds(4))
    #expect(scene.rooms.state.withLock { $0.keys } == "12*", "a star that nothing follows is a key")
    // Codes of hosts are none of a guest's.
    try await scene.keys(call, "*2*3*88")
    #expect(scene.rooms.state.withLock { $0.commands }.isEmpty)
    try await call.bye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  // MARK: PIN

  static func rule(waits: Bool = false) -> DispatchRule {
    var rule = DispatchRule(
      id: "SDR_1", name: "", target: .direct(room: "board"), createdAt: WallTime(milliseconds: 0))
    rule.numbers = ["+15550800"]
    rule.pin = "1234"
    rule.hostPIN = "9876"
    rule.waitsForHost = waits
    return rule
  }

  @Test func aWrongPINIsAskedForAgainAndARightOneOpens() async throws {
    let scene = try await Scene(rules: [Self.rule()]) { $0.menu.greets = false }
    let call = try await scene.carrier.call("+15550800")
    try await call.answered()
    try await scene.keys(call, "4321#")
    try await scene.world.advance(.seconds(1))
    #expect(scene.rooms.entries.isEmpty)
    try await scene.keys(call, "1234#")
    try await scene.world.advance(.seconds(1))
    let entry = try #require(scene.rooms.entries.first)
    #expect(entry.room == "board" && !entry.isHost && entry.attributes[PhoneAttribute.ruleID] == "SDR_1")
    try await call.bye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func guessingEndsTheCallAndThenLocksTheNumberOut() async throws {
    let scene = try await Scene(rules: [Self.rule()]) { $0.menu.greets = false }
    for round in 0..<3 {
      let call = try await scene.carrier.call("+15550800")
      try await call.answered()
      for pin in ["1", "2", "3"] where scene.world.untaken(scene.carrier.remote).isEmpty {
        try await scene.keys(call, pin + "#")
        try await scene.world.advance(.seconds(1))
      }
      try await scene.world.advance(.seconds(31))
      try await call.awaitBye()
      #expect(scene.rooms.entries.isEmpty, "round \(round)")
    }
    // Six failures: the right PIN does not help any more.
    let call = try await scene.carrier.call("+15550800")
    try await call.answered()
    try await scene.world.advance(.seconds(1))
    try await call.awaitBye()
    #expect(scene.rooms.entries.isEmpty)
    try await scene.world.expectNothingLeft(calls: 4)
  }

  @Test func guestsWaitUntilTheHostIsThere() async throws {
    let scene = try await Scene(rules: [Self.rule(waits: true)]) { $0.menu.greets = false }
    let guest = try await scene.carrier.call("+15550800")
    try await guest.answered()
    try await scene.keys(guest, "1234#")
    try await scene.world.advance(.seconds(1))
    try await scene.world.advance(.seconds(1))
    #expect(scene.rooms.entries.isEmpty)
    scene.rooms.set("board", RoomStanding(exists: true, participants: 1, hasHost: true))
    try await scene.world.advance(.seconds(1))
    try await scene.world.advance(.seconds(1))
    #expect(scene.rooms.entries.map(\.room) == ["board"])
    try await guest.bye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func theHostsPINGivesTheHostsCodes() async throws {
    let scene = try await Scene(rules: [Self.rule(waits: true)]) { $0.menu.greets = false }
    let call = try await scene.carrier.call("+15550800")
    try await call.answered()
    try await scene.keys(call, "9876#")
    try await scene.world.advance(.seconds(1))
    #expect(scene.rooms.entries.first?.isHost == true)
    try await scene.keys(call, "*2*3*3*1*88")
    #expect(scene.rooms.state.withLock { $0.commands } == [.lock, .muteAll, .unmuteAll, .record, .end])
    try await call.bye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func whoHangsUpInTheMenuLeavesNothing() async throws {
    let scene = try await Scene(rules: [Self.rule()])
    let call = try await scene.carrier.call("+15550800")
    try await call.answered()
    try await scene.keys(call, "12")
    try await call.bye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.rooms.entries.isEmpty)
  }

  // MARK: Dial-out

  private func ring(_ scene: Scene, _ change: (inout DialOut) -> Void = { _ in }) -> Task<
    Result<DialledPhone, PhoneError>, Never
  > {
    var request = DialOut(room: "sales", identity: "uncle", route: .directory, number: "9555")
    request.callerNumber = "+15550700"
    request.waitsForAnswer = true
    change(&request)
    return Task { [request] in
      do throws(PhoneError) {
        return .success(try await scene.world.gateway.dialOut(request, addresses: [trunkAddress.ip]))
      } catch {
        return .failure(error)
      }
    }
  }

  @Test func aPhoneIsRungIntoARoom() async throws {
    let scene = try await Scene()
    let ringing = ring(scene) { $0.headers = ["X-Account": "7", "Via": "no"] }
    let call = try await scene.carrier.incoming()
    #expect(call.invite.uri.user == "555" && call.invite.headers.from?.uri.user == "+15550700")
    #expect(scene.rooms.attributes(1)[PhoneAttribute.status] == "dialing")
    await call.reply(180)
    try await scene.world.settle()
    #expect(scene.rooms.attributes(1)[PhoneAttribute.status] == "ringing" && !scene.rooms.isConnected(1))
    try await call.answer()
    let phone = try await ringing.value.get()
    #expect((phone.room, phone.identity, phone.participantSID) == ("sales", "uncle", "PA_1"))
    #expect(scene.rooms.attributes(1)[PhoneAttribute.status] == "active" && scene.rooms.isConnected(1))
    try await call.bye()
    #expect(scene.rooms.departures == [.hungUp])
    try await scene.world.expectNothingLeft(calls: 1)
    let record = try #require(scene.record)
    #expect(record.legs.map(\.kind).prefix(2) == [.room, .trunk])
    #expect(record.direction == .outbound && record.outcome == .answered && record.to == "9555")
  }

  @Test(arguments: [
    (486, PhoneError.Kind.busy, SeatDeparture.unavailable), (603, .rejected, .rejected),
    (480, .noAnswer, .unavailable), (500, .failed, .trunkFailure),
  ])
  func aRefusalIsToldWithItsStatus(
    _ status: Int, _ kind: PhoneError.Kind, _ departure: SeatDeparture
  ) async throws {
    let scene = try await Scene()
    let ringing = ring(scene)
    let call = try await scene.carrier.incoming()
    await call.reply(status)
    _ = try await scene.carrier.request(.ack)
    guard case .failure(let error) = await ringing.value else { throw NothingCame(description: "no error") }
    #expect((error.kind, error.sipStatus) == (kind, status))
    #expect(scene.rooms.departures == [departure])
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func nobodyAnswersInTime() async throws {
    let scene = try await Scene()
    let ringing = ring(scene) { $0.ringingTimeout = .seconds(5) }
    let call = try await scene.carrier.incoming()
    await call.reply(180)
    try await scene.world.advance(.seconds(6))
    try await call.cancelled()
    guard case .failure(let error) = await ringing.value else { throw NothingCame(description: "no error") }
    #expect(error.kind == .noAnswer)
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aPhoneThatIsRemovedWhileItRingsStopsRinging() async throws {
    let scene = try await Scene()
    let ringing = ring(scene)
    let call = try await scene.carrier.incoming()
    await call.reply(180)
    try await scene.world.settle()
    let id = try #require(scene.rooms.calls.first)
    await scene.world.gateway.seat(SeatID(rawValue: 1), call: id, .removed("a test"))
    try await call.cancelled()
    guard case .failure(let error) = await ringing.value else { throw NothingCame(description: "no error") }
    #expect(error.kind == .cancelled)
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aPhoneOverATrunkOfNobodysIsCalledAtItsAddress() async throws {
    let scene = try await Scene()
    let ringing = ring(scene) {
      $0.route = .trunk(Trunk(name: "ST_1", host: "127.0.0.9", codecs: [.pcmu]))
      $0.number = "777"
      $0.headers = ["X-Account": "7", "Via": "no"]
    }
    let call = try await scene.carrier.incoming()
    #expect(call.invite.uri.user == "777" && call.invite.headers[HeaderName("X-Account")] == "7")
    #expect(call.invite.headers.vias.count == 1)
    try await call.answer()
    _ = try await ringing.value.get()
    try await scene.world.gateway.hangUpPhone(room: "sales", identity: "uncle", reason: "enough")
    try await call.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func whatCannotBeRungIsSaidAtOnce() async throws {
    let scene = try await Scene()
    for (number, digits, kind) in [
      ("123", "", PhoneError.Kind.notFound), ("701", "", .invalid), ("9555", "12x", .invalid), ("", "", .invalid),
    ] {
      let ringing = ring(scene) {
        $0.number = number
        $0.digits = digits
      }
      guard case .failure(let error) = await ringing.value else { throw NothingCame(description: "no error") }
      #expect(error.kind == kind, "\(number) \(digits)")
    }
    scene.rooms.state.withLock { $0.refusal = .full }
    guard case .failure(let error) = await ring(scene).value else { throw NothingCame(description: "no error") }
    #expect(error.kind == .refused)
    try await scene.world.expectNothingLeft(calls: 0)
  }

  // MARK: From room to room

  @Test func aPhoneIsMovedToAUserAndBackIntoARoom() async throws {
    let scene = try await Scene()
    let bob = try await Agent.phone(scene.world, "1002", 2)
    let call = try await scene.carrier.call("+15550700")
    try await call.answered()
    try await scene.world.settle()
    async let moved: Void = scene.world.gateway.transferPhone(
      room: "sales", identity: "sip_+4930123", to: .user("1002"))
    let inner = try await bob.incoming()
    #expect(scene.rooms.departures.isEmpty, "it stays until somebody answers")
    try await inner.answer()
    try await moved
    #expect(scene.rooms.departures == [.hungUp])
    // And 1002 sends it back.
    try await inner.send(.refer, [(.referTo, "<sip:701@parley.test>")])
    #expect(try await bob.response(.refer).status == 202)
    try await scene.world.settle()
    #expect(scene.rooms.entries.map(\.room) == ["sales", "support"] && scene.rooms.isConnected(2))
    try await call.bye()
    scene.world.clear()
    #expect(scene.rooms.departures == [.hungUp, .hungUp])
  }

  @Test func aMoveThatFailsLeavesThePhoneWhereItIs() async throws {
    let scene = try await Scene()
    let bob = try await Agent.phone(scene.world, "1002", 2)
    let call = try await scene.carrier.call("+15550700")
    try await call.answered()
    try await scene.world.settle()
    let moving = Task {
      do throws(PhoneError) {
        try await scene.world.gateway.transferPhone(room: "sales", identity: "sip_+4930123", to: .user("1002"))
        return PhoneError?.none
      } catch {
        return error
      }
    }
    let inner = try await bob.incoming()
    await inner.reply(486)
    #expect(await moving.value?.kind == .busy)
    #expect(scene.rooms.departures.isEmpty)
    try await call.bye()
    #expect(scene.rooms.departures == [.hungUp])
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aPhoneIsMovedFromRoomToRoom() async throws {
    let scene = try await Scene()
    let call = try await scene.carrier.call("+15550700")
    try await call.answered()
    try await scene.world.settle()
    try await scene.world.gateway.transferPhone(room: "sales", identity: "sip_+4930123", to: .room("board"))
    #expect(scene.rooms.entries.map(\.room) == ["sales", "board"] && scene.rooms.departures == [.hungUp])
    await #expect(throws: PhoneError.self) {
      try await scene.world.gateway.transferPhone(room: "sales", identity: "sip_+4930123", to: .room("board"))
    }
    try await call.bye()
    #expect(scene.rooms.departures == [.hungUp, .hungUp])
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aReferFromARoomCallsSomebodyIntoIt() async throws {
    let scene = try await Scene()
    let bob = try await Agent.phone(scene.world, "1002", 2)
    let ann = try await Agent.phone(scene.world, "1001", 3)
    let call = try await ann.call("701")
    try await call.answered()
    try await scene.world.settle()
    try await call.send(.refer, [(.referTo, "<sip:1002@parley.test>")])
    #expect(try await ann.response(.refer).status == 202)
    let invited = try await bob.incoming()
    try await invited.answer()
    try await scene.world.settle()
    #expect(scene.rooms.entries.map(\.room) == ["support", "support"] && scene.rooms.isConnected(2))
    #expect(scene.rooms.departures.isEmpty, "who refers stays")
    try await invited.bye()
    try await call.bye()
    #expect(scene.rooms.departures == [.hungUp, .hungUp])
  }

  @Test func aPlaceInARoomIsHandedOver() async throws {
    let scene = try await Scene()
    let ann = try await Agent.phone(scene.world, "1001", 3)
    // The carrier talks to 1001, who asks in the room and then sends the carrier there in its place.
    let talk = try await ann.call("9555")
    let far = try await scene.carrier.incoming()
    try await far.answer()
    try await talk.answered()
    let consult = try await ann.call("701")
    try await consult.answered()
    try await scene.world.settle()
    let replaces = "\(consult.callID)%3Bto-tag%3D\(consult.toTag ?? "")%3Bfrom-tag%3Dcaller"
    try await talk.send(.refer, [(.referTo, "<sip:701@parley.test?Replaces=\(replaces)>")])
    #expect(try await ann.response(.refer).status == 202)
    try await consult.awaitBye()
    try await scene.world.settle()
    #expect(scene.rooms.entries.map(\.room) == ["support", "support"])
    #expect(scene.rooms.departures == [.hungUp] && scene.rooms.isConnected(2))
    try await far.bye()
    #expect(scene.rooms.departures == [.hungUp, .hungUp])
  }
}
