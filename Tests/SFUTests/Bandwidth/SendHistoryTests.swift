import Core
import RTP
import Testing

@testable import SFU

@Suite struct SendHistoryTests {
  private func feedback(_ base: UInt16, _ arrivals: [Int16?], reference: Int32 = 10) -> TransportFeedback {
    TransportFeedback(
      sender: SSRC(1), media: SSRC(2), baseSequence: base, referenceTime: reference, feedbackCount: 0,
      arrivals: arrivals)
  }

  private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

  @Test func ownsNoMemoryBeforeTheFirstPacket() {
    #expect(SendHistory().capacity == 0)
  }

  @Test func numbersPacketsOneByOneThroughTheWrap() {
    var history = SendHistory()
    var last: UInt16?
    for i in 0..<70_000 {
      let number = history.add(bytes: 100, cluster: 0, now: at(i / 100))
      if let last { #expect(number == last &+ 1) }
      last = number
    }
  }

  @Test func joinsDeparturesAndArrivals() {
    var history = SendHistory()
    var report = FeedbackReport()
    let first = history.add(bytes: 100, cluster: 0, now: at(5))
    history.addUntracked(bytes: 70)
    _ = history.add(bytes: 200, cluster: 3, now: at(6))
    _ = history.add(bytes: 300, cluster: 0, now: at(7))
    history.receive(feedback(first, [4, nil, 8]), into: &report)
    #expect(report.lost == 1)
    #expect(report.acknowledged.map(\.bytes) == [100, 300])
    #expect(report.acknowledged.map(\.sentAt) == [at(5), at(7)])
    // 10 · 64 ms, then steps of 250 µs.
    #expect(report.acknowledged.map(\.arrival) == [at(641), at(643)])
    // The lost one comes late after all.
    history.receive(feedback(first &+ 1, [2]), into: &report)
    #expect(report.recovered == 1 && report.lost == 0)
    #expect(report.acknowledged.map(\.untracked) == [70])
    #expect(report.acknowledged.map(\.cluster) == [3])
  }

  @Test func takesEveryPacketOnce() {
    var history = SendHistory()
    var report = FeedbackReport()
    let first = history.add(bytes: 100, cluster: 0, now: at(5))
    history.receive(feedback(first, [4]), into: &report)
    history.receive(feedback(first, [4]), into: &report)
    #expect(report.acknowledged.isEmpty && report.lost == 0)
  }

  @Test func passesOverNumbersThatWereNeverSent() {
    var history = SendHistory()
    var report = FeedbackReport()
    history.receive(feedback(77, [1, 2, 3]), into: &report)
    #expect(report.acknowledged.isEmpty)
    let first = history.add(bytes: 100, cluster: 0, now: at(0))
    history.receive(feedback(first &+ 1, [1, nil, 3]), into: &report)
    #expect(report.acknowledged.isEmpty && report.lost == 0)
    history.receive(feedback(first &- 500, [Int16?](repeating: nil, count: 400)), into: &report)
    #expect(report.lost == 0)
  }

  @Test func growsForWhatIsUnderWayAndNoFurther() {
    var history = SendHistory()
    for _ in 0..<1000 { _ = history.add(bytes: 100, cluster: 0, now: at(1)) }
    #expect(history.capacity == 1024)
    for _ in 0..<20_000 { _ = history.add(bytes: 100, cluster: 0, now: at(2)) }
    #expect(history.capacity == SendHistory.largestCapacity)
    var slow = SendHistory()
    for i in 0..<5000 { _ = slow.add(bytes: 100, cluster: 0, now: at(i * 20)) }
    #expect(slow.capacity == SendHistory.smallestCapacity)
  }

  @Test func keepsOldEntriesWhenItGrows() {
    var history = SendHistory()
    var report = FeedbackReport()
    let first = history.add(bytes: 1, cluster: 0, now: at(0))
    for i in 2...200 { _ = history.add(bytes: i, cluster: 0, now: at(1)) }
    history.receive(feedback(first, [Int16?](repeating: 1, count: 200)), into: &report)
    #expect(report.acknowledged.map(\.bytes) == Array(1...200))
  }

  @Test func followsTheReferenceTimeThroughItsWrap() {
    var history = SendHistory()
    var report = FeedbackReport()
    let first = history.add(bytes: 1, cluster: 0, now: at(0))
    _ = history.add(bytes: 1, cluster: 0, now: at(1))
    history.receive(feedback(first, [0], reference: 0x7F_FFFF), into: &report)
    let before = report.acknowledged[0].arrival
    history.receive(feedback(first &+ 1, [0], reference: -0x80_0000), into: &report)
    #expect(report.acknowledged[0].arrival - before == .milliseconds(64))
  }

  @Test func survivesHostileFeedback() {
    var random = SeededRandom(seed: 3)
    var controller = CongestionController(mode: .transportCC)
    for i in 0..<20_000 {
      let now = at(i)
      if i % 3 == 0 {
        _ = controller.sent(
          bytes: Int(UInt16.random(in: 0...UInt16.max, using: &random)), isTracked: true, cluster: 0, now: now)
      }
      let count = Int.random(in: 0...40, using: &random)
      let arrivals = (0..<count).map { _ in
        Bool.random(using: &random) ? Int16.random(in: .min ... .max, using: &random) : nil
      }
      controller.receive(
        feedback(
          .random(in: 0...20_000, using: &random), arrivals,
          reference: .random(in: -0x80_0000...0x7F_FFFF, using: &random)),
        now: now)
      controller.tick(now: now)
      let target = controller.target ?? 0
      #expect(target >= 40_000 && target <= 30_000_000)
    }
  }
}
