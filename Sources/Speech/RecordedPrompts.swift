package import Audio
package import Core
import Foundation
package import Logging

/// Phrases that somebody has recorded: `DIRECTORY/LANGUAGE/KEY.wav`, such as `prompts/de/enter-pin.wav`. A file that is
/// added or changed is used from the next time on.
package actor RecordedPrompts {
  private nonisolated let queue = SlowQueue(label: "recorded-prompts")
  package nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

  private struct Known {
    var modified: Date
    /// Nil for a file that is no use.
    var clip: AudioClip?
  }

  private static let largestFile = 40 << 20

  private let directory: URL
  private let sampleRate: Int
  private let logger: Logger
  private var known: [String: Known] = [:]

  package init(directory: String, sampleRate: Int, logger: Logger) {
    self.directory = URL(fileURLWithPath: directory, isDirectory: true)
    self.sampleRate = sampleRate
    self.logger = logger
  }

  /// The recording, looked for by the language as given (`en-gb`) and then by its code alone (`en`).
  package func clip(_ phrase: Phrase, language: String) -> AudioClip? {
    guard let key = phrase.key else { return nil }
    let language = language.lowercased().replacing("_", with: "-")
    // A language is part of a path here.
    guard !language.isEmpty, language.utf8.allSatisfy({ 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x2D }) else {
      return nil
    }
    for folder in language == PhraseText.base(of: language) ? [language] : [language, PhraseText.base(of: language)] {
      if let clip = read("\(folder)/\(key).wav") { return clip }
    }
    return nil
  }

  /// What is wrong with the files that are there, by path under the directory. For `parley check`.
  package func problems() -> [(file: String, problem: String)] {
    let keys = Set(Phrase.fixed.compactMap(\.key))
    var problems: [(String, String)] = []
    guard let languages = try? FileManager.default.contentsOfDirectory(atPath: directory.path) else {
      return [(directory.path, "cannot be read")]
    }
    for language in languages.sorted() {
      let folder = directory.appendingPathComponent(language, isDirectory: true).path
      for file in (try? FileManager.default.contentsOfDirectory(atPath: folder))?.sorted() ?? []
      where file.hasSuffix(".wav") {
        let key = String(file.dropLast(4))
        if let problem = Self.problem(folder + "/" + file) {
          problems.append(("\(language)/\(file)", problem))
        } else if !keys.contains(key), !key.hasPrefix("participants-"), !key.hasPrefix("number-"),
          !key.hasPrefix("language-choice-")
        {
          problems.append(("\(language)/\(file)", "replaces no phrase"))
        }
      }
    }
    return problems
  }

  private static func problem(_ path: String) -> String? {
    guard let data = FileManager.default.contents(atPath: path) else { return "cannot be read" }
    do {
      _ = try WAVReader.read([UInt8](data))
      return nil
    } catch {
      return "\(error)"
    }
  }

  private func read(_ name: String) -> AudioClip? {
    let path = directory.appendingPathComponent(name, isDirectory: false).path
    guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
      let modified = attributes[.modificationDate] as? Date
    else {
      known[name] = nil
      return nil
    }
    if let known = known[name], known.modified == modified { return known.clip }
    var clip: AudioClip?
    do {
      guard let size = attributes[.size] as? Int, size <= Self.largestFile,
        let data = FileManager.default.contents(atPath: path)
      else { throw WAVError.notWAV }
      clip = try WAVReader.read([UInt8](data)).resampled(to: sampleRate)
    } catch {
      logger.warning("a recorded prompt cannot be used", metadata: ["file": "\(path)", "error": "\(error)"])
    }
    known[name] = Known(modified: modified, clip: clip)
    return clip
  }
}
