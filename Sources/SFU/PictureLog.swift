/// What was decided about each of the last pictures, so that all packets of one share its fate, late ones too.
struct PictureLog: Sendable {
  private static let count = 32
  private var keys: InlineArray<32, UInt32> = .init(repeating: 0)
  private var verdicts: InlineArray<32, UInt8> = .init(repeating: 0)
  private var used = 0
  private var newest = 0

  init() {}

  /// By what identifies the picture within its stream: its timestamp, or its frame number.
  ///
  /// - Parameter isInOrder: The packet asking is the newest of its stream: it belongs to the newest picture or to a new one.
  func verdict(_ key: UInt32, isInOrder: Bool) -> UInt8? {
    if used > 0, keys[newest] == key { return verdicts[newest] }
    if isInOrder { return nil }
    for age in 1..<Self.count where age < used {
      let index = (newest &- age) & (Self.count - 1)
      if keys[index] == key { return verdicts[index] }
    }
    return nil
  }

  mutating func append(_ key: UInt32, _ verdict: UInt8) {
    newest = used == 0 ? 0 : (newest + 1) & (Self.count - 1)
    keys[newest] = key
    verdicts[newest] = verdict
    used = min(used + 1, Self.count)
  }

  mutating func removeAll() { used = 0 }
}
