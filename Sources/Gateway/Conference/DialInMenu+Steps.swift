package import Core

extension DialInMenu {
  /// The call has been answered.
  package mutating func begin(now: Instant) -> [Action] {
    guard case .idle = state else { return [] }
    overallDeadline = now + configuration.overallTimeout
    guard configuration.greets else { return chooseLanguage(now) }
    state = .greeting
    return [play([.welcome], now)]
  }

  package mutating func handle(_ event: Event, now: Instant) -> [Action] {
    switch event {
    case .digit(let digit): press(digit, now)
    case .played(let playback): played(playback, now)
    case .answer(let answer): receive(answer, now)
    case .hostArrived: hostArrived(now)
    case .conferenceEnded: conferenceEnded(now)
    case .entered: entered()
    }
  }

  /// Timers that have run out.
  package mutating func advance(to now: Instant) -> [Action] {
    if let deadline = overallDeadline, deadline <= now {
      overallDeadline = nil
      return leave(.timeout, saying: [.goodbye], now)
    }
    guard let deadline = stateDeadline, deadline <= now else { return [] }
    stateDeadline = nil
    switch state {
    case .idle, .inside, .over: return []
    // The end of the prompt has not come: go on as if.
    case .greeting: return chooseLanguage(now)
    case .announcing: return enter(now)
    case .askingName(let answer): return recordName(answer, now)
    case .choosingLanguage: return askDispatcher(now)
    case .askingDispatcher, .entering: return leave(.unavailable, saying: [.serviceFailure], now)
    case .typingPIN: return typed.isEmpty ? missed(.noPINHeard, now) : submit(now)
    case .checkingPIN(_, nil): return leave(.unavailable, saying: [.serviceFailure], now)
    case .checkingPIN(_, .some(let answer)): return act(on: answer, now)
    case .recordingName(let answer): return nameEnded(answer, now)
    case .waitingForHost: return leave(.hostMissing, saying: [.goodbye], now)
    case .leaving(let ending):
      state = .over
      return [.hangUp(ending)]
    }
  }

  // MARK: Keys

  private mutating func press(_ digit: Character, _ now: Instant) -> [Action] {
    switch state {
    case .idle, .inside, .leaving, .over: return []
    default: break
    }
    digits += 1
    guard digits <= configuration.mostDigits else { return leave(.tooManyDigits, saying: [.goodbye], now) }
    switch state {
    case .greeting:
      // A key that is pressed early is meant for what comes next.
      let actions = silence() + chooseLanguage(now)
      if case .choosingLanguage = state { return actions + press(language: digit, now) }
      return actions
    case .choosingLanguage: return press(language: digit, now)
    case .typingPIN: return press(pin: digit, now)
    case .recordingName(let answer): return digit == "#" ? nameEnded(answer, now) : []
    case .announcing: return digit == "#" ? silence() + enter(now) : []
    default: return []
    }
  }

  private mutating func press(language digit: Character, _ now: Instant) -> [Action] {
    guard let number = digit.wholeNumberValue, digit.isASCII, number > 0, number <= configuration.languages.count else {
      return [play([.invalidChoice] + languageChoices, now)]
    }
    language = configuration.languages[number - 1]
    return silence() + askDispatcher(now)
  }

  private mutating func press(pin digit: Character, _ now: Instant) -> [Action] {
    let quiet = silence()
    switch digit {
    case "#": return quiet + (typed.isEmpty ? missed(.noPINHeard, now) : submit(now))
    case "*":
      typed.removeAll(keepingCapacity: true)
      stateDeadline = now + configuration.firstDigitTimeout
    case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9":
      // One more than a PIN may have is kept: it makes the PIN wrong in the same way and after the same time as any.
      if typed.count <= configuration.longestPIN, let value = digit.asciiValue { typed.append(value) }
      stateDeadline = now + configuration.interDigitTimeout
    default: break
    }
    return quiet
  }

  // MARK: Steps

  private var languageChoices: [Phrase] {
    configuration.languages.prefix(9).enumerated().map { .languageChoice(digit: $0.offset + 1, language: $0.element) }
  }

  private mutating func chooseLanguage(_ now: Instant) -> [Action] {
    guard configuration.languages.count > 1 else { return askDispatcher(now) }
    state = .choosingLanguage
    return [play(languageChoices, now)]
  }

  private mutating func askDispatcher(_ now: Instant) -> [Action] {
    state = .askingDispatcher
    stateDeadline = now + configuration.answerTimeout
    return [.dispatch(pin: nil)]
  }

  private mutating func submit(_ now: Instant) -> [Action] {
    let pin = String(decoding: typed, as: UTF8.self)
    typed.removeAll(keepingCapacity: true)
    state = .checkingPIN(due: now + configuration.answerDelay, answer: nil)
    stateDeadline = now + configuration.answerTimeout
    return [.dispatch(pin: pin)]
  }

  /// An attempt without success.
  private mutating func missed(_ phrase: Phrase, _ now: Instant) -> [Action] {
    attempts += 1
    guard attempts < configuration.attempts else {
      return leave(.tooManyAttempts, saying: [.tooManyAttempts, .goodbye], now)
    }
    state = .typingPIN
    typed.removeAll(keepingCapacity: true)
    return [play([phrase, .enterPIN], now)]
  }

  private mutating func receive(_ answer: Answer, _ now: Instant) -> [Action] {
    switch state {
    case .askingDispatcher: return act(on: answer, now)
    case .checkingPIN(let due, nil):
      guard due > now else { return act(on: answer, now) }
      state = .checkingPIN(due: due, answer: answer)
      stateDeadline = due
      return []
    case .entering:
      // Between the admission and the way in the conference has become full, locked or empty.
      return act(on: answer, now)
    default: return []
    }
  }

  private mutating func act(on answer: Answer, _ now: Instant) -> [Action] {
    switch answer {
    case .pinRequired:
      state = .typingPIN
      typed.removeAll(keepingCapacity: true)
      return [play([.enterPIN], now)]
    case .wrongPIN: return missed(.wrongPIN, now)
    case .admitted, .waitForHost:
      overallDeadline = nil
      guard configuration.asksForName else { return admit(answer, now) }
      state = .askingName(answer)
      return [play([.sayName], now)]
    case .lockedOut: return leave(.lockedOut, saying: [.tryAgainLater, .goodbye], now)
    case .noSuchConference: return leave(.noSuchConference, saying: [.noSuchConference, .goodbye], now)
    case .conferenceFull: return leave(.conferenceFull, saying: [.conferenceFull, .goodbye], now)
    case .conferenceLocked: return leave(.conferenceLocked, saying: [.conferenceLocked, .goodbye], now)
    case .unavailable: return leave(.unavailable, saying: [.serviceFailure], now)
    }
  }

  private mutating func recordName(_ answer: Answer, _ now: Instant) -> [Action] {
    state = .recordingName(answer)
    stateDeadline = now + configuration.longestName
    return [.recordName]
  }

  private mutating func nameEnded(_ answer: Answer, _ now: Instant) -> [Action] {
    [.stopRecordingName] + admit(answer, now)
  }

  private mutating func admit(_ answer: Answer, _ now: Instant) -> [Action] {
    guard case .admitted(let participants, let isRecorded) = answer else {
      state = .waitingForHost
      let actions = [play([.waitingForHost], now)]
      stateDeadline = now + configuration.hostTimeout
      return actions
    }
    var phrases: [Phrase] = isRecorded ? [.beingRecorded] : []
    if participants <= 0 {
      phrases.append(.youAreFirst)
    } else if configuration.announcesParticipants {
      phrases.append(.participants(participants == Int.max ? participants : participants + 1))
    }
    return announce(phrases, now)
  }

  private mutating func announce(_ phrases: [Phrase], _ now: Instant) -> [Action] {
    guard !phrases.isEmpty else { return enter(now) }
    state = .announcing
    return [play(phrases, now)]
  }

  private mutating func hostArrived(_ now: Instant) -> [Action] {
    guard case .waitingForHost = state else { return [] }
    return announce([.hostHasJoined], now)
  }

  private mutating func conferenceEnded(_ now: Instant) -> [Action] {
    switch state {
    case .waitingForHost, .announcing, .entering, .recordingName, .askingName:
      return leave(.conferenceEnded, saying: [.conferenceEnded, .goodbye], now)
    default: return []
    }
  }

  private mutating func enter(_ now: Instant) -> [Action] {
    state = .entering
    stateDeadline = now + configuration.answerTimeout
    return [.enter(language: language)]
  }

  private mutating func entered() -> [Action] {
    guard case .entering = state else { return [] }
    state = .inside
    (stateDeadline, overallDeadline) = (nil, nil)
    return []
  }

  private mutating func leave(_ ending: Ending, saying phrases: [Phrase], _ now: Instant) -> [Action] {
    var actions: [Action] = []
    if case .recordingName = state { actions.append(.stopRecordingName) }
    typed.removeAll()
    overallDeadline = nil
    state = .leaving(ending)
    return actions + [play(phrases, now)]
  }

  // MARK: Sound

  /// No prompt is longer; one whose end is not told does not hold a caller for ever.
  private static let longestPrompt = Duration.seconds(30)

  private mutating func play(_ phrases: [Phrase], _ now: Instant) -> Action {
    playbacks += 1
    let playback = Playback(rawValue: playbacks)
    self.playback = playback
    stateDeadline = now + Self.longestPrompt
    return .play(phrases, language: language, playback)
  }

  private mutating func silence() -> [Action] {
    guard playback != nil else { return [] }
    playback = nil
    return [.stopPlaying]
  }

  private mutating func played(_ playback: Playback, _ now: Instant) -> [Action] {
    guard self.playback == playback else { return [] }
    self.playback = nil
    switch state {
    case .greeting: return chooseLanguage(now)
    case .choosingLanguage, .typingPIN:
      stateDeadline = now + configuration.firstDigitTimeout
      return []
    case .askingName(let answer): return recordName(answer, now)
    case .announcing: return enter(now)
    case .waitingForHost: return [.playMusic]
    case .leaving(let ending):
      state = .over
      stateDeadline = nil
      return [.hangUp(ending)]
    case .idle, .askingDispatcher, .checkingPIN, .recordingName, .entering, .inside, .over: return []
    }
  }
}
