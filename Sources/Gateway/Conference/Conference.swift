import Audio
import Bridge
import Core
import Logging
import SDP
import SIP

/// A call's stay in a room: the phone's seat there, what its keys mean and what it is told. Lives in the call's mailbox.
///
/// The phone's leg stands on the caller's side of the call while it sits in a room; nobody stands on the other.
final class Conference {
  enum Stage {
    /// A phone is being rung into the room.
    case dialling
    case seated
    /// It hears why, and then the call ends.
    case leaving
    case left
  }

  unowned let call: Call
  let room: String
  let seat: PhoneSeat
  let isHost: Bool
  let language: String
  var stage: Stage
  /// The mix and the phone's own sound; nil before the phone is connected.
  private(set) var port: ConferencePort?
  /// Of a phone that was rung from here.
  var dialling: Dialling?
  private var keys = FeatureKeys()
  private var budget: KeyBudget
  private var script: DigitScript?
  private var isHandUp = false
  private var areAllMuted = false
  private var isRecorded = false
  private var farewell: String?

  init(call: Call, room: String, seat: PhoneSeat, isHost: Bool, language: String, stage: Stage) {
    self.call = call
    self.room = room
    self.seat = seat
    self.isHost = isHost
    self.language = language
    self.stage = stage
    budget = KeyBudget(now: call.core.now)
  }

  private var core: B2BUA { call.core }
  private var rooms: (any ConferenceRooms)? { core.rooms }

  // MARK: Coming

  /// What the phone's leg hears, and the way to be heard. The room's part is joined with the first call.
  func connect(_ leg: SIPLeg) -> HostedSource {
    if let port { return .conference(port) }
    let audio = leg.session?.negotiated
    // A delayed offer is settled later; the port's other side resamples.
    let port = audio.map { ConferencePort(for: $0) } ?? ConferencePort(sampleRate: 16_000)
    self.port = port
    stage = .seated
    rooms?.connect(seat.id, port: port)
    rooms?.setAttributes(seat.id, [PhoneAttribute.status: PhoneStatus.active.rawValue])
    return .conference(port)
  }

  /// The phone that was rung answered.
  func answered() async {
    if let dialling {
      dialling.finish(.success(dialling.phone))
      press(dialling.request.digits)
      if let limit = dialling.request.maximumDuration { core.setTimer(.conferenceLimit, of: call, after: limit) }
    }
  }

  func rings() {
    guard stage == .dialling else { return }
    rooms?.setAttributes(seat.id, [PhoneAttribute.status: PhoneStatus.ringing.rawValue])
  }

  // MARK: Going

  /// The call ends, or goes on elsewhere: the seat is given up.
  func leave(status: Int? = nil) {
    guard stage != .left else { return }
    let wasDialling = stage == .dialling
    stage = .left
    core.cancelTimer(.featureKey, of: call)
    core.cancelTimer(.conferenceDigits, of: call)
    core.cancelTimer(.conferenceLimit, of: call)
    guard wasDialling else {
      rooms?.leave(seat.id, .hungUp)
      return
    }
    let status = status ?? 487
    rooms?.leave(seat.id, Self.departure(status))
    dialling?.finish(.failure(Self.error(status, call.record.reason)))
  }

  private static func departure(_ status: Int) -> SeatDeparture {
    switch status {
    case 403, 603, 607, 608: .rejected
    case 404, 408, 410, 480, 484, 486, 487, 600, 604: .unavailable
    default: .trunkFailure
    }
  }

  private static func error(_ status: Int, _ reason: String) -> PhoneError {
    let kind: PhoneError.Kind =
      switch status {
      case 486, 600: .busy
      case 403, 603, 607, 608: .rejected
      case 408, 480: .noAnswer
      case 487: .cancelled
      default: .failed
      }
    return PhoneError(kind, reason.isEmpty ? StatusMap.words(status) : reason, sipStatus: status)
  }

  /// The room does not have the phone any more: it hears why, and is hung up.
  private func leave(saying phrase: Phrase, reason: String) async {
    guard stage == .seated else {
      // Nobody listens yet.
      if stage == .dialling { await call.end(by: .system, status: 487, reason: reason) }
      return
    }
    stage = .leaving
    farewell = reason
    guard let clip = await core.prompts?.clip(phrase, language: language) else {
      return await call.end(by: .system, status: 200, reason: reason)
    }
    guard call.phase == .answered, stage == .leaving else { return }
    core.setTimer(.conferenceFarewell, of: call, after: .seconds(8))
    await call.play(.clip(clip, loops: false))
  }

  /// The last words were said, or take too long.
  func farewellSaid() async {
    guard stage == .leaving else { return }
    await call.end(by: .system, status: 200, reason: farewell ?? "the conference ended")
  }

  // MARK: From the room

  func receive(_ event: SeatEvent) async {
    guard stage != .left, stage != .leaving else { return }
    switch event {
    case .removed(let reason): await leave(saying: .removed, reason: reason)
    case .roomEnded: await leave(saying: .conferenceEnded, reason: "the room ended")
    case .muted(let isMuted): await say(isMuted ? .mutedByHost : .unmutedByHost)
    case .digits(let digits): press(digits)
    case .recording(let isOn):
      isRecorded = isOn
      await say(isOn ? .recordingStarted : .recordingStopped)
    }
  }

  /// Says something to this phone alone.
  func say(_ phrase: Phrase) async {
    guard stage == .seated, let clip = await core.prompts?.clip(phrase, language: language), stage == .seated else {
      return
    }
    rooms?.say(clip, to: seat.id)
  }

  /// The other phones hear who came, in that voice.
  func announceJoined(_ name: AudioClip) async {
    guard stage == .seated, let words = await core.prompts?.clip(.hasJoined, language: language),
      stage == .seated, words.sampleRate == name.sampleRate
    else { return }
    rooms?.announce(AudioClip(sampleRate: name.sampleRate, samples: name.samples + words.samples), from: seat.id)
  }

  // MARK: Keys for the far end

  /// Presses keys for the phone's far end. New ones wait until the old ones are through.
  func press(_ text: String) {
    guard !text.isEmpty, let script = DigitScript(text) else { return }
    guard self.script == nil else {
      self.script?.append(script)
      return
    }
    self.script = script
    pressNext()
  }

  func pressNext() {
    guard stage == .seated, let step = script?.next() else {
      script = nil
      return
    }
    switch step {
    case .keys(let keys):
      let host = call.host
      let id = call.caller.id
      Task { await host.sendDTMF(id, keys) }
      core.setTimer(.conferenceDigits, of: call, after: .milliseconds(160) * keys.count)
    case .pause(let time): core.setTimer(.conferenceDigits, of: call, after: time)
    }
  }

  // MARK: Keys of the phone

  func pressed(_ key: Character) async {
    guard stage == .seated else { return }
    guard budget.take(now: core.now) else { return core.metrics.refused("keys") }
    let meaning = keys.press(key)
    if keys.pending.isEmpty {
      core.cancelTimer(.featureKey, of: call)
    } else {
      core.setTimer(.featureKey, of: call, after: .seconds(3))
    }
    await mean(meaning)
  }

  func keyExpired() async { await mean(keys.expire()) }

  private func mean(_ meaning: FeatureKeys.Meaning?) async {
    switch meaning {
    case .keys(let keys): for key in keys { rooms?.publish(digit: key, from: seat.id) }
    case .code(let code): await perform(code)
    case nil: break
    }
  }

  private func perform(_ code: FeatureCode) async {
    guard let rooms else { return }
    switch code {
    case .toggleMute:
      let wanted = !rooms.isMuted(seat.id)
      let isDone = rooms.setMuted(seat.id, wanted)
      await say(!isDone ? .mayNotUnmute : wanted ? .muted : .unmuted)
    case .toggleHand:
      isHandUp.toggle()
      let time = isHandUp ? String(WallTime.now().milliseconds) : ""
      rooms.setAttributes(seat.id, [PhoneAttribute.hand: time])
      await say(isHandUp ? .handRaised : .handLowered)
    case .sayMenu: await say(.phoneMenu)
    case .sayParticipants: await say(.participants(rooms.standing(of: room).participants))
    case .toggleLock:
      let wanted = !rooms.standing(of: room).isLocked
      await command(wanted ? .lock : .unlock, said: wanted ? .locked : .unlocked)
    case .toggleMuteAll:
      areAllMuted.toggle()
      await command(areAllMuted ? .muteAll : .unmuteAll, said: areAllMuted ? .allMuted : .allUnmuted)
    case .toggleRecording:
      // All who are on the phone hear of it by the room's own event.
      await command(isRecorded ? .stopRecording : .record, said: nil)
    case .endConference: await command(.end, said: nil)
    }
  }

  private func command(_ command: HostCommand, said phrase: Phrase?) async {
    guard isHost, let rooms, rooms.perform(command, by: seat.id) else { return await say(.notAllowed) }
    if let phrase { await say(phrase) }
  }
}

/// A phone that is rung into a room, and who waits to hear of it.
final class Dialling {
  let request: DialOut
  let phone: DialledPhone
  private var completion: ((Result<DialledPhone, PhoneError>) -> Void)?

  init(
    request: DialOut, phone: DialledPhone, completion: ((Result<DialledPhone, PhoneError>) -> Void)?
  ) {
    self.request = request
    self.phone = phone
    self.completion = completion
  }

  func finish(_ result: Result<DialledPhone, PhoneError>) {
    completion?(result)
    completion = nil
  }
}
