import Core

/// Finds values by SSRC: an open-addressed table with a multiplicative hash, a few nanoseconds a look. Bounded by whoever
/// fills it.
struct StreamDirectory<Value> {
  private var keys: [UInt32] = []
  private var values: [Value?] = []
  private(set) var count = 0

  init() {}

  subscript(_ ssrc: SSRC) -> Value? {
    guard count > 0 else { return nil }
    var slot = start(ssrc.rawValue)
    while let value = values[slot] {
      if keys[slot] == ssrc.rawValue { return value }
      slot = (slot + 1) & (keys.count - 1)
    }
    return nil
  }

  mutating func set(_ value: Value, for ssrc: SSRC) {
    if (count + 1) * 2 > keys.count { resize(max(8, keys.count * 2)) }
    insert(value, ssrc.rawValue)
  }

  /// Rare: the table is built anew.
  mutating func removeAll(where condition: (SSRC, Value) -> Bool) {
    let oldKeys = keys
    let oldValues = values
    clear(oldKeys.count)
    for (key, value) in zip(oldKeys, oldValues) {
      if let value, !condition(SSRC(key), value) { insert(value, key) }
    }
  }

  mutating func remove(_ ssrc: SSRC) { removeAll { key, _ in key == ssrc } }

  func forEach(_ body: (SSRC, Value) -> Void) {
    for slot in keys.indices {
      if let value = values[slot] { body(SSRC(keys[slot]), value) }
    }
  }

  private func start(_ key: UInt32) -> Int {
    // Fibonacci hashing; the upper bits are the good ones.
    Int((key &* 0x9E37_79B9) >> 16) & (keys.count - 1)
  }

  private mutating func insert(_ value: Value, _ key: UInt32) {
    var slot = start(key)
    while values[slot] != nil, keys[slot] != key { slot = (slot + 1) & (keys.count - 1) }
    if values[slot] == nil { count += 1 }
    keys[slot] = key
    values[slot] = value
  }

  private mutating func clear(_ capacity: Int) {
    keys = [UInt32](repeating: 0, count: capacity)
    values = [Value?](repeating: nil, count: capacity)
    count = 0
  }

  private mutating func resize(_ capacity: Int) {
    let oldKeys = keys
    let oldValues = values
    clear(capacity)
    for (key, value) in zip(oldKeys, oldValues) {
      if let value { insert(value, key) }
    }
  }
}
