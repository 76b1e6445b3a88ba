/// Why a token is not accepted. The description is what the client's user reads, with status 401.
package enum TokenError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not three parts of base64 with two JSON objects.
  case malformed(String)
  /// The header names another algorithm than HS256.
  case algorithm(String)
  /// No key of that name.
  case unknownKey(String)
  case wrongSignature
  case notYetValid
  case expired

  package var description: String {
    switch self {
    case .malformed(let detail): "invalid token: \(detail)"
    case .algorithm(let name): "invalid token: signed with \(Self.shown(name)), only HS256 is accepted"
    case .unknownKey(let key): "invalid token: no API key \(Self.shown(key))"
    case .wrongSignature: "invalid token: the signature is not that of its API key"
    case .notYetValid: "invalid token: it is not valid yet (nbf)"
    case .expired: "invalid token: it has expired (exp)"
    }
  }

  /// A stranger's text in ours: short, and printable ASCII alone.
  private static func shown(_ text: String) -> String {
    let scalars = text.unicodeScalars.prefix(64).map { (0x20..<0x7F).contains($0.value) ? $0 : "?" }
    return "\"" + String(String.UnicodeScalarView(scalars)) + "\""
  }
}
