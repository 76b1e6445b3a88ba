import Core
import TestSupport
import Testing

@testable import SFU

private func at(_ milliseconds: Int) -> Instant { Instant(nanoseconds: Int64(milliseconds) * 1_000_000) }

/// Video: first number 100, first timestamp 5,000.
private func video() -> Munger { Munger(firstSequence: 100, firstTimestamp: 5_000, clockRate: 90_000) }

@Suite struct MungerTests {
  /// One line a packet: what happens, and what the subscriber sees.
  private enum Step {
    /// Source's number and timestamp, time in milliseconds; ours.
    case send(Int64, UInt32, Int, Int64, UInt32)
    case drop(Int64)
    /// A late one whose place stays empty.
    case hole(Int64, Int64)
    case join(Int64, UInt32, aligned: UInt32?, Int)
    case refused(Int64, UInt32, Int, Munger.Verdict)
  }

  private func run(_ steps: [Step], _ location: SourceLocation = #_sourceLocation) {
    var munger = video()
    for step in steps {
      switch step {
      case .send(let sequence, let timestamp, let time, let ours, let oursTimestamp):
        #expect(
          munger.forward(sequence: sequence, timestamp: timestamp, now: at(time))
            == .stamp(.init(sequence: ours, timestamp: oursTimestamp)), sourceLocation: location)
      case .drop(let sequence): #expect(munger.drop(sequence: sequence) == nil, sourceLocation: location)
      case .hole(let sequence, let hole): #expect(munger.drop(sequence: sequence) == hole, sourceLocation: location)
      case .join(let sequence, let timestamp, let aligned, let time):
        munger.join(sequence: sequence, timestamp: timestamp, aligned: aligned, now: at(time))
      case .refused(let sequence, let timestamp, let time, let verdict):
        #expect(
          munger.forward(sequence: sequence, timestamp: timestamp, now: at(time)) == verdict, sourceLocation: location)
      }
    }
  }

  @Test func passesOneSourceThrough() {
    run([
      .join(70_000, 1_000, aligned: nil, 0),
      .send(70_000, 1_000, 0, 100, 5_000),
      .send(70_001, 1_000, 0, 101, 5_000),
      .send(70_002, 4_000, 33, 102, 8_000),
      // Reordered, then repeated.
      .send(70_004, 7_000, 66, 104, 11_000),
      .send(70_003, 4_000, 67, 103, 8_000),
      .refused(70_003, 4_000, 68, .repeated),
      .refused(69_999, 1_000, 68, .tooOld),
    ])
  }

  @Test func closesOverDropsAndReportsHoles() {
    run([
      .join(10, 0, aligned: nil, 0),
      .send(10, 0, 0, 100, 5_000),
      .drop(11),
      .send(12, 3_000, 33, 101, 8_000),
      .send(15, 6_000, 66, 104, 11_000),
      .hole(13, 102),
      .send(14, 3_000, 70, 103, 8_000),
      .drop(16),
      .send(17, 9_000, 100, 105, 14_000),
    ])
  }

  @Test func switchesLayersWhereTheReportsPutThem() {
    run([
      .join(10, 0, aligned: nil, 0),
      .send(10, 0, 0, 100, 5_000),
      // The other layer's key frame was captured 3,000 later, and came late.
      .join(900, 777_000, aligned: 8_000, 80),
      .send(900, 777_000, 80, 101, 8_000),
      .send(901, 780_000, 113, 102, 11_000),
    ])
  }

  @Test func switchesByTimeOfArrivalWithoutReports() {
    run([
      .join(10, 0, aligned: nil, 0),
      .send(10, 0, 0, 100, 5_000),
      .join(900, 777_000, aligned: nil, 100),
      .send(900, 777_000, 100, 101, 14_000),
    ])
  }

  @Test func neverGoesBackInTimeAndFindsTheOldLineAgain() {
    var munger = video()
    munger.join(sequence: 10, timestamp: 0, aligned: nil, now: at(0))
    _ = munger.forward(sequence: 10, timestamp: 0, now: at(0))
    _ = munger.forward(sequence: 11, timestamp: 3_000, now: at(33))
    // The same capture instant as what was sent last.
    munger.join(sequence: 900, timestamp: 50_000, aligned: 8_000, now: at(35))
    #expect(
      munger.forward(sequence: 900, timestamp: 50_000, now: at(35)) == .stamp(.init(sequence: 102, timestamp: 8_001)))
    #expect(munger.timestampOffset &- munger.alignedOffset == 1)
    // Back again: by the true line, not by the one that was moved up.
    let aligned = UInt32(6_000) &+ (munger.alignedOffset &+ 50_000 &- 3_000)
    munger.join(sequence: 20, timestamp: 6_000, aligned: aligned, now: at(66))
    #expect(
      munger.forward(sequence: 20, timestamp: 6_000, now: at(66)) == .stamp(.init(sequence: 103, timestamp: 11_000)))
  }

  @Test func doesNotBelieveReportsThatContradictTheClock() {
    run([
      .join(10, 0, aligned: nil, 0),
      .send(10, 0, 0, 100, 5_000),
      .join(900, 0, aligned: 5_000 &+ 90_000 * 60, 100),
      .send(900, 0, 100, 101, 14_000),
    ])
  }

  @Test func wrapsSequenceNumbersAndTimestamps() {
    var munger = Munger(firstSequence: 65_530, firstTimestamp: .max - 2_000, clockRate: 90_000)
    munger.join(sequence: 131_068, timestamp: .max - 100, aligned: nil, now: at(0))
    for index in 0..<20 {
      let timestamp = UInt32.max - 100 &+ UInt32(index) * 3_000
      let verdict = munger.forward(sequence: 131_068 + Int64(index), timestamp: timestamp, now: at(33 * index))
      guard case .stamp(let stamp) = verdict else { return #expect(Bool(false), "\(verdict)") }
      #expect(UInt16(truncatingIfNeeded: stamp.sequence) == UInt16(65_530) &+ UInt16(index))
      #expect(stamp.timestamp == UInt32.max - 2_000 &+ UInt32(index) * 3_000)
    }
  }

  @Test func takesAFarJumpForARestart() {
    run([
      .join(10, 0, aligned: nil, 0),
      .send(10, 0, 0, 100, 5_000),
      .refused(10_000, 3_000, 33, .discontinuity),
      .send(600, 3_000, 33, 690, 8_000),
    ])
    // A clock that jumps without time passing.
    run([
      .join(10, 0, aligned: nil, 0),
      .send(10, 0, 0, 100, 5_000),
      .refused(11, 90_000 * 100, 33, .discontinuity),
      // After 100 s of silence it is right.
      .send(11, 90_000 * 100, 100_000, 101, 5_000 + 90_000 * 100),
    ])
  }

  @Test func keepsTimestampsThatGoBackWithinAStream() {
    // Bidirectionally predicted pictures are sent out of the order of display.
    run([
      .join(10, 9_000, aligned: nil, 0),
      .send(10, 9_000, 0, 100, 5_000),
      .send(11, 18_000, 33, 101, 14_000),
      .send(12, 12_000, 66, 102, 8_000),
      .send(13, 15_000, 99, 103, 11_000),
    ])
  }

  @Test func goesOnAfterAPauseWithoutAGap() {
    run([
      .join(10, 0, aligned: nil, 0),
      .send(10, 0, 0, 100, 5_000),
      // 10 s later, on the same line.
      .join(400, 900_000, aligned: 905_000, 10_000),
      .send(400, 900_000, 10_000, 101, 905_000),
      .refused(399, 897_000, 10_001, .tooOld),
    ])
  }
}
