import Core
import Logging
import Speech

extension Checks {
  /// Voices that are not there, a service that does not answer, recordings that cannot be read.
  func speechFindings() async -> [Finding] {
    var findings: [Finding] = []
    let speech = configuration.speech
    for (language, voice) in speech.voices.sorted(by: { $0.key < $1.key })
    where await !Espeak.shared.hasVoice(voice) {
      findings.append(
        Finding(
          .fail, "speech.voices", "espeak-ng has no voice \(voice) for \(language).",
          remedy: "Choose one of espeak-ng --voices; without any, install the package espeak-ng-data."))
    }
    if let service = configuration.speechService {
      findings += await serviceFindings(service)
      await service.shutdown()
    } else if !speech.service.voices.isEmpty {
      findings.append(
        Finding(.warn, "speech.service.voices", "is of no use without speech.service.url.", remedy: "Set the URL."))
    }
    if let prompts = speech.prompts {
      let recorded = RecordedPrompts(directory: prompts, sampleRate: 16_000, logger: Logger(label: "check"))
      for (file, problem) in await recorded.problems() {
        findings.append(
          Finding(
            .warn, "speech.prompts", "\(file): \(problem).",
            remedy: "The phrase is spoken instead. Docs/speech.md lists the names and formats."))
      }
    }
    return findings.isEmpty
      ? [Finding(.ok, "speech", "there is a voice for \(speech.voices.keys.sorted().joined(separator: ", ")).")]
      : findings
  }

  private func serviceFindings(_ service: SpeechService) async -> [Finding] {
    let subject = "speech.service"
    do {
      try await service.checkHealth()
    } catch {
      return [
        Finding(
          .warn, subject, "\(error).",
          remedy: "Start it or correct speech.service.url. Until then espeak-ng speaks.")
      ]
    }
    do {
      let voices = Set(try await service.voices())
      return configuration.speech.service.voices.sorted { $0.key < $1.key }.filter { !voices.contains($0.value) }.map {
        Finding(
          .warn, subject, "has no voice \($0.value) for \($0.key).",
          remedy: "It has: \(voices.sorted().prefix(8).joined(separator: ", ")).")
      }
    } catch {
      return [Finding(.warn, subject, "GET /voices: \(error).", remedy: "Check that it keeps to Docs/speech.md.")]
    }
  }
}
