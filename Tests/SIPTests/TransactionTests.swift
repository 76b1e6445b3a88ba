import Core
import SIP
import Testing

/// Non-INVITE machines, CANCEL, merged requests and limits.
@Suite struct TransactionTests {
  let peer = udpFlow("192.0.2.2:5060")
  var there: Destination { .flow(peer) }

  func times(_ layer: inout TransactionLayer, until end: Instant) -> [(Int64, String)] {
    var log: [(Int64, String)] = []
    while let deadline = layer.nextDeadline, deadline <= end {
      for action in layer.advance(to: deadline) { log.append((deadline.nanoseconds / 1_000_000, name(action))) }
    }
    return log
  }

  func sent(_ layer: inout TransactionLayer, _ message: SIPRequest, now: Instant = .zero) -> (
    ClientTransactionID, SIPRequest
  ) {
    let (id, actions) = layer.send(message, to: there, now: now)
    return (id, actions.transmittedRequests[0])
  }

  func answer(_ request: SIPRequest, _ status: Int, tag: String? = "bt") -> SIPMessage {
    .response(SIPResponse(to: request, status: status, toTag: tag))
  }

  // MARK: Client

  @Test func retransmitsUpToT2UntilTimerF() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    _ = sent(&layer, newRequest(.options))
    let log = times(&layer, until: ms(100_000))
    #expect(log.map(\.0) == [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500, 32000])
    #expect(log.last?.1 == "timeout")
    #expect(layer.count == 0)
  }

  @Test func retransmitsEveryT2InProceeding() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (_, options) = sent(&layer, newRequest(.options))
    #expect(layer.receive(answer(options, 100), from: peer, now: ms(100)).map(name) == ["response 100"])
    let log = times(&layer, until: ms(100_000))
    #expect(log.map(\.0) == [500, 4500, 8500, 12500, 16500, 20500, 24500, 28500, 32000])
  }

  @Test func absorbsRepeatedFinalResponsesForT4() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (_, options) = sent(&layer, newRequest(.options))
    #expect(layer.receive(answer(options, 200), from: peer, now: ms(100)).map(name) == ["response 200"])
    #expect(layer.receive(answer(options, 200), from: peer, now: ms(200)).isEmpty)
    #expect(layer.receive(answer(options, 180), from: peer, now: ms(200)).isEmpty)
    #expect(layer.nextDeadline == ms(5100))
    _ = layer.advance(to: ms(5100))
    #expect(layer.count == 0)
  }

  @Test func forgetsAtOnceOverConnections() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (_, actions) = layer.send(newRequest(.options), to: .flow(wsFlow(1)), now: .zero)
    _ = layer.receive(answer(actions.transmittedRequests[0], 200), from: wsFlow(1), now: ms(10))
    #expect(layer.count == 0)
    #expect(layer.nextDeadline == nil)
  }

  // MARK: Server

  @Test func repeatsTheFinalResponseForTimerJ() throws {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 1)
    var options = newRequest(.options)
    options.headers.prepend(.via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport")
    let flow = udpFlow("192.0.2.1:5060")
    let incoming = try #require(layer.receive(.request(options), from: flow, now: .zero).newRequest)
    #expect(layer.receive(.request(options), from: flow, now: ms(500)).isEmpty, "Trying absorbs")
    _ = layer.respond(SIPResponse(to: incoming.request, status: 200, toTag: "x"), to: incoming.id, now: ms(600))
    #expect(layer.receive(.request(options), from: flow, now: ms(1500)).map(name) == ["send 200"])
    #expect(layer.nextDeadline == ms(32_600))
    _ = layer.advance(to: ms(32_600))
    #expect(layer.count == 0)
    #expect(
      layer.respond(SIPResponse(to: incoming.request, status: 200, toTag: "x"), to: incoming.id, now: ms(40_000))
        .isEmpty)
  }

  @Test func forgetsARequestThatItsUserNeverAnswers() throws {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 1)
    var options = newRequest(.options)
    options.headers.prepend(.via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport")
    let incoming = try #require(layer.receive(.request(options), from: peer, now: .zero).newRequest)
    _ = layer.respond(SIPResponse(to: incoming.request, status: 100, toTag: nil), to: incoming.id, now: .zero)
    #expect(layer.advance(to: ms(31_999)).isEmpty && layer.count == 1)
    #expect(layer.advance(to: ms(32_000)).isEmpty && layer.count == 0)
  }

  @Test func refusesAMergedRequest() throws {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 1)
    var first = newRequest(.invite)
    first.headers.prepend(.via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport")
    var second = first
    second.headers[.via] = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2;rport"
    #expect(layer.receive(.request(first), from: udpFlow("192.0.2.1:5060"), now: .zero).newRequest != nil)
    let actions = layer.receive(.request(second), from: udpFlow("192.0.2.9:5060"), now: ms(5))
    #expect(actions.map(name) == ["send 482"])
    #expect(layer.statistics.mergedRequests == 1)
    // Inside a dialog there is no such thing.
    var inside = second
    inside.headers[.to] = "<sip:bob@192.0.2.2>;tag=x"
    inside.headers[.via] = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK3;rport"
    #expect(layer.receive(.request(inside), from: udpFlow("192.0.2.9:5060"), now: ms(6)).newRequest != nil)
  }

  @Test func refusesMoreTransactionsThanItsLimit() {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 1)
    layer.maximumTransactions = 2
    var statuses: [[String]] = []
    for number in 1...3 {
      var options = newRequest(.options, callID: "call-\(number)")
      options.headers.prepend(.via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\(number);rport")
      statuses.append(layer.receive(.request(options), from: udpFlow("192.0.2.1:5060"), now: .zero).map(name))
    }
    #expect(statuses == [["request OPTIONS"], ["request OPTIONS"], ["send 503"]])
    #expect(layer.count == 2)
    #expect(layer.statistics.refusedByLimit == 1)
  }

  @Test func answersWhatDidNotParse() throws {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 1)
    let bad = SIPParserTests.options.replacing("CSeq: 7 OPTIONS", with: "CSeq: 7 INVITE")
    do throws(SIPParseError) {
      _ = try SIPParser.parse(datagram: wire(bad))
      Issue.record("it parsed")
    } catch {
      let actions = layer.reject(error, from: udpFlow("198.51.100.1:7000"))
      #expect(actions.transmittedResponses.map(\.status) == [400])
      #expect(actions.transmittedResponses.first?.headers.topVia?.rport == 7000)
      #expect(actions.destinations == [.flow(udpFlow("198.51.100.1:7000"))])
    }
    #expect(layer.count == 0)
  }

  // MARK: RFC 2543

  @Test func matchesWithoutMagicCookie() throws {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 1)
    let invite = try { () throws -> SIPRequest in
      guard case .request(let message) = try SIPParser.parse(datagram: contents("signaling/sip/torture/inv2543.dat"))
      else { throw NotTheKind() }
      return message
    }()
    let flow = udpFlow("192.0.2.5:5060")
    let incoming = try #require(layer.receive(.request(invite), from: flow, now: .zero).newRequest)
    #expect(layer.receive(.request(invite), from: flow, now: ms(5)).isEmpty)
    let busy = layer.respond(SIPResponse(to: incoming.request, status: 486, toTag: "x"), to: incoming.id, now: ms(10))
    var ack = invite
    ack.method = .ack
    ack.headers[.cSeq] = "56 ACK"
    ack.headers[.to] = busy.transmittedResponses[0].headers[.to]
    _ = layer.receive(.request(ack), from: flow, now: ms(20))
    #expect(times(&layer, until: ms(100_000)).isEmpty, "the ACK stopped the retransmissions")
    #expect(layer.statistics.strayAcknowledgements == 0)
  }

  // MARK: CANCEL

  @Test func waitsForAProvisionalResponseBeforeItCancels() throws {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (id, invite) = sent(&layer, newRequest(.invite))
    #expect(layer.cancel(id, reason: "SIP;cause=200", now: ms(10)).isEmpty)
    let actions = layer.receive(answer(invite, 100, tag: nil), from: peer, now: ms(20))
    #expect(actions.map(name) == ["response 100", "send CANCEL"])
    let cancel = try #require(actions.transmittedRequests.first)
    #expect(cancel.headers.topVia?.branch == invite.headers.topVia?.branch)
    #expect(cancel.headers.cSeq == CSeq(number: 1, method: .cancel))
    #expect(cancel.headers[.to] == invite.headers[.to] && cancel.uri == invite.uri)
    #expect(cancel.headers.reasons == [Reason(protocol: "SIP", cause: 200)])
    #expect(layer.receive(answer(cancel, 200), from: peer, now: ms(30)).isEmpty, "nobody's business")
    let end = layer.receive(answer(invite, 487), from: peer, now: ms(40))
    #expect(end.map(name) == ["send ACK", "response 487"])
    #expect(layer.cancel(id, now: ms(50)).isEmpty)
  }

  @Test func doesNotCancelWhatIsAnswered() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (id, invite) = sent(&layer, newRequest(.invite))
    _ = layer.cancel(id, now: ms(10))
    #expect(layer.receive(answer(invite, 200), from: peer, now: ms(20)).map(name) == ["response 200"])
    let (other, _) = sent(&layer, newRequest(.options, callID: "x"))
    #expect(layer.cancel(other, now: ms(30)).isEmpty, "only INVITE is cancelled")
  }

  @Test func cancelsOnce() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (id, invite) = sent(&layer, newRequest(.invite))
    _ = layer.receive(answer(invite, 180), from: peer, now: ms(5))
    #expect(layer.cancel(id, now: ms(10)).map(name) == ["send CANCEL"])
    #expect(layer.cancel(id, now: ms(11)).isEmpty)
  }

  @Test func givesUpWhatWasCancelledAndNeverEnds() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    let (id, invite) = sent(&layer, newRequest(.invite))
    _ = layer.receive(answer(invite, 180), from: peer, now: ms(5))
    let cancel = layer.cancel(id, now: ms(1000)).transmittedRequests[0]
    _ = layer.receive(answer(cancel, 200), from: peer, now: ms(1100))
    // A provisional response that comes late does not put it off.
    _ = layer.receive(answer(invite, 180), from: peer, now: ms(2000))
    let log = times(&layer, until: ms(100_000))
    #expect(log.map(\.0) == [33_000] && log.map(\.1) == ["timeout"])
    #expect(layer.count == 0)
  }

  /// A server layer with a ringing INVITE, and its CANCEL.
  func ringing() throws -> (TransactionLayer, ServerTransactionID, SIPRequest, SIPRequest) {
    var layer = TransactionLayer(host: "192.0.2.2", seed: 1)
    var invite = newRequest(.invite)
    invite.headers.prepend(.via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport")
    let incoming = try #require(
      layer.receive(.request(invite), from: udpFlow("192.0.2.1:5060"), now: .zero).newRequest)
    var cancel = invite
    cancel.method = .cancel
    cancel.headers[.cSeq] = "1 CANCEL"
    return (layer, incoming.id, incoming.request, cancel)
  }

  @Test func answersCANCELAndTellsTheUser() throws {
    var (layer, id, invite, cancel) = try ringing()
    let flow = udpFlow("192.0.2.1:5060")
    let tag = layer.respond(SIPResponse(to: invite, status: 180, toTag: "mine"), to: id, now: ms(10))
      .transmittedResponses[0]
      .headers.toTag
    let actions = layer.receive(.request(cancel), from: flow, now: ms(100))
    #expect(actions.map(name) == ["send 200", "cancelled"])
    #expect(actions.transmittedResponses[0].headers.toTag == tag)
    #expect(layer.receive(.request(cancel), from: flow, now: ms(600)).map(name) == ["send 200"], "told once")
    let end = layer.respond(SIPResponse(to: invite, status: 487, toTag: "mine"), to: id, now: ms(700))
    #expect(end.map(name) == ["send 487"])
  }

  @Test func answersCANCELButDoesNotTellWhenAnswered() throws {
    var (layer, id, invite, cancel) = try ringing()
    _ = layer.respond(SIPResponse(to: invite, status: 200, toTag: "mine"), to: id, now: ms(10))
    let actions = layer.receive(.request(cancel), from: udpFlow("192.0.2.1:5060"), now: ms(100))
    #expect(actions.map(name) == ["send 200"])
  }

  @Test func refusesACANCELOfNothing() throws {
    var (layer, _, _, cancel) = try ringing()
    cancel.headers[.via] = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKunknown;rport"
    #expect(layer.receive(.request(cancel), from: udpFlow("192.0.2.1:5060"), now: ms(5)).map(name) == ["send 481"])
    #expect(layer.statistics.unmatchedCancels == 1)
  }

  @Test func keepsItsTimersTidy() {
    var layer = TransactionLayer(host: "192.0.2.1", seed: 1)
    var now = Instant.zero
    for number in 0..<500 {
      let (_, options) = sent(&layer, newRequest(.options, callID: "c\(number)"), now: now)
      _ = layer.receive(answer(options, 200), from: peer, now: now + .milliseconds(1))
      now = now + .milliseconds(100)
      #expect(layer.advance(to: now).isEmpty)
    }
    // Only those of the last five seconds linger.
    #expect(layer.count == 50 || layer.count == 51)
    #expect(layer.nextDeadline.map { $0 > now } == true)
  }
}
