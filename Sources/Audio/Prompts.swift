package import Core

/// Gives the sound of phrases.
package protocol Prompts: Sendable {
  /// The phrase in a language such as `en` or `de`, mono at 16 kHz. A language that is not there is answered in the
  /// default one, and what cannot be said at all by a short tone: whoever waits for the end of the clip gets it.
  func clip(_ phrase: Phrase, language: String) async -> AudioClip
}
