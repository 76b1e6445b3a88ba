/// Text made fit for a synthesizer: what people chose as their names goes through here before a library written in C
/// reads it.
package struct SpokenText: Hashable, Sendable {
  /// At most so many characters of Unicode.
  package static let limit = 1_000
  /// No word is longer: breaks are put into longer ones.
  static let longestWord = 40

  package let text: String

  /// - Throws: `textTooLong`, and `nothingToSay` where neither a letter nor a digit is left.
  package init(_ raw: String) throws(SpeechError) {
    guard raw.utf8.count <= 4 * Self.limit, raw.unicodeScalars.count <= Self.limit else {
      throw .textTooLong(limit: Self.limit)
    }
    var out = String.UnicodeScalarView()
    var (inWord, isBlank, saysSomething) = (0, true, false)
    for scalar in raw.unicodeScalars {
      let properties = scalar.properties
      switch properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber:
        saysSomething = true
        fallthrough
      case .nonspacingMark, .spacingMark:
        if inWord == Self.longestWord {
          out.append(" ")
          inWord = 0
        }
        inWord += 1
        isBlank = false
        out.append(scalar)
      default:
        inWord = 0
        // Brackets, angle brackets, backslashes and the like mean something to synthesizers.
        let isPunctuation =
          scalar.isASCII ? ".,;:!?'-+%&@/()".unicodeScalars.contains(scalar) : "’–—…€£°".unicodeScalars.contains(scalar)
        if isPunctuation {
          isBlank = false
          out.append(scalar)
        } else if !isBlank {
          isBlank = true
          out.append(" ")
        }
      }
    }
    guard saysSomething else { throw .nothingToSay }
    while out.last == " " { out.removeLast() }
    text = String(out)
  }
}
