package import Audio
package import Core
package import Logging

/// Gives phrases their sound: a recording where there is one, else speech, which is made once and kept in memory and on
/// the disk. The speech service comes first; where it fails or takes too long, espeak-ng speaks.
package actor PromptLibrary: Prompts {
  package struct Configuration: Sendable {
    /// Spoken where a caller's language is not known. Has a voice.
    package var language = "en"
    /// Callers may choose from them.
    package var choices: [String] = []
    /// Of the built-in synthesizer, by language.
    package var voices = ["en": "en-us", "de": "de"]
    /// Of the service, by language. Languages without one are spoken by the built-in synthesizer.
    package var serviceVoices: [String: String] = [:]
    package var speed = 1.0
    package var sampleRate = 16_000
    /// Kept decoded, in bytes.
    package var memory = 32 << 20
    package init() {}
  }

  /// What happens, in numbers.
  package struct Counters: Sendable {
    package let fromMemory: Counter
    package let fromDisk: Counter
    package let made: Counter
    package let serviceFailures: Counter
    /// Phrases that were answered by a tone.
    package let failures: Counter

    package init(_ registry: MetricsRegistry = MetricsRegistry()) {
      func source(_ name: String) -> Counter {
        registry.counter("parley_speech_total", "Phrases of speech by where they came from.", labels: [("from", name)])
      }
      fromMemory = source("memory")
      fromDisk = source("disk")
      made = source("synthesis")
      serviceFailures = registry.counter(
        "parley_speech_service_failures_total", "Requests to the speech service that brought no usable sound.")
      failures = registry.counter("parley_speech_failures_total", "Phrases that could not be said.")
    }
  }

  package nonisolated let configuration: Configuration
  private let recorded: RecordedPrompts?
  private let cache: SpeechCache?
  private let service: (any SpeechSource)?
  private let builtIn: any SpeechSource
  private let logger: Logger
  package nonisolated let counters: Counters

  private struct Remembered {
    var clip: AudioClip
    var use: Int
  }

  private var memory: [SpeechKey: Remembered] = [:]
  private var memoryBytes = 0
  private var uses = 0
  private var underWay: [SpeechKey: Task<Result<AudioClip, SpeechError>, Never>] = [:]
  /// More than this at a time are refused: names of strangers must not fill the queue of the synthesizer.
  private static let mostUnderWay = 64

  package init(
    _ configuration: Configuration = Configuration(), recorded: RecordedPrompts? = nil, cache: SpeechCache? = nil,
    service: (any SpeechSource)? = nil, builtIn: any SpeechSource = Espeak.shared, counters: Counters = Counters(),
    logger: Logger
  ) {
    self.configuration = configuration
    self.recorded = recorded
    self.cache = cache
    self.service = service
    self.builtIn = builtIn
    self.counters = counters
    self.logger = logger
  }

  // MARK: Phrases

  package func clip(_ phrase: Phrase, language: String) async -> AudioClip {
    let language = if case .languageChoice(_, let own) = phrase { spoken(own) } else { spoken(language) }
    if let clip = await recorded?.clip(phrase, language: language) { return clip }
    do {
      let words = PhraseText.words(of: phrase, language: language)
      return try await speech(words, language: language)
    } catch {
      counters.failures.increment()
      logger.warning("a phrase cannot be said", metadata: ["phrase": "\(phrase.key ?? "text")", "error": "\(error)"])
      return .attention(sampleRate: configuration.sampleRate)
    }
  }

  /// The language itself, its code alone, or the default: the first one that has a voice.
  package nonisolated func spoken(_ language: String) -> String {
    let language = language.lowercased().replacing("_", with: "-")
    for candidate in [language, PhraseText.base(of: language)] where configuration.voices[candidate] != nil {
      return candidate
    }
    return configuration.language
  }

  /// Makes all phrases that are always the same, in every language that has a voice, one after another. For the time after
  /// the start; ends early when its task is cancelled.
  package func warm() async {
    let choices = configuration.choices.count > 1 ? configuration.choices : []
    for language in configuration.voices.keys.sorted() {
      let choice = choices.firstIndex(of: language).map { Phrase.languageChoice(digit: $0 + 1, language: language) }
      for phrase in Phrase.fixed + (choice.map { [$0] } ?? []) {
        if Task.isCancelled { return }
        let began = Instant.now()
        _ = await clip(phrase, language: language)
        // Half of the time is left to calls, which begin at the same moment on a small machine.
        try? await Task.sleep(for: min(.milliseconds(200), Instant.now() - began))
      }
    }
  }

  // MARK: Speech

  /// Any text, in a voice other than that of the language where one is given.
  package func speech(
    _ raw: String, language: String, voice: String? = nil, speed: Double? = nil
  ) async throws(SpeechError) -> AudioClip {
    let text = try SpokenText(raw)
    let language = spoken(language)
    let speed = max(0.5, min(2, speed ?? configuration.speed))
    if let service, let voice = voice ?? configuration.serviceVoices[language] {
      do {
        return try await made(by: service, text, voice: voice, speed: speed)
      } catch {
        counters.serviceFailures.increment()
        // Once per pause is enough: while it is left alone nothing is said about it.
        if error != .serviceSuspended {
          logger.warning("the speech service brought no sound", metadata: ["error": "\(error)"])
        }
      }
    }
    // A voice that was asked for by name may be one of the service's: then the language's own takes over, if there is
    // a service at all.
    do {
      return try await made(by: builtIn, text, voice: voice ?? builtInVoice(language), speed: speed)
    } catch {
      guard case .unknownVoice = error, voice != nil, service != nil else { throw error }
      return try await made(by: builtIn, text, voice: builtInVoice(language), speed: speed)
    }
  }

  private func builtInVoice(_ language: String) -> String { configuration.voices[language] ?? language }

  private func made(
    by source: any SpeechSource, _ text: SpokenText, voice: String, speed: Double
  ) async throws(SpeechError) -> AudioClip {
    let key = SpeechKey(engine: source.engine, voice: voice, speed: speed, text: text.text)
    if let clip = remembered(key) { return clip }
    if let task = underWay[key] { return try await task.value.get() }
    guard underWay.count < Self.mostUnderWay else { throw .synthesizerFailed("too much to say at a time") }
    let (cache, counters, rate) = (cache, counters, configuration.sampleRate)
    // Not the caller's task: whoever hangs up does not take the sound away from the next one.
    let task = Task<Result<AudioClip, SpeechError>, Never> {
      if let clip = await cache?.clip(key), clip.sampleRate == rate {
        counters.fromDisk.increment()
        return .success(clip)
      }
      do {
        let raw = try await source.speak(text, voice: voice, speed: speed)
        counters.made.increment()
        let clip = try await Self.prepared(raw, sampleRate: rate)
        await cache?.keep(clip, for: key)
        return .success(clip)
      } catch {
        return .failure(error as? SpeechError ?? .synthesizerFailed("\(error)"))
      }
    }
    underWay[key] = task
    let result = await task.value
    underWay[key] = nil
    let clip = try result.get()
    remember(clip, for: key)
    return clip
  }

  @concurrent private static func prepared(_ raw: AudioClip, sampleRate: Int) async throws(SpeechError) -> AudioClip {
    let clip: AudioClip
    do {
      clip = try raw.trimmed().resampled(to: sampleRate).levelled()
    } catch {
      throw .synthesizerFailed("\(error)")
    }
    guard !clip.samples.isEmpty else { throw .nothingToSay }
    return clip
  }

  // MARK: Memory

  private func remembered(_ key: SpeechKey) -> AudioClip? {
    guard let clip = memory[key]?.clip else { return nil }
    uses += 1
    memory[key]?.use = uses
    counters.fromMemory.increment()
    return clip
  }

  private func remember(_ clip: AudioClip, for key: SpeechKey) {
    guard memory[key] == nil else { return }
    uses += 1
    memory[key] = Remembered(clip: clip, use: uses)
    memoryBytes += clip.samples.count * 2
    guard memoryBytes > configuration.memory else { return }
    for (key, entry) in memory.sorted(by: { $0.value.use < $1.value.use }) {
      guard memoryBytes > configuration.memory / 10 * 9 else { return }
      memory[key] = nil
      memoryBytes -= entry.clip.samples.count * 2
    }
  }
}
