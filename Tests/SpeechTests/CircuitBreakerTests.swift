import Core
import Foundation
import Testing

@testable import Speech

@Suite struct CircuitBreakerTests {
  private let start = Instant.zero

  /// Outside of the macro, which takes no changes.
  private func asks(_ breaker: inout CircuitBreaker, after duration: Duration) -> Bool {
    breaker.permits(now: start + duration)
  }

  @Test func itOpensAfterFailuresInARowOnly() {
    var breaker = CircuitBreaker(threshold: 3)
    for _ in 0..<5 {
      breaker.failed(now: start)
      breaker.failed(now: start)
      breaker.succeeded()
    }
    let before = asks(&breaker, after: .zero)
    for _ in 0..<3 { breaker.failed(now: start) }
    let after = asks(&breaker, after: .zero)
    #expect(before && !after && breaker.isSuspended)
  }

  @Test func afterThePauseOneRequestTries() {
    var breaker = CircuitBreaker(threshold: 1, firstPause: .seconds(5))
    breaker.failed(now: start)
    let asked = [4_999, 5_000, 5_000].map { asks(&breaker, after: .milliseconds($0)) }
    #expect(asked == [false, true, false])
    breaker.succeeded()
    let again = [5_000, 5_000].map { asks(&breaker, after: .milliseconds($0)) }
    #expect(again == [true, true])
  }

  @Test func pausesDoubleUpToTheLongest() {
    var breaker = CircuitBreaker(threshold: 1, firstPause: .seconds(5), longestPause: .seconds(15))
    var now = Duration.zero
    breaker.failed(now: start)
    for pause in [5, 10, 15, 15, 15] {
      let early = asks(&breaker, after: now + .seconds(pause) - .milliseconds(1))
      now += .seconds(pause)
      let due = asks(&breaker, after: now)
      #expect(!early && due, "\(pause)")
      breaker.failed(now: start + now)
    }
  }

  @Test func requestsUnderWayDoNotLengthenThePause() {
    var breaker = CircuitBreaker(threshold: 2, firstPause: .seconds(5))
    for _ in 0..<100 { breaker.failed(now: start) }
    let asked = asks(&breaker, after: .seconds(5))
    #expect(asked)
  }

  @Test func oneTimeOutIsEnough() {
    var breaker = CircuitBreaker(threshold: 3, firstPause: .seconds(5))
    breaker.failed(now: start, isGrave: true)
    let asked = [4_999, 5_000].map { asks(&breaker, after: .milliseconds($0)) }
    #expect(asked == [false, true])
  }
}

@Suite struct VoiceListTests {
  @Test(arguments: [
    #"["a", "b"]"#, #"[{"name": "a", "language": "en"}, {"key": "b"}]"#, #"{"voices": ["b", "a"]}"#,
    #"{"voices": [{"id": "a"}, {"voice": "b"}]}"#, #"{"a": {"quality": "low"}, "b": {}}"#,
    #"{"voices": {"a": 1, "b": 2}}"#,
  ])
  func everyFormIsRead(json: String) throws {
    #expect(try JSONDecoder().decode(VoiceList.self, from: Data(json.utf8)).names.sorted() == ["a", "b"])
  }

  @Test(arguments: ["", "7", #""a""#, "[1, 2]", #"[{"size": 1}]"#, "<html>"])
  func whatIsNoListIsRefused(json: String) {
    #expect(throws: (any Error).self) { try JSONDecoder().decode(VoiceList.self, from: Data(json.utf8)) }
  }
}
