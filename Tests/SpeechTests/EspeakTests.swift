import Audio
import Core
import Testing

@testable import Speech

/// With the library itself.
@Suite struct EspeakTests {
  @Test(arguments: [("en-us", "Please enter your PIN."), ("de", "Bitte geben Sie Ihre Geheimzahl ein.")])
  func itSpeaks(voice: String, text: String) async throws {
    let clip = try await Espeak.shared.speak(SpokenText(text), voice: voice, speed: 1)
    #expect(clip.sampleRate == 22_050)
    #expect(clip.duration > .seconds(1) && clip.duration < .seconds(6))
    #expect(clip.samples.contains { abs(Int($0)) > 3_000 })
  }

  /// Of about the same length: what differs between two texts or two voices.
  static func similar(_ one: AudioClip, _ two: AudioClip) -> Bool {
    abs(one.samples.count - two.samples.count) < 22_050 * 80 / 1_000
  }

  @Test func languagesSoundDifferentAndTheSameTextTheSame() async throws {
    let text = try SpokenText("Conference 27, please.")
    let english = try await Espeak.shared.speak(text, voice: "en-us", speed: 1)
    let german = try await Espeak.shared.speak(text, voice: "de", speed: 1)
    let again = try await Espeak.shared.speak(text, voice: "en-us", speed: 1)
    // Not the same to the sample: the synthesizer's noise goes on from call to call.
    #expect(Self.similar(english, again))
    #expect(!Self.similar(english, german))
  }

  @Test func fasterIsShorter() async throws {
    let text = try SpokenText("The conference begins when the host arrives.")
    let slow = try await Espeak.shared.speak(text, voice: "en-us", speed: 0.7)
    let fast = try await Espeak.shared.speak(text, voice: "en-us", speed: 1.5)
    #expect(fast.duration * 1.5 < slow.duration)
    _ = try await Espeak.shared.speak(text, voice: "en-us", speed: .nan)
    _ = try await Espeak.shared.speak(text, voice: "en-us", speed: -.infinity)
  }

  @Test(arguments: ["xx", "", "../../../etc/passwd", "en-us/../de", "en-us+", "en-us+../x", "en+f3+f3", "!v/f3", "/"])
  func onlyItsOwnVoicesAreGivenToTheLibrary(voice: String) async throws {
    await #expect(throws: SpeechError.unknownVoice(voice)) {
      try await Espeak.shared.speak(SpokenText("Hello"), voice: voice, speed: 1)
    }
  }

  @Test func variantsAreVoicesToo() async throws {
    let text = try SpokenText("Hello")
    let plain = try await Espeak.shared.speak(text, voice: "en-us", speed: 1)
    let other = try await Espeak.shared.speak(text, voice: "en-us+f3", speed: 1)
    let isOther = plain.samples != other.samples
    #expect(isOther)
    let voices = try await Espeak.shared.voices()
    #expect(voices.contains("de") && !voices.contains { $0.hasPrefix("mb/") || $0.hasPrefix("!v/") })
    // Known by its language only, not by a name of its own.
    _ = try await Espeak.shared.speak(text, voice: "en-gb", speed: 1)
    _ = try await Espeak.shared.speak(text, voice: "en-gb+f2", speed: 1)
  }

  @Test func manyAtOnceDoNotMix() async throws {
    let texts = ["One", "Two words", "Three words for now, and more"]
    var alone: [String: AudioClip] = [:]
    for text in texts { alone[text] = try await Espeak.shared.speak(SpokenText(text), voice: "en-us", speed: 1) }
    try await withThrowingTaskGroup(of: (String, AudioClip).self) { group in
      for _ in 0..<8 {
        for text in texts {
          group.addTask { (text, try await Espeak.shared.speak(SpokenText(text), voice: "en-us", speed: 1)) }
        }
      }
      for try await (text, clip) in group { #expect(alone[text].map { Self.similar($0, clip) } == true) }
    }
  }

  @Test func oddTextsNeitherTrapNorHang() async throws {
    var random = SeededRandom(seed: 3)
    let pieces = [
      "a", "ß", "[[", "]]", "<speak>", "</", "\u{0}", "\u{FEFF}", "1234567890123456789012345", "👩‍👩‍👧",
      "e\u{301}\u{301}\u{301}",
      "..", "!?", "\n", "%n%s", "W", "漢字", "العربية", "Ω", "-", "'", String(repeating: "x", count: 90),
    ]
    for _ in 0..<40 {
      let text = (0..<Int.random(in: 1...12, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
      guard let spoken = try? SpokenText(text.joined()) else { continue }
      _ = try? await Espeak.shared.speak(
        spoken, voice: ["en-us", "de"].randomElement(using: &random) ?? "de", speed: 1)
    }
  }
}

@Suite struct SpokenTextTests {
  @Test func whatSynthesizersTakeForCommandsIsTakenOut() throws {
    #expect(try SpokenText("  Ada  <b>Lovelace</b>\u{0}[[x]] ").text == "Ada b Lovelace /b x")
    #expect(try SpokenText("Jürgen's “Tür”, 100 %").text == "Jürgen's Tür , 100 %")
    #expect(try SpokenText(String(repeating: "x", count: 100)).text.split(separator: " ").allSatisfy { $0.count <= 40 })
  }

  @Test func whatSaysNothingOrTooMuchIsRefused() {
    #expect(throws: SpeechError.nothingToSay) { try SpokenText("") }
    #expect(throws: SpeechError.nothingToSay) { try SpokenText(" .!? 👍 \u{0}") }
    #expect(throws: SpeechError.textTooLong(limit: 1_000)) { try SpokenText(String(repeating: "a", count: 1_001)) }
  }
}

@Suite struct PhraseTextTests {
  @Test func everyPhraseHasWordsOfItsOwnInBothLanguages() {
    for language in PhraseText.languages {
      let texts = Phrase.fixed.map { PhraseText.words(of: $0, language: language) }
      #expect(texts.allSatisfy { $0.hasSuffix(".") })
      #expect(Set(texts).count == texts.count, "\(language)")
    }
    let both = Set(Phrase.fixed.map { PhraseText.words(of: $0, language: "en") })
      .intersection(Phrase.fixed.map { PhraseText.words(of: $0, language: "de") })
    #expect(both.isEmpty)
  }

  @Test func keysAreFileNamesAndDiffer() {
    let keys = Phrase.fixed.compactMap(\.key)
    #expect(keys.count == Phrase.fixed.count && Set(keys).count == keys.count)
    #expect(keys.allSatisfy { $0.utf8.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x2D } })
    #expect(Phrase.text("../x").key == nil && Phrase.joined(name: "../x").key == nil)
  }

  @Test func languagesAreRecognisedWithTheirRegion() {
    #expect(PhraseText.words(of: .muted, language: "de-AT") == PhraseText.words(of: .muted, language: "de"))
    #expect(PhraseText.words(of: .muted, language: "EN_gb") == PhraseText.words(of: .muted, language: "en"))
    #expect(PhraseText.words(of: .muted, language: "") == PhraseText.words(of: .muted, language: "en"))
    #expect(PhraseText.words(of: .digits("407"), language: "de") == "4, 0, 7")
  }
}
