import API
import Speech

/// The prompts as REST sees them.
struct SpeechBridge: SpeechControl {
  let library: PromptLibrary
  let service: SpeechService?

  func speak(_ text: String, language: String, voice: String?, speed: Int?) async throws(SpeechRefusal) -> [UInt8] {
    do {
      let clip = try await library.speech(
        text, language: language, voice: voice, speed: speed.map { Double($0) / 100 })
      return clip.wav
    } catch {
      switch error {
      case .unknownVoice, .textTooLong, .nothingToSay: throw .invalid("\(error)")
      default: throw .unavailable("\(error)")
      }
    }
  }

  func voices() async -> SpeechVoices {
    let configuration = library.configuration
    return SpeechVoices(
      languages: configuration.voices.sorted { $0.key < $1.key }.map {
        .init(language: $0.key, voice: $0.value, serviceVoice: configuration.serviceVoices[$0.key])
      },
      builtIn: (try? await Espeak.shared.voices()) ?? [],
      service: try? await service?.voices())
  }
}
