import Core
import Testing

@testable import Transport

struct SourceLatchTests {
  let announced = SocketAddress("192.0.2.1:4000")!
  let nat = SocketAddress("198.51.100.2:5000")!
  let stranger = SocketAddress("203.0.113.3:6000")!

  @Test func believesTheAnnouncedAddressAtOnce() {
    var latch = SourceLatch()
    latch.expect(announced)
    #expect(latch.judge(source: announced, ssrc: 1, sequence: 7, now: .zero) == .locked)
    #expect(latch.judge(source: announced, ssrc: 1, sequence: 8, now: .zero) == .accepted)
    #expect(latch.judge(source: stranger, ssrc: 1, sequence: 9, now: .zero) == .refused)
    #expect(latch.locked == announced)
  }

  @Test func wantsTwoConsecutivePacketsFromElsewhere() {
    var latch = SourceLatch()
    latch.expect(announced)
    #expect(latch.judge(source: nat, ssrc: 1, sequence: 65_535, now: .zero) == .probation)
    #expect(latch.judge(source: stranger, ssrc: 1, sequence: 0, now: .zero) == .probation)
    #expect(latch.judge(source: nat, ssrc: 1, sequence: 0, now: .zero) == .probation)
    #expect(latch.judge(source: nat, ssrc: 2, sequence: 1, now: .zero) == .probation)
    #expect(latch.judge(source: nat, ssrc: 2, sequence: 2, now: .zero) == .locked)
    #expect(latch.judge(source: stranger, ssrc: 2, sequence: 3, now: .zero) == .refused)
  }

  @Test func theAnnouncedAddressWinsShortlyAfterwards() {
    var latch = SourceLatch()
    latch.expect(announced)
    _ = latch.judge(source: stranger, ssrc: 6, sequence: 1, now: .zero)
    #expect(latch.judge(source: stranger, ssrc: 6, sequence: 2, now: .zero) == .locked)
    let soon = Instant.zero + .seconds(1)
    #expect(latch.judge(source: announced, ssrc: 1, sequence: 1, now: soon) == .locked)
    #expect(latch.judge(source: stranger, ssrc: 6, sequence: 3, now: soon) == .refused)
  }

  @Test func theAnnouncedAddressDoesNotTakeOverLater() {
    var latch = SourceLatch()
    latch.expect(announced)
    _ = latch.judge(source: nat, ssrc: 6, sequence: 1, now: .zero)
    _ = latch.judge(source: nat, ssrc: 6, sequence: 2, now: .zero)
    #expect(latch.judge(source: announced, ssrc: 1, sequence: 1, now: .zero + .seconds(3)) == .refused)
    #expect(latch.locked == nat)
  }

  @Test func onlyAnotherAddressOpensLearning() {
    var latch = SourceLatch()
    latch.expect(announced)
    _ = latch.judge(source: announced, ssrc: 1, sequence: 1, now: .zero)
    latch.expect(announced)
    #expect(latch.locked == announced)
    latch.expect(nat)
    #expect(latch.locked == nil)
    #expect(latch.judge(source: announced, ssrc: 1, sequence: 2, now: .zero) == .probation)
    #expect(latch.judge(source: nat, ssrc: 1, sequence: 2, now: .zero) == .locked)
  }

  @Test func refusesEverythingBeforeAnAddressIsAnnounced() {
    var latch = SourceLatch()
    #expect(latch.judge(source: nat, ssrc: 1, sequence: 1, now: .zero) == .refused)
    #expect(latch.judge(source: nat, ssrc: 1, sequence: 2, now: .zero) == .refused)
  }
}
