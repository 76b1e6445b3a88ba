import Audio
import Bridge
import Core
import Logging
import SIP

/// A caller's way into a room: does what the menu says, and tells it what comes of that. Lives in the call's mailbox.
final class DialIn {
  unowned let call: Call
  /// What the dispatcher is asked.
  let inquiry: DialInCall
  private var menu: DialInMenu
  private var place: DialInPlace?
  private var playback: (id: DialInMenu.Playback, end: Instant)?
  private var isOver = false
  /// Takes what the caller says for a name.
  private var capture: ConferencePort?
  private var name: AudioClip?

  init(call: Call, inquiry: DialInCall) {
    self.call = call
    self.inquiry = inquiry
    menu = DialInMenu(call.core.configuration.menu)
  }

  private var core: B2BUA { call.core }

  func begin() async { await perform(menu.begin(now: core.now)) }

  func press(_ key: Character) async { await handle(.digit(key)) }

  func clipEnded() async {
    // The end of a clip that has been replaced meanwhile comes too early for this one.
    guard let playback, core.now >= playback.end - .milliseconds(250) else { return }
    self.playback = nil
    await handle(.played(playback.id))
  }

  func timerFired() async { await perform(menu.advance(to: core.now)) }

  /// Somebody waits for the host: looks again.
  func watchHost() async {
    guard let place, let rooms = core.rooms, !isOver else { return }
    if rooms.standing(of: place.room).hasHost { return await handle(.hostArrived) }
    core.setTimer(.hostWatch, of: call, after: .milliseconds(500))
  }

  /// Nothing of this is wanted any more: the call ends or is elsewhere.
  func stop() {
    isOver = true
    core.cancelTimer(.menu, of: call)
    core.cancelTimer(.hostWatch, of: call)
  }

  private func handle(_ event: DialInMenu.Event) async {
    guard !isOver else { return }
    await perform(menu.handle(event, now: core.now))
  }

  private func perform(_ actions: [DialInMenu.Action]) async {
    for action in actions {
      guard !isOver, call.phase == .answered else { return }
      await perform(action)
    }
    guard !isOver, let deadline = menu.nextDeadline else { return core.cancelTimer(.menu, of: call) }
    core.setTimer(.menu, of: call, after: max(.milliseconds(1), deadline - core.now))
  }

  private func perform(_ action: DialInMenu.Action) async {
    switch action {
    case .play(let phrases, let language, let id): await play(phrases, language, id)
    case .stopPlaying:
      playback = nil
      await call.play(.silence)
    case .playMusic:
      await call.play(.holdMusic)
      await watchHost()
    case .dispatch(let pin): await handle(.answer(answer(to: pin)))
    case .recordName:
      let port = ConferencePort(sampleRate: SpokenName.sampleRate, milliseconds: SpokenName.longest)
      capture = port
      await call.play(.conference(port))
    case .stopRecordingName:
      name = capture.flatMap { SpokenName.clip(of: $0.takeSpeech()) }
      capture = nil
      await call.play(.silence)
    case .enter(let language): await enter(language)
    case .hangUp(let ending):
      stop()
      core.metrics.refused("dial-in-\(ending.rawValue)")
      await call.end(by: .system, status: 200, reason: "dial-in: \(ending.rawValue)")
    }
  }

  private func play(_ phrases: [Phrase], _ language: String, _ id: DialInMenu.Playback) async {
    var clips: [AudioClip] = []
    for phrase in phrases {
      if let clip = await core.prompts?.clip(phrase, language: language) { clips.append(clip) }
    }
    guard !isOver, call.phase == .answered else { return }
    guard let first = clips.first else { return await handle(.played(id)) }
    let clip = AudioClip(sampleRate: first.sampleRate, samples: clips.flatMap(\.samples))
    playback = (id, core.now + .milliseconds(clip.samples.count * 1_000 / max(1, clip.sampleRate)))
    await call.play(.clip(clip, loops: false))
  }

  // MARK: The dispatcher

  private func answer(to pin: String?) -> DialInMenu.Answer {
    let now = core.now
    var random = SystemRandomNumberGenerator()
    var attempt: PINGuard.Attempt?
    if let pin, !pin.isEmpty {
      guard case .allowed(let allowed) = core.pinGuard.begin(caller: inquiry.caller, target: inquiry.called, now: now)
      else {
        core.metrics.refused("pin-locked-out")
        return .lockedOut
      }
      attempt = allowed
    } else if core.pinGuard.lockOut(caller: inquiry.caller, target: inquiry.called, now: now) != nil,
      case .pinRequired = core.directory.dialIn.dispatch(inquiry, random: &random)
    {
      return .lockedOut
    }
    switch core.directory.dialIn.dispatch(inquiry, pin: pin, random: &random) {
    case .admitted(let place):
      if let attempt { core.pinGuard.succeeded(attempt) }
      self.place = place
      return standing(of: place)
    case .pinRequired: return .pinRequired
    case .wrongPIN:
      core.metrics.refused("pin-wrong")
      call.logger.notice("wrong PIN", metadata: ["caller": "\(inquiry.caller)", "called": "\(inquiry.called)"])
      return .wrongPIN
    case .noRule: return .noSuchConference
    }
  }

  private func standing(of place: DialInPlace) -> DialInMenu.Answer {
    guard let standing = core.rooms?.standing(of: place.room) else { return .unavailable }
    if standing.isLocked, !place.isHost { return .conferenceLocked }
    if standing.isFull { return .conferenceFull }
    if !standing.isOpen { return .noSuchConference }
    if place.waitsForHost, !standing.hasHost { return .waitForHost }
    return .admitted(participants: standing.participants, isRecorded: standing.isRecorded)
  }

  // MARK: In

  private func enter(_ language: String) async {
    guard let place else { return await handle(.answer(.noSuchConference)) }
    do {
      try await call.enter(place, language: language)
    } catch {
      let answer: DialInMenu.Answer =
        switch error {
        case .full: .conferenceFull
        case .locked: .conferenceLocked
        case .noRoom: .noSuchConference
        case .shuttingDown, .refused: .unavailable
        }
      return await handle(.answer(answer))
    }
    await handle(.entered)
    if let name { await call.conference?.announceJoined(name) }
    stop()
    call.dialIn = nil
  }
}

/// A caller's name in the caller's voice.
enum SpokenName {
  static let sampleRate = 16_000
  /// Milliseconds.
  static let longest = 6_000

  /// What was said, without the silence around it; nil where nothing was.
  static func clip(of samples: [Int16]) -> AudioClip? {
    let block = sampleRate / 50
    let loud = stride(from: 0, to: samples.count - block + 1, by: block).filter { start in
      // A mean of 300 is about -40 dBFS: speech on any line, and above its noise.
      samples[start..<start + block].reduce(0) { $0 + abs(Int($1)) } > 300 * block
    }
    guard let first = loud.first, let last = loud.last, last - first >= sampleRate / 5 else { return nil }
    let start = max(0, first - 5 * block)
    let end = min(samples.count, last + 10 * block)
    return AudioClip(sampleRate: sampleRate, samples: Array(samples[start..<end]))
  }
}

extension Call {
  /// A call that is for a room: straight in, or through the menu where a PIN, a language or a host is waited for.
  func leadIntoRoom(_ name: String) async {
    guard let inquiry = routed.dialIn else { return await enterRoom(name) }
    guard let rooms = core.rooms else { return await enterRoom(name) }
    var random = SystemRandomNumberGenerator()
    let menu = core.configuration.menu
    switch core.directory.dialIn.dispatch(inquiry, random: &random) {
    case .noRule:
      await refuse(404, reason: "no rule takes the call", by: .system, cause: 404)
    case .admitted(let place) where !menu.greets && !menu.asksForName && !place.waitsForHost:
      if let refusal = Self.refusal(rooms.standing(of: place.room)) {
        let status = Self.status(of: refusal)
        await refuse(status, reason: Self.words(refusal), by: .system, cause: status)
        return
      }
      guard await answerCaller() else { return }
      do {
        try await enter(place, language: menu.languages.first ?? "en")
        announceAnswer()
      } catch {
        await end(by: .system, status: 200, reason: Self.words(error))
      }
    case .admitted, .pinRequired, .wrongPIN:
      guard await answerCaller() else { return }
      announceAnswer()
      let dialIn = DialIn(call: self, inquiry: inquiry)
      self.dialIn = dialIn
      await dialIn.begin()
    }
  }

  /// Into the room, as a rule says.
  func enter(_ place: DialInPlace, language: String) async throws(EntryRefusal) {
    var entry = phoneEntry(of: caller, room: place.room)
    entry.identity = place.identity
    entry.name = place.name
    entry.metadata = place.metadata
    entry.isHost = place.isHost
    // What a rule hides is not to be told by the call.
    if place.attributes[PhoneAttribute.phoneNumber] == nil {
      entry.attributes[PhoneAttribute.phoneNumber] = nil
      entry.attributes[PhoneAttribute.hostname] = nil
    }
    entry.attributes.merge(place.attributes) { $1 }
    entry.roomConfiguration = place.roomConfiguration
    try takeSeat(entry, language: language)
    if let limit = place.maximumDuration, limit > 0 {
      core.setTimer(.conferenceLimit, of: self, after: .milliseconds(Int64(min(limit, 1_000_000) * 1_000)))
    }
    await connectConference()
  }
}
