import Core
import Testing
import TestSupport

@testable import Transport

@Suite(.serialized, .timeLimit(.minutes(2)))
struct WebRTCTransportTests {
  @Test(arguments: [SRTPProfile.aeadAES128GCM, .aeadAES256GCM, .aes128CMSHA1_80])
  func carriesRTPAndRTCPBothWays(profile: SRTPProfile) async throws {
    let pair = try Pair()
    try await pair.connect(profiles: [profile])
    #expect(await pair.a.waitConnected(0))
    #expect(await pair.b.waitConnected(0))
    #expect(await pair.a.events[0].contains(.connected(profile: profile)))
    let forth = (0..<20).map { Sample.rtp(sequence: 65_530 &+ UInt16($0), payload: 20 + Int($0) % 3) }
    let back = (0..<20).map { Sample.rtp(sequence: UInt16($0), ssrc: 7) }
    await pair.a.send(0, rtp: forth)
    await pair.a.send(0, rtcp: Sample.rtcp())
    await pair.b.send(0, rtp: back)
    await pair.b.send(0, rtcp: Sample.rtcp(ssrc: 7))
    #expect(await pair.a.wait { $0.received(0).rtp.count == 20 && $0.received(0).rtcp.count == 1 })
    #expect(await pair.b.wait { $0.received(0).rtp.count == 20 && $0.received(0).rtcp.count == 1 })
    #expect(await pair.b.received(0).rtp == forth)
    #expect(await pair.a.received(0).rtp == back)
    #expect(await pair.b.received(0).rtcp == [Sample.rtcp()])
    #expect(await pair.a.statistics(0).packetsSent == 21)
    #expect(await pair.a.statistics(0).packetsNotSent == 0)
    #expect(await pair.b.statistics(0).rejected.total == 0)
    await pair.finish()
  }
}
