package import Audio
import CEspeak

/// Makes speech out of text.
package protocol SpeechSource: Sendable {
  /// Names the engine in the keys of the cache.
  var engine: String { get }
  /// - Parameter speed: 1 is as the voice speaks by itself.
  func speak(_ text: SpokenText, voice: String, speed: Double) async throws(SpeechError) -> AudioClip
}

/// espeak-ng in this process. The library has one state for the whole process and is not safe between threads: there is
/// one actor, on a queue of its own.
package actor Espeak: SpeechSource {
  package static let shared = Espeak()

  package nonisolated let engine = "espeak-ng"
  private nonisolated let queue = SlowQueue(label: "espeak-ng")
  package nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

  private enum State {
    case unopened
    case open(sampleRate: Int)
    case failed
  }

  private var state = State.unopened
  /// The file of each language and name that may be asked for: the library takes a name for part of a path where it knows
  /// it not, and some of its own it does not find under their names.
  private var files: [String: String] = [:]
  private var variants: Set<String> = []

  /// Longer speech is cut, in seconds.
  private static let longest = 180

  private init() {}

  /// Languages and names of its voices.
  package func voices() throws(SpeechError) -> [String] {
    _ = try open()
    return files.keys.sorted()
  }

  /// Whether there is such a voice: a language (`en-us`, `de`), a name, or one of these with `+` and a variant (`+f3`).
  package func hasVoice(_ name: String) -> Bool { (try? open()) != nil && file(of: name) != nil }

  private func file(of name: String) -> String? {
    let parts = name.split(separator: "+", omittingEmptySubsequences: false).map(String.init)
    guard let base = parts.first, parts.count <= 2, let file = files[base] else { return nil }
    guard parts.count == 2 else { return file }
    return variants.contains(parts[1]) ? file + "+" + parts[1] : nil
  }

  /// Mono, at the library's own 22,050 Hz.
  package func speak(_ text: SpokenText, voice: String, speed: Double) throws(SpeechError) -> AudioClip {
    let sampleRate = try open()
    // Also where it is the same: it begins each text from the same state.
    guard let file = file(of: voice), espeak_SetVoiceByName(file) == EE_OK else { throw .unknownVoice(voice) }
    // Words a minute; espeak-ng's own 175 is too fast for a telephone.
    let rate = speed.isFinite ? max(80, min(450, 155 * speed)) : 155
    espeak_SetParameter(espeakRATE, Int32(rate), 0)
    collected = Collected(limit: Self.longest * sampleRate)
    defer { collected = Collected(limit: 0) }
    var bytes = [UInt8](text.text.utf8)
    bytes.append(0)
    let flags = UInt32(espeakCHARS_UTF8) | UInt32(espeakENDPAUSE)
    let result = bytes.withUnsafeBytes {
      espeak_Synth($0.baseAddress, $0.count, 0, POS_CHARACTER, 0, flags, nil, nil)
    }
    guard result == EE_OK else { throw .synthesizerFailed("espeak_Synth: \(result.rawValue)") }
    guard !collected.samples.isEmpty else { throw .nothingToSay }
    return AudioClip(sampleRate: sampleRate, samples: collected.samples)
  }

  /// Reads the data files at the first use.
  private func open() throws(SpeechError) -> Int {
    switch state {
    case .open(let sampleRate): return sampleRate
    case .failed: throw .synthesizerFailed("espeak_Initialize: no data files")
    case .unopened:
      let rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, nil, Int32(espeakINITIALIZE_DONT_EXIT))
      guard rate > 0 else {
        state = .failed
        throw .synthesizerFailed("espeak_Initialize: no data files")
      }
      espeak_SetSynthCallback(collect)
      files = Self.list(nil)
      var specification = espeak_VOICE()
      let found = "variant".withCString { language in
        specification.languages = language
        return Self.list(&specification)
      }
      variants = Set(found.values.filter { $0.hasPrefix("!v/") }.map { String($0.dropFirst(3)) })
      state = .open(sampleRate: Int(rate))
      return Int(rate)
    }
  }

  /// Languages and names, each with the file of the voice that is best for it.
  private static func list(_ specification: UnsafeMutablePointer<espeak_VOICE>?) -> [String: String] {
    var best: [String: (file: String, priority: UInt8)] = [:]
    guard var entry = espeak_ListVoices(specification) else { return [:] }
    while let voice = entry.pointee {
      defer { entry += 1 }
      guard let identifier = voice.pointee.identifier else { continue }
      let file = String(cString: identifier)
      // Voices of MBROLA are another program, which would be started.
      guard !file.hasPrefix("mb/") else { continue }
      func offer(_ name: String, _ priority: UInt8) {
        if best[name].map({ priority < $0.priority }) ?? true { best[name] = (file, priority) }
      }
      offer(file, 0)
      if let name = voice.pointee.name { offer(String(cString: name), 0) }
      // A priority byte and a name with its zero, again and again, then a zero.
      guard var language = voice.pointee.languages else { continue }
      while language.pointee != 0 {
        let name = String(cString: language + 1)
        offer(name, UInt8(bitPattern: language.pointee))
        language += 1 + name.utf8.count + 1
      }
    }
    return best.mapValues(\.file)
  }
}

/// What the library has given in the current call.
private struct Collected {
  var samples: [Int16] = []
  let limit: Int
}

// Touched by `Espeak.speak` and by the library within it only: both on the actor's queue.
nonisolated(unsafe) private var collected = Collected(limit: 0)

/// Takes the library's sound; 1 ends the synthesis.
private func collect(
  _ samples: UnsafeMutablePointer<Int16>?, _ count: Int32, _ events: UnsafeMutablePointer<espeak_EVENT>?
) -> Int32 {
  guard let samples, count > 0 else { return 0 }
  let room = collected.limit - collected.samples.count
  collected.samples.append(contentsOf: UnsafeBufferPointer(start: samples, count: min(Int(count), room)))
  return room > Int(count) ? 0 : 1
}
