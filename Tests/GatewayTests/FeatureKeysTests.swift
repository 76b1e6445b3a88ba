import Core
import Testing

@testable import Gateway

@Suite("Keys in conferences")
struct FeatureKeysTests {
  private func press(_ text: String) -> (meanings: [FeatureKeys.Meaning], keys: FeatureKeys) {
    var keys = FeatureKeys()
    return (text.compactMap { keys.press($0) }, keys)
  }

  @Test("A key that begins no code is passed on at once")
  func plainKeys() {
    #expect(press("12#A").meanings == [.keys("1"), .keys("2"), .keys("#"), .keys("A")])
  }

  @Test("A code is known with its last key, and the next one begins anew")
  func codes() {
    #expect(press("*6*9").meanings == [.code(.toggleMute), .code(.toggleHand)])
    #expect(press("1*61").meanings == [.keys("1"), .code(.toggleMute), .keys("1")])
  }

  @Test("The conference is ended by two keys, not by one")
  func ending() {
    #expect(press("*8").meanings.isEmpty)
    #expect(press("*8").keys.pending == "*8")
    #expect(press("*88").meanings == [.code(.endConference)])
    #expect(press("*86").meanings == [.keys("*86")])
  }

  @Test("What turns out to be no code is passed on whole and in order")
  func noCode() {
    #expect(press("*#").meanings == [.keys("*#")])
    #expect(press("**6").meanings == [.keys("**"), .keys("6")])
  }

  @Test("A beginning of a code that nothing follows is passed on when its time is over, once")
  func expiry() {
    var keys = press("*").keys
    #expect(keys.expire() == .keys("*"))
    #expect(keys.expire() == nil)
    #expect(keys.press("6") == .keys("6"))
  }
}

@Suite("As many keys as fingers press")
struct KeyBudgetTests {
  @Test("A burst is taken, a flood is not, and time gives back")
  func flood() {
    var now = Instant(nanoseconds: 1_000_000_000)
    var budget = KeyBudget(now: now)
    let taken = (0..<1_000).count { _ in budget.take(now: now) }
    #expect(taken == KeyBudget.burst)
    now = now + .seconds(1)
    let later = (0..<1_000).count { _ in budget.take(now: now) }
    #expect(later == KeyBudget.rate)
    now = now + .seconds(3_600)
    let rested = (0..<1_000).count { _ in budget.take(now: now) }
    #expect(rested == KeyBudget.burst)
  }
}

@Suite("Keys for a far end")
struct DigitScriptTests {
  private func steps(_ text: String) -> [DigitScript.Step]? {
    guard var script = DigitScript(text) else { return nil }
    var steps: [DigitScript.Step] = []
    while let step = script.next() { steps.append(step) }
    return steps
  }

  @Test("Pauses stand between keys, half a second each")
  func pauses() {
    #expect(
      steps("12ww3,#") == [
        .keys("12"), .pause(.seconds(1)), .keys("3"), .pause(.milliseconds(500)), .keys("#"),
      ])
    #expect(steps("") == [])
  }

  @Test("Long runs are cut into what the sender's queue takes")
  func longRuns() {
    #expect(
      steps(String(repeating: "5", count: 40)) == [
        .keys(String(repeating: "5", count: 32)), .keys(String(repeating: "5", count: 8)),
      ])
  }

  @Test(
    "What is neither key nor pause is refused, and so are scripts without end",
    arguments: [
      "1x2", "12\u{0}", "é", String(repeating: "1", count: 257),
    ])
  func refused(_ text: String) {
    #expect(steps(text) == nil)
  }

  @Test("A second script waits behind the first, and what is too much is left out")
  func appending() throws {
    var script = try #require(DigitScript("1"))
    script.append(try #require(DigitScript("w2")))
    script.append(try #require(DigitScript(String(repeating: "3", count: 256))))
    #expect(script.next() == .keys("1"))
    #expect(script.next() == .pause(.milliseconds(500)))
    #expect(script.next() == .keys("2"))
    #expect(script.next() == nil)
  }
}
