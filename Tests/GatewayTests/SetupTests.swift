import Core
import Gateway
import SIP
import Testing

@Suite(.serialized) struct SetupTests {
  @Test func aUserCallsThroughTheTrunkAndTheRecordSaysSo() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let carrier = Agent.carrier(world)
    let call = try await user.call("915550111")
    let leg = try await carrier.incoming()
    #expect(leg.invite.uri.user == "15550111" && leg.invite.headers.maxForwards == 69)
    await leg.reply(180)
    _ = try await call.provisional(180)
    try await leg.answer()
    try await call.answered()
    try await world.settle()
    #expect(await world.gateway.holdings.calls == 1)
    try await call.send(.bye)
    try await leg.awaitBye()
    #expect(try await user.response(.bye).status == 200)
    try await world.expectNothingLeft(calls: 1)
    let record = try #require(world.records.final.first)
    #expect(record.from == "1001" && record.outcome == .answered && record.endedBy == .caller)
    #expect(record.direction == .outbound && record.legs.map(\.codec) == ["PCMU", "PCMU"])
    #expect(record.ringingAt != nil && record.answeredAt != nil && record.status == 200)
  }

  @Test func theLosersOfAParallelSearchHearWhoWon() async throws {
    let world = try await World()
    let (a, b) = (try await Agent.phone(world, "1002", 21), try await Agent.phone(world, "1002", 22))
    let carrier = Agent.carrier(world)
    let call = try await carrier.call("+15550100")
    let (atA, atB) = (try await a.incoming(), try await b.incoming())
    await atA.reply(180)
    await atB.reply(180)
    _ = try await call.provisional(180)
    try await atB.answer()
    let cancel = try await atA.cancelled()
    let reason = try #require(cancel.headers.reasons.first)
    #expect(reason.cause == 200 && reason.text == "Call completed elsewhere")
    try await call.answered()
    try await atB.bye()
    try await call.awaitBye()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.endedBy == .callee)
  }

  @Test func theSecondOfTwoAnswersIsAcknowledgedAndEnded() async throws {
    let world = try await World()
    let (a, b) = (try await Agent.phone(world, "1002", 21), try await Agent.phone(world, "1002", 22))
    let call = try await Agent.carrier(world).call("+15550100")
    let (atA, atB) = (try await a.incoming(), try await b.incoming())
    await atA.reply(200, body: SDP.audio())
    await atB.reply(200, body: SDP.audio())
    _ = try await a.request(.ack)
    _ = try await b.request(.ack)
    try await atB.awaitBye()
    try await call.answered()
    #expect(world.untaken(a.remote).filter { $0 == "BYE" }.isEmpty)
    try await call.bye()
    try await atA.awaitBye()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func anAnswerThatCrossesTheCallersCancelIsEndedByBye() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let carrier = Agent.carrier(world)
    let call = try await user.call("915550111")
    let leg = try await carrier.incoming()
    await leg.reply(180)
    _ = try await call.provisional(180)
    try await call.cancel()
    #expect(try await call.final().status == 487)
    let cancel = try await carrier.request(.cancel)
    await carrier.reply(to: cancel, 200)
    await leg.reply(200, body: SDP.audio())
    _ = try await carrier.request(.ack)
    try await leg.awaitBye()
    // A fork may answer too, even then.
    await leg.reply(200, body: SDP.audio(), tag: "another")
    _ = try await carrier.request(.ack)
    try await leg.awaitBye()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.outcome == .cancelled)
  }

  @Test func aCancelThatCrossesOurAnswerChangesNothing() async throws {
    let world = try await World()
    let call = try await Agent.carrier(world).call("600x")
    #expect(try await call.final().status == 404)
    let echo = try await Agent.phone(world, "1001", 11).call("600")
    let answer = try await echo.final()
    try await echo.cancel()
    #expect(try await echo.agent.response(.cancel).status == 200)
    #expect(answer.status == 200)
    try await echo.ack()
    try await world.settle()
    #expect(await world.gateway.holdings.calls == 1)
    try await echo.bye()
    try await world.expectNothingLeft(calls: 2)
  }

  @Test func aCancelBeforeAnyResponseIsSentOnOnceOneComes() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let carrier = Agent.carrier(world)
    let call = try await user.call("915550111")
    let leg = try await carrier.incoming()
    try await call.cancel()
    #expect(try await call.final().status == 487)
    #expect(!world.untaken(trunkAddress).contains("CANCEL"))
    await leg.reply(100)
    try await leg.cancelled()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aCancelledInviteThatNobodyAnswersIsForgotten() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("915550111")
    _ = try await Agent.carrier(world).incoming()
    try await call.cancel()
    #expect(try await call.final().status == 487)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [
    (486, 486, CallRecord.Outcome.busy), (603, 603, .rejected), (404, 404, .failed), (503, 502, .failed),
    (302, 480, .failed), (407, 502, .failed), (422, 502, .failed), (415, 488, .failed), (600, 600, .busy),
  ])
  func refusalsReachTheCallerAsItCanUseThem(_ given: Int, _ seen: Int, _ outcome: CallRecord.Outcome) async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let carrier = Agent.carrier(world)
    let call = try await user.call("915550111")
    let leg = try await carrier.incoming()
    await leg.reply(given, [(.contact, "<sip:elsewhere@127.0.0.77>")])
    _ = try await carrier.request(.ack)
    #expect(try await call.final().status == seen)
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.outcome == outcome)
  }

  @Test func aDeclineOnOneContactEndsTheSearch() async throws {
    let world = try await World()
    let (a, b) = (try await Agent.phone(world, "1002", 21), try await Agent.phone(world, "1002", 22))
    let call = try await Agent.carrier(world).call("+15550100")
    let (atA, atB) = (try await a.incoming(), try await b.incoming())
    await atA.reply(180)
    await atB.reply(603)
    try await atA.cancelled()
    #expect(try await call.final().status == 603)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [(503, 404, 404), (404, 503, 404), (480, 486, 486), (486, 480, 486), (408, 480, 480)])
  func theBestOfTwoRefusalsIsPassedOn(_ first: Int, _ second: Int, _ seen: Int) async throws {
    let world = try await World()
    let (a, b) = (try await Agent.phone(world, "1002", 21), try await Agent.phone(world, "1002", 22))
    let call = try await Agent.carrier(world).call("+15550100")
    let (atA, atB) = (try await a.incoming(), try await b.incoming())
    await atA.reply(first)
    await atB.reply(second)
    #expect(try await call.final().status == seen)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func nobodyAnswersInTime() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("915550111")
    let leg = try await Agent.carrier(world).incoming()
    await leg.reply(180)
    try await world.advance(.seconds(61))
    try await leg.cancelled()
    #expect(try await call.final().status == 480)
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.outcome == .noAnswer)
  }

  @Test func aTrunkThatIsSilentIsGivenUpAfterTimerB() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("915550111")
    _ = try await Agent.carrier(world).incoming()
    for _ in 0..<33 { try await world.advance(.seconds(1)) }
    #expect(try await call.final().status == 504)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func usersWithoutAContactAreUnavailable() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("1003")
    #expect(try await call.final().status == 480)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aCarriersChallengeIsAnsweredButNotForEver() async throws {
    let trunk = Trunk(name: "carrier", host: "127.0.0.9", username: "account", password: "pw")
    let world = try await World(trunk: trunk)
    let user = try await Agent.phone(world, "1001", 11)
    let carrier = Agent.carrier(world)
    let call = try await user.call("915550111")
    var invites = 0
    var nonce = 0
    while invites < 20 {
      guard let leg = try? await carrier.incoming() else { break }
      #expect((leg.invite.headers[.proxyAuthorization] == nil) == (invites == 0))
      invites += 1
      nonce += 1
      // "stale" asks for the same password once more: a broken carrier says it every time.
      await leg.reply(407, [(.proxyAuthenticate, "Digest realm=\"c\", nonce=\"n\(nonce)\", stale=true, qop=\"auth\"")])
      _ = try await carrier.request(.ack)
      try await world.settle()
      if world.untaken(user.remote).contains("502 INVITE") { break }
    }
    #expect((2...4).contains(invites))
    #expect(try await call.final().status == 502)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aBriefSessionIsLengthenedOnceAsked() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let carrier = Agent.carrier(world)
    let call = try await user.call("915550111")
    let first = try await carrier.incoming()
    await first.reply(422, [(.minSE, "3600")])
    let second = try await carrier.incoming()
    #expect(second.invite.headers.sessionExpires?.seconds == 3600)
    #expect(second.invite.headers.cSeq?.number == (first.invite.headers.cSeq?.number ?? 0) + 1)
    for _ in 0..<5 {
      guard let again = try? await carrier.incoming() else { break }
      await again.reply(422, [(.minSE, "3600")])
    }
    await second.reply(422, [(.minSE, "3600")])
    for _ in 0..<5 {
      try await world.settle()
      if world.untaken(user.remote).contains("502 INVITE") { break }
      await (try await carrier.incoming()).reply(422, [(.minSE, "3600")])
    }
    #expect(try await call.final().status == 502)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func earlyMediaAndItsAnswerShareOneDescriptionAndForksMayDiffer() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let carrier = Agent.carrier(world)
    let call = try await user.call("915550111")
    let leg = try await carrier.incoming()
    await leg.reply(183, body: SDP.audio(port: 41_000), tag: "first")
    let early = try await call.provisional(183)
    #expect(!early.body.isEmpty)
    leg.tag = "second"
    try await leg.answer(SDP.audio(port: 42_000))
    let answer = try await call.answered()
    #expect(answer.body == early.body)
    #expect(answer.headers.toTag == early.headers.toTag)
    try await call.send(.bye)
    let bye = try await carrier.request(.bye)
    #expect(bye.headers.toTag == "second")
    await carrier.reply(to: bye, 200, tag: nil)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aDelayedOfferIsAnsweredInTheAcknowledgement() async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1002", 21)
    let call = try await Agent.carrier(world).call("+15550100", body: "")
    let leg = try await phone.incoming()
    try await leg.answer()
    let offer = try await call.final()
    #expect(offer.status == 200 && !offer.body.isEmpty)
    try await call.ack(body: SDP.audio())
    try await world.settle()
    #expect(await world.gateway.holdings.calls == 1)
    try await call.bye()
    try await leg.awaitBye()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.legs.first?.codec == "PCMU")
  }

  @Test func anAcknowledgementWithoutTheAnswerEndsTheCall() async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1002", 21)
    let call = try await Agent.carrier(world).call("+15550100", body: "")
    let leg = try await phone.incoming()
    try await leg.answer()
    _ = try await call.final()
    try await call.ack()
    try await call.awaitBye()
    try await leg.awaitBye()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func anAnswerThatCannotBeUsedEndsBothSides() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("915550111")
    let leg = try await Agent.carrier(world).incoming()
    await leg.reply(200, body: SDP.audio(formats: "18"))
    _ = try await leg.agent.request(.ack)
    try await leg.awaitBye()
    #expect(try await call.final().status == 488)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func anOfferThatCannotBeServedRingsNobody() async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1002", 21)
    let call = try await Agent.carrier(world).call("+15550100", body: SDP.audio(formats: "18"))
    #expect(try await call.final().status == 488)
    #expect(world.untaken(phone.remote).isEmpty)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [SDP.audio(port: 0), SDP.audio(formats: "101"), "v=0\r\n", "nonsense"])
  func offersWithoutUsableAudioAreRefusedAtOnce(_ body: String) async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1002", 21)
    let call = try await Agent.carrier(world).call("+15550100", body: body)
    #expect([400, 488].contains(try await call.final().status))
    #expect(world.untaken(phone.remote).isEmpty)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aCallerForWhomNoPortIsLeftIsRefusedAndTheSearchCalledOff() async throws {
    // Two pairs of ports: for the two contacts.
    let world = try await World(ports: 29_000...29_003)
    let (a, b) = (try await Agent.phone(world, "1002", 21), try await Agent.phone(world, "1002", 22))
    let call = try await Agent.carrier(world).call("+15550100")
    let refusal = try await call.final()
    #expect(refusal.status == 503 && refusal.headers.retryAfter != nil)
    for phone in [a, b] {
      let leg = try await phone.incoming()
      await leg.reply(180)
      try await leg.cancelled()
    }
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aByeBeforeTheAnswerIsACancel() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("915550111")
    let leg = try await Agent.carrier(world).incoming()
    await leg.reply(180)
    call.toTag = try await call.provisional(180).headers.toTag
    try await call.bye()
    #expect(try await call.final().status == 487)
    try await leg.cancelled()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.outcome == .cancelled)
  }
}
