import Core
import Gateway
import SIP
import Testing

@Suite(.serialized) struct AdmissionTests {
  static func stranger(_ world: World, name: String = "mallory", transport: TransportProtocol = .udp) -> Agent {
    Agent(
      world, name,
      Flow(
        id: 99, transport: transport, local: SocketAddress("127.0.0.1:5060")!, remote: SocketAddress("127.0.0.66:5060")!
      ))
  }

  @Test func aStrangersInviteIsRefusedBeforeMediaAndCounted() async throws {
    let world = try await World()
    let stranger = Self.stranger(world)
    for number in ["600", "915550111", "+15550100", "1002"] {
      let call = try await stranger.call(number)
      #expect(try await call.final().status == 407)
    }
    #expect(world.metric("parley_sip_refused_total{reason=\"unauthenticated-invite\"}") == "4")
    #expect(await world.gateway.holdings == GatewayHoldings())
    var legs = 0
    for host in world.media.hosts { legs += await host.legCount }
    #expect(legs == 0 && world.records.saved.isEmpty)
  }

  @Test func aBrowserOnTheTrunksMachineIsNoTrunk() async throws {
    let world = try await World()
    let flow = Flow(
      id: 99, transport: .ws, local: SocketAddress("127.0.0.1:80")!, remote: SocketAddress("127.0.0.9:5555")!)
    #expect(try await Agent(world, "mallory", flow).call("+15550100").final().status == 407)
  }

  @Test func aWrongPasswordRegistersNobody() async throws {
    let world = try await World()
    #expect(try await Self.stranger(world, name: "1001").register(password: "guess").status == 403)
    #expect(await world.gateway.registrations.isEmpty)
    #expect(world.metric("parley_sip_refused_total{reason=\"credentials\"}") == "1")
  }

  @Test func oneUserMayNotCallAsAnother() async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1001", 11)
    let impostor = Agent(world, "1002", phone.flow)
    let call = try await impostor.call("600")
    let challenge = try await call.final()
    #expect(challenge.status == 407)
    var client = DigestClient(username: "1001", password: Secret(World.password))
    await impostor.send(impostor.renewed(try client.answer(challenge, to: call.invite)))
    #expect(try await call.final().status == 403)
    #expect(world.metric("parley_sip_refused_total{reason=\"wrong-identity\"}") == "1")
    #expect(await world.gateway.holdings.calls == 0)
  }

  @Test func aUserWithoutAConnectionIsChallengedAndThenServed() async throws {
    let world = try await World()
    let phone = Self.stranger(world, name: "1001")
    let call = try await phone.call("600")
    let challenge = try await call.final()
    var client = DigestClient(username: "1001", password: Secret(World.password))
    await phone.send(phone.renewed(try client.answer(challenge, to: call.invite)))
    #expect(try await call.final().status == 200)
    try await call.ack(cSeq: 2)
    call.cSeq = 2
    try await call.bye()
    try await world.expectNothingLeft(calls: 1)
  }

  @Test(arguments: [
    (HeaderName.maxForwards, "0", 483), (.require, "wizardry, timer", 420), (.sessionExpires, "60", 422),
  ])
  func whatCannotBeServedIsRefusedBeforeAnythingElse(_ name: HeaderName, _ value: String, _ status: Int) async throws {
    let world = try await World()
    let call = try await Agent.carrier(world).call("+15550100", [(.supported, "timer"), (name, value)])
    let response = try await call.final()
    #expect(response.status == status)
    if status == 420 { #expect(response.headers[.unsupported] == "wizardry") }
    if status == 422 { #expect(response.headers.minSE == 90) }
    #expect(world.records.saved.isEmpty)
  }

  @Test func requestsOutsideDialogsGetTheirProperAnswer() async throws {
    let world = try await World()
    let agent = Self.stranger(world)
    for (method, status) in [
      (Method.options, 200), (.bye, 481), (.info, 481), (.update, 481), (.subscribe, 489), (.message, 407),
      (.refer, 405),
    ] {
      await agent.send(try agent.make(method, "sip:parley.test", callID: "o", fromTag: "t\(method)", cSeq: 1))
      #expect(try await agent.response(method).status == status, "\(method)")
    }
    await agent.send(try agent.make(.bye, "sip:parley.test", callID: "o", fromTag: "t", toTag: "u", cSeq: 2))
    #expect(try await agent.response(.bye).status == 481)
    try await world.expectNothingLeft(calls: 0)
  }

  @Test func drainingTakesNoNewCallAndEndsWhatIsLeft() async throws {
    let world = try await World { $0.drainTimeout = .seconds(5) }
    let user = try await Agent.phone(world, "1001", 11)
    let call = try await user.call("600")
    try await call.answered()
    let drain = Task { await world.gateway.drain() }
    while await world.gateway.isReady { try await Task.sleep(for: .milliseconds(1)) }
    let refused = try await user.call("600")
    let response = try await refused.final()
    #expect(response.status == 503 && response.headers.retryAfter == 30)
    #expect(await world.gateway.holdings.calls == 1)
    try await world.advance(.seconds(6))
    try await call.awaitBye()
    await drain.value
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func limitsHoldPerUserAndInAll() async throws {
    let world = try await World {
      $0.maximumCallsPerUser = 1
      $0.maximumCalls = 2
    }
    let user = try await Agent.phone(world, "1001", 11)
    let first = try await user.call("600")
    try await first.answered()
    #expect(try await user.call("600").final().status == 486)
    let other = try await Agent.phone(world, "1002", 12).call("600")
    try await other.answered()
    #expect(try await Agent.phone(world, "1003", 13).call("600").final().status == 503)
    try await first.bye()
    try await other.bye()
    try await world.expectNothingLeft(calls: 2)
  }

  @Test func aBrowserWhosePageClosesWhileItCallsEndsTheCall() async throws {
    let world = try await World()
    let user = try await Agent.phone(world, "1001", 11, transport: .ws)
    _ = try await user.call("915550111")
    let leg = try await Agent.carrier(world).incoming()
    await leg.reply(180)
    await world.gateway.flowClosed(user.flow)
    try await leg.cancelled()
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.outcome == .cancelled)
  }

  @Test func aContactWhoseConnectionClosesWhileItRingsIsUnavailable() async throws {
    let world = try await World()
    let phone = try await Agent.phone(world, "1002", 21)
    let call = try await Agent.carrier(world).call("+15550100")
    let leg = try await phone.incoming()
    await leg.reply(180)
    _ = try await call.provisional(180)
    await world.gateway.flowClosed(phone.flow)
    #expect(try await call.final().status == 480)
    try await world.expectNothingLeft(calls: 1)
  }

  @Test func aUserTakenOutOfTheDirectoryIsNotRegisteredAnyMore() async throws {
    let world = try await World()
    _ = try await Agent.phone(world, "1001", 11)
    await world.gateway.update(Directory(), trunkAddresses: [:])
    #expect(await world.gateway.registrations.isEmpty)
  }
}

@Suite(.serialized) struct TrunkRegistrationTests {
  static let trunk = Trunk(name: "carrier", host: "127.0.0.9", username: "account", password: "pw", register: true)

  func register(_ world: World) async throws -> (SIPRequest, Agent) {
    let carrier = Agent.carrier(world)
    try await world.advance(.milliseconds(1))
    return (try await carrier.request(.register), carrier)
  }

  @Test func refreshesComeBeforeTheEndAndTheLastOneTakesItBack() async throws {
    let world = try await World(trunk: Self.trunk)
    let (first, carrier) = try await register(world)
    await carrier.reply(to: first, 401, [(.wwwAuthenticate, "Digest realm=\"c\", nonce=\"n\"")])
    let second = try await carrier.request(.register)
    #expect(second.headers[.authorization] != nil)
    let contact = second.headers[.contact] ?? ""
    // Another binding of the account, from elsewhere, stands before ours.
    await carrier.reply(
      to: second, 200, [(.contact, "<sip:account@192.0.2.77>;expires=3600"), (.contact, contact + ";expires=20")])
    #expect(await world.gateway.trunkStates.first?.registration == .registered)
    try await world.advance(.seconds(17))
    #expect(!world.untaken(trunkAddress).contains("REGISTER"))
    try await world.advance(.seconds(2))
    let refresh = try await carrier.request(.register)
    #expect(refresh.headers[.authorization] != nil && refresh.headers.callID == first.headers.callID)
    await carrier.reply(to: refresh, 200, [(.contact, contact + ";expires=600")])
    await world.gateway.update(Directory(), trunkAddresses: [:])
    let last = try await carrier.request(.register)
    #expect(last.headers.expires == 0)
    await carrier.reply(to: last, 500)
    try await world.advance(.seconds(400))
    #expect(!world.untaken(trunkAddress).contains("REGISTER"))
  }

  @Test func aWrongPasswordIsTriedAgainOnlyAfterAWhile() async throws {
    let world = try await World(trunk: Self.trunk)
    let (first, carrier) = try await register(world)
    var tries = [first]
    for nonce in 0..<10 {
      await carrier.reply(
        to: tries.last!, 401, [(.wwwAuthenticate, "Digest realm=\"c\", nonce=\"n\(nonce)\", stale=true")])
      guard let next = try? await carrier.request(.register) else { break }
      tries.append(next)
    }
    #expect(tries.count <= 4)
    guard case .failed = await world.gateway.trunkStates.first?.registration else {
      Issue.record("the registration should have failed")
      return
    }
    try await world.advance(.seconds(6))
    _ = try await carrier.request(.register)
  }

  @Test func anIntervalTooBriefIsLengthened() async throws {
    let world = try await World(trunk: Self.trunk)
    let (first, carrier) = try await register(world)
    await carrier.reply(to: first, 423, [(.minExpires, "1800")])
    #expect(try await carrier.request(.register).headers.expires == 1800)
  }

  @Test func aCallToOurContactFindsItsNumberInTo() async throws {
    let world = try await World(trunk: Self.trunk)
    let phone = try await Agent.phone(world, "1002", 21)
    let call = try await Agent.carrier(world).call("account", [(.to, "<sip:+15550100@127.0.0.1>")])
    let leg = try await phone.incoming()
    await leg.reply(486)
    #expect(try await call.final().status == 486)
    try await world.expectNothingLeft(calls: 1)
    #expect(world.records.final.first?.to == "+15550100")
  }
}
