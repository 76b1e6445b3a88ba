import Core
import Gateway
import SIP
import Testing

/// REFER inside a call: who rings, who hears of it, who stays, and what the record says.
@Suite(.serialized) struct TransferTests {
  /// The carrier calls 1002, who answers; 1003 is there too.
  struct Scene {
    let world: World
    let carrier: Agent
    let bob: Agent
    let carol: Agent
    let outer: Outgoing
    let inner: Incoming

    init(_ configure: (inout GatewayConfiguration) -> Void = { _ in }) async throws {
      world = try await World(configure)
      carrier = Agent.carrier(world)
      bob = try await Agent.phone(world, "1002", 2)
      carol = try await Agent.phone(world, "1003", 3)
      outer = try await carrier.call("+15550100")
      inner = try await bob.incoming()
      try await inner.answer()
      try await outer.answered()
    }

    var record: CallRecord? { world.records.final.first { $0.direction == .inbound } }
  }

  /// The next NOTIFY to an agent, answered.
  func notice(_ agent: Agent, answer: Int = 200) async throws -> (status: Int?, state: String, event: String) {
    let request = try await agent.request(.notify)
    await agent.reply(to: request, answer, tag: nil)
    return (
      SIPFragment.status(of: request.body), request.headers[.subscriptionState] ?? "", request.headers[.event] ?? ""
    )
  }

  @Test func aBlindTransferMovesTheCallerToAUserAndTellsTheTransferor() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 202)
    #expect(try await notice(scene.bob).status == 100)
    let target = try await scene.carol.incoming()
    #expect(target.invite.headers.from?.uri.user == "+4930123", "the target sees who is transferred")
    #expect(target.invite.headers.referredBy?.uri.user == "1002")
    await target.reply(180)
    let ringing = try await notice(scene.bob)
    #expect(ringing.status == 180 && ringing.state.hasPrefix("active"))
    try await target.answer()
    let done = try await notice(scene.bob)
    #expect(done.status == 200 && done.state.hasPrefix("terminated") && done.event == "refer")
    try await scene.inner.bye()
    // The caller's dialog is the one it always was.
    try await scene.outer.send(.options)
    #expect(try await scene.carrier.response(.options).status == 200)
    try await target.bye()
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
    let record = try #require(scene.record)
    #expect(record.transfers.count == 1)
    let transfer = try #require(record.transfers.first)
    #expect(transfer.kind == "blind" && transfer.by == 1 && transfer.moved == 0 && transfer.to == "1003")
    #expect(transfer.status == 200 && transfer.leg == 2)
    #expect(record.legs.map(\.party) == ["carrier", "1002", "1003"] && record.endedBy == .callee)
    #expect(record.legs[1].reason == "transferred" && record.legs[1].endedAt != nil)
  }

  @Test func theCallerMayTransferTheCalleeToATrunk() async throws {
    let world = try await World()
    let carrier = Agent.carrier(world)
    let (alice, bob) = (try await Agent.phone(world, "1001", 1), try await Agent.phone(world, "1002", 2))
    let call = try await alice.call("1002")
    let callee = try await bob.incoming()
    try await callee.answer()
    try await call.answered()
    try await call.send(.refer, [(.referTo, "<sip:915550111@elsewhere.example>")])
    #expect(try await alice.response(.refer).status == 202)
    _ = try await notice(alice)
    let target = try await carrier.incoming()
    #expect(target.invite.uri.user == "15550111")
    #expect(target.invite.headers.from?.uri.user == "1002")
    try await target.answer()
    #expect(try await notice(alice).status == 200)
    try await call.bye()
    try await callee.bye()
    try await target.awaitBye()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.endedBy == .callee)
  }

  @Test func aTransferorThatSaysNoByeIsLetGo() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:600@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 202)
    #expect(try await notice(scene.bob).status == 100)
    #expect(try await notice(scene.bob).status == 200)
    try await scene.world.advance(.seconds(3))
    try await scene.inner.awaitBye()
    try await scene.outer.bye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.endedBy == .caller)
  }

  @Test func aTransferorThatWantsNoNoticesGetsNoneAndTheBye() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>"), (.referSub, "false")])
    let accepted = try await scene.bob.response(.refer)
    #expect(accepted.status == 202 && accepted.headers[.referSub] == "false")
    let target = try await scene.carol.incoming()
    try await target.answer()
    try await scene.inner.awaitBye()
    #expect(!scene.world.untaken(scene.bob.remote).contains("NOTIFY"))
    try await scene.outer.bye()
    try await target.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [486, 603, 480, 302])
  func aFailedTransferGivesTheCallBack(status: Int) async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 202)
    _ = try await notice(scene.bob)
    let target = try await scene.carol.incoming()
    await target.reply(status)
    _ = try await scene.carol.request(.ack)
    let failed = try await notice(scene.bob)
    #expect(failed.status == (status == 302 ? 480 : status) && failed.state.hasPrefix("terminated"))
    // The call is as it was, and may be transferred again; the second subscription has a name.
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 202)
    #expect(try await notice(scene.bob).event.hasPrefix("refer;id="))
    let again = try await scene.carol.incoming()
    try await again.answer()
    #expect(try await notice(scene.bob).status == 200)
    try await scene.inner.bye()
    try await scene.outer.bye()
    try await again.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.transfers.map(\.status) == [status == 302 ? 480 : status, 200])
  }

  @Test func nobodyAnsweringTheTransferGivesTheCallBack() async throws {
    let scene = try await Scene { $0.noAnswerTimeout = .seconds(10) }
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    _ = try await scene.bob.response(.refer)
    _ = try await notice(scene.bob)
    let target = try await scene.carol.incoming()
    await target.reply(180)
    _ = try await notice(scene.bob)
    try await scene.world.advance(.seconds(11))
    try await target.cancelled()
    #expect(try await notice(scene.bob).status == 480)
    try await scene.inner.bye()
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aTransferorThatLeavesAtOnceLeavesTheTransferRunning() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    _ = try await scene.bob.response(.refer)
    try await scene.inner.bye()
    let target = try await scene.carol.incoming()
    try await target.answer()
    try await target.bye()
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.transfers.first?.status == 200)
  }

  @Test func aTransferThatFailsWithoutItsTransferorEndsTheCall() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    _ = try await scene.bob.response(.refer)
    try await scene.inner.bye()
    let target = try await scene.carol.incoming()
    await target.reply(486)
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.endedBy == .system && scene.record?.transfers.first?.status == 486)
  }

  @Test func theTransfereeHangingUpStopsTheRinging() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    _ = try await scene.bob.response(.refer)
    let target = try await scene.carol.incoming()
    await target.reply(180)
    try await scene.outer.bye()
    try await target.cancelled()
    try await scene.inner.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.transfers.first?.status == 487 && scene.record?.endedBy == .caller)
  }

  @Test func aNumberThatLeadsNowhereIsToldByNotice() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:777@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 202)
    #expect(try await notice(scene.bob).status == 404)
    try await scene.inner.bye()
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [
    ("", 400), ("<mailto:x@y>", 416), ("<sip:1003@parley.test;method=BYE>", 501),
    ("<sip:1003@parley.test?Replaces=nonsense>", 400), ("<sip:1003@parley.test?Replaces=%FF%00%3B>", 400),
  ])
  func aBadReferIsRefusedAndTheCallGoesOn(referTo: String, status: Int) async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, referTo.isEmpty ? [] : [(.referTo, referTo)])
    #expect(try await scene.bob.response(.refer).status == status)
    try await scene.outer.bye()
    try await scene.inner.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aCarrierMayNotTransferUnlessItIsAllowedTo() async throws {
    let refused = try await Scene()
    try await refused.outer.send(.refer, [(.referTo, "<sip:600@parley.test>")])
    #expect(try await refused.carrier.response(.refer).status == 403)
    #expect(refused.world.metric("parley_sip_refused_total{reason=\"transfer-forbidden\"}") == "1")
    try await refused.outer.bye()
    try await refused.inner.awaitBye()

    let allowed = try await Scene { $0.transferringTrunks = ["carrier"] }
    // Numbers only, as it calls them: never out through a route at our cost.
    try await allowed.outer.send(.refer, [(.referTo, "<sip:915550111@parley.test>")])
    #expect(try await allowed.carrier.response(.refer).status == 202)
    #expect(try await notice(allowed.carrier).status == 404)
    try await allowed.outer.send(.refer, [(.referTo, "<sip:600@parley.test>")])
    #expect(try await allowed.carrier.response(.refer).status == 202)
    #expect(try await notice(allowed.carrier).status == 100)
    #expect(try await notice(allowed.carrier).status == 200)
    try await allowed.outer.bye()
    try await allowed.inner.bye()
    try await allowed.world.expectNothingLeft(calls: 1)
  }

  @Test func transfersToATrunkCountAsCallsOfTheUser() async throws {
    let scene = try await Scene { $0.maximumCallsPerUser = 1 }
    let own = try await scene.bob.call("600")
    try await own.answered()
    try await scene.inner.send(.refer, [(.referTo, "<sip:915550111@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 202)
    _ = try await notice(scene.bob)
    #expect(try await notice(scene.bob).status == 486)
    #expect(!scene.world.untaken(scene.carrier.remote).contains("INVITE"))
    try await own.bye()
    try await scene.outer.bye()
    try await scene.inner.awaitBye()
    try await scene.world.expectNothingLeft(calls: 2)
  }

  @Test func aReferBeforeTheEndOfAnotherIsRefused() async throws {
    let scene = try await Scene()
    try await scene.inner.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 202)
    try await scene.inner.send(.refer, [(.referTo, "<sip:600@parley.test>")])
    #expect(try await scene.bob.response(.refer).status == 491)
    try await scene.outer.bye()
    try await scene.inner.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  // MARK: Attended

  func referTo(_ call: Outgoing) -> String {
    let replaces = "\(call.callID);to-tag=\(call.toTag ?? "");from-tag=caller"
    return "<sip:1003@parley.test?Replaces=\(PercentEncoding.encode(replaces))>"
  }

  @Test func anAttendedTransferJoinsTheTwoFarSides() async throws {
    let scene = try await Scene()
    let consultation = try await scene.bob.call("1003")
    let consulted = try await scene.carol.incoming()
    try await consulted.answer()
    try await consultation.answered()
    try await scene.inner.send(.refer, [(.referTo, referTo(consultation))])
    #expect(try await scene.bob.response(.refer).status == 202)
    #expect(try await notice(scene.bob).status == 100)
    #expect(try await notice(scene.bob).status == 200)
    try await consultation.awaitBye()
    try await scene.inner.bye()
    // Carol's dialog is still hers, and belongs to the first call now.
    try await consulted.send(.options)
    #expect(try await scene.carol.response(.options).status == 200)
    try await consulted.bye()
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 2)
    let record = try #require(scene.record)
    #expect(record.transfers.map(\.kind) == ["attended"] && record.transfers.map(\.status) == [200])
    #expect(record.legs.map(\.party) == ["carrier", "1002", "1003"] && record.endedBy == .callee)
    let other = try #require(scene.world.records.final.first { $0.direction == .internal })
    #expect(other.reason.contains(record.id) && other.outcome == .answered && other.endedBy == .caller)
  }

  @Test func aTransferToARingingConsultationKeepsItRinging() async throws {
    let scene = try await Scene()
    let consultation = try await scene.bob.call("1003")
    let consulted = try await scene.carol.incoming()
    await consulted.reply(180)
    let tag = try await consultation.provisional(180).headers.toTag
    consultation.toTag = tag
    try await scene.inner.send(.refer, [(.referTo, referTo(consultation))])
    #expect(try await scene.bob.response(.refer).status == 202)
    _ = try await notice(scene.bob)
    #expect(try await consultation.final().status == 487)
    #expect(try await notice(scene.bob).status == 180)
    try await consulted.answer()
    #expect(try await notice(scene.bob).status == 200)
    try await scene.inner.bye()
    try await scene.outer.bye()
    try await consulted.awaitBye()
    try await scene.world.expectNothingLeft(calls: 2)
  }

  @Test func nobodyJoinsACallOfSomebodyElse() async throws {
    let scene = try await Scene()
    let dave = try await Agent.phone(scene.world, "1001", 1)
    let foreign = try await dave.call("600")
    try await foreign.answered()
    try await scene.inner.send(.refer, [(.referTo, referTo(foreign))])
    #expect(try await scene.bob.response(.refer).status == 202)
    #expect(try await notice(scene.bob).status == 481)
    try await foreign.bye()
    try await scene.outer.bye()
    try await scene.inner.awaitBye()
    try await scene.world.expectNothingLeft(calls: 2)
  }

  @Test func aConsultationThatEndsMeanwhileGivesTheCallBack() async throws {
    let scene = try await Scene()
    let consultation = try await scene.bob.call("1003")
    let consulted = try await scene.carol.incoming()
    try await consulted.answer()
    try await consultation.answered()
    // Both at once: whichever the gateway handles first, nothing is left over.
    try await scene.inner.send(.refer, [(.referTo, referTo(consultation))])
    try await consulted.send(.bye)
    #expect(try await scene.carol.response(.bye).status == 200)
    try await scene.world.settle()
    try await scene.outer.send(.bye)
    _ = try await scene.carrier.response(.bye)
    try await scene.world.expectNothingLeft(calls: 2)
  }
}
