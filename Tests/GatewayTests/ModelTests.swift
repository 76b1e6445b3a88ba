import Core
import Gateway
import SIP
import Testing
import TestSupport

/// Random interleavings of what three parties may do, in and out of order. Whatever happens: no trap, one final record
/// a call, nothing left over.
@Suite(.serialized) struct ModelTests {
  /// One call between scripted parties that act without waiting for each other.
  final class Play {
    let world: World
    var random: SeededRandom
    var calls: [Outgoing] = []
    var legs: [Incoming] = []
    var phones: [Agent] = []
    let carrier: Agent
    /// Messages delivered so far, to be repeated.
    var history: [(SIPMessage, Flow)] = []
    /// Messages held back, to come late.
    var late: [(SIPMessage, Flow)] = []
    var nextFlow: UInt64 = 100

    init(seed: UInt64) async throws {
      random = SeededRandom(seed: seed)
      world = try await World()
      carrier = Agent.carrier(world)
      for (name, id) in [("1001", UInt64(11)), ("1002", 21), ("1002", 22)] {
        phones.append(try await Agent.phone(world, name, id, transport: id == 22 ? .udp : .tcp, instance: "\(id)"))
      }
    }

    func roll(_ upTo: Int) -> Int { Int.random(in: 0..<upTo, using: &random) }

    func deliver(_ message: SIPMessage, _ flow: Flow) async {
      switch roll(20) {
      case 0: late.append((message, flow))
      case 1:
        await world.deliver(message, flow)
        await world.deliver(message, flow)
      default: await world.deliver(message, flow)
      }
      history.append((message, flow))
    }

    /// Takes up what the gateway sent: INVITEs become legs, requests get an answer or not.
    func listen() async throws {
      for agent in phones + [carrier] {
        while let message = await world.takeAny(agent.remote) {
          switch message {
          case .request(let request) where request.method == .invite && request.headers.toTag == nil:
            legs.append(Incoming(agent, request))
          case .request(let request) where request.method != .ack && roll(6) > 0:
            let statuses = [200, 200, 200, 200, 481, 491, 500]
            var response = SIPResponse(to: request, status: statuses[roll(statuses.count)], toTag: "x")
            if request.method == .invite {
              response.setBody(Array(SDP.audio().utf8), contentType: "application/sdp")
              response.headers.set(.contact, agent.contact)
            }
            await deliver(.response(response), agent.flow)
          case .response(let response) where response.headers.cSeq?.method == .invite:
            guard let call = calls.first(where: { $0.callID == response.headers.callID }) else { continue }
            if response.status > 100 { call.toTag = response.headers.toTag ?? call.toTag }
            guard response.status >= 200, roll(8) > 0 else { continue }
            var ack = try call.make(.ack, body: roll(2) == 0 ? SDP.audio() : "", type: "application/sdp", [])
            ack.headers.cSeq = CSeq(number: response.headers.cSeq?.number ?? 1, method: .ack)
            await deliver(.request(ack), call.agent.flow)
          default: break
          }
        }
      }
    }

    func act() async throws {
      switch roll(18) {
      case 0, 1:
        let (agent, number) =
          roll(2) == 0 ? (phones[0], ["915550111", "1002", "600", "777"][roll(4)]) : (carrier, "+15550100")
        let body = ["", SDP.audio(), SDP.audio(), SDP.audio("sendonly"), SDP.audio(formats: "18")][roll(5)]
        let call = try Outgoing(agent, number, body: body, [(.supported, "timer")])
        calls.append(call)
        await deliver(.request(call.invite), agent.flow)
      case 2...6:
        guard let leg = legs.randomElement(using: &random) else { return }
        let statuses = [100, 180, 180, 183, 200, 200, 200, 302, 407, 480, 486, 487, 500, 603]
        let status = statuses[roll(statuses.count)]
        let body =
          status == 200 || status == 183 ? [SDP.audio(), SDP.audio(), SDP.audio(formats: "18"), ""][roll(4)] : ""
        var response = SIPResponse(
          to: leg.invite, status: status, toTag: status == 100 ? nil : roll(6) == 0 ? "fork" : leg.tag)
        response.headers.set(.contact, leg.agent.contact)
        if roll(3) == 0 { response.headers.set(.sessionExpires, "90;refresher=ua\(roll(2) == 0 ? "s" : "c")") }
        if !body.isEmpty { response.setBody(Array(body.utf8), contentType: "application/sdp") }
        await deliver(.response(response), leg.agent.flow)
      case 7:
        guard let call = calls.randomElement(using: &random) else { return }
        let cancel = try call.agent.make(
          .cancel, call.invite.uri.description, callID: call.callID, fromTag: "caller", cSeq: 1, branch: call.branch)
        await deliver(.request(cancel), call.agent.flow)
      case 8...10:
        guard let side = sides.randomElement(using: &random) else { return }
        let (method, body) = [
          (Method.bye, ""), (.invite, SDP.audio("sendonly", version: 2)), (.invite, SDP.audio(version: 3)),
          (.invite, ""),
          (.update, ""), (.update, SDP.audio("inactive")), (.info, ""), (.options, ""),
          (.invite, SDP.audio(formats: "18")),
        ][roll(9)]
        await deliver(.request(try side.make(method, body: body, type: "application/sdp", [])), side.agent.flow)
      case 11:
        guard let (message, flow) = history.randomElement(using: &random) else { return }
        await world.deliver(message, flow)
      case 12:
        guard !late.isEmpty else { return }
        let (message, flow) = late.remove(at: roll(late.count))
        await world.deliver(message, flow)
      case 13:
        let index = roll(phones.count)
        await world.gateway.flowClosed(phones[index].flow)
        if roll(2) == 0 {
          nextFlow += 1
          phones[index] = try await Agent.phone(
            world, phones[index].name, nextFlow, instance: phones[index].instance)
        }
      case 14:
        guard roll(4) == 0, let id = await world.gateway.liveCalls.first?.id else { return }
        _ = await world.gateway.hangUp(id, reason: "model")
      case 15: try await world.advance(.seconds([1, 5, 40, 70][roll(4)]))
      case 16:
        guard let leg = legs.randomElement(using: &random) else { return }
        await world.gateway.sendFailed(.flow(leg.agent.flow))
      default: if roll(2) == 0 { try await world.settle() }
      }
    }

    var sides: [any Side] { calls.map { $0 as any Side } + legs.map { $0 as any Side } }

    /// Everybody hangs up, and whatever was held back arrives.
    func finish() async throws {
      for (message, flow) in late { await world.deliver(message, flow) }
      for side in sides { await side.agent.send(try side.make(.bye, body: "", type: "", [])) }
      try await world.settle()
      for call in await world.gateway.liveCalls { _ = await world.gateway.hangUp(call.id, reason: "model") }
    }
  }

  @Test(arguments: 0..<12)
  func nothingOutlivesACallWhateverThePartiesDo(_ block: Int) async throws {
    var outcomes: Set<CallRecord.Outcome> = []
    for seed in (block * 25)..<(block * 25 + 25) {
      let play = try await Play(seed: UInt64(seed))
      for _ in 0..<(20 + play.roll(60)) {
        try await play.act()
        if play.roll(3) > 0 { try await play.listen() }
      }
      try await play.finish()
      try await play.world.expectNothingLeft("seed \(seed)")
      outcomes.formUnion(play.world.records.final.map(\.outcome))
    }
    // The plays reach what they are about.
    #expect(outcomes.isSuperset(of: [.answered, .cancelled, .failed]), "\(outcomes)")
  }
}
