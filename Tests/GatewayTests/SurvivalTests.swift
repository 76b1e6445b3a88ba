import Core
import Gateway
import SIP
import Testing

/// What becomes of a call whose browser loses its connection, comes back, or comes back as another page.
@Suite(.serialized) struct SurvivalTests {
  /// 1001 sits at a WebSocket and talks to the carrier. The parties speak plain RTP and send none: media counts as gone.
  struct Scene {
    let world: World
    let carrier: Agent
    let alice: Agent
    let call: Outgoing
    let outer: Incoming

    init(_ configure: (inout GatewayConfiguration) -> Void = { _ in }) async throws {
      world = try await World(configure)
      carrier = Agent.carrier(world)
      alice = try await Agent.phone(world, "1001", 1, transport: .ws, instance: "a", page: "one")
      call = try await alice.call("915550111")
      outer = try await carrier.incoming()
      try await outer.answer()
      try await call.answered()
    }

    func replaces(_ call: Outgoing? = nil) -> (HeaderName, String) {
      let call = call ?? self.call
      return (.replaces, "\(call.callID);to-tag=\(call.toTag ?? "");from-tag=caller")
    }

    var record: CallRecord? { world.records.final.first }
  }

  @Test func aCallWhosePageNeverComesBackEndsAfterItsTime() async throws {
    let scene = try await Scene { $0.survival = .seconds(20) }
    await scene.world.gateway.flowClosed(scene.alice.flow)
    for _ in 0..<18 { try await scene.world.advance(.seconds(1)) }
    #expect(!scene.world.untaken(scene.carrier.remote).contains("BYE"), "held")
    for _ in 0..<4 { try await scene.world.advance(.seconds(1)) }
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.endedBy == .system && scene.record?.reason == "1001 did not come back")
  }

  @Test func aNewPageTakesItsCallBack() async throws {
    let scene = try await Scene()
    await scene.world.gateway.flowClosed(scene.alice.flow)
    try await scene.world.advance(.seconds(2))
    let page = try await Agent.phone(scene.world, "1001", 5, transport: .ws, instance: "a", page: "two")
    let back = try await page.call("915550111", [scene.replaces()])
    try await back.answered()
    // No second call to the carrier, and none of the old dialog's messages to the page that knows nothing of it.
    #expect(!scene.world.untaken(scene.carrier.remote).contains("INVITE"))
    #expect(!scene.world.untaken(page.remote).contains("BYE"))
    try await scene.outer.send(.options)
    #expect(try await scene.carrier.response(.options).status == 200)
    // A long time later it still runs.
    for _ in 0..<50 { try await scene.world.advance(.seconds(1)) }
    try await back.bye()
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.legs.map(\.party) == ["1001", "carrier", "1001"])
    #expect(scene.record?.legs.first?.reason == "replaced" && scene.record?.endedBy == .caller)
  }

  @Test func theCalleesPageTakesItsCallBackToo() async throws {
    let world = try await World()
    let carrier = Agent.carrier(world)
    let bob = try await Agent.phone(world, "1002", 1, transport: .tcp, instance: "b")
    let outer = try await carrier.call("+15550100")
    let inner = try await bob.incoming()
    try await inner.answer()
    try await outer.answered()
    let other = try await Agent.phone(world, "1002", 2, transport: .tcp, instance: "c")
    // For us as the caller of that leg: our tag is in From.
    let ours = inner.invite.headers.fromTag ?? ""
    let replaces = "\(inner.invite.headers.callID ?? "");to-tag=\(ours);from-tag=\(inner.tag)"
    let taken = try await other.call("1002", [(.replaces, replaces), (.require, "replaces")])
    try await taken.answered()
    try await inner.awaitBye()
    try await outer.bye()
    let bye = try await other.request(.bye)
    await other.reply(to: bye, 200, tag: nil)
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.endedBy == .caller)
  }

  @Test func theSamePageGoesOnWithItsDialogOverTheNewConnection() async throws {
    let scene = try await Scene()
    await scene.world.gateway.flowClosed(scene.alice.flow)
    try await scene.world.advance(.seconds(3))
    // Its contact, and so its page, is the same; the flow is new.
    let again = try await Agent.phone(scene.world, "1001", 9, transport: .ws, instance: "a", page: "one")
    try await scene.outer.bye()
    let bye = try await again.request(.bye)
    await again.reply(to: bye, 200, tag: nil)
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.endedBy == .callee)
  }

  @Test func nobodyElseMayTakeACall() async throws {
    let scene = try await Scene()
    let stranger = try await Agent.phone(scene.world, "1003", 6)
    let theft = try await stranger.call("915550111", [scene.replaces()])
    #expect(try await theft.final().status == 403)
    let fromTrunk = try await scene.carrier.call("+15550100", [scene.replaces()])
    #expect(try await fromTrunk.final().status == 407, "a carrier is no user")
    try await scene.call.bye()
    try await scene.outer.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aReplacesThatFitsNothingIsRefused() async throws {
    let scene = try await Scene()
    let nothing = try await scene.alice.call("600", [(.replaces, "x;to-tag=y;from-tag=z")])
    #expect(try await nothing.final().status == 481)
    let malformed = try await scene.alice.call("600", [(.replaces, "x;to-tag=y")])
    #expect(try await malformed.final().status == 400)
    let wrongTag = try await scene.alice.call(
      "600", [(.replaces, "\(scene.call.callID);to-tag=\(scene.call.toTag ?? "");from-tag=other")])
    #expect(try await wrongTag.final().status == 481)
    let early = try await scene.alice.call("600", [(.replaces, scene.replaces().1 + ";early-only")])
    #expect(try await early.final().status == 486)
    let noCodec = try await scene.alice.call("600", body: SDP.audio(formats: "18"), [scene.replaces()])
    #expect(try await noCodec.final().status == 488)
    // All that did the call no harm.
    try await scene.outer.bye()
    try await scene.call.awaitBye()
    try await scene.world.expectNothingLeft(calls: 1)
  }

  @Test func aReplacedLegMayBeReplacedAgainAndTransferred() async throws {
    let scene = try await Scene()
    var current = scene.call
    for id in 20..<23 {
      let page = try await Agent.phone(scene.world, "1001", UInt64(id), transport: .ws, instance: "a", page: "\(id)")
      let next = try await page.call("915550111", [scene.replaces(current)])
      try await next.answered()
      try await current.awaitBye()
      current = next
    }
    try await current.send(.refer, [(.referTo, "<sip:600@parley.test>"), (.referSub, "false")])
    #expect(try await current.agent.response(.refer).status == 202)
    try await current.awaitBye()
    try await scene.outer.bye()
    try await scene.world.expectNothingLeft(calls: 1)
    #expect(scene.record?.legs.count == 5 && scene.record?.transfers.first?.by == 4)
  }

  @Test func aRingingCallOfALostPageIsCancelledAsBefore() async throws {
    let world = try await World()
    let alice = try await Agent.phone(world, "1001", 1, transport: .ws, instance: "a")
    let carrier = Agent.carrier(world)
    _ = try await alice.call("915550111")
    let outer = try await carrier.incoming()
    await outer.reply(180)
    try await world.settle()
    await world.gateway.flowClosed(alice.flow)
    try await outer.cancelled()
    try await world.expectNothingLeft(calls: 1)
  }
}
