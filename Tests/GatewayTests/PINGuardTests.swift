import Core
import Testing

@testable import Gateway

@Suite struct PINGuardTests {
  private let start = Instant.zero

  /// Fails until locked out; how many were looked at, and for how long no more are.
  private func fail(_ pins: inout PINGuard, caller: String?, target: String = "600", now: Instant) -> (Int, Duration) {
    for count in 0..<1_000 {
      if case .lockedOut(let until) = pins.begin(caller: caller, target: target, now: now) {
        return (count, until - now)
      }
    }
    return (1_000, .zero)
  }

  @Test func lockOutsOfACallerDouble() {
    var pins = PINGuard()
    var now = start
    #expect(fail(&pins, caller: "+1555", now: now) == (6, .seconds(30)))
    for expected in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
      // The last lock-out has to run out; at its end one attempt is looked at.
      guard let until = pins.lockOut(caller: "+1555", target: "600", now: now) else {
        Issue.record("no lock-out before \(expected)")
        return
      }
      #expect(fail(&pins, caller: "+1555", now: until - .milliseconds(1)).0 == 0)
      now = until
      #expect(fail(&pins, caller: "+1555", now: now) == (1, .seconds(expected)))
    }
  }

  @Test func anotherCallerIsNotAffected() {
    var pins = PINGuard()
    _ = fail(&pins, caller: "+1555", now: start)
    #expect(pins.lockOut(caller: "+1556", target: "600", now: start) == nil)
    #expect(pins.lockOut(caller: "+1555", target: "601", now: start) != nil)
  }

  @Test func whoGuessesFromManyNumbersMeetsTheTargetsLimit() {
    var pins = PINGuard()
    var looked = 0
    for caller in 0..<1_000 {
      if case .allowed = pins.begin(caller: "+\(caller)", target: "600", now: start) { looked += 1 }
    }
    #expect(looked == 40)
    #expect(pins.lockOut(caller: "new", target: "600", now: start + .seconds(9)) != nil)
    #expect(pins.lockOut(caller: "new", target: "600", now: start + .seconds(11)) == nil)
    #expect(pins.lockOut(caller: "new", target: "601", now: start) == nil)
    #expect(pins.statistics.refusals == 960)
  }

  @Test func aRightPINIsGivenBackButForgivesNothing() {
    var pins = PINGuard()
    for _ in 0..<1_000 {
      guard case .allowed(let attempt) = pins.begin(caller: "a", target: "600", now: start) else {
        Issue.record("locked out by right PINs")
        return
      }
      pins.succeeded(attempt)
    }
    #expect(pins.count == 0)
    // Five wrong ones, each followed by the right PIN of the guesser's own conference: the sixth locks all the same.
    for _ in 0..<5 {
      _ = pins.begin(caller: "a", target: "600", now: start)
      if case .allowed(let attempt) = pins.begin(caller: "a", target: "600", now: start) { pins.succeeded(attempt) }
    }
    _ = pins.begin(caller: "a", target: "600", now: start)
    #expect(pins.lockOut(caller: "a", target: "600", now: start) != nil)
  }

  @Test func attemptsAtTheSameTimeCountBeforeTheirAnswers() {
    var pins = PINGuard()
    var attempts: [PINGuard.Attempt] = []
    for _ in 0..<50 {
      if case .allowed(let attempt) = pins.begin(caller: "a", target: "600", now: start) { attempts.append(attempt) }
    }
    #expect(attempts.count == 6)
    // The last of them was right: what it brought is taken back.
    pins.succeeded(attempts[5])
    #expect(pins.lockOut(caller: "a", target: "600", now: start) == nil)
    #expect(pins.statistics.lockOuts == 0)
  }

  @Test func hiddenNumbersAreOne() {
    var pins = PINGuard()
    _ = fail(&pins, caller: nil, now: start)
    #expect(pins.lockOut(caller: "", target: "601", now: start) != nil)
  }

  @Test func failuresAreForgotten() {
    var pins = PINGuard()
    for _ in 0..<5 { _ = pins.begin(caller: "a", target: "600", now: start) }
    #expect(fail(&pins, caller: "a", now: start + .seconds(6 * 3_600 + 1)).0 == 6)
  }

  @Test func memoryIsBoundedAndTheLockedOutStay() {
    let policy = PINGuard.Policy(
      allowance: 2, firstLockOut: .seconds(60), longestLockOut: .seconds(60), memory: .seconds(600), capacity: 100)
    var pins = PINGuard(
      caller: policy,
      target: PINGuard.Policy(
        allowance: 1_000_000, firstLockOut: .seconds(1), longestLockOut: .seconds(1), memory: .seconds(1), capacity: 8))
    _ = fail(&pins, caller: "guilty", now: start)
    for caller in 0..<20_000 { _ = pins.begin(caller: "\(caller)", target: "\(caller)", now: start + .seconds(1)) }
    #expect(pins.count <= 108)
    #expect(pins.lockOut(caller: "guilty", target: "0", now: start + .seconds(1)) != nil)
    _ = pins.begin(caller: String(repeating: "9", count: 1_000_000), target: "1", now: start)
  }
}
