import Core
import Testing

@testable import SFU

private func entry(_ input: Int64) -> SequenceMap.Entry {
  .init(stream: 1, input: input, run: 3, marker: true, pictureID: 9)
}

@Suite struct SequenceMapTests {
  @Test func anEntryTakesTwelveBytes() { #expect(MemoryLayout<SequenceMap.Entry>.stride == 12) }

  @Test func keepsWhatWasRecorded() {
    var map = SequenceMap(capacity: 8)
    #expect(map[5] == nil && map.memory == 0)
    map.record(65_535, entry(1 << 33 | 7))
    let kept = map[65_535]
    #expect(kept?.extendedSequence == 1 << 33 | 7 && kept?.marker == true && kept?.run == 3 && kept?.streamIndex == 1)
    #expect(kept?.pictureID == 9)
    map.record(65_538, entry(10))
    #expect(map.extend(0) == 65_536 && map.extend(65_535) == 65_535)
    // Skipped numbers are empty, and may be filled late.
    #expect(map[65_536] == nil && map.covers(65_536))
    map.record(65_536, entry(8))
    #expect(map[65_536]?.extendedSequence == 8)
    #expect(map.highest == 65_538)
  }

  @Test func forgetsWhatIsOlderThanItsCapacity() {
    var map = SequenceMap(capacity: 8)
    for number in Int64(0)..<20 { map.record(number, entry(number)) }
    #expect(map[11] == nil && !map.covers(11))
    #expect(map[12]?.extendedSequence == 12)
    map.record(3, entry(99))
    #expect(map[11] == nil && map[19]?.extendedSequence == 19)
    map.record(1_000, entry(1))
    #expect(map[999] == nil && map[993] == nil && map[1_000] != nil)
  }

  @Test func remembersAnswersAndFillers() {
    var map = SequenceMap(capacity: 8)
    map.record(1, entry(1))
    map.record(3, entry(3))
    map.retransmitted(1, now: Instant(nanoseconds: 70_000_000_000))
    #expect(map[1]?.retransmissions == 1 && map[1]?.retransmittedAt == UInt16(70_000 & 0xFFFF))
    map.fill(2)
    #expect(map[2]?.isFiller == true)
    map.fill(3)
    #expect(map[3]?.isFiller == false)
  }
}
