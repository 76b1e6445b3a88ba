import Audio
import Core
import Yams

extension Configuration {
  /// What callers are told, and by whom.
  static let speech: [Setting<Configuration>] = [
    Setting(
      "speech.languages", \.speech.languages,
      Kind<String>.text("a language such as en or de-at", accepts: isLanguage).list(atLeast: 1), in: Configuration(),
      "Languages that callers may choose from, in the order of the keys 1 to 9. The first one is spoken where nothing "
        + "was chosen; one alone is not asked for. All must be among speech.voices."),
    Setting(
      "speech.voices", \.speech.voices, .voices, in: Configuration(),
      "Languages that callers are spoken to in, each with a voice of espeak-ng: a name of espeak-ng --voices, with +f1 "
        + "to +f5 or +m1 to +m8 for variants. Phrases are there in English and German; other languages need recorded "
        + "prompts."),
    Setting(
      "speech.speed", \.speech.speed, .integer(50...200, unit: "percent"), in: Configuration(),
      "How fast is spoken."),
    Setting(
      "speech.prompts", \.speech.prompts, Kind<String>.text("a path").orNone("off"), in: Configuration(),
      "Directory of recorded prompts, LANGUAGE/PHRASE.wav such as de/enter-pin.wav. They replace speech."),
    Setting(
      "speech.cache", \.speech.cacheSize, .integer(0...1_048_576, unit: "MiB"), in: Configuration(),
      "How much speech is kept in data.directory/speech, the least recently used being removed."),
    Setting(
      "speech.tones", \.speech.tones, .choice(), in: Configuration(),
      "Whose ringback, busy and congestion tones callers hear: a country by its code, or itu for what ITU-T E.180 "
        + "recommends."),
    Setting(
      "speech.service.url", \.speech.service.url,
      Kind<String>.text("an http or https URL without user name, such as http://127.0.0.1:5000", accepts: isWebURL)
        .orNone("off"), in: Configuration(),
      "A service that speaks: POST /tts with text, voice, speed and cache as JSON, answered by a WAV file; GET /voices "
        + "and GET /health. Where it fails, espeak-ng speaks."),
    Setting(
      "speech.service.voices", \.speech.service.voices, .voices, in: Configuration(),
      "Languages that the service speaks, each with a voice of its own. The others are spoken by espeak-ng."),
    Setting(
      "speech.service.timeout", \.speech.service.timeout, .duration(.milliseconds(100) ... .seconds(60)),
      in: Configuration(), "How long a caller waits for the service before espeak-ng speaks."),
  ]

  static let isLanguage: @Sendable (String) -> Bool = { text in
    (2...35).contains(text.utf8.count)
      && text.utf8.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "-") }
  }
}

extension Kind where Value == [String: String] {
  /// `language: voice` pairs.
  static let voices: Kind = {
    let expectation = "a mapping of languages to voices, such as { en: en-us, de: de }"
    @Sendable func accepts(_ language: String, _ voice: String) -> Bool {
      Configuration.isLanguage(language) && (1...128).contains(voice.utf8.count)
    }
    return Kind(
      expectation: expectation,
      parse: { text in
        var voices: [String: String] = [:]
        for pair in text.split(separator: ",") {
          let parts = pair.split(separator: ":", maxSplits: 1).map { String($0.filter { $0 != " " }) }
          guard parts.count == 2, accepts(parts[0], parts[1]) else { return nil }
          voices[parts[0]] = parts[1]
        }
        return voices
      },
      read: { node, name, reader in
        guard case .mapping(let mapping) = node else {
          reader.refuse(node, name, nil, expectation)
          return nil
        }
        var voices: [String: String] = [:]
        let before = reader.problems.count
        for (key, value) in mapping {
          guard let language = reader.text(of: key, name, "a language"),
            let voice = reader.text(of: value, "\(name).\(language)", "a voice")
          else { continue }
          guard accepts(language, voice) else {
            reader.refuse(value, "\(name).\(language)", voice, expectation)
            continue
          }
          voices[language] = voice
        }
        return reader.problems.count == before ? voices : nil
      },
      show: { voices in
        voices.isEmpty
          ? "{}"
          : "{ " + voices.sorted { $0.key < $1.key }.map { "\($0.key): \(quoted($0.value))" }.joined(separator: ", ")
            + " }"
      })
  }()
}
