/// Something that a caller is told. What it sounds like depends on the language: a recorded prompt, or speech.
package enum Phrase: Hashable, Sendable {
  // The way in.
  case welcome
  /// "For English, press 1", in the language that it leads to, whatever the caller's is.
  case languageChoice(digit: Int, language: String)
  case enterPIN, wrongPIN, noPINHeard
  /// The last attempt of this call failed.
  case tooManyAttempts
  /// Attempts of this caller or for this number are refused for a while.
  case tryAgainLater
  case noSuchConference
  case sayName, nameRecorded
  case youAreFirst, waitingForHost, hostHasJoined, joining
  case conferenceFull, conferenceLocked, conferenceEnded
  case invalidChoice, goodbye, serviceFailure

  // In the conference.
  case muted, unmuted, mutedByHost, unmutedByHost, mayNotUnmute
  case handRaised, handLowered
  case locked, unlocked, allMuted, allUnmuted
  case recordingStarted, recordingStopped, recordingPaused, recordingResumed
  /// Said to whoever comes into a conference or call that is being recorded.
  case beingRecorded
  case notAllowed, unknownCommand
  case removed, youAreHost, callTransferred, transferFailed
  /// A name in the conference's language; nil where none is known.
  case joined(name: String?), left(name: String?)
  /// After a name that its owner has said.
  case hasJoined
  /// How many are in the conference, the listener included.
  case participants(Int)
  case phoneMenu

  // Calls.
  case busy, noAnswer, unreachable, pleaseHold

  // Parts.
  /// A cardinal number.
  case number(Int)
  /// One digit after another, as telephone numbers are said.
  case digits(String)
  /// Words in the language that is asked for.
  case text(String)

  /// The phrases that say the same each time: what a cache can be filled with before anybody calls.
  package static let fixed: [Phrase] = [
    .welcome, .enterPIN, .wrongPIN, .noPINHeard, .tooManyAttempts,
    .tryAgainLater, .noSuchConference, .sayName, .nameRecorded, .youAreFirst, .waitingForHost, .hostHasJoined, .joining,
    .conferenceFull, .conferenceLocked, .conferenceEnded, .invalidChoice, .goodbye, .serviceFailure, .muted, .unmuted,
    .mutedByHost, .unmutedByHost, .mayNotUnmute, .handRaised, .handLowered, .locked, .unlocked, .allMuted, .allUnmuted,
    .recordingStarted, .recordingStopped, .recordingPaused, .recordingResumed, .beingRecorded, .notAllowed,
    .unknownCommand, .removed, .youAreHost, .callTransferred, .transferFailed, .joined(name: nil), .left(name: nil),
    .hasJoined,
    .phoneMenu, .busy, .noAnswer, .unreachable, .pleaseHold,
  ]

  /// The name of the file that replaces the phrase, without language and extension: `enter-pin`, `participants-3`. Nil
  /// for words that only speech can say.
  package var key: String? {
    switch self {
    case .welcome: "welcome"
    case .languageChoice(let digit, _): "language-choice-\(digit)"
    case .enterPIN: "enter-pin"
    case .wrongPIN: "wrong-pin"
    case .noPINHeard: "no-pin-heard"
    case .tooManyAttempts: "too-many-attempts"
    case .tryAgainLater: "try-again-later"
    case .noSuchConference: "no-such-conference"
    case .sayName: "say-name"
    case .nameRecorded: "name-recorded"
    case .youAreFirst: "you-are-first"
    case .waitingForHost: "waiting-for-host"
    case .hostHasJoined: "host-has-joined"
    case .joining: "joining"
    case .conferenceFull: "conference-full"
    case .conferenceLocked: "conference-locked"
    case .conferenceEnded: "conference-ended"
    case .invalidChoice: "invalid-choice"
    case .goodbye: "goodbye"
    case .serviceFailure: "service-failure"
    case .muted: "muted"
    case .unmuted: "unmuted"
    case .mutedByHost: "muted-by-host"
    case .unmutedByHost: "unmuted-by-host"
    case .mayNotUnmute: "may-not-unmute"
    case .handRaised: "hand-raised"
    case .handLowered: "hand-lowered"
    case .locked: "locked"
    case .unlocked: "unlocked"
    case .allMuted: "all-muted"
    case .allUnmuted: "all-unmuted"
    case .recordingStarted: "recording-started"
    case .recordingStopped: "recording-stopped"
    case .recordingPaused: "recording-paused"
    case .recordingResumed: "recording-resumed"
    case .beingRecorded: "being-recorded"
    case .notAllowed: "not-allowed"
    case .unknownCommand: "unknown-command"
    case .removed: "removed"
    case .youAreHost: "you-are-host"
    case .callTransferred: "call-transferred"
    case .transferFailed: "transfer-failed"
    case .joined(nil): "joined"
    case .left(nil): "left"
    case .hasJoined: "has-joined"
    case .participants(let count): "participants-\(count)"
    case .phoneMenu: "phone-menu"
    case .busy: "busy"
    case .noAnswer: "no-answer"
    case .unreachable: "unreachable"
    case .pleaseHold: "please-hold"
    case .number(let number): "number-\(number)"
    case .joined, .left, .digits, .text: nil
    }
  }
}
