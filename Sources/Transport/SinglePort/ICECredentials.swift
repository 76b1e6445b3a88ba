/// The credentials that one ICE generation of a peer is known by on the single port.
///
/// The ufrag says which worker owns the peer, so that a check may arrive at any socket: two characters of the worker's
/// index, ten random ones (60 bits; RFC 8445 §5.3 wants 24). The password has 144 random bits (128 wanted).
package struct ICECredentials: Equatable {
  package let ufrag: String
  package let password: String
  package let passwordBytes: [UInt8]
  /// The random part of the ufrag.
  package let key: UInt64

  static let ufragLength = 12
  static let maximumWorkers = 4096

  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  package init(worker: Int, using random: inout some RandomNumberGenerator) {
    precondition(0..<ICECredentials.maximumWorkers ~= worker, "more workers than a ufrag can name")
    key = UInt64.random(in: 0..<1 << 60, using: &random)
    var text = [UInt8]()
    for shift in [6, 0] { text.append(ICECredentials.alphabet[worker >> shift & 63]) }
    for index in 0..<10 { text.append(ICECredentials.alphabet[Int(key >> UInt64(54 - 6 * index)) & 63]) }
    ufrag = String(decoding: text, as: UTF8.self)
    passwordBytes = (0..<24).map { _ in ICECredentials.alphabet[Int.random(in: 0..<64, using: &random)] }
    password = String(decoding: passwordBytes, as: UTF8.self)
  }

  /// Takes a ufrag of ours apart; nil for what is none.
  package static func parse(_ ufrag: UnsafeRawBufferPointer) -> (worker: Int, key: UInt64)? {
    guard ufrag.count == ufragLength else { return nil }
    var worker = 0
    var key: UInt64 = 0
    for (index, character) in ufrag.enumerated() {
      guard let value = value(of: character) else { return nil }
      if index < 2 { worker = worker << 6 | value } else { key = key << 6 | UInt64(value) }
    }
    return (worker, key)
  }

  @inline(__always)
  private static func value(of character: UInt8) -> Int? {
    switch character {
    case 0x41...0x5A: Int(character) - 0x41
    case 0x61...0x7A: Int(character) - 0x61 + 26
    case 0x30...0x39: Int(character) - 0x30 + 52
    case 0x2B: 62
    case 0x2F: 63
    default: nil
    }
  }
}
