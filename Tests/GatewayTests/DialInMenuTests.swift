import Core
import Testing

@testable import Gateway

@Suite struct DialInMenuTests {
  /// A menu with its clock; keeps what it did.
  struct Caller {
    var menu: DialInMenu
    var now = Instant.zero
    var actions: [DialInMenu.Action] = []

    init(_ configure: (inout DialInMenu.Configuration) -> Void = { _ in }, languages: [String] = ["en"]) {
      var configuration = DialInMenu.Configuration(languages: languages)
      configuration.greets = false
      configure(&configuration)
      menu = DialInMenu(configuration)
      actions = menu.begin(now: now)
    }

    mutating func tell(_ event: DialInMenu.Event) { actions = menu.handle(event, now: now) }

    mutating func press(_ digits: String) {
      actions = []
      for digit in digits { actions += menu.handle(.digit(digit), now: now) }
    }

    /// The prompt that plays is heard to its end.
    mutating func hearOut() {
      let played = actions.compactMap { action -> DialInMenu.Playback? in
        if case .play(_, _, let playback) = action { playback } else { nil }
      }
      if let last = played.last { tell(.played(last)) }
    }

    /// Lets the time pass, and timers with it.
    mutating func wait(_ duration: Duration) {
      let end = now + duration
      actions = []
      while let next = menu.nextDeadline, next <= end {
        now = max(now, next)
        actions += menu.advance(to: now)
      }
      now = end
    }

    /// What was said last, and everything that was asked of the shell.
    var said: [Phrase]? {
      actions.compactMap { action -> [Phrase]? in
        if case .play(let phrases, _, _) = action { phrases } else { nil }
      }.last
    }
    var pins: [String?] {
      actions.compactMap { action -> String?? in
        if case .dispatch(let pin) = action { .some(pin) } else { nil }
      }
    }
    var ending: DialInMenu.Ending? {
      actions.compactMap { action -> DialInMenu.Ending? in
        if case .hangUp(let ending) = action { ending } else { nil }
      }.first
    }
  }

  @Test func aDirectNumberLeadsIn() {
    var caller = Caller()
    #expect(caller.pins == [nil])
    caller.tell(.answer(.admitted(participants: 2, isRecorded: false)))
    #expect(caller.said == [.participants(3)])
    caller.hearOut()
    #expect(caller.actions == [.enter(language: "en")])
    caller.tell(.entered)
    #expect(caller.menu.isInside && caller.menu.nextDeadline == nil)
    caller.press("123#")
    #expect(caller.actions.isEmpty)
  }

  @Test func greetingAndLanguageComeFirst() {
    var caller = Caller({ $0.greets = true }, languages: ["en", "de"])
    #expect(caller.said == [.welcome])
    caller.hearOut()
    #expect(caller.said == [.languageChoice(digit: 1, language: "en"), .languageChoice(digit: 2, language: "de")])
    caller.press("2")
    #expect(caller.actions == [.stopPlaying, .dispatch(pin: nil)])
    caller.tell(.answer(.pinRequired))
    if case .play(_, let language, _) = caller.actions[0] { #expect(language == "de") } else { Issue.record("silence") }
  }

  @Test func aKeyInTheGreetingChoosesTheLanguage() {
    var caller = Caller({ $0.greets = true }, languages: ["en", "de"])
    caller.press("2")
    #expect(caller.menu.language == "de" && caller.pins == [nil])
  }

  @Test func whoChoosesNoLanguageGetsTheFirst() {
    var caller = Caller(languages: ["de", "en"])
    caller.press("7")
    #expect(caller.said?.first == .invalidChoice)
    caller.hearOut()
    caller.wait(.seconds(10))
    #expect(caller.pins == [nil] && caller.menu.language == "de")
  }

  private func asked(_ configure: (inout DialInMenu.Configuration) -> Void = { _ in }) -> Caller {
    var caller = Caller(configure)
    caller.tell(.answer(.pinRequired))
    return caller
  }

  @Test func aWrongAndThenARightPIN() {
    var caller = asked()
    #expect(caller.said == [.enterPIN])
    caller.press("12")
    #expect(caller.actions == [.stopPlaying])
    caller.press("34#")
    #expect(caller.pins == ["1234"])
    caller.tell(.answer(.wrongPIN))
    caller.wait(.milliseconds(500))
    #expect(caller.said == [.wrongPIN, .enterPIN])
    caller.press("4321#")
    #expect(caller.pins == ["4321"])
    caller.tell(.answer(.admitted(participants: 0, isRecorded: true)))
    caller.wait(.milliseconds(500))
    #expect(caller.said == [.beingRecorded, .youAreFirst])
    caller.hearOut()
    #expect(caller.actions == [.enter(language: "en")])
  }

  @Test func threeWrongPINsEndTheCall() {
    var caller = asked()
    for attempt in 1...3 {
      caller.press("\(attempt)#")
      caller.tell(.answer(.wrongPIN))
      caller.wait(.milliseconds(500))
    }
    #expect(caller.said == [.tooManyAttempts, .goodbye])
    caller.press("4#")
    #expect(caller.actions.isEmpty)
    caller.hearOut()
    caller.wait(.seconds(31))
    #expect(caller.ending == .tooManyAttempts && caller.menu.isOver && caller.menu.nextDeadline == nil)
  }

  @Test func answersComeAfterTheSameTimeWhateverTheyAre() {
    // A right PIN, a wrong one, one with a right beginning, one that is too long, a locked-out caller.
    let answers: [(String, DialInMenu.Answer)] = [
      ("1234", .admitted(participants: 0, isRecorded: false)), ("9999", .wrongPIN), ("1235", .wrongPIN),
      (String(repeating: "1", count: 90), .wrongPIN), ("1", .lockedOut),
    ]
    for (pin, answer) in answers {
      for delay in [0, 100, 499] {
        var caller = asked()
        caller.press(pin + "#")
        #expect(caller.pins.count == 1)
        caller.wait(.milliseconds(delay))
        caller.tell(.answer(answer))
        #expect(caller.actions.isEmpty)
        caller.wait(.milliseconds(499 - delay))
        #expect(caller.actions.isEmpty, "\(pin) after less than the delay")
        caller.wait(.milliseconds(1))
        #expect(caller.said != nil, "\(pin)")
      }
    }
  }

  @Test func nothingIsAskedBeforeThePINIsComplete() {
    var caller = asked()
    caller.press("1234567890123456")
    #expect(caller.pins.isEmpty)
    caller.wait(.milliseconds(4_999))
    #expect(caller.pins.isEmpty)
    caller.wait(.milliseconds(1))
    #expect(caller.pins == ["1234567890123456"])
  }

  @Test func theStarBeginsAnew() {
    var caller = asked()
    caller.press("12*34#")
    #expect(caller.pins == ["34"])
  }

  @Test func noPINIsAnAttemptToo() {
    var caller = asked()
    caller.press("#")
    #expect(caller.said == [.noPINHeard, .enterPIN])
    caller.hearOut()
    caller.wait(.seconds(10))
    #expect(caller.said == [.noPINHeard, .enterPIN])
    caller.hearOut()
    caller.wait(.seconds(10))
    #expect(caller.said == [.tooManyAttempts, .goodbye])
  }

  @Test func aFloodOfDigitsIsBoundedAndEndsTheCall() {
    var caller = asked()
    caller.press(String(repeating: "5", count: 150))
    #expect(caller.menu.typed.count == 17)
    #expect(caller.actions == [.stopPlaying])
    caller.press("#")
    // One more than the longest PIN: as wrong as any, and not cut to a right one.
    #expect(caller.pins.first??.count == 17)
    var count = 0
    for _ in 0..<10_000 {
      count += caller.menu.handle(.digit("5"), now: caller.now).count
    }
    #expect(count == 1)
    caller.wait(.seconds(31))
    #expect(caller.ending == .tooManyDigits)
  }

  @Test func keysThatAreNoneAreIgnored() {
    var caller = asked()
    caller.press("1Aé2🙂٣#")
    #expect(caller.pins == ["12"])
  }

  @Test func theWholeMenuIsBoundedInTime() {
    var caller = asked()
    // Somebody who keeps it open with a digit every four seconds.
    for _ in 0..<40 where caller.ending == nil {
      caller.wait(.seconds(4))
      if caller.said != nil { break }
      caller.press("1")
    }
    #expect(caller.now <= Instant.zero + .seconds(124))
    #expect(caller.said == [.goodbye])
    caller.wait(.seconds(31))
    #expect(caller.ending == .timeout)
  }

  @Test func aDispatcherThatIsSilentIsNotWaitedForForEver() {
    var caller = asked()
    caller.press("1#")
    caller.wait(.seconds(10))
    #expect(caller.said == [.serviceFailure])
    caller.tell(.answer(.admitted(participants: 1, isRecorded: false)))
    #expect(caller.actions.isEmpty)
  }

  @Test(arguments: [
    (DialInMenu.Answer.conferenceFull, Phrase.conferenceFull, DialInMenu.Ending.conferenceFull),
    (.conferenceLocked, .conferenceLocked, .conferenceLocked),
    (.noSuchConference, .noSuchConference, .noSuchConference),
    (.lockedOut, .tryAgainLater, .lockedOut),
  ])
  func refusalsAreSaidAndEndTheCall(answer: DialInMenu.Answer, phrase: Phrase, ending: DialInMenu.Ending) {
    var caller = Caller()
    caller.tell(.answer(answer))
    #expect(caller.said == [phrase, .goodbye])
    caller.hearOut()
    #expect(caller.ending == ending)
  }

  @Test func theConferenceFillsUpWhileTheCallerHearsThePrompt() {
    var caller = Caller()
    caller.tell(.answer(.admitted(participants: 2, isRecorded: false)))
    caller.press("#")
    #expect(caller.actions == [.stopPlaying, .enter(language: "en")])
    caller.tell(.answer(.conferenceFull))
    #expect(caller.said == [.conferenceFull, .goodbye])
  }

  @Test func theHostIsWaitedForWithMusic() {
    var caller = Caller()
    caller.tell(.answer(.waitForHost))
    #expect(caller.said == [.waitingForHost])
    caller.hearOut()
    #expect(caller.actions == [.playMusic])
    caller.wait(.seconds(1_000))
    #expect(caller.actions.isEmpty)
    caller.tell(.hostArrived)
    #expect(caller.said == [.hostHasJoined])
    caller.hearOut()
    #expect(caller.actions == [.enter(language: "en")])
  }

  @Test func aHostWhoNeverComesEndsTheWaiting() {
    var caller = Caller()
    caller.tell(.answer(.waitForHost))
    caller.hearOut()
    caller.wait(.seconds(1_800))
    #expect(caller.said == [.goodbye])
    caller.hearOut()
    #expect(caller.ending == .hostMissing)
  }

  @Test func theEndOfTheConferenceEndsTheWaiting() {
    var caller = Caller()
    caller.tell(.answer(.waitForHost))
    caller.tell(.conferenceEnded)
    #expect(caller.said == [.conferenceEnded, .goodbye])
  }

  @Test func theNameIsKeptBeforeTheWayIn() {
    var caller = Caller({ $0.asksForName = true })
    caller.tell(.answer(.admitted(participants: 0, isRecorded: false)))
    #expect(caller.said == [.sayName])
    caller.hearOut()
    #expect(caller.actions == [.recordName])
    caller.press("#")
    #expect(caller.actions.first == .stopRecordingName && caller.said == [.youAreFirst])
    var silent = Caller({ $0.asksForName = true })
    silent.tell(.answer(.waitForHost))
    silent.hearOut()
    silent.wait(.seconds(5))
    #expect(silent.actions.first == .stopRecordingName && silent.said == [.waitingForHost])
  }

  @Test func theEndOfAPromptThatWasReplacedChangesNothing() {
    var caller = Caller(languages: ["en", "de"])
    guard case .play(_, _, let first) = caller.actions[0] else { return }
    caller.press("9")
    caller.tell(.played(first))
    caller.tell(.played(first))
    caller.press("2")
    #expect(caller.pins == [nil] && caller.menu.language == "de")
  }

  @Test func noOrderOfEventsTrapsOrHangs() {
    var random = SeededRandom(seed: 11)
    let answers: [DialInMenu.Answer] = [
      .admitted(participants: .max, isRecorded: true), .admitted(participants: -1, isRecorded: false), .waitForHost,
      .pinRequired, .wrongPIN, .lockedOut, .noSuchConference, .conferenceFull, .conferenceLocked, .unavailable,
    ]
    for _ in 0..<400 {
      var caller = Caller(
        { $0.asksForName = Bool.random(using: &random) },
        languages: Bool.random(using: &random) ? ["en"] : ["en", "de"])
      for _ in 0..<60 {
        switch Int.random(in: 0..<7, using: &random) {
        case 0: caller.tell(.digit("0123456789*#ABCD".randomElement(using: &random) ?? "#"))
        case 1: caller.hearOut()
        case 2: caller.tell(.answer(answers.randomElement(using: &random) ?? .wrongPIN))
        case 3: caller.tell([.hostArrived, .conferenceEnded, .entered].randomElement(using: &random) ?? .entered)
        case 4: caller.tell(.played(.init(rawValue: Int.random(in: 0...9, using: &random))))
        default: caller.wait(.milliseconds(Int.random(in: 0...9_000, using: &random)))
        }
      }
      // Left alone, every call comes to an end or is in the conference.
      if !caller.menu.isInside {
        caller.wait(.seconds(4_000))
        #expect(caller.menu.isOver || caller.menu.isInside)
      }
    }
  }
}
