import Core
import Testing

@testable import SFU

@Suite struct NackGeneratorTests {
  private let start = Instant(nanoseconds: 0)
  private func at(_ milliseconds: Int) -> Instant { start + .milliseconds(milliseconds) }

  private func collect(_ nacks: inout NackGenerator, _ now: Instant) -> [UInt16] {
    var lost: [UInt16] = []
    nacks.collect(into: &lost, now: now)
    return lost
  }

  @Test func asksForNothingInOrder() {
    var nacks = NackGenerator()
    for sequence in Int64(100)..<200 { #expect(nacks.receive(sequence, now: start) == .inOrder) }
    #expect(collect(&nacks, at(1_000)).isEmpty)
  }

  @Test func asksForAGapAcrossTheWrapAndAgainOnlyAfterARoundTrip() {
    var nacks = NackGenerator()
    _ = nacks.receive(65_534, now: start)
    #expect(nacks.receive(65_538, now: start) == .gap)
    #expect(collect(&nacks, at(5)) == [65_535, 0, 1])
    #expect(collect(&nacks, at(100)).isEmpty, "100 ms round trip assumed, a quarter more waited")
    #expect(collect(&nacks, at(131)) == [65_535, 0, 1])
  }

  @Test func forgetsWhatCame() {
    var nacks = NackGenerator()
    _ = nacks.receive(1, now: start)
    _ = nacks.receive(5, now: start)
    #expect(nacks.receive(3, now: at(1)) == .recovered)
    #expect(collect(&nacks, at(5)) == [2, 4])
    #expect(nacks.receive(2, now: at(40)) == .recovered)
    #expect(nacks.recovered == 1, "what merely came late was not recovered")
    #expect(collect(&nacks, at(200)) == [4])
  }

  @Test func measuresTheRoundTripByFirstAnswersAndFollowsIt() {
    var nacks = NackGenerator()
    _ = nacks.receive(1, now: start)
    _ = nacks.receive(4, now: start)
    #expect(collect(&nacks, at(0)) == [2, 3])
    _ = nacks.receive(2, now: at(24))
    #expect(nacks.roundTrip == .milliseconds(24))
    #expect(collect(&nacks, at(29)).isEmpty)
    #expect(collect(&nacks, at(30)) == [3])
    // The answer to a repeated request may be late for the first: it measures nothing.
    _ = nacks.receive(3, now: at(31))
    #expect(nacks.roundTrip == .milliseconds(24))
  }

  @Test func givesUpAfterTenTriesOrOldAge() {
    var nacks = NackGenerator(limits: .init(maximumAge: .seconds(100)))
    _ = nacks.receive(1, now: start)
    _ = nacks.receive(3, now: start)
    var asked = 0
    for step in 0..<1_000 { asked += collect(&nacks, at(step * 10)).count }
    #expect(asked == 10 && nacks.missingCount == 0 && nacks.abandoned == 1)

    var old = NackGenerator()
    _ = old.receive(1, now: start)
    _ = old.receive(3, now: start)
    #expect(collect(&old, at(1_501)).isEmpty)
    #expect(old.missingCount == 0)
  }

  @Test func givesUpTheListOverAHoleThatNothingMends() {
    var nacks = NackGenerator()
    _ = nacks.receive(1, now: start)
    _ = nacks.receive(3, now: start)
    #expect(nacks.receive(600, now: start) == .overflow)
    #expect(nacks.missingCount == 0)
    #expect(nacks.receive(601, now: start) == .inOrder)
    #expect(nacks.receive(300, now: start) == .late)
  }
}

@Suite struct KeyFrameRequestsTests {
  private func at(_ milliseconds: Int) -> Instant { Instant.zero + .milliseconds(milliseconds) }

  @Test func asksOnceForManySubscribersWithinTheInterval() {
    var requests = KeyFrameRequests(interval: .milliseconds(500))
    #expect(requests.request(now: at(0)) == .pictureLossIndication)
    for ms in stride(from: 1, to: 200, by: 7) { #expect(requests.request(now: at(ms)) == .none) }
    requests.keyFrameStarted()
    #expect(requests.poll(now: at(600)) == .none, "it came")
    #expect(requests.sent == 1)
  }

  @Test func keepsARequestThatCameTooSoonUntilItMayBeSent() {
    var requests = KeyFrameRequests(interval: .milliseconds(500))
    _ = requests.request(now: at(0))
    requests.keyFrameStarted()
    #expect(requests.request(now: at(100)) == .none)
    #expect(requests.poll(now: at(499)) == .none)
    #expect(requests.poll(now: at(500)) == .pictureLossIndication)
  }

  @Test func repeatsMoreSlowlyThenTriesFIRThenStops() {
    var requests = KeyFrameRequests(interval: .milliseconds(500))
    var sent: [(Int, KeyFrameRequests.Action)] = []
    let first = requests.request(now: at(0))
    sent.append((0, first))
    for ms in stride(from: 5, to: 30_000, by: 5) {
      let action = requests.poll(now: at(ms))
      if action != .none { sent.append((ms, action)) }
    }
    #expect(sent.map(\.0) == [0, 1_000, 2_500, 4_500, 6_500, 8_500])
    #expect(sent.prefix(3).allSatisfy { $0.1 == .pictureLossIndication })
    #expect(sent.suffix(3).map(\.1) == [.fullIntraRequest(1), .fullIntraRequest(2), .fullIntraRequest(3)])
    #expect(!requests.isOutstanding)
    #expect(requests.request(now: at(31_000)) == .pictureLossIndication, "asked anew")
  }
}
