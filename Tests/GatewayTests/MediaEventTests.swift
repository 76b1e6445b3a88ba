import Core
import Gateway
import SIP
import Testing

/// What a call makes of its media's fate. Leg 1 is the caller, leg 2 the callee.
@Suite(.serialized) struct MediaEventTests {
  let caller = LegID(rawValue: 1)
  let callee = LegID(rawValue: 2)

  @Test func aMediaPathThatDoesNotComeBackEndsTheCall() async throws {
    let running = try await Running()
    await running.world.gateway.media(caller, .iceDisconnected)
    try await running.world.settle()
    try await running.world.advance(.seconds(29))
    #expect(await running.isUp)
    try await running.world.advance(.seconds(2))
    try await running.call.awaitBye()
    try await running.leg.awaitBye()
    try await running.world.expectNothingLeft(calls: 1)
    #expect(running.world.records.final.first?.endedBy == .system)
  }

  @Test func aMediaPathThatComesBackSavesTheCall() async throws {
    let running = try await Running()
    await running.world.gateway.media(caller, .iceDisconnected)
    try await running.world.settle()
    try await running.world.advance(.seconds(20))
    await running.world.gateway.media(caller, .iceConnected(local: "", remote: ""))
    try await running.world.settle()
    try await running.world.advance(.seconds(40))
    #expect(await running.isUp)
    try await running.end()
  }

  @Test func aPartyThatClosesItsMediaHasLeftEvenWithoutABye() async throws {
    let running = try await Running()
    await running.world.gateway.media(caller, .transportClosedByPeer)
    try await running.world.settle()
    try await running.world.advance(.seconds(3))
    try await running.leg.awaitBye()
    try await running.world.expectNothingLeft(calls: 1)
    #expect(running.world.records.final.first?.endedBy == .caller)
  }

  @Test func aByeBehindItsClosedMediaIsTheEnd() async throws {
    let running = try await Running()
    await running.world.gateway.media(callee, .transportClosedByPeer)
    try await running.leg.bye()
    try await running.call.awaitBye()
    try await running.world.expectNothingLeft(calls: 1)
    #expect(running.world.records.final.first?.endedBy == .callee)
  }

  @Test func silenceEndsTheCall() async throws {
    let running = try await Running()
    await running.world.gateway.media(callee, .mediaTimeout)
    try await running.call.awaitBye()
    try await running.leg.awaitBye()
    try await running.world.expectNothingLeft(calls: 1)
  }

  @Test func theMediaOfALoserDoesNotEndTheWinnersCall() async throws {
    let world = try await World()
    let (a, b) = (try await Agent.phone(world, "1002", 21), try await Agent.phone(world, "1002", 22))
    let call = try await Agent.carrier(world).call("+15550100")
    let (atA, atB) = (try await a.incoming(), try await b.incoming())
    await atA.reply(180)
    try await atB.answer()
    try await atA.cancelled()
    try await call.answered()
    for leg in [LegID(rawValue: 2), LegID(rawValue: 3)] where await world.media.hosts[0].counters(leg) == nil {
      await world.gateway.media(leg, .transportFailed("late"))
    }
    try await world.settle()
    #expect(await world.gateway.holdings.calls == 1)
    try await call.bye()
    try await atB.awaitBye()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aBrowserIsOfferedWebRTCAndAPlainAnswerIsRefused() async throws {
    let world = try await World()
    let browser = try await Agent.phone(world, "1002", 21, transport: .ws)
    let call = try await Agent.carrier(world).call("+15550100")
    let leg = try await browser.incoming()
    let offer = String(decoding: leg.invite.body, as: UTF8.self)
    #expect(offer.contains("UDP/TLS/RTP/SAVPF") && offer.contains("a=fingerprint:sha-256"))
    #expect(leg.invite.headers.contact?.uri.parameters["transport"] == "ws")
    await leg.reply(200, body: SDP.audio())
    _ = try await browser.request(.ack)
    try await leg.awaitBye()
    #expect(try await call.final().status == 488)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aRegisteredUserOnUDPIsFollowedThroughItsNAT() async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1002", 21, transport: .udp)
    let call = try await Agent.carrier(world).call("+15550100")
    let leg = try await phone.incoming()
    try await leg.answer()
    try await call.answered()
    // The NAT gave the phone another port.
    let moved = Agent(
      world, "1002",
      Flow(id: 21, transport: .udp, local: phone.flow.local, remote: SocketAddress("127.0.0.20:23456")!))
    await moved.send(try leg.make(.info, body: "", type: "", []))
    try await call.send(.bye)
    let bye = try await moved.request(.bye)
    await moved.reply(to: bye, 200, tag: nil)
    try await world.expectNothingLeft(calls: 1)
  }
}
