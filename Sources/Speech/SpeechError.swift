/// Why a phrase cannot be spoken.
package enum SpeechError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Neither the built-in synthesizer nor the service has this voice.
  case unknownVoice(String)
  case synthesizerFailed(String)
  case textTooLong(limit: Int)

  package var description: String {
    switch self {
    case .unknownVoice(let voice): "no voice \(voice)"
    case .synthesizerFailed(let why): "speech could not be made: \(why)"
    case .textTooLong(let limit): "the text is longer than \(limit) characters"
    }
  }
}
