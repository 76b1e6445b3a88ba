import Core
import Testing

@testable import Transport

struct PortAllocatorTests {
  @Test func handsOutEvenPortsOnceEach() throws {
    let ports = PortAllocator(range: 10_001...10_021)
    var seen: Set<UInt16> = []
    for _ in 0..<10 {
      let port = try ports.allocatePair(now: .zero)
      #expect(port % 2 == 0 && port >= 10_002 && port + 1 <= 10_021)
      #expect(seen.insert(port).inserted)
    }
    #expect(ports.inUse == 10)
    #expect(throws: TransportError.self) { try ports.allocatePair(now: .zero) }
  }

  @Test func exhaustionNamesTheSetting() {
    let ports = PortAllocator(range: 20_000...20_001)
    #expect(throws: Never.self) { try ports.allocatePair(now: .zero) }
    let error = #expect(throws: TransportError.self) { try ports.allocatePair(now: .zero) }
    let text = error?.description ?? ""
    #expect(text.contains("media.ports 20000-20001"), "\(text)")
    #expect(text.contains("1 of 1 port pairs are in use"), "\(text)")
  }

  @Test func reusesAPairOnlyAfterTheDelay() throws {
    let ports = PortAllocator(range: 20_000...20_001, reuseDelay: .seconds(5))
    let port = try ports.allocatePair(now: .zero)
    ports.releasePair(port, now: .zero)
    #expect(throws: TransportError.self) { try ports.allocatePair(now: .zero + .seconds(4)) }
    #expect(try ports.allocatePair(now: .zero + .seconds(5)) == port)
  }

  @Test func ignoresPortsThatItDidNotHandOut() throws {
    let ports = PortAllocator(range: 20_000...20_003, start: 0)
    ports.releasePair(9)
    ports.releasePair(20_000)
    ports.releasePair(65_535)
    #expect(ports.inUse == 0)
    #expect(try ports.allocatePair(now: .zero) == 20_000)
    ports.releasePair(20_000, now: .zero)
    ports.releasePair(20_000, now: .zero)
    #expect(ports.inUse == 0)
  }

  @Test(arguments: [5...5, 6...6, 5...6, 65_535...65_535] as [ClosedRange<UInt16>])
  func rangesWithoutAPairHaveNone(range: ClosedRange<UInt16>) {
    #expect(throws: TransportError.self) { try PortAllocator(range: range).allocatePair(now: .zero) }
  }

  @Test func reachesTheLastPort() throws {
    #expect(try PortAllocator(range: 65_534...65_535).allocatePair(now: .zero) == 65_534)
  }
}
