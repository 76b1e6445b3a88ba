/// A seeded generator (SplitMix64) for tests and simulations: the same seed gives the same run on every machine.
package struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64
  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Random identifiers for protocol fields. The generator is an argument, so a core stays deterministic under test.
package enum RandomToken {
  /// `count` bytes as lower-case hexadecimal.
  package static func hex(bytes count: Int, using generator: inout some RandomNumberGenerator) -> String {
    Hex.encode((0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
  }

  /// `count` bytes from the system's generator, as lower-case hexadecimal.
  package static func hex(bytes count: Int) -> String {
    var system = SystemRandomNumberGenerator()
    return hex(bytes: count, using: &system)
  }
}
