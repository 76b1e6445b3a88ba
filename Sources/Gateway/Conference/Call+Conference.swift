import Audio
import Core
import Logging
import SIP

/// Calls that lead into rooms. The phone stands on the caller's side; the mix is what it hears.
extension Call {
  // MARK: Dial-in

  /// The caller goes into a room. Who is not let in hears a busy line: nothing was answered, nothing is charged.
  func enterRoom(_ name: String) async {
    guard let rooms = core.rooms else {
      await refuse(501, reason: "rooms are not served here", by: .system, cause: 501)
      return
    }
    if let refusal = Self.refusal(rooms.standing(of: name)) {
      let status = Self.status(of: refusal)
      await refuse(status, reason: Self.words(refusal), by: .system, cause: status)
      return
    }
    guard await answerCaller() else { return }
    let entry = phoneEntry(of: caller, room: name)
    do {
      try takeSeat(entry)
    } catch {
      await end(by: .system, status: 200, reason: Self.words(error))
      return
    }
    await connectConference()
    announceAnswer()
  }

  /// Sends the 200; false where that ended the call.
  func answerCaller() async -> Bool {
    do {
      try await caller.answer()
    } catch {
      let status = Self.status(of: error)
      await refuse(status, reason: "media: \(error)", by: .system, cause: status)
      return false
    }
    guard phase == .setup || phase == .ringing else { return false }
    becomeAnswered()
    return true
  }

  /// Takes a seat for the leg on the caller's side, and records the room as the other.
  @discardableResult
  func takeSeat(
    _ entry: PhoneEntry, language: String? = nil, stage: Conference.Stage = .seated
  ) throws(EntryRefusal) -> Conference {
    guard let rooms = core.rooms else { throw .refused("rooms are not served here") }
    let seat = try rooms.enter(entry, call: id)
    let conference = Conference(
      call: self, room: entry.room, seat: seat, isHost: entry.isHost,
      language: language ?? core.configuration.menu.languages.first ?? "en", stage: stage)
    self.conference = conference
    seatedAs = entry
    return conference
  }

  /// Joins the phone with the room, now that it is known how it sounds.
  func connectConference() async {
    guard let conference else { return }
    recordRoom(conference.room)
    builtIn = conference.connect(caller)
    await updateSources()
  }

  private func recordRoom(_ name: String) {
    let leg = core.makeRoomLeg(name, call: self)
    leg.record.answeredAt = .now()
    store(leg)
  }

  /// How the phone behind `leg` is shown in the room.
  func phoneEntry(of leg: SIPLeg, room: String) -> PhoneEntry {
    let isFirst = leg === members.first
    let number = isFirst ? record.from : leg.dialog?.remoteURI.uri.user ?? record.to
    var display = isFirst ? record.fromDisplay : leg.dialog?.remoteTarget.user ?? ""
    if case .user(let name) = leg.party { display = core.directory.user(name)?.display ?? display }
    if display.isEmpty || !isFirst && !leg.isUser { display = "Phone \(number)" }
    var entry = PhoneEntry(room: room, identity: "sip_\(number)", name: String(display.prefix(200)))
    entry.attributes = attributes(of: leg, number: number, called: isFirst ? record.to : record.from)
    entry.attributes[PhoneAttribute.status] = PhoneStatus.automation.rawValue
    return entry
  }

  /// The attributes of LiveKit's SIP service.
  func attributes(of leg: SIPLeg, number: String, called: String) -> [String: String] {
    var attributes = [
      PhoneAttribute.callID: id, PhoneAttribute.fullCallID: leg.callID, PhoneAttribute.phoneNumber: number,
    ]
    if case .trunk(let trunk) = leg.party {
      attributes[PhoneAttribute.trunkID] = trunk.name
      attributes[PhoneAttribute.trunkPhoneNumber] = called
      attributes[PhoneAttribute.hostname] = trunk.host
    }
    return attributes
  }

  // MARK: Transfers

  /// A transfer whose target is a room: the transferee enters it, whoever was on the other side is released.
  func completeTransfer(intoRoom name: String) async {
    guard let transfer else { return }
    guard let name = room(name, of: transfer.target) else {
      return await transferFailed(403, reason: "the room asks for a PIN, or no rule takes the call")
    }
    let old = conference
    var entry = phoneEntry(of: transfer.transferee, room: name)
    // Who goes from room to room stays who it is, and hides what it hid.
    if let before = seatedAs, old != nil, transfer.transferee === caller {
      (entry.identity, entry.name, entry.metadata) = (before.identity, before.name, before.metadata)
      entry.attributes = before.attributes
      entry.attributes[PhoneAttribute.status] = PhoneStatus.automation.rawValue
    }
    do {
      try takeSeat(entry)
    } catch {
      return await transferFailed(Self.status(of: error), reason: Self.words(error))
    }
    old?.leave()
    recordRoom(name)
    await completeTransfer(with: nil, builtIn: conference?.connect(transfer.transferee))
  }

  /// The room itself, where only a rule knows it. Nobody can be asked for a PIN in the middle of a transfer.
  private func room(_ name: String, of target: RoutedCall) -> String? {
    guard name.isEmpty, let inquiry = target.dialIn else { return name }
    var random = SystemRandomNumberGenerator()
    guard case .admitted(let place) = core.directory.dialIn.dispatch(inquiry, random: &random) else { return nil }
    return place.room
  }

  /// A phone in a room refers to somebody: the room calls (RFC 4579 §5.5), and the phone stays or leaves as it likes.
  func inviteIntoRoom(_ dialled: String, by leg: SIPLeg, request: TransferRequest) {
    guard let conference, core.route(dialled, by: leg.party) != nil else {
      return request.report(404, StatusPhrase.standard(404))
    }
    var dialOut = DialOut(
      room: conference.room, identity: "sip_\(dialled)", route: .directory, number: dialled)
    dialOut.callerNumber = record.from
    dialOut.waitsForAnswer = true
    request.report(100, StatusPhrase.standard(100))
    var payer: String?
    if case .user(let name) = leg.party { payer = name }
    if let payer, core.callsCharged(to: payer) >= core.configuration.maximumCallsPerUser {
      return request.report(486, "\(payer) has too many calls")
    }
    core.originate(dialOut, addresses: [], responsible: payer) { result in
      switch result {
      case .success: request.report(200, StatusPhrase.standard(200))
      case .failure(let error): request.report(error.sipStatus ?? 503, error.message)
      }
    }
  }

  // MARK: Refusals

  static func refusal(_ standing: RoomStanding) -> EntryRefusal? {
    if standing.isLocked { return .locked }
    if standing.isFull { return .full }
    return standing.isOpen ? nil : .noRoom
  }

  static func status(of refusal: EntryRefusal) -> Int {
    switch refusal {
    case .full: 486
    case .locked: 403
    case .noRoom: 404
    case .shuttingDown: 503
    case .refused: 403
    }
  }

  static func words(_ refusal: EntryRefusal) -> String {
    switch refusal {
    case .full: "the conference is full"
    case .locked: "the conference is locked"
    case .noRoom: "there is no such conference"
    case .shuttingDown: "the server is shutting down"
    case .refused(let why): "the conference refused the phone: \(why)"
    }
  }

  // MARK: Events

  /// Something befell a seat of this call; perhaps one that it has left meanwhile.
  func seat(_ seat: SeatID, _ event: SeatEvent) async {
    guard let conference, conference.seat.id == seat else { return }
    await conference.receive(event)
  }

  /// What the phone is to hear instead of the other side.
  func play(_ source: HostedSource) async {
    builtIn = source
    await updateSources()
  }

  /// Of the caller's side, where it is in a room or on its way there.
  func conferenceMedia(_ event: HostedLegEvent) async {
    switch event {
    case .dtmf(let key):
      if let dialIn { await dialIn.press(key) } else if transfer == nil { await conference?.pressed(key) }
    case .clipEnded: if let dialIn { await dialIn.clipEnded() } else { await conference?.farewellSaid() }
    default: break
    }
  }

  func conferenceTimer(_ timer: CallTimer) async {
    switch timer {
    case .featureKey: await conference?.keyExpired()
    case .conferenceDigits: conference?.pressNext()
    case .conferenceFarewell: await conference?.farewellSaid()
    case .menu: await dialIn?.timerFired()
    case .hostWatch: await dialIn?.watchHost()
    case .conferenceLimit: await end(by: .system, status: 200, reason: "the longest time of the call is over")
    default: break
    }
  }

  /// The call ends, or its phone goes elsewhere.
  func leaveConference(status: Int? = nil) {
    dialIn?.stop()
    dialIn = nil
    conference?.leave(status: status)
    conference = nil
  }
}
