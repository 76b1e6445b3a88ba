import Core

/// One direction of a path, in ticks of 5 ms: delays, reorders and loses by a seed. Cheaper than `VirtualLink` for rooms
/// with hundreds of paths.
struct LossyPath {
  static let tick = Duration.milliseconds(5)

  struct Packet {
    var isRTCP: Bool
    var bytes: [UInt8]
  }

  /// 0…1.
  var loss: Double
  /// Ticks.
  let delay: ClosedRange<Int>
  private var random: SeededRandom
  private var due: [[Packet]] = Array(repeating: [], count: 64)
  private(set) var lost = 0

  init(seed: UInt64, loss: Double, delay: ClosedRange<Int>) {
    self.loss = loss
    self.delay = delay
    random = SeededRandom(seed: seed)
  }

  mutating func send(_ packet: Packet, tick: Int) {
    let chance = random.next()
    guard Double(chance >> 11) * 0x1p-53 >= loss else {
      lost += 1
      return
    }
    let spread = UInt64(delay.upperBound - delay.lowerBound + 1)
    let delay = delay.lowerBound + Int(random.next() % spread)
    due[(tick + max(1, delay)) & 63].append(packet)
  }

  mutating func receive(tick: Int) -> [Packet] {
    let slot = tick & 63
    guard !due[slot].isEmpty else { return [] }
    defer { due[slot].removeAll(keepingCapacity: true) }
    return due[slot]
  }
}
