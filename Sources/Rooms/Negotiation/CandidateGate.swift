import FoundationEssentials

/// What comes as trickled candidates, reduced to what is worth an ICE agent's time: parsed, each once, bounded.
struct CandidateGate {
  private struct CandidateInit: Decodable {
    var candidate: String?
    var usernameFragment: String?
  }

  /// A client that gathers for seven m-lines on four interfaces with UDP and TCP stays below.
  static let maximum = 200
  static let maximumLength = 1024

  private var seen: Set<String> = []
  /// Candidates that came before the description they belong to.
  private var held: [(line: String, ufrag: String?)] = []
  /// Of the peer's current description.
  private var ufrag: String?

  /// Candidate lines that the transport may have now.
  mutating func receive(_ json: String) -> String? {
    guard json.utf8.count <= CandidateGate.maximumLength, seen.count < CandidateGate.maximum,
      let parsed = try? JSONDecoder().decode(CandidateInit.self, from: Data(json.utf8)),
      let line = parsed.candidate, !line.isEmpty
    else { return nil }
    let fragment = parsed.usernameFragment ?? CandidateGate.ufrag(in: line)
    guard seen.insert((fragment ?? "") + " " + line).inserted else { return nil }
    guard let ufrag else {
      held.append((line, fragment))
      return nil
    }
    guard fragment == nil || fragment == ufrag else {
      // Of a restart whose offer is still on its way, or of one that is over.
      held.append((line, fragment))
      return nil
    }
    return line
  }

  /// The peer's description is known; gives the candidates that waited for it.
  mutating func describe(ufrag: String) -> [String] {
    if self.ufrag != nil, self.ufrag != ufrag { seen = [] }
    self.ufrag = ufrag
    let ready = held.filter { $0.ufrag == nil || $0.ufrag == ufrag }.map(\.line)
    held = []
    return ready
  }

  private static func ufrag(in line: String) -> String? {
    let words = line.split(separator: " ")
    guard let index = words.firstIndex(of: "ufrag"), index + 1 < words.count else { return nil }
    return String(words[index + 1])
  }
}
