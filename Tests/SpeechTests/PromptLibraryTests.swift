import Audio
import Core
import Foundation
import Logging
import Synchronization
import Testing

@testable import Speech

/// A directory that goes when the test ends.
final class TemporaryDirectory: Sendable {
  let path: String
  init() {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("speech-\(UUID().uuidString)").path
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
  func write(_ bytes: [UInt8], to name: String) throws {
    let file = URL(fileURLWithPath: path).appendingPathComponent(name)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: file)
  }
  var files: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() ?? [] }
}

/// Says everything as a tone as many milliseconds long as the text has characters, times ten; counts.
final class ToneSource: SpeechSource {
  let engine: String
  let failure: SpeechError?
  let delay: Duration
  private let counts = Mutex<[String: Int]>([:])

  init(_ engine: String = "tone", failure: SpeechError? = nil, delay: Duration = .zero) {
    (self.engine, self.failure, self.delay) = (engine, failure, delay)
  }

  var calls: Int { counts.withLock { $0.values.reduce(0, +) } }
  func calls(_ text: String) -> Int { counts.withLock { $0[text, default: 0] } }

  func speak(_ text: SpokenText, voice: String, speed: Double) async throws(SpeechError) -> AudioClip {
    counts.withLock { $0[text.text, default: 0] += 1 }
    if delay > .zero { try? await Task.sleep(for: delay) }
    if let failure { throw failure }
    let seconds = Double(text.text.count) / 100
    return AudioClip(sampleRate: 22_050, samples: ShapingTests.tone(440, rate: 22_050, seconds: seconds))
  }
}

@Suite struct PromptLibraryTests {
  private static let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }()

  private func library(
    _ builtIn: ToneSource, service: ToneSource? = nil, cache: SpeechCache? = nil, recorded: RecordedPrompts? = nil,
    memory: Int = 32 << 20
  ) -> PromptLibrary {
    var configuration = PromptLibrary.Configuration()
    configuration.memory = memory
    if service != nil { configuration.serviceVoices = ["en": "alba"] }
    return PromptLibrary(
      configuration, recorded: recorded, cache: cache, service: service, builtIn: builtIn, logger: Self.quiet)
  }

  @Test func aPhraseIsMadeOnceAt16Kilohertz() async {
    let source = ToneSource()
    let library = library(source)
    let clip = await library.clip(.enterPIN, language: "en")
    #expect(clip.sampleRate == 16_000)
    #expect(await library.clip(.enterPIN, language: "en-GB") === clip)
    #expect(await library.clip(.enterPIN, language: "fr") === clip)
    #expect(source.calls == 1)
    #expect(await library.clip(.enterPIN, language: "de") !== clip)
    #expect(source.calls == 2)
  }

  @Test func manyCallersAtOnceWaitForOneSynthesis() async {
    let source = ToneSource(delay: .milliseconds(50))
    let library = library(source)
    await withTaskGroup(of: Int.self) { group in
      for _ in 0..<50 { group.addTask { await library.clip(.welcome, language: "en").samples.count } }
      for await count in group { #expect(count > 0) }
    }
    #expect(source.calls == 1)
  }

  @Test func theDiskOutlivesTheLibrary() async {
    let directory = TemporaryDirectory()
    let source = ToneSource()
    let first = await library(source, cache: SpeechCache(directory: directory.path, limit: 1 << 20))
      .clip(.muted, language: "en")
    let second = await library(source, cache: SpeechCache(directory: directory.path, limit: 1 << 20))
      .clip(.muted, language: "en")
    #expect(source.calls == 1)
    #expect(first.samples == second.samples)
    #expect(directory.files.count == 1 && directory.files.allSatisfy { $0.hasSuffix(".wav") })
  }

  @Test func aDamagedFileIsMadeAgain() async throws {
    let directory = TemporaryDirectory()
    let source = ToneSource()
    _ = await library(source, cache: SpeechCache(directory: directory.path, limit: 1 << 20)).clip(
      .muted, language: "en")
    let name = try #require(directory.files.first)
    try directory.write([1, 2, 3], to: name)
    let again = await library(source, cache: SpeechCache(directory: directory.path, limit: 1 << 20))
      .clip(.muted, language: "en")
    #expect(source.calls == 2 && again.samples.count > 1_000)
    #expect(await SpeechCache(directory: directory.path, limit: 1 << 20).size > 1_000)
  }

  @Test func withoutADiskItWorksToo() async {
    let source = ToneSource()
    let library = library(source, cache: SpeechCache(directory: "/proc/nothing/here", limit: 1 << 20))
    #expect(await library.clip(.muted, language: "en").samples.count > 1_000)
    #expect(await library.clip(.muted, language: "en").samples.count > 1_000)
    #expect(source.calls == 1)
  }

  @Test func theServiceSpeaksWhereItHasAVoice() async {
    let (service, builtIn) = (ToneSource("service"), ToneSource())
    let library = library(builtIn, service: service)
    _ = await library.clip(.welcome, language: "en")
    _ = await library.clip(.welcome, language: "de")
    #expect(service.calls == 1 && builtIn.calls == 1)
  }

  @Test func aServiceThatFailsIsReplacedAndAskedAgain() async {
    let directory = TemporaryDirectory()
    let (service, builtIn) = (ToneSource("service", failure: .serviceTimeout), ToneSource())
    let cache = SpeechCache(directory: directory.path, limit: 1 << 20)
    let library = library(builtIn, service: service, cache: cache)
    #expect(await library.clip(.welcome, language: "en").samples.count > 1_000)
    #expect(await library.clip(.welcome, language: "en").samples.count > 1_000)
    // What espeak-ng said is kept under its own name: the service is asked again, the synthesizer is not.
    #expect(service.calls == 2 && builtIn.calls == 1)
    #expect(library.counters.serviceFailures.value == 2)
  }

  @Test func whatCannotBeSaidAtAllIsATone() async {
    let library = library(ToneSource(failure: .synthesizerFailed("")))
    let clip = await library.clip(.welcome, language: "en")
    #expect(clip.duration == .milliseconds(300))
    #expect(await library.clip(.text("👍"), language: "en").duration == .milliseconds(300))
    #expect(
      await library.clip(.text(String(repeating: "a", count: 9_999)), language: "en").duration == .milliseconds(300))
  }

  @Test func aRecordingReplacesAPhraseInItsLanguage() async throws {
    let directory = TemporaryDirectory()
    let recording = AudioClip(sampleRate: 8_000, samples: ShapingTests.tone(700, rate: 8_000, seconds: 0.25))
    try directory.write(recording.wav, to: "de/enter-pin.wav")
    try directory.write(Array("not sound".utf8), to: "de/wrong-pin.wav")
    try directory.write(recording.wav, to: "de/unheard-of.wav")
    let recorded = RecordedPrompts(directory: directory.path, sampleRate: 16_000, logger: Self.quiet)
    let source = ToneSource()
    let library = library(source, recorded: recorded)
    let german = await library.clip(.enterPIN, language: "de")
    #expect(german.sampleRate == 16_000 && abs(german.samples.count - 4_000) < 4)
    #expect(abs(ShapingTests.frequency(of: german) - 700) < 10)
    #expect(source.calls == 0)
    _ = await library.clip(.enterPIN, language: "en")
    #expect(await library.clip(.wrongPIN, language: "de").samples.count > 1_000)
    #expect(source.calls == 2)
    #expect(await recorded.problems().map(\.file) == ["de/unheard-of.wav", "de/wrong-pin.wav"])
    // Put right while the server runs.
    try directory.write(recording.wav, to: "en/enter-pin.wav")
    #expect(abs(ShapingTests.frequency(of: await library.clip(.enterPIN, language: "en")) - 700) < 10)
    #expect(await recorded.clip(.enterPIN, language: "../de") == nil)
  }

  @Test func eachChoiceIsSaidInTheLanguageThatItLeadsTo() async {
    let source = ToneSource()
    let library = library(source)
    for language in ["en", "de"] {
      _ = await library.clip(.languageChoice(digit: 1, language: "en"), language: language)
      _ = await library.clip(.languageChoice(digit: 2, language: "de"), language: language)
    }
    #expect(source.calls("For English, press 1.") == 1)
    #expect(source.calls("Für Deutsch drücken Sie die 2.") == 1)
    #expect(source.calls == 2)
  }

  @Test func memoryIsBounded() async {
    let source = ToneSource()
    let library = library(source, memory: 20_000)
    for number in 0..<50 { _ = await library.clip(.participants(number), language: "en") }
    _ = await library.clip(.participants(49), language: "en")
    #expect(source.calls == 49 + 0 || source.calls == 49 + 1)
    _ = await library.clip(.participants(5), language: "en")
    #expect(source.calls >= 50)
  }

  @Test func warmingMakesEveryFixedPhraseInEveryLanguage() async {
    let source = ToneSource()
    let library = library(source)
    await library.warm()
    let made = source.calls
    #expect(made == 2 * Phrase.fixed.count)
    for phrase in Phrase.fixed { _ = await library.clip(phrase, language: "de") }
    #expect(source.calls == made)
  }
}

@Suite struct SpeechCacheTests {
  private func key(_ text: String) -> SpeechKey { SpeechKey(engine: "e", voice: "v", speed: 1, text: text) }
  private func clip(_ count: Int) -> AudioClip {
    AudioClip(sampleRate: 16_000, samples: .init(repeating: 5, count: count))
  }

  @Test func keysTellEveryPartApart() {
    let keys = [
      SpeechKey(engine: "e", voice: "v", speed: 1, text: "t"),
      SpeechKey(engine: "e", voice: "v", speed: 1.1, text: "t"),
      SpeechKey(engine: "e", voice: "vt", speed: 1, text: ""), SpeechKey(engine: "ev", voice: "", speed: 1, text: "t"),
    ]
    #expect(Set(keys).count == 4 && keys.allSatisfy { $0.name.count == 64 })
    #expect(SpeechKey(engine: "e", voice: "v", speed: 1, text: "t") == keys[0])
  }

  @Test func theLeastRecentlyUsedGoFirst() async {
    let directory = TemporaryDirectory()
    let cache = SpeechCache(directory: directory.path, limit: 10_000)
    for text in ["a", "b", "c", "d"] { await cache.keep(clip(1_000), for: key(text)) }
    #expect(await cache.clip(key("a")) != nil)
    await cache.keep(clip(1_000), for: key("e"))
    #expect(await cache.size <= 10_000)
    #expect(await cache.clip(key("a")) != nil)
    #expect(await cache.clip(key("e")) != nil)
    #expect(await cache.clip(key("b")) == nil)
    #expect(await cache.count == directory.files.count)
  }

  @Test func oneThatIsTooLargeIsNotKeptAndStrangersFilesStay() async throws {
    let directory = TemporaryDirectory()
    try directory.write([UInt8](repeating: 0, count: 50_000), to: "mine.wav")
    let cache = SpeechCache(directory: directory.path, limit: 10_000)
    await cache.keep(clip(6_000), for: key("a"))
    #expect(await cache.count == 0)
    #expect(await cache.size == 0)
    #expect(directory.files == ["mine.wav"])
  }

  @Test func aSmallerLimitAtTheNextStartEvicts() async {
    let directory = TemporaryDirectory()
    let large = SpeechCache(directory: directory.path, limit: 1 << 20)
    for text in 0..<20 { await large.keep(clip(1_000), for: key("\(text)")) }
    #expect(await large.count == 20)
    let small = SpeechCache(directory: directory.path, limit: 10_000)
    #expect(await small.size <= 10_000)
    #expect(directory.files.count < 5)
  }
}
