import Core
import Testing

@testable import SFU

private func at(_ seconds: Int) -> Instant { Instant(nanoseconds: Int64(seconds) * 1_000_000_000) }

@Suite struct DynacastTests {
  @Test func goesUpAtOnceAndDownAfterFiveSeconds() {
    var dynacast = Dynacast()
    #expect(dynacast.update(wanted: 0, now: at(0)) == false)
    #expect(dynacast.advance(to: at(4)) == false && dynacast.announced == 2)
    #expect(dynacast.advance(to: at(5)) == true && dynacast.announced == 0)
    #expect(dynacast.update(wanted: 1, now: at(6)) == true && dynacast.announced == 1)
    #expect(dynacast.update(wanted: nil, now: at(7)) == false)
    #expect(dynacast.advance(to: at(12)) == true && dynacast.announced == nil)
    #expect(dynacast.update(wanted: 0, now: at(13)) == true && dynacast.announced == 0)
  }

  @Test func forgetsADipThatDidNotLast() {
    var dynacast = Dynacast()
    _ = dynacast.update(wanted: 0, now: at(0))
    #expect(dynacast.update(wanted: 2, now: at(4)) == false)
    #expect(dynacast.update(wanted: 1, now: at(6)) == false)
    #expect(dynacast.advance(to: at(10)) == false)
    #expect(dynacast.advance(to: at(11)) == true && dynacast.announced == 1)
  }
}
