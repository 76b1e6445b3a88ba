import Core

/// The URL-safe alphabet of base64 (RFC 4648 §5).
package enum Base64URL {
  /// Without padding, as tokens are written.
  package static func encode(_ bytes: [UInt8]) -> String {
    var text = Array(Base64.encode(bytes).utf8)
    while text.last == UInt8(ascii: "=") { text.removeLast() }
    for index in text.indices {
      switch text[index] {
      case UInt8(ascii: "+"): text[index] = UInt8(ascii: "-")
      case UInt8(ascii: "/"): text[index] = UInt8(ascii: "_")
      default: break
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// With or without padding. Nil for a character of the other alphabet, too, and for a wrong length.
  package static func decode(_ text: some StringProtocol) -> [UInt8]? {
    var characters = Array(text.utf8)
    if characters.count % 4 == 0 {
      while characters.last == UInt8(ascii: "="), characters.count % 4 != 1 { characters.removeLast() }
    }
    for index in characters.indices {
      switch characters[index] {
      case UInt8(ascii: "-"): characters[index] = UInt8(ascii: "+")
      case UInt8(ascii: "_"): characters[index] = UInt8(ascii: "/")
      case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
      default: break
      }
    }
    while characters.count % 4 != 0 { characters.append(UInt8(ascii: "=")) }
    return Base64.decode(String(decoding: characters, as: UTF8.self))
  }
}
