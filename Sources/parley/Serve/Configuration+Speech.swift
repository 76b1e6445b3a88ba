import Audio
import Core
import Logging
import ServiceLifecycle
import Speech

extension Configuration {
  /// Nil where none is configured.
  var speechService: SpeechService? {
    speech.service.url.map { SpeechService(url: $0, timeout: speech.service.timeout) }
  }

  func promptLibrary(service: SpeechService?, metrics: MetricsRegistry, logger: Logger) -> PromptLibrary {
    var library = PromptLibrary.Configuration()
    library.language = speech.languages.first ?? "en"
    library.choices = speech.languages
    library.voices = speech.voices
    library.serviceVoices = speech.service.voices
    library.speed = Double(speech.speed) / 100
    return PromptLibrary(
      library,
      recorded: speech.prompts.map { RecordedPrompts(directory: $0, sampleRate: library.sampleRate, logger: logger) },
      cache: SpeechCache(directory: data.directory + "/speech", limit: speech.cacheSize << 20), service: service,
      counters: PromptLibrary.Counters(metrics), logger: logger)
  }
}

/// Makes the phrases that everybody hears once the server serves: in its own time, the first caller does not wait for
/// them.
struct PromptWarmUp: Service {
  let library: PromptLibrary
  let service: SpeechService?
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      // The listeners and the first registrations come first.
      try? await Task.sleep(for: .seconds(2))
      guard !Task.isCancelled else { return }
      let began = Instant.now()
      await library.warm()
      guard !Task.isCancelled else { return }
      logger.info(
        "prompts are ready", metadata: ["milliseconds": "\((Instant.now() - began).nanoseconds / 1_000_000)"])
    }
    try? await gracefulShutdown()
    await service?.shutdown()
  }
}
