import Core
import SIP
import Testing

/// The INVITE machines of both sides (RFC 3261 §17.1.1, §17.2.1, RFC 6026), step by step.
@Suite struct InviteTransactionTests {
  let peer = udpFlow("192.0.2.2:5060")
  var there: Destination { .flow(peer) }

  func answer(_ request: SIPRequest, _ status: Int, tag: String? = "bt") -> SIPMessage {
    .response(SIPResponse(to: request, status: status, toTag: tag))
  }

  /// A client layer with one INVITE under way.
  func calling(_ destination: Destination? = nil) throws -> (TransactionLayer, ClientTransactionID, SIPRequest) {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (id, actions) = layer.send(newRequest(.invite), to: destination ?? there, now: .zero)
    return (layer, id, try #require(actions.transmittedRequests.first))
  }

  /// A server layer that was given an INVITE.
  func called(_ flow: Flow? = nil) throws -> (TransactionLayer, ServerTransactionID, SIPRequest) {
    var client = TransactionLayer(host: "192.0.2.1", seed: 2)
    let flow = flow ?? udpFlow("192.0.2.1:5060")
    let invite = client.send(newRequest(.invite), to: .flow(flow), now: .zero).1.transmittedRequests[0]
    var layer = TransactionLayer(host: "192.0.2.2", seed: 3)
    let incoming = try #require(layer.receive(.request(invite), from: flow, now: .zero).newRequest)
    return (layer, incoming.id, invite)
  }

  func times(_ layer: inout TransactionLayer, until end: Instant) -> [(Int64, String)] {
    var log: [(Int64, String)] = []
    while let deadline = layer.nextDeadline, deadline <= end {
      for action in layer.advance(to: deadline) { log.append((deadline.nanoseconds / 1_000_000, name(action))) }
    }
    return log
  }

  // MARK: Client

  @Test func putsItsViaOnTop() throws {
    let (_, _, invite) = try calling()
    let via = try #require(invite.headers.topVia)
    #expect(via.transport == .udp && via.host == "192.0.2.1" && via.port == 5060)
    #expect(via.hasMagicCookie && via.wantsRport && via.rport == nil)
    let (_, _, overTCP) = try calling(.address(.tcp, address("192.0.2.2:5060")))
    #expect(overTCP.headers.topVia?.transport == .tcp)
    #expect(overTCP.headers.topVia?.wantsRport == false)
  }

  @Test func retransmitsDoublingUntilTimerB() throws {
    var (layer, _, _) = try calling()
    let log = times(&layer, until: ms(100_000))
    #expect(log.map(\.0) == [500, 1500, 3500, 7500, 15500, 31500, 32000])
    #expect(log.map(\.1) == Array(repeating: "send INVITE", count: 6) + ["timeout"])
    #expect(layer.count == 0)
    #expect(layer.nextDeadline == nil)
  }

  @Test func doesNotRetransmitOverConnections() throws {
    var (layer, _, _) = try calling(.flow(wsFlow(7)))
    #expect(times(&layer, until: ms(100_000)).map(\.1) == ["timeout"])
  }

  @Test func waitsWithoutEndAfterAProvisionalResponse() throws {
    var (layer, _, invite) = try calling()
    let actions = layer.receive(answer(invite, 180), from: peer, now: ms(100))
    #expect(actions.map(name) == ["response 180"])
    #expect(layer.nextDeadline == nil)
    #expect(layer.receive(answer(invite, 183), from: peer, now: ms(90_000)).map(name) == ["response 183"])
  }

  @Test func acknowledgesARejectionAndItsRetransmissions() throws {
    var (layer, _, invite) = try calling()
    let actions = layer.receive(answer(invite, 486), from: peer, now: ms(100))
    #expect(actions.map(name) == ["send ACK", "response 486"])
    let ack = try #require(actions.transmittedRequests.first)
    #expect(ack.headers.topVia?.branch == invite.headers.topVia?.branch)
    #expect(ack.headers.vias.count == 1)
    #expect(ack.headers.toTag == "bt")
    #expect(ack.headers.cSeq == CSeq(number: 1, method: .ack))
    #expect(ack.headers.callID == invite.headers.callID && ack.uri == invite.uri)
    #expect(layer.receive(answer(invite, 486), from: peer, now: ms(600)).map(name) == ["send ACK"])
    #expect(times(&layer, until: ms(100_000)).isEmpty)
    #expect(layer.count == 0, "Timer D ends it")
    #expect(layer.receive(answer(invite, 486), from: peer, now: ms(100_000)).isEmpty)
    #expect(layer.statistics.strayResponses == 1)
  }

  @Test func copiesRoutesIntoTheACKOfARejection() throws {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    var invite = newRequest(.invite)
    invite.headers.append(.route, "<sip:p1;lr>, <sip:p2;lr>")
    let sent = layer.send(invite, to: there, now: .zero).1.transmittedRequests[0]
    let ack = layer.receive(answer(sent, 500), from: peer, now: ms(1)).transmittedRequests[0]
    #expect(ack.headers.routes.map(\.uri.host) == ["p1", "p2"])
  }

  @Test func tellsA2xxOnceAndRepeatsItsACK() throws {
    var (layer, id, invite) = try calling()
    #expect(layer.receive(answer(invite, 200), from: peer, now: ms(100)).map(name) == ["response 200"])
    // Before the user has its ACK ready, a repeated 2xx brings nothing.
    #expect(layer.receive(answer(invite, 200), from: peer, now: ms(600)).isEmpty)
    var ack = newRequest(.ack)
    ack.headers[.to] = "<sip:bob@192.0.2.2>;tag=bt"
    let first = layer.acknowledge(ack, for: id, to: there, now: ms(700)).transmittedRequests
    #expect(first.first?.headers.topVia?.branch != invite.headers.topVia?.branch)
    let second = layer.receive(answer(invite, 200), from: peer, now: ms(1600)).transmittedRequests
    #expect(second.map { $0.headers.topVia?.branch } == first.map { $0.headers.topVia?.branch })
    #expect(times(&layer, until: ms(100_000)).isEmpty)
    #expect(layer.count == 0, "Timer M ends it")
  }

  @Test func tellsThe2xxOfEveryFork() throws {
    var (layer, id, invite) = try calling()
    #expect(layer.receive(answer(invite, 200, tag: "x"), from: peer, now: ms(100)).map(name) == ["response 200"])
    #expect(layer.receive(answer(invite, 200, tag: "y"), from: peer, now: ms(200)).map(name) == ["response 200"])
    for tag in ["x", "y"] {
      var ack = newRequest(.ack)
      ack.headers[.to] = "<sip:bob@192.0.2.2>;tag=\(tag)"
      _ = layer.acknowledge(ack, for: id, to: there, now: ms(300))
    }
    let again = layer.receive(answer(invite, 200, tag: "x"), from: peer, now: ms(600))
    #expect(again.transmittedRequests.map { $0.headers.toTag } == ["x"])
    #expect(layer.receive(answer(invite, 486, tag: "z"), from: peer, now: ms(700)).isEmpty)
  }

  @Test func ignoresResponsesThatAreNotIts() throws {
    var (layer, _, invite) = try calling()
    var otherBranch = invite
    otherBranch.headers[.via] = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKother"
    var twoVias = invite
    twoVias.headers.append(.via, "SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKx")
    var joined = invite
    joined.headers[.via] = invite.headers[.via]! + ", SIP/2.0/UDP h"
    var otherMethod = invite
    otherMethod.headers[.cSeq] = "1 BYE"
    for message in [otherBranch, twoVias, joined, otherMethod] {
      #expect(layer.receive(answer(message, 200), from: peer, now: ms(1)).isEmpty)
    }
    #expect(layer.statistics.strayResponses == 4)
  }

  @Test func endsWithItsTransport() throws {
    var (layer, _, _) = try calling()
    #expect(layer.transportFailed(.address(.udp, peer.remote), now: ms(1)).isEmpty, "another destination")
    #expect(layer.transportFailed(there, now: ms(1)).map(name) == ["transportFailure"])
    #expect(layer.count == 0)
  }

  // MARK: Server

  @Test func says100After200Milliseconds() throws {
    var (layer, _, _) = try called()
    #expect(layer.nextDeadline == ms(200))
    #expect(layer.advance(to: ms(199)).isEmpty)
    #expect(layer.advance(to: ms(200)).map(name) == ["send 100"])
  }

  @Test func leaves100OutWhenTheUserIsQuick() throws {
    var (layer, id, invite) = try called()
    #expect(
      layer.respond(SIPResponse(to: invite, status: 180, toTag: "x"), to: id, now: ms(50)).map(name) == ["send 180"])
    #expect(layer.advance(to: ms(1000)).isEmpty)
  }

  @Test func repeatsTheLastProvisionalResponseToARepeatedINVITE() throws {
    var (layer, id, invite) = try called()
    let flow = udpFlow("192.0.2.1:5060")
    #expect(layer.receive(.request(invite), from: flow, now: ms(10)).isEmpty)
    _ = layer.respond(SIPResponse(to: invite, status: 180, toTag: "x"), to: id, now: ms(50))
    #expect(layer.receive(.request(invite), from: flow, now: ms(500)).map(name) == ["send 180"])
    #expect(layer.statistics.retransmissionsAbsorbed == 2)
  }

  @Test func refreshesALongRingingEveryMinute() throws {
    var (layer, id, invite) = try called()
    _ = layer.respond(SIPResponse(to: invite, status: 180, toTag: "x"), to: id, now: .zero)
    #expect(times(&layer, until: ms(200_000)).map(\.0) == [60_000, 120_000, 180_000])
  }

  @Test func retransmitsARejectionUntilItsACK() throws {
    var (layer, id, invite) = try called()
    _ = layer.respond(SIPResponse(to: invite, status: 486, toTag: "x"), to: id, now: .zero)
    #expect(times(&layer, until: ms(8000)).map(\.0) == [500, 1500, 3500, 7500])
    var ack = invite
    ack.method = .ack
    ack.headers[.cSeq] = "1 ACK"
    let flow = udpFlow("192.0.2.1:5060")
    #expect(layer.receive(.request(ack), from: flow, now: ms(8000)).isEmpty)
    #expect(layer.receive(.request(ack), from: flow, now: ms(8100)).isEmpty)
    #expect(layer.receive(.request(invite), from: flow, now: ms(8200)).isEmpty, "Confirmed absorbs")
    #expect(times(&layer, until: ms(100_000)).isEmpty)
    #expect(layer.count == 0, "Timer I ends it")
  }

  @Test func givesUpARejectionAfterTimerH() throws {
    var (layer, id, invite) = try called()
    _ = layer.respond(SIPResponse(to: invite, status: 486, toTag: "x"), to: id, now: .zero)
    let log = times(&layer, until: ms(100_000))
    #expect(log.map(\.0) == [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500])
    #expect(layer.count == 0)
  }

  @Test func retransmits200UntilACK() throws {
    var (layer, id, invite) = try called()
    let ok = SIPResponse(to: invite, status: 200, toTag: "x")
    #expect(layer.respond(ok, to: id, now: .zero).map(name) == ["send 200"])
    #expect(times(&layer, until: ms(4000)).map(\.0) == [500, 1500, 3500])
    let flow = udpFlow("192.0.2.1:5060")
    #expect(layer.receive(.request(invite), from: flow, now: ms(4100)).isEmpty, "RFC 6026: absorbed")
    var ack = invite
    ack.method = .ack
    ack.headers[.via] = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnew"
    ack.headers[.cSeq] = "1 ACK"
    ack.headers[.to] = ok.headers[.to]
    var foreign = ack
    foreign.headers[.to] = "<sip:bob@192.0.2.2>;tag=other"
    #expect(layer.receive(.request(foreign), from: flow, now: ms(4200)).isEmpty)
    #expect(layer.statistics.strayAcknowledgements == 1)
    #expect(layer.receive(.request(ack), from: flow, now: ms(4300)).map(name) == ["acknowledged"])
    #expect(layer.receive(.request(ack), from: flow, now: ms(4400)).isEmpty, "told once")
    #expect(times(&layer, until: ms(100_000)).isEmpty)
    #expect(layer.count == 0)
  }

  @Test func retransmits200OverConnectionsToo() throws {
    var (layer, id, invite) = try called(wsFlow(3))
    _ = layer.respond(SIPResponse(to: invite, status: 200, toTag: "x"), to: id, now: .zero)
    #expect(times(&layer, until: ms(1000)).map(\.1) == ["send 200"])
  }

  @Test func takesAnACKWithTheBranchOfTheINVITE() throws {
    var (layer, id, invite) = try called()
    let ok = SIPResponse(to: invite, status: 200, toTag: "x")
    _ = layer.respond(ok, to: id, now: .zero)
    var ack = invite
    ack.method = .ack
    ack.headers[.cSeq] = "1 ACK"
    ack.headers[.to] = ok.headers[.to]
    #expect(layer.receive(.request(ack), from: udpFlow("192.0.2.1:5060"), now: ms(5)).map(name) == ["acknowledged"])
  }

  @Test func tellsThatNoACKCame() throws {
    var (layer, id, invite) = try called()
    _ = layer.respond(SIPResponse(to: invite, status: 200, toTag: "x"), to: id, now: .zero)
    let log = times(&layer, until: ms(100_000))
    #expect(log.last?.0 == 32_000)
    #expect(log.last?.1 == "acknowledgementMissing")
    #expect(layer.count == 0)
  }

  @Test func ignoresASecondFinalResponse() throws {
    var (layer, id, invite) = try called()
    _ = layer.respond(SIPResponse(to: invite, status: 200, toTag: "x"), to: id, now: .zero)
    #expect(layer.respond(SIPResponse(to: invite, status: 486, toTag: "x"), to: id, now: ms(1)).isEmpty)
    #expect(layer.respond(SIPResponse(to: invite, status: 180, toTag: "x"), to: id, now: ms(1)).isEmpty)
    #expect(layer.statistics.ignoredResponses == 2)
  }

  @Test func addsTheToTagThatTheUserForgot() throws {
    var (layer, id, invite) = try called()
    let ringing = layer.respond(SIPResponse(to: invite, status: 180, toTag: nil), to: id, now: .zero)
      .transmittedResponses
    let busy = layer.respond(SIPResponse(to: invite, status: 486, toTag: nil), to: id, now: ms(1)).transmittedResponses
    let tag = try #require(ringing.first?.headers.toTag)
    #expect(busy.first?.headers.toTag == tag)
  }

  // MARK: Where responses go

  @Test func answersToTheSourcePortWhereRportAsks() throws {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 3)
    func destination(_ via: String, from flow: Flow) throws -> (Destination?, Via?) {
      var message = newRequest(.options, callID: via)
      message.headers.prepend(.via, via)
      let incoming = try #require(layer.receive(.request(message), from: flow, now: .zero).newRequest)
      let actions = layer.respond(
        SIPResponse(to: incoming.request, status: 200, toTag: "x"), to: incoming.id, now: .zero)
      return (actions.destinations.first, actions.transmittedResponses.first?.headers.topVia)
    }
    let nat = udpFlow("198.51.100.1:33333")
    let (first, via) = try destination("SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1;rport", from: nat)
    #expect(first == .flow(nat))
    #expect(via?.received == IPAddress("198.51.100.1") && via?.rport == 33333)
    let (second, plain) = try destination("SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK2", from: nat)
    #expect(second == .flow(udpFlow("198.51.100.1:5062")))
    #expect(plain?.received == IPAddress("198.51.100.1") && plain?.wantsRport == false)
    let (third, same) = try destination("SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK3", from: nat)
    #expect(third == .flow(udpFlow("198.51.100.1:5060")))
    #expect(same?.received == nil)
    let socket = wsFlow(9)
    let (fourth, browser) = try destination("SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK4", from: socket)
    #expect(fourth == .flow(socket))
    #expect(browser?.received == socket.remote.ip)
  }
}
