import Core
import Testing

@testable import SFU

private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

@Suite struct PacerTests {
  private func reference(
    _ sequence: UInt16, slot: UInt16 = 0, bytes: UInt16 = 1000, kind: PacketKind = .video, at time: Instant = .zero
  ) -> PacketReference {
    PacketReference(slot: slot, sequence: sequence, bytes: bytes, kind: kind, queuedAt: time)
  }

  private func pacer(_ target: Int = 800_000) -> Pacer {
    var pacer = Pacer()
    pacer.setTarget(target)
    return pacer
  }

  @Test func ownsNoMemoryWhileNothingWaits() {
    var pacer = pacer()
    #expect(pacer.memory == 0)
    _ = pacer.enqueue(reference(1))
    #expect(pacer.memory > 0)
    _ = pacer.next(now: at(0))
    pacer.release()
    #expect(pacer.memory == 0)
  }

  @Test func admitsWhileThereIsBudgetAndNothingWaits() {
    var pacer = pacer()
    let first = pacer.admits(.video, now: at(0))
    pacer.spend(bytes: 1000, now: at(0))
    // 1,000 bytes at 1.1 · 100 bytes a millisecond are 9.1 ms.
    let then = [0, 9, 10].map { pacer.admits(.video, now: at($0)) }
    #expect(first)
    #expect(then == [false, false, true])
    _ = pacer.enqueue(reference(1))
    let behind = pacer.admits(.video, now: at(100))
    let before = pacer.admits(.retransmission, now: at(100))
    #expect(!behind && before)
  }

  @Test func audioIsAlwaysAdmittedAndOthersPayForIt() {
    var pacer = pacer()
    for _ in 0..<50 {
      let admitted = pacer.admits(.audio, now: at(0))
      #expect(admitted)
      pacer.spend(bytes: 200, now: at(0))
    }
    let video = pacer.admits(.video, now: at(50))
    let audio = pacer.admits(.audio, now: at(50))
    #expect(!video && audio)
  }

  @Test func retransmissionsLeaveBeforeVideo() {
    var pacer = pacer(80_000_000)
    _ = pacer.enqueue(reference(1))
    _ = pacer.enqueue(reference(2))
    _ = pacer.enqueue(reference(9, kind: .retransmission))
    var left: [UInt16] = []
    var time = 0
    while !pacer.isEmpty {
      if let packet = pacer.next(now: at(time)) { left.append(packet.sequence) }
      time += 1
    }
    #expect(left == [9, 1, 2])
    #expect(pacer.queuedBytes == 0)
  }

  @Test func sendsAtThePace() {
    var pacer = pacer(800_000)
    for i in 0..<100 { _ = pacer.enqueue(reference(UInt16(i))) }
    var bytes = 0
    for time in stride(from: 0, through: 500, by: 5) {
      while let packet = pacer.next(now: at(time)) {
        pacer.spend(bytes: Int(packet.bytes), now: at(time))
        bytes += Int(packet.bytes)
      }
    }
    // 110,000 bytes a second.
    #expect(abs(bytes - 55_000) <= 2000)
  }

  @Test(arguments: [5, 20, 45])
  func keepsThePaceThoughTicksAreLate(step: Int) {
    var pacer = pacer(800_000)
    for i in 0..<140 { _ = pacer.enqueue(reference(UInt16(i))) }
    var bytes = 0
    for time in stride(from: 0, through: 900, by: step) {
      while let packet = pacer.next(now: at(time)) {
        pacer.spend(bytes: Int(packet.bytes), now: at(time))
        bytes += Int(packet.bytes)
      }
    }
    #expect(abs(bytes - 99_000) <= 3000)
  }

  @Test func isBoundedByTheTimeToDrain() {
    var pacer = pacer(80_000)
    var queued = 0
    for i in 0..<1000 where pacer.enqueue(reference(UInt16(i))) { queued += 1 }
    // 11,000 bytes a second for 1.5 s, and the packet that crosses the bound.
    #expect(queued == 17)
    #expect(pacer.delay >= Pacer.longestDelay)
    var fast = self.pacer(100_000_000)
    var all = 0
    for i in 0..<3000 where fast.enqueue(reference(UInt16(i))) { all += 1 }
    #expect(all == ReferenceQueue.largestCapacity)
  }

  @Test func retransmissionsThatWaitedTooLongAreNotSent() {
    var pacer = pacer()
    _ = pacer.enqueue(reference(1, kind: .retransmission))
    _ = pacer.enqueue(reference(2, kind: .retransmission, at: at(400)))
    _ = pacer.enqueue(reference(3))
    let first = pacer.next(now: at(600))
    let second = pacer.next(now: at(600))
    #expect(first?.sequence == 2)
    #expect(second?.sequence == 3)
    #expect(pacer.queuedBytes == 0)
  }

  @Test func retransmissionsAreBoundedByTimeToo() {
    var pacer = pacer(80_000)
    var queued = 0
    for i in 0..<200 where pacer.enqueue(reference(UInt16(i), kind: .retransmission)) { queued += 1 }
    #expect(queued == 17)
  }

  @Test func dropsWhatWaitsOfOneConsumer() {
    var pacer = pacer()
    for i in 0..<10 { _ = pacer.enqueue(reference(UInt16(i), slot: UInt16(i % 2), bytes: i % 2 == 0 ? 100 : 200)) }
    _ = pacer.enqueue(reference(99, slot: 1, bytes: 50, kind: .retransmission))
    #expect(pacer.heaviestSlot == 1)
    let dropped = pacer.drop(slot: 1, videoOnly: true)
    #expect(dropped == 5)
    #expect(pacer.queuedBytes == 550)
    pacer.drop(slot: 1, videoOnly: false)
    #expect(pacer.queuedBytes == 500 && pacer.count == 5)
    var left: [UInt16] = []
    for time in 0..<1000 { while let packet = pacer.next(now: at(time)) { left.append(packet.sequence) } }
    #expect(left == [0, 2, 4, 6, 8])
  }

  @Test func theRingKeepsItsOrderThroughGrowthAndWrap() {
    var queue = ReferenceQueue()
    var next: UInt16 = 0
    var expected: UInt16 = 0
    var random = SeededRandom(seed: 4)
    for _ in 0..<5000 {
      for _ in 0..<Int.random(in: 0...5, using: &random) where queue.append(reference(next)) { next &+= 1 }
      for _ in 0..<Int.random(in: 0...5, using: &random) {
        guard let packet = queue.popFirst() else { break }
        #expect(packet.sequence == expected)
        expected &+= 1
      }
    }
    #expect(Int(next &- expected) == queue.count)
  }
}
