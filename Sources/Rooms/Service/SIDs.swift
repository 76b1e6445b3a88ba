/// Identifiers as LiveKit's clients expect them: a prefix and 12 characters of base 57.
enum SID {
  enum Prefix: String {
    case room = "RM_"
    case participant = "PA_"
    case track = "TR_"
    case call = "RPC_"
  }

  /// Without the characters that people confuse.
  private static let alphabet = Array("23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)

  static func make(_ prefix: Prefix, _ detail: String = "", using random: inout some RandomNumberGenerator) -> String {
    let characters = (0..<12 - detail.utf8.count).map { _ in
      alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
    }
    return prefix.rawValue + detail + String(decoding: characters, as: UTF8.self)
  }
}
