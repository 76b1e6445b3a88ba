import Core
import Gateway
import SIP
import Testing

/// Do-not-disturb and forwarding by the called user's settings, and text between users.
@Suite(.serialized) struct ForwardTests {
  /// A world whose users have these settings.
  func world(_ handling: [String: CallHandling]) async throws -> World {
    let world = try await World { $0.noAnswerTimeout = .seconds(60) }
    let trunk = Trunk(name: "carrier", host: "127.0.0.9", codecs: [.pcmu, .pcma])
    await world.gateway.update(
      World.directory(trunk, handling: handling), trunkAddresses: World.addresses(trunk))
    return world
  }

  func settings(_ change: (inout CallHandling) -> Void) -> CallHandling {
    var handling = CallHandling()
    change(&handling)
    return handling
  }

  @Test func doNotDisturbIsBusyAndNothingRings() async throws {
    let world = try await world(["1002": settings { $0.doNotDisturb = true }])
    let (alice, bob) = (try await Agent.phone(world, "1001", 1), try await Agent.phone(world, "1002", 2))
    let call = try await alice.call("1002")
    #expect(try await call.final().status == 486)
    #expect(world.untaken(bob.remote).isEmpty)
    try await call.ack()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.outcome == .busy)
  }

  @Test func everyCallIsForwardedToAUserAndOnToATrunk() async throws {
    let world = try await world([
      "1002": settings { $0.forwardAlways = "1003" }, "1003": settings { $0.forwardAlways = "915550111" },
    ])
    let carrier = Agent.carrier(world)
    let alice = try await Agent.phone(world, "1001", 1)
    _ = try await Agent.phone(world, "1002", 2)
    let call = try await alice.call("1002")
    let target = try await carrier.incoming()
    #expect(target.invite.uri.user == "15550111" && target.invite.headers.from?.uri.user == "1001")
    let diversions = target.invite.headers.all(.diversion)
    #expect(diversions.count == 2 && diversions[0].contains("1003") && diversions[1].contains("reason=unconditional"))
    try await target.answer()
    try await call.answered()
    try await call.bye()
    try await target.awaitBye()
    try await world.expectNothingLeft(calls: 1)
    let record = try #require(world.records.final.first)
    #expect(record.to == "1002" && record.transfers.map(\.to) == ["1003", "915550111"])
    #expect(record.transfers.map(\.kind) == ["forward-always", "forward-always"])
    #expect(record.transfers.allSatisfy { $0.status == 200 && $0.leg == 1 })
  }

  @Test(arguments: [486, 600]) func aBusyPhoneForwards(status: Int) async throws {
    let world = try await world(["1002": settings { $0.forwardBusy = "1003" }])
    let (alice, bob) = (try await Agent.phone(world, "1001", 1), try await Agent.phone(world, "1002", 2))
    let carol = try await Agent.phone(world, "1003", 3)
    let call = try await alice.call("1002")
    let first = try await bob.incoming()
    await first.reply(status)
    _ = try await bob.request(.ack)
    let second = try await carol.incoming()
    try await second.answer()
    try await call.answered()
    try await second.bye()
    try await call.awaitBye()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.transfers.first?.kind == "forward-busy")
  }

  @Test func whatNobodyAnswersIsForwardedAfterItsTime() async throws {
    let world = try await world([
      "1002": settings {
        $0.forwardNoAnswer = "600"
        $0.noAnswerAfter = 10
      }
    ])
    let (alice, bob) = (try await Agent.phone(world, "1001", 1), try await Agent.phone(world, "1002", 2))
    let call = try await alice.call("1002")
    let ringing = try await bob.incoming()
    await ringing.reply(180)
    _ = try await call.provisional(180)
    try await world.advance(.seconds(9))
    #expect(!world.untaken(bob.remote).contains("CANCEL"))
    try await world.advance(.seconds(2))
    try await ringing.cancelled()
    try await call.answered()
    try await call.bye()
    try await world.expectNothingLeft(calls: 1)
    // Nobody there at all: at once.
    let carol = try await Agent.phone(world, "1003", 3)
    #expect(try await bob.register(expires: 0).status == 200)
    let again = try await carol.call("1002")
    try await again.answered()
    try await again.bye()
    try await world.expectNothingLeft(calls: 2)
  }

  @Test func usersWhoForwardToEachOtherAreNotAvailable() async throws {
    let world = try await world([
      "1002": settings { $0.forwardAlways = "1003" }, "1003": settings { $0.forwardAlways = "1002" },
    ])
    let alice = try await Agent.phone(world, "1001", 1)
    let call = try await alice.call("1002")
    #expect(try await call.final().status == 480)
    try await call.ack()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func forwardingToNowhereIsNotAvailable() async throws {
    let world = try await world(["1002": settings { $0.forwardAlways = "777" }])
    let alice = try await Agent.phone(world, "1001", 1)
    let call = try await alice.call("1002")
    #expect(try await call.final().status == 480)
    try await call.ack()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aTransferMindsDoNotDisturb() async throws {
    let world = try await world(["1003": settings { $0.doNotDisturb = true }])
    let (alice, bob) = (try await Agent.phone(world, "1001", 1), try await Agent.phone(world, "1002", 2))
    let call = try await alice.call("1002")
    let inner = try await bob.incoming()
    try await inner.answer()
    try await call.answered()
    try await call.send(.refer, [(.referTo, "<sip:1003@parley.test>")])
    #expect(try await alice.response(.refer).status == 202)
    let notice = try await alice.request(.notify)
    #expect(SIPFragment.status(of: notice.body) == 486)
    await alice.reply(to: notice, 200, tag: nil)
    try await call.bye()
    try await inner.awaitBye()
    try await world.expectNothingLeft(calls: 1)
  }

  // MARK: Identity

  @Test func aTrunkIsToldWhoCallsAndTheCalleeNotWhereTheCallerWantsThat() async throws {
    let world = try await world([:])
    let carrier = Agent.carrier(world)
    let (alice, bob) = (try await Agent.phone(world, "1001", 1), try await Agent.phone(world, "1002", 2))
    for privacy in [false, true] {
      let wish: [(HeaderName, String)] = privacy ? [(.privacy, "id;critical")] : []
      let out = try await alice.call("915550111", wish)
      let far = try await carrier.incoming()
      #expect(far.invite.headers.pAssertedIdentity?.uri.user == "1001")
      #expect(far.invite.headers.from?.uri.user == (privacy ? "anonymous" : "1001"))
      #expect(far.invite.headers[.privacy] == (privacy ? "id" : nil))
      try await far.answer()
      try await out.answered()
      try await out.bye()
      try await far.awaitBye()
      let inner = try await alice.call("1002", wish)
      let near = try await bob.incoming()
      #expect(near.invite.headers.from?.uri.user == (privacy ? "anonymous" : "1001"))
      #expect(near.invite.headers.pAssertedIdentity == nil, "that is for carriers")
      try await near.answer()
      try await inner.answered()
      try await inner.bye()
      try await near.awaitBye()
    }
    try await world.expectNothingLeft(calls: 4)
    #expect(world.records.final.allSatisfy { $0.from == "1001" }, "the record knows")
  }

  // MARK: MESSAGE

  func text(_ agent: Agent, to user: String, _ body: String, cSeq: UInt32 = 1) async throws -> SIPResponse {
    let callID = "text-\(agent.unique())"
    await agent.send(
      try agent.make(
        .message, "sip:\(user)@parley.test", callID: callID, fromTag: "t", cSeq: cSeq, body: body, type: "text/plain"))
    return try await agent.response(.message, callID: callID)
  }

  @Test func aTextReachesEveryDeviceAndIsAnsweredByTheFirst() async throws {
    let world = try await world([:])
    let alice = try await Agent.phone(world, "1001", 1)
    let (desk, mobile) = (try await Agent.phone(world, "1002", 2), try await Agent.phone(world, "1002", 3))
    async let answer = text(alice, to: "1002", "Grüße")
    let (one, two) = (try await desk.request(.message), try await mobile.request(.message))
    #expect(String(decoding: one.body, as: UTF8.self) == "Grüße" && two.body == one.body)
    #expect(one.headers.from?.uri.user == "1001" && one.headers.mediaType == "text/plain")
    await desk.reply(to: one, 415)
    await mobile.reply(to: two, 200)
    #expect(try await answer.status == 200)
    try await world.expectNothingLeft(calls: 0)
  }

  @Test func aTextThatCannotBeDeliveredIsRefused() async throws {
    let world = try await world([:])
    let alice = try await Agent.phone(world, "1001", 1)
    #expect(try await text(alice, to: "1003", "x").status == 480)
    #expect(try await text(alice, to: "777", "x").status == 404)
    #expect(try await text(alice, to: "600", "x").status == 404)
    #expect(try await text(alice, to: "1002", String(repeating: "x", count: 1_301)).status == 413)
    let stranger = Agent.carrier(world, remote: "127.0.0.66:5060")
    #expect(try await text(stranger, to: "1001", "x").status == 407)
    try await world.expectNothingLeft(calls: 0)
  }
}
