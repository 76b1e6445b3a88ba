package import Core

/// What phrases say in the languages that have a table.
package enum PhraseText {
  /// Languages with a table, by ISO 639 code.
  package static let languages = ["de", "en"]

  /// `en-GB`, `EN_us` → `en`. The code in front, in lower case.
  package static func base(of language: String) -> String {
    String(language.lowercased().prefix { $0 != "-" && $0 != "_" })
  }

  /// The words of a phrase; English where the language has no table. `text` is said as it is, in any language.
  package static func words(of phrase: Phrase, language: String) -> String {
    switch phrase {
    case .text(let text): return text
    // Commas keep digits apart in every language.
    case .digits(let digits): return digits.map(String.init).joined(separator: ", ")
    case .number(let number): return "\(number)"
    default: return base(of: language) == "de" ? german(phrase) : english(phrase)
    }
  }
}
