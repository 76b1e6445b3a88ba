/// What REST asks of the part that speaks. The composition root implements it.
package protocol SpeechControl: Sendable {
  /// - Parameters:
  ///   - voice: nil is that of the language.
  ///   - speed: in percent; nil is the configured one.
  /// - Returns: a WAV file as callers would hear it.
  func speak(_ text: String, language: String, voice: String?, speed: Int?) async throws(SpeechRefusal) -> [UInt8]
  func voices() async -> SpeechVoices
}

/// Why nothing is said.
package enum SpeechRefusal: Error, Sendable, Hashable {
  /// By what was asked.
  case invalid(String)
  case unavailable(String)
}

/// Who can speak what.
package struct SpeechVoices: Sendable, Encodable {
  package struct Language: Sendable, Encodable {
    package var language: String
    package var voice: String
    /// Of the speech service.
    package var serviceVoice: String?

    package init(language: String, voice: String, serviceVoice: String?) {
      self.language = language
      self.voice = voice
      self.serviceVoice = serviceVoice
    }
  }

  /// Languages that callers can be spoken to in.
  package var languages: [Language]
  /// All voices of the built-in synthesizer.
  package var builtIn: [String]
  /// All voices of the service; nil where none is configured or it does not answer.
  package var service: [String]?

  package init(languages: [Language], builtIn: [String], service: [String]?) {
    self.languages = languages
    self.builtIn = builtIn
    self.service = service
  }
}
