import Core
import SIPTransport
import Testing

@Suite struct SourceLimiterTests {
  private let ip = IPAddress("192.0.2.1")!
  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  private func limiter(
    connections: Int = 2, rate: Double = 10, burst: Double = 3, sources: Int = 100, unlimited: [IPNetwork] = []
  ) -> SourceLimiter {
    SourceLimiter(
      limits: .init(
        connections: connections, messagesPerSecond: rate, burst: burst, maximumSources: sources, unlimited: unlimited))
  }

  @Test func aBurstPassesThenTheRateRules() {
    var limiter = limiter()
    for _ in 0..<3 { #expect(limiter.takeMessage(from: ip, now: at(0)) == nil) }
    #expect(limiter.takeMessage(from: ip, now: at(0)) != nil)
    #expect(limiter.takeMessage(from: ip, now: at(99)) != nil)
    #expect(limiter.takeMessage(from: ip, now: at(101)) == nil)
    #expect(limiter.takeMessage(from: ip, now: at(102)) != nil)
    // A long silence gives the burst back, not more.
    for _ in 0..<3 { #expect(limiter.takeMessage(from: ip, now: at(60_000)) == nil) }
    #expect(limiter.takeMessage(from: ip, now: at(60_000)) != nil)
  }

  @Test func debtMustBePaidBack() {
    var limiter = limiter()
    for _ in 0..<3 { _ = limiter.takeMessage(from: ip, now: at(0), debt: 5) }
    var wait = Duration.zero
    for _ in 0..<20 { wait = limiter.takeMessage(from: ip, now: at(0), debt: 5)! }
    // Five messages of debt and one to go: 0.6 s at 10 a second.
    #expect(wait >= .milliseconds(600) && wait < .milliseconds(610))
    #expect(limiter.takeMessage(from: ip, now: at(500)) != nil)
    #expect(limiter.takeMessage(from: ip, now: at(700)) == nil)
  }

  @Test func aClockThatGoesBackGivesNothing() {
    var limiter = limiter(burst: 1)
    #expect(limiter.takeMessage(from: ip, now: at(1_000)) == nil)
    #expect(limiter.takeMessage(from: ip, now: at(0)) != nil)
  }

  @Test func connectionsAreCountedASource() {
    var limiter = limiter()
    let other = IPAddress("192.0.2.2")!
    #expect(limiter.admitConnection(from: ip, now: at(0)) == true)
    #expect(limiter.admitConnection(from: ip, now: at(0)) == true)
    #expect(limiter.admitConnection(from: ip, now: at(0)) == false)
    #expect(limiter.admitConnection(from: other, now: at(0)) == true)
    limiter.releaseConnection(from: ip)
    #expect(limiter.admitConnection(from: ip, now: at(0)) == true)
  }

  @Test func anIPv6SubscriberIsOneSource() {
    var limiter = limiter(connections: 1)
    #expect(limiter.admitConnection(from: IPAddress("2001:db8:1:2::1")!, now: at(0)) == true)
    #expect(limiter.admitConnection(from: IPAddress("2001:db8:1:2:3::9")!, now: at(0)) == false)
    #expect(limiter.admitConnection(from: IPAddress("2001:db8:1:3::1")!, now: at(0)) == true)
    // An IPv4-mapped address is the IPv4 source.
    #expect(limiter.admitConnection(from: ip, now: at(0)) == true)
    #expect(limiter.admitConnection(from: IPAddress("::ffff:192.0.2.1")!, now: at(0)) == false)
  }

  @Test func oneLineASourceAndMinute() {
    var limiter = limiter()
    #expect(limiter.noteRefusal(of: ip, now: at(0))?.refusals == 1)
    for second in 1..<60 { #expect(limiter.noteRefusal(of: ip, now: at(Int64(second) * 1_000)) == nil) }
    #expect(limiter.noteRefusal(of: IPAddress("192.0.2.9")!, now: at(1_000))?.refusals == 1)
    #expect(limiter.noteRefusal(of: ip, now: at(60_000))?.refusals == 60)
  }

  @Test func unlimitedNetworksPass() {
    var limiter = limiter(connections: 0, burst: 0, unlimited: [IPNetwork("192.0.2.0/24")!])
    #expect(limiter.takeMessage(from: ip, now: at(0)) == nil)
    #expect(limiter.admitConnection(from: ip, now: at(0)) == true)
    #expect(limiter.takeMessage(from: IPAddress("192.0.3.1")!, now: at(0)) != nil)
    #expect(limiter.admitConnection(from: IPAddress("192.0.3.1")!, now: at(0)) == false)
  }

  @Test func aFloodOfSourcesStaysBoundedAndKeepsTheKnownOnes() {
    var limiter = limiter(connections: 5, sources: 50)
    #expect(limiter.admitConnection(from: ip, now: at(0)) == true)
    for index in 0..<10_000 {
      _ = limiter.takeMessage(from: IPAddress(v4: 0x0A00_0000 + UInt32(index)), now: at(0))
    }
    #expect(limiter.trackedSources <= 50)
    // Strangers share one allowance now; the source with a connection keeps its own.
    #expect(limiter.takeMessage(from: IPAddress("198.51.100.1")!, now: at(0)) != nil)
    #expect(limiter.takeMessage(from: ip, now: at(0)) == nil)
    // Once the flood is over its records go.
    limiter.forgetIdle(now: at(120_000))
    #expect(limiter.trackedSources == 1)
  }

  @Test(arguments: ["192.0.2.0/33", "192.0.2.0/-1", "x/8", "192.0.2.0/", ""]) func refusesBadNetworks(text: String) {
    #expect(IPNetwork(text) == nil)
  }
}
