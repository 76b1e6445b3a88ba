/// A named event of RFC 4733 §3.2 and its payload.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///     |     event     |E|R| volume    |          duration             |
///     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
package struct TelephoneEventPayload: Hashable, Sendable {
  package static let length = 4

  /// 0…9, 10 `*`, 11 `#`, 12…15 `A`…`D`, 16 flash.
  package var event: UInt8
  package var isEnd: Bool
  /// −dBm0, 0…63.
  package var volume: UInt8
  /// So far, in timestamp units.
  package var duration: UInt16

  package init(event: UInt8, isEnd: Bool, volume: UInt8, duration: UInt16) {
    self.event = event
    self.isEnd = isEnd
    self.volume = volume & 0x3F
    self.duration = duration
  }

  /// Nil for fewer than four bytes.
  package init?(parsing payload: RawSpan) {
    guard payload.byteCount >= Self.length else { return nil }
    let second = payload.u8(1)
    self.init(event: payload.u8(0), isEnd: second & 0x80 != 0, volume: second & 0x3F, duration: payload.u16(2))
  }

  package init?(parsing payload: UnsafeRawBufferPointer) { self.init(parsing: payload.bytes) }

  package var bytes: [UInt8] { [event, second, UInt8(duration >> 8), UInt8(duration & 0xFF)] }

  private var second: UInt8 { volume & 0x3F | (isEnd ? 0x80 : 0) }

  /// - Returns: 4, or 0 when `buffer` is shorter.
  @discardableResult
  package func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard buffer.count >= Self.length else { return 0 }
    buffer[0] = event
    buffer[1] = second
    buffer.put(u16: duration, at: 2)
    return Self.length
  }
}

/// The sixteen keys and their event codes.
package enum DTMFDigit {
  private static let keys = Array("0123456789*#ABCD")

  /// The key of an event code; nil for other events.
  package static func character(of event: UInt8) -> Character? {
    keys.indices.contains(Int(event)) ? keys[Int(event)] : nil
  }

  /// The event code of a key, either case; nil for other characters.
  package static func event(of character: Character) -> UInt8? {
    let upper = character.isASCII ? Character(character.uppercased()) : character
    return keys.firstIndex(of: upper).map { UInt8($0) }
  }
}
