import Core
import Gateway
import SIP
import Testing

/// A user's call through the trunk, answered.
struct Running {
  let world: World
  let call: Outgoing
  let leg: Incoming

  init(
    trunk: Trunk? = nil, extra: [(HeaderName, String)] = [], transport: TransportProtocol = .tcp,
    instance: String? = nil, allow: String = "INVITE, ACK, BYE, CANCEL, UPDATE",
    answer: [(HeaderName, String)] = []
  ) async throws {
    let trunk = trunk ?? Trunk(name: "carrier", host: "127.0.0.9", codecs: [.pcmu, .pcma])
    world = try await World(trunk: trunk)
    let user = try await Agent.phone(world, "1001", 11, transport: transport, instance: instance)
    call = try await user.call("915550111", extra)
    leg = try await Agent.carrier(world).incoming()
    await leg.reply(200, body: SDP.audio(), [(.allow, allow)] + answer)
    _ = try await leg.agent.request(.ack)
    try await call.answered()
    try await world.settle()
  }

  func end() async throws {
    try await call.send(.bye)
    try await leg.awaitBye()
    #expect(try await call.agent.response(.bye).status == 200)
    try await world.expectNothingLeft(calls: 1)
  }

  var isUp: Bool { get async { await world.gateway.holdings.calls == 1 } }
}

@Suite(.serialized) struct DialogTests {
  @Test(arguments: [
    ("sendonly", "recvonly"), ("inactive", "inactive"), ("recvonly", "sendonly"), ("sendrecv", "sendrecv"),
  ])
  func holdAndResumeAreAnsweredOnTheirOwnLegOnly(_ offered: String, _ answered: String) async throws {
    let running = try await Running()
    for (direction, expected) in [(offered, answered), ("sendrecv", "sendrecv")] {
      for side in [running.call as any Side, running.leg as any Side] {
        try await side.send(.invite, body: SDP.audio(direction, version: 2))
        let response = try await side.agent.response(.invite)
        #expect(response.status == 200)
        #expect(String(decoding: response.body, as: UTF8.self).contains("a=\(expected)"))
        await side.agent.send(try acknowledge(side))
      }
    }
    #expect(!running.world.untaken(trunkAddress).contains("INVITE"))
    try await running.end()
  }

  /// The ACK of the side's last INVITE.
  func acknowledge(_ side: any Side, body: String = "") throws -> SIPRequest {
    var ack = try side.make(.ack, body: body, type: "application/sdp", [])
    let number = (ack.headers.cSeq?.number ?? 1) - 1
    ack.headers.cSeq = CSeq(number: number, method: .ack)
    return ack
  }

  @Test func theUnspecifiedAddressIsAHoldToo() async throws {
    let running = try await Running()
    try await running.leg.send(.invite, body: SDP.audio(version: 2, address: "0.0.0.0"))
    #expect(try await running.leg.agent.response(.invite).status == 200)
    await running.leg.agent.send(try acknowledge(running.leg))
    try await running.end()
  }

  @Test func anOfferThatCannotBeServedLeavesTheSessionAsItWas() async throws {
    let running = try await Running()
    try await running.call.send(.invite, body: SDP.audio(formats: "18", version: 2))
    #expect(try await running.call.agent.response(.invite).status == 488)
    try await running.call.send(.invite, body: "nonsense")
    #expect(try await running.call.agent.response(.invite).status == 488)
    try await running.call.send(.invite, body: SDP.audio(version: 3))
    let response = try await running.call.agent.response(.invite)
    #expect(response.status == 200)
    // The refused ones left no trace in the version of our description.
    #expect(String(decoding: response.body, as: UTF8.self).contains("PCMU/8000"))
    await running.call.agent.send(try acknowledge(running.call))
    try await running.end()
  }

  @Test func aReinviteWithoutOfferGetsOursAndItsAnswerCounts() async throws {
    let running = try await Running()
    try await running.leg.send(.invite)
    let offer = try await running.leg.agent.response(.invite)
    #expect(offer.status == 200 && !offer.body.isEmpty)
    // Until the answer is there nothing else is negotiated.
    let ack = try acknowledge(running.leg, body: SDP.audio())
    try await running.leg.send(.invite, body: SDP.audio())
    #expect(try await running.leg.agent.response(.invite).status == 491)
    await running.leg.agent.send(ack)
    try await running.world.settle()
    try await running.leg.send(.invite, body: SDP.audio(version: 4))
    #expect(try await running.leg.agent.response(.invite).status == 200)
    await running.leg.agent.send(try acknowledge(running.leg))
    try await running.end()
  }

  @Test func aReinviteThatIsNeverAcknowledgedEndsTheCall() async throws {
    let running = try await Running()
    try await running.leg.send(.invite)
    #expect(try await running.leg.agent.response(.invite).status == 200)
    for _ in 0..<33 { try await running.world.advance(.seconds(1)) }
    try await running.leg.awaitBye()
    try await running.call.awaitBye()
    try await running.world.expectNothingLeft(calls: 1)
  }

  @Test func anUpdateWithAndWithoutAnOfferIsAnswered() async throws {
    let running = try await Running()
    try await running.call.send(.update)
    let bare = try await running.call.agent.response(.update)
    #expect(bare.status == 200 && bare.body.isEmpty)
    try await running.call.send(.update, body: SDP.audio("sendonly", version: 2))
    let held = try await running.call.agent.response(.update)
    #expect(held.status == 200 && String(decoding: held.body, as: UTF8.self).contains("a=recvonly"))
    try await running.end()
  }

  @Test func ourRefreshMeetsTheirReinviteWith491AndIsTriedAgain() async throws {
    let running = try await Running(answer: [(.sessionExpires, "200;refresher=uac"), (.require, "timer")])
    try await running.world.advance(.seconds(101))
    let first = try await running.leg.agent.request(.update)
    try await running.leg.send(.invite, body: SDP.audio(version: 2))
    #expect(try await running.leg.agent.response(.invite).status == 491)
    await running.leg.agent.reply(to: first, 491, tag: nil)
    try await running.world.advance(.seconds(5))
    let second = try await running.leg.agent.request(.update)
    #expect(second.headers.cSeq?.number == (first.headers.cSeq?.number ?? 0) + 1)
    await running.leg.agent.reply(to: second, 200, tag: nil, [(.sessionExpires, "200;refresher=uac")])
    try await running.world.advance(.seconds(99))
    #expect(await running.isUp)
    try await running.end()
  }

  @Test func aPeerThatRefusesUpdateIsRefreshedByReinvite() async throws {
    let running = try await Running(answer: [(.sessionExpires, "200;refresher=uac")])
    try await running.world.advance(.seconds(101))
    await running.leg.agent.reply(to: try await running.leg.agent.request(.update), 501, tag: nil)
    let again = try await running.leg.agent.request(.invite)
    #expect(!again.body.isEmpty)
    await running.leg.agent.reply(
      to: again, 200, tag: nil, body: SDP.audio(version: 2), [(.sessionExpires, "200;refresher=uac")])
    _ = try await running.leg.agent.request(.ack)
    try await running.world.advance(.seconds(99))
    #expect(await running.isUp)
    try await running.end()
  }

  @Test func aRefreshThatIsChallengedIsAnswered() async throws {
    let trunk = Trunk(name: "carrier", host: "127.0.0.9", username: "account", password: "pw")
    let running = try await Running(trunk: trunk, answer: [(.sessionExpires, "200;refresher=uac")])
    try await running.world.advance(.seconds(101))
    let first = try await running.leg.agent.request(.update)
    let challenge = [(HeaderName.proxyAuthenticate, "Digest realm=\"c\", nonce=\"n\", qop=\"auth\"")]
    await running.leg.agent.reply(to: first, 407, tag: nil, challenge)
    let second = try await running.leg.agent.request(.update)
    #expect(second.headers[.proxyAuthorization] != nil)
    await running.leg.agent.reply(to: second, 200, tag: nil, [(.sessionExpires, "200;refresher=uac")])
    try await running.call.send(.bye)
    let bye = try await running.leg.agent.request(.bye)
    #expect(bye.headers[.proxyAuthorization] != nil && bye.headers.cSeq!.number > second.headers.cSeq!.number)
    await running.leg.agent.reply(to: bye, 407, tag: nil, [(.proxyAuthenticate, "Digest realm=\"c\", nonce=\"n2\"")])
    let again = try await running.leg.agent.request(.bye)
    #expect(again.headers[.proxyAuthorization]?.contains("n2") == true)
    await running.leg.agent.reply(to: again, 200, tag: nil)
    try await running.world.expectNothingLeft(calls: 1)
  }

  @Test func aSessionThatNobodyRefreshesExpires() async throws {
    let running = try await Running(
      extra: [(.supported, "timer"), (.sessionExpires, "120;refresher=uac")])
    try await running.world.advance(.seconds(60))
    #expect(await running.isUp)
    try await running.world.advance(.seconds(30))
    try await running.call.awaitBye()
    try await running.leg.awaitBye()
    try await running.world.expectNothingLeft(calls: 1)
    #expect(running.world.records.final.first?.endedBy == .system)
  }

  @Test func aByeIsAnsweredOnlyWhenTheRecordIsKept() async throws {
    let running = try await Running()
    running.world.records.setOpen(false)
    try await running.call.send(.bye)
    try await running.leg.awaitBye()
    try await Task.sleep(for: .milliseconds(50))
    #expect(!running.world.untaken(running.call.agent.remote).contains("200 BYE"))
    #expect(running.world.records.final.isEmpty)
    running.world.records.setOpen(true)
    #expect(try await running.call.agent.response(.bye).status == 200)
    #expect(running.world.records.final.count == 1)
    try await running.world.expectNothingLeft(calls: 1)
  }

  @Test func byesThatCrossAreBothAnswered() async throws {
    let running = try await Running()
    running.world.records.setOpen(false)
    try await running.call.send(.bye)
    try await running.leg.send(.bye)
    let ours = try await running.leg.agent.request(.bye)
    running.world.records.setOpen(true)
    #expect(try await running.call.agent.response(.bye).status == 200)
    #expect(try await running.leg.agent.response(.bye).status == 200)
    await running.leg.agent.reply(to: ours, 481, tag: nil)
    try await running.world.expectNothingLeft(calls: 1)
  }

  @Test func aLostAcknowledgementEndsTheCall() async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1002", 21)
    let call = try await Agent.carrier(world).call("+15550100")
    let leg = try await phone.incoming()
    try await leg.answer()
    #expect(try await call.final().status == 200)
    for _ in 0..<33 { try await world.advance(.seconds(1)) }
    try await call.awaitBye()
    try await leg.awaitBye()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aByeWaitsForTheAcknowledgementBeforeIt() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("915550111")
    let leg = try await Agent.carrier(world).incoming()
    try await leg.answer()
    #expect(try await call.final().status == 200)
    try await leg.bye()
    #expect(!world.untaken(user.remote).contains("BYE"))
    try await call.ack()
    try await call.awaitBye()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [
    ("application/dtmf-relay", "Signal=5\r\nDuration=160", 200), ("application/dtmf-relay", "Signal= *\r\n", 200),
    ("application/dtmf", "5", 200), ("application/dtmf", "Signal=5\r\nDuration=99999999999999999999", 200),
    ("application/dtmf-relay", "Duration=160", 400), ("application/dtmf-relay", "Signal=55", 400),
    ("application/dtmf", "", 400), ("application/dtmf", "x", 400), ("text/plain", "hello", 415),
    ("application/trickle-ice-sdpfrag", "a=candidate:junk", 200),
  ])
  func digitsInInfoAreTakenAndJunkIsRefused(_ type: String, _ body: String, _ status: Int) async throws {
    let running = try await Running()
    try await running.call.send(.info, body: body.isEmpty ? " " : body, type: type)
    #expect(try await running.call.agent.response(.info).status == status)
    try await running.call.send(.info)
    #expect(try await running.call.agent.response(.info).status == 200)
    try await running.end()
  }

  @Test func requestsInTheDialogAreJudgedByIt() async throws {
    let running = try await Running()
    try await running.call.send(.options)
    #expect(try await running.call.agent.response(.options).status == 200)
    try await running.call.send(.publish)
    #expect(try await running.call.agent.response(.publish).status == 405)
    try await running.call.send(.invite, body: SDP.audio(version: 2), [(.require, "wizardry")])
    let bad = try await running.call.agent.response(.invite)
    #expect(bad.status == 420 && bad.headers[.unsupported] == "wizardry")
    // An old number, and a stranger's tag.
    running.call.cSeq = 0
    try await running.call.send(.info)
    #expect(try await running.call.agent.response(.info).status == 500)
    var stranger = try running.call.make(.bye, body: "", type: "", [])
    stranger.headers.set(.from, "<sip:1001@parley.test>;tag=stranger")
    await running.call.agent.send(stranger)
    #expect(try await running.call.agent.response(.bye).status == 481)
    #expect(await running.isUp)
    running.call.cSeq = 10
    try await running.end()
  }

  @Test func aFlowThatClosesDuringACallLeavesItToTheMedia() async throws {
    let running = try await Running(answer: [(.sessionExpires, "200;refresher=uac")])
    await running.world.gateway.flowClosed(running.call.agent.flow)
    try await running.world.advance(.seconds(20))
    #expect(await running.isUp)
    try await running.leg.bye()
    try await running.world.expectNothingLeft(calls: 1)
  }

  @Test func aNewRegistrationOfTheInstanceTakesTheRunningCallAlong() async throws {
    let running = try await Running(transport: .ws, instance: "aaaa")
    await running.world.gateway.flowClosed(running.call.agent.flow)
    try await running.world.advance(.seconds(20))
    let back = try await Agent.phone(running.world, "1001", 12, transport: .ws, instance: "aaaa")
    try await running.leg.send(.bye)
    let bye = try await back.request(.bye)
    await back.reply(to: bye, 200, tag: nil)
    try await running.world.expectNothingLeft(calls: 1)
  }

  @Test func theCarriersRouteAndTargetDecideWhereRequestsGo() async throws {
    let world = try await World()
    let call = try await Agent.phone(world, "1001", 11).call("915550111")
    let leg = try await Agent.carrier(world).incoming()
    await leg.reply(200, body: SDP.audio(), [(.recordRoute, "<sip:127.0.0.10:5066;lr>")])
    let proxy = Agent.carrier(world, remote: "127.0.0.10:5066")
    _ = try await proxy.request(.ack)
    try await call.answered()
    try await call.send(.bye)
    let bye = try await proxy.request(.bye)
    #expect(bye.headers.routes.count == 1 && bye.uri.host == "127.0.0.9")
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func theOperatorEndsACallInEveryPhase() async throws {
    for phase in 0..<3 {
      let world = try await World()
      let user = try await Agent.phone(world, "1001", 11)
      let call = try await user.call("915550111")
      let leg = try await Agent.carrier(world).incoming()
      if phase > 0 { await leg.reply(180) }
      if phase == 2 {
        try await leg.answer()
        try await call.answered()
      }
      try await world.settle()
      let id = try #require(await world.gateway.liveCalls.first?.id)
      #expect(await world.gateway.hangUp(id, reason: "enough"))
      if phase == 2 {
        try await call.awaitBye()
        try await leg.awaitBye()
      } else {
        #expect(try await call.final().status == 480)
        if phase == 0 { await leg.reply(100) }
        try await leg.cancelled()
      }
      try await world.expectNothingLeft(calls: 1)
      let record = try #require(world.records.final.first)
      #expect(record.endedBy == .system && record.outcome == (phase == 2 ? .answered : .failed))
      #expect(await world.gateway.hangUp(id, reason: "again") == false)
    }
  }
}
