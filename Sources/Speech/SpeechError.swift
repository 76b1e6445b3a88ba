/// Why a phrase cannot be spoken.
package enum SpeechError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Neither the built-in synthesizer nor the service has this voice.
  case unknownVoice(String)
  case synthesizerFailed(String)
  case textTooLong(limit: Int)
  /// Nothing in the text can be said.
  case nothingToSay
  /// The service is not asked for a while, as it failed several times.
  case serviceSuspended
  case serviceTimeout
  /// It could not be reached, or broke off.
  case serviceUnreachable(String)
  case serviceRefused(status: Int)
  /// It answered, but not with sound.
  case badAudio(WAVError)
  case answerTooLong(limit: Int)
  /// It answered a question about its voices with something else than such a list.
  case badAnswer

  package var description: String {
    switch self {
    case .unknownVoice(let voice): "no voice \(voice)"
    case .synthesizerFailed(let why): "speech could not be made: \(why)"
    case .textTooLong(let limit): "the text is longer than \(limit) characters"
    case .nothingToSay: "there is nothing to say in the text"
    case .serviceSuspended: "the speech service failed several times and is left alone for a while"
    case .serviceTimeout: "the speech service did not answer in time"
    case .serviceUnreachable(let why): "the speech service cannot be reached: \(why)"
    case .serviceRefused(let status): "the speech service answered \(status)"
    case .badAudio(let why): "the speech service sent no usable sound: \(why)"
    case .answerTooLong(let limit): "the speech service sent more than \(limit) bytes"
    case .badAnswer: "the speech service's answer is no list of voices"
    }
  }
}
