import Core
import Synchronization
import Testing
import TestSupport

@Suite struct PacketRingTests {
  private static func push(_ ring: PacketRing, _ bytes: [UInt8], _ number: UInt64) -> Bool {
    let label: (UInt64, UInt64, UInt64, UInt64) = (number, 0, 0, ~number)
    return withUnsafeBytes(of: label) { label in
      bytes.withUnsafeBytes { ring.push($0, label: label.baseAddress.unsafelyUnwrapped) }
    }
  }

  private static func drain(_ ring: PacketRing, limit: Int = .max) -> (
    packets: [[UInt8]], numbers: [UInt64], more: Bool
  ) {
    var packets: [[UInt8]] = []
    var numbers: [UInt64] = []
    let more = ring.drain(limit: limit) { bytes, label in
      packets.append([UInt8](bytes))
      numbers.append(label.load(as: UInt64.self))
    }
    return (packets, numbers, more)
  }

  @Test func givesPacketsInOrderWithTheirLabels() {
    let ring = PacketRing(capacity: 4_096)
    var random = SeededRandom(seed: 1)
    var next: UInt64 = 0
    var expected: [(UInt64, [UInt8])] = []
    for _ in 0..<2_000 {
      let length = Int.random(in: 0...900, using: &random)
      let bytes = (0..<length).map { UInt8(truncatingIfNeeded: Int(next) + $0) }
      if Self.push(ring, bytes, next) {
        expected.append((next, bytes))
      } else {
        let (packets, numbers, more) = Self.drain(ring, limit: 2)
        #expect(!packets.isEmpty)
        #expect(packets == expected.prefix(packets.count).map(\.1))
        #expect(numbers == expected.prefix(packets.count).map(\.0))
        expected.removeFirst(packets.count)
        #expect(more == !expected.isEmpty)
      }
      next += 1
    }
    #expect(Self.drain(ring).0 == expected.map(\.1))
    #expect(Self.drain(ring).0.isEmpty)
  }

  @Test func refusesWhatDoesNotFit() {
    let ring = PacketRing(capacity: 4_096)
    #expect(!Self.push(ring, [UInt8](repeating: 1, count: 5_000), 0))
    var pushed = 0
    while Self.push(ring, [UInt8](repeating: 2, count: 100), 1) { pushed += 1 }
    // 144 bytes each.
    #expect(pushed == 4_096 / 144)
    #expect(Self.drain(ring).0.count == pushed)
    #expect(Self.push(ring, [3], 2))
  }

  @Test func oneThreadPushesWhileAnotherDrains() async {
    let ring = PacketRing(capacity: 16 * 1024)
    let count = 50_000
    let sender = Task.detached {
      var number: UInt64 = 0
      while number < count {
        let length = Int(number % 700)
        if Self.push(ring, [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: length), number) {
          number += 1
        } else {
          await Task.yield()
        }
      }
    }
    var next: UInt64 = 0
    var intact = true
    while next < count {
      let (packets, numbers, _) = Self.drain(ring, limit: 64)
      for (bytes, number) in zip(packets, numbers) {
        intact = intact && number == next && bytes.count == Int(next % 700)
        intact = intact && bytes.allSatisfy { $0 == UInt8(truncatingIfNeeded: next) }
        next += 1
      }
      if packets.isEmpty { await Task.yield() }
    }
    await sender.value
    #expect(intact)
  }
}
