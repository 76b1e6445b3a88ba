package import Core

/// What a caller goes through between the answer to the call and the conference: greeting, language, PIN, name, waiting
/// for the host. A value without clock, sound or network.
///
/// Drive rule: `begin` once, then one `handle` an event or one `advance` when `nextDeadline` has come; do what the
/// actions say, in their order, before the next one. After `enter` the answer of the conference is told by
/// `.answer(…)` where it refuses, or `.entered`; after `hangUp` nothing comes any more.
package struct DialInMenu: Sendable {
  package struct Configuration: Sendable, Equatable {
    /// Offered in this order by the digits 1…9; the first is the default. One alone is not asked for.
    package var languages: [String]
    package var greets = true
    /// Whether callers say their name before they go in.
    package var asksForName = false
    /// Whether callers hear how many others are there.
    package var announcesParticipants = true
    /// Wrong or missing PINs a call.
    package var attempts = 3
    /// More digits than this are no PIN.
    package var longestPIN = 16
    /// From the end of the prompt to the first digit.
    package var firstDigitTimeout: Duration = .seconds(10)
    /// Between digits; then what has been typed counts as if `#` had come.
    package var interDigitTimeout: Duration = .seconds(5)
    /// From the beginning until the caller is admitted.
    package var overallTimeout: Duration = .seconds(120)
    package var longestName: Duration = .seconds(5)
    package var hostTimeout: Duration = .seconds(1_800)
    /// From the end of the PIN to what is said about it, whatever the answer is and however soon it is known.
    package var answerDelay: Duration = .milliseconds(500)
    /// Without an answer for so long the service is said to be out of order.
    package var answerTimeout: Duration = .seconds(10)
    /// More keys than this before the caller is in end the call.
    package var mostDigits = 200

    package init(languages: [String] = ["en"]) { self.languages = languages.isEmpty ? ["en"] : languages }
  }

  /// What the dispatcher, and later the conference, says to the caller.
  package enum Answer: Sendable, Hashable {
    /// - Parameters:
    ///   - participants: who is there already.
    ///   - isRecorded: the caller is told so before he goes in.
    case admitted(participants: Int, isRecorded: Bool)
    /// Admitted, but not before `.hostArrived`.
    case waitForHost
    /// The number asks for a PIN and none was given.
    case pinRequired
    case wrongPIN
    /// `PINGuard` refused to have the PIN looked at.
    case lockedOut
    case noSuchConference
    case conferenceFull
    case conferenceLocked
    case unavailable
  }

  package enum Event: Sendable, Hashable {
    /// A key of the caller's: `0`…`9`, `*`, `#`; others are counted and ignored.
    case digit(Character)
    /// The phrases of this playback were heard to the end. One that has been replaced or stopped is ignored.
    case played(Playback)
    case answer(Answer)
    case hostArrived
    /// The conference ended while the caller waited.
    case conferenceEnded
    case entered
  }

  /// Which `play` an end belongs to.
  package struct Playback: Sendable, Hashable {
    package let rawValue: Int
  }

  package enum Action: Sendable, Hashable {
    /// Say this, instead of whatever can be heard now; then tell `.played`.
    case play([Phrase], language: String, Playback)
    /// Silence: the caller has begun to press keys.
    case stopPlaying
    case playMusic
    /// Ask for the conference; `.answer` is awaited. Nil: nothing was typed yet, so `PINGuard` has nothing to count.
    case dispatch(pin: String?)
    /// Keep what the caller says, until `stopRecordingName`.
    case recordName
    case stopRecordingName
    /// Into the conference.
    case enter(language: String)
    case hangUp(Ending)
  }

  /// Why the menu ended the call.
  package enum Ending: String, Sendable, Hashable, CaseIterable {
    case tooManyAttempts = "too-many-attempts"
    case lockedOut = "locked-out"
    case noSuchConference = "no-such-conference"
    case conferenceFull = "conference-full"
    case conferenceLocked = "conference-locked"
    case conferenceEnded = "conference-ended"
    case hostMissing = "host-missing"
    case timeout = "timeout"
    case tooManyDigits = "too-many-digits"
    case unavailable = "unavailable"
  }

  enum State: Sendable {
    case idle
    case greeting
    case choosingLanguage
    /// Asked whether a PIN is needed at all.
    case askingDispatcher
    case typingPIN
    /// The PIN has been given to the dispatcher; its answer is kept until `due`.
    case checkingPIN(due: Instant, answer: Answer?)
    case askingName(Answer)
    case recordingName(Answer)
    case waitingForHost
    case announcing
    case entering
    case inside
    case leaving(Ending)
    case over
  }

  package let configuration: Configuration
  /// What the caller is spoken to in.
  package internal(set) var language: String

  var state = State.idle
  /// What has been typed, at most one digit more than the longest PIN.
  var typed: [UInt8] = []
  var attempts = 0
  var digits = 0
  var playback: Playback?
  var playbacks = 0
  /// Of the state; nil while a prompt plays that ends by itself.
  var stateDeadline: Instant?
  var overallDeadline: Instant?

  package init(_ configuration: Configuration) {
    self.configuration = configuration
    language = configuration.languages.first ?? "en"
  }

  package var nextDeadline: Instant? {
    [stateDeadline, overallDeadline].compactMap { $0 }.min()
  }

  /// Whether the caller is in the conference.
  package var isInside: Bool { if case .inside = state { true } else { false } }

  /// Whether nothing comes any more.
  package var isOver: Bool { if case .over = state { true } else { false } }
}
