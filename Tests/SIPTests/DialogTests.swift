import Core
import SIP
import Testing

@Suite struct DialogTests {
  func invite(recordRoutes: [String] = [], contact: String? = "<sip:alice@192.0.2.1:5070>") -> SIPRequest {
    var invite = newRequest(.invite, cSeq: 5)
    invite.headers[.contact] = contact
    for route in recordRoutes { invite.headers.append(.recordRoute, route) }
    return invite
  }

  func reply(
    _ request: SIPRequest, _ status: Int, tag: String? = "bt", contact: String? = "<sip:bob@192.0.2.2:5080>",
    recordRoutes: [String] = []
  ) -> SIPResponse {
    var response = SIPResponse(to: request, status: status, toTag: tag)
    response.headers.remove(.recordRoute)
    for route in recordRoutes { response.headers.append(.recordRoute, route) }
    response.headers[.contact] = contact
    return response
  }

  /// A request of the peer towards the UAS dialog of `invite()`.
  func inside(_ method: Method, cSeq: UInt32, contact: String? = nil, localTag: String = "lt") -> SIPRequest {
    var request = newRequest(method, cSeq: cSeq)
    request.headers[.to] = "<sip:bob@192.0.2.2>;tag=\(localTag)"
    request.headers[.contact] = contact
    return request
  }

  @Test func isMadeByTheUAS() throws {
    let request = invite(recordRoutes: ["<sip:p1;lr>, <sip:p2;lr>", "<sip:p3;lr>"])
    var dialog = try Dialog(uas: request, localTag: "lt", flow: udpFlow("192.0.2.1:5060"))
    #expect(dialog.id == DialogID(callID: "call-1", localTag: "lt", remoteTag: "ft"))
    #expect(!dialog.isConfirmed && dialog.isUAS)
    #expect(dialog.remoteTarget.description == "sip:alice@192.0.2.1:5070")
    #expect(dialog.routeSet.map(\.uri.host) == ["p1", "p2", "p3"])
    #expect(dialog.remoteSequence == 5 && dialog.localSequence == 0)
    dialog.confirm()
    let bye = dialog.makeRequest(.bye)
    #expect(bye.uri.description == "sip:alice@192.0.2.1:5070")
    #expect(bye.headers.routes.map(\.uri.host) == ["p1", "p2", "p3"])
    #expect(bye.headers.fromTag == "lt" && bye.headers.toTag == "ft")
    #expect(bye.headers.from?.uri.user == "bob" && bye.headers.to?.uri.user == "alice")
    #expect(bye.headers.cSeq == CSeq(number: 1, method: .bye))
    #expect(bye.headers.maxForwards == 70 && bye.headers.callID == "call-1")
    #expect(dialog.nextHop.host == "p1")
  }

  @Test func isMadeByTheUACWithTheRoutesReversed() throws {
    let request = invite()
    let ringing = reply(request, 180, recordRoutes: ["<sip:p1;lr>", "<sip:p2;lr>"])
    var dialog = try Dialog(uac: request, response: ringing)
    #expect(!dialog.isConfirmed && !dialog.isUAS)
    #expect(dialog.id == DialogID(callID: "call-1", localTag: "ft", remoteTag: "bt"))
    #expect(dialog.routeSet.map(\.uri.host) == ["p2", "p1"])
    #expect(dialog.remoteTarget.description == "sip:bob@192.0.2.2:5080")
    // The 2xx confirms, and its route set and target are the ones that stay.
    dialog.receive(reply(request, 200, contact: "<sip:bob@192.0.2.3>", recordRoutes: ["<sip:p9;lr>"]), to: request)
    #expect(dialog.isConfirmed)
    #expect(dialog.routeSet.map(\.uri.host) == ["p9"])
    #expect(dialog.remoteTarget.host == "192.0.2.3")
    let ack = dialog.makeACK(sequence: 5)
    #expect(ack.headers.cSeq == CSeq(number: 5, method: .ack))
    #expect(ack.headers.routes.map(\.uri.host) == ["p9"])
    #expect(dialog.makeRequest(.bye).headers.cSeq?.number == 6)
    #expect(dialog.makeRequest(.info).headers.cSeq?.number == 7)
  }

  @Test func makesOneDialogAFork() throws {
    let request = invite()
    let first = try Dialog(uac: request, response: reply(request, 180, tag: "x"))
    var second = try Dialog(uac: request, response: reply(request, 183, tag: "y", contact: "<sip:y@192.0.2.7>"))
    #expect(first.id != second.id)
    second.receive(reply(request, 200, tag: "x", contact: "<sip:x@192.0.2.8>"), to: request)
    #expect(!second.isConfirmed, "the other branch's answer is not its")
    #expect(second.remoteTarget.host == "192.0.2.7")
    second.receive(reply(request, 200, tag: "y", contact: nil), to: request)
    #expect(second.isConfirmed)
  }

  @Test func refusesWhatMakesNoDialog() {
    let request = invite()
    #expect(throws: DialogError.notDialogForming(status: 100)) {
      try Dialog(uac: request, response: reply(request, 100))
    }
    #expect(throws: DialogError.notDialogForming(status: 486)) {
      try Dialog(uac: request, response: reply(request, 486))
    }
    #expect(throws: DialogError.notDialogForming(status: 180)) {
      try Dialog(uac: request, response: reply(request, 180, tag: nil))
    }
    #expect(throws: DialogError.missing(.contact)) {
      try Dialog(uas: invite(contact: nil), localTag: "lt", flow: udpFlow("192.0.2.1:5060"))
    }
  }

  @Test func staysConfirmedOnAFirst2xxWithoutEarlyDialog() throws {
    let request = invite()
    let dialog = try Dialog(uac: request, response: reply(request, 200, contact: nil))
    #expect(dialog.isConfirmed)
    #expect(dialog.remoteTarget == request.uri, "no Contact: where the INVITE went")
  }

  @Test func acceptsRequestsInOrderOnly() throws {
    var dialog = try Dialog(uas: invite(), localTag: "lt", flow: udpFlow("192.0.2.1:5060"))
    #expect(dialog.receive(inside(.info, cSeq: 6)) == .accept)
    #expect(dialog.receive(inside(.info, cSeq: 9)) == .accept, "gaps are allowed")
    #expect(dialog.receive(inside(.info, cSeq: 9)) == .outOfOrder)
    #expect(dialog.receive(inside(.bye, cSeq: 8)) == .outOfOrder)
    #expect(dialog.receive(inside(.ack, cSeq: 5)) == .accept)
    #expect(dialog.receive(inside(.bye, cSeq: 10, localTag: "zz")) == .wrongDialog)
    var other = inside(.bye, cSeq: 10)
    other.headers[.from] = "<sip:alice@example.com>;tag=zz"
    #expect(dialog.receive(other) == .wrongDialog)
    #expect(dialog.remoteSequence == 9)
  }

  @Test func startsThePeersNumbersAnywhere() throws {
    let request = invite()
    var dialog = try Dialog(uac: request, response: reply(request, 200))
    var bye = newRequest(.bye, cSeq: 1)
    bye.headers[.from] = "<sip:bob@192.0.2.2>;tag=bt"
    bye.headers[.to] = "<sip:alice@example.com>;tag=ft"
    #expect(dialog.receive(bye) == .accept)
  }

  @Test func movesItsTargetOnRefreshesOnly() throws {
    var dialog = try Dialog(uas: invite(), localTag: "lt", flow: udpFlow("192.0.2.1:5060"))
    _ = dialog.receive(inside(.info, cSeq: 6, contact: "<sip:x@h1>"))
    #expect(dialog.remoteTarget.host == "192.0.2.1")
    _ = dialog.receive(inside(.invite, cSeq: 7, contact: "<sip:x@h2>"))
    #expect(dialog.remoteTarget.host == "h2")
    _ = dialog.receive(inside(.update, cSeq: 8, contact: "<sip:x@h3>"))
    #expect(dialog.remoteTarget.host == "h3")
    _ = dialog.receive(inside(.invite, cSeq: 8, contact: "<sip:x@h4>"))
    #expect(dialog.remoteTarget.host == "h3", "out of order changes nothing")
    dialog.confirm()
    let update = dialog.makeRequest(.update)
    var ok = SIPResponse(to: update, status: 200, toTag: nil)
    ok.headers[.contact] = "<sip:x@h5>"
    dialog.receive(ok, to: update)
    #expect(dialog.remoteTarget.host == "h5")
    var refused = SIPResponse(to: update, status: 491, toTag: nil)
    refused.headers[.contact] = "<sip:x@h6>"
    dialog.receive(refused, to: update)
    #expect(dialog.remoteTarget.host == "h5")
  }

  @Test func keepsItsRouteSetForLife() throws {
    let request = invite()
    var dialog = try Dialog(uac: request, response: reply(request, 200, recordRoutes: ["<sip:p1;lr>"]))
    let again = dialog.makeRequest(.invite)
    dialog.receive(reply(again, 200, tag: nil, recordRoutes: ["<sip:p2;lr>"]), to: again)
    #expect(dialog.routeSet.map(\.uri.host) == ["p1"])
  }

  @Test func routesStrictlyWhereTheFirstRouterAsksForIt() throws {
    let request = invite(recordRoutes: ["<sip:strict.example.com>", "<sip:loose.example.com;lr>"])
    var dialog = try Dialog(uas: request, localTag: "lt", flow: udpFlow("192.0.2.1:5060"))
    let bye = dialog.makeRequest(.bye)
    #expect(bye.uri.host == "strict.example.com")
    #expect(bye.headers.routes.map(\.uri.host) == ["loose.example.com", "192.0.2.1"])
  }
}

@Suite struct SessionTimerTests {
  func offer(_ expires: String?, minSE: UInt32? = nil, supportsTimer: Bool = true) -> SIPRequest {
    var invite = newRequest(.invite)
    invite.headers[.sessionExpires] = expires
    invite.headers.minSE = minSE
    if supportsTimer { invite.headers.append(.supported, "timer") }
    return invite
  }

  @Test func answersByTable2() {
    let policy = SessionTimerPolicy(interval: 1800)
    // JsSIP: 90 seconds, no refresher; the server refreshes.
    #expect(
      policy.answer(to: offer("90")) == .accept(SessionExpires(seconds: 90, refresher: .uas), requiresTimer: false))
    #expect(
      policy.answer(to: offer("600;refresher=uac"))
        == .accept(SessionExpires(seconds: 600, refresher: .uac), requiresTimer: true))
    #expect(
      policy.answer(to: offer("7200;refresher=uas"))
        == .accept(SessionExpires(seconds: 1800, refresher: .uas), requiresTimer: false))
    #expect(
      policy.answer(to: offer("7200", minSE: 3600))
        == .accept(SessionExpires(seconds: 3600, refresher: .uas), requiresTimer: false))
    // No timer at the other side: ours alone.
    #expect(
      policy.answer(to: offer(nil, supportsTimer: false))
        == .accept(SessionExpires(seconds: 1800, refresher: .uas), requiresTimer: false))
    #expect(
      SessionTimerPolicy(interval: 1800, prefersLocalRefresh: false).answer(to: offer("1800"))
        == .accept(SessionExpires(seconds: 1800, refresher: .uac), requiresTimer: true))
    #expect(policy.answer(to: offer("60")) == .tooSmall(minimum: 90))
    #expect(
      policy.answer(to: offer("60", supportsTimer: false))
        == .accept(SessionExpires(seconds: 90, refresher: .uas), requiresTimer: false))
  }

  @Test func writesItsAnswer() {
    var ok = SIPResponse(to: offer("600;refresher=uac"), status: 200, toTag: "x")
    SessionTimerPolicy().answer(to: offer("600;refresher=uac")).apply(to: &ok)
    #expect(ok.headers[.sessionExpires] == "600;refresher=uac")
    #expect(ok.headers.require == ["timer"])
  }

  @Test func learnsFrom422() {
    var refusal = SIPResponse(to: newRequest(.invite), status: 422, toTag: "x")
    refusal.headers.minSE = 3600
    let policy = SessionTimerPolicy(interval: 1800)
    let next = policy.adapted(to: refusal)
    #expect(next?.interval == 3600 && next?.minimum == 3600)
    #expect(next?.adapted(to: refusal) == nil, "once is enough")
    var invite = newRequest(.invite)
    next?.offer(in: &invite)
    #expect(invite.headers.sessionExpires?.seconds == 3600 && invite.headers.minSE == 3600)
    #expect(invite.headers.supports("timer"))
  }

  @Test func refreshesAtHalfTime() {
    var timer = SessionTimer(interval: 90, isLocalRefresher: true, now: .zero)
    #expect(timer.nextDeadline == ms(45_000))
    #expect(timer.advance(to: ms(44_999)) == nil)
    #expect(timer.advance(to: ms(45_000)) == .refresh)
    #expect(timer.advance(to: ms(45_001)) == nil, "told once")
    #expect(timer.nextDeadline == ms(90_000))
    #expect(timer.advance(to: ms(90_000)) == .expired)
  }

  @Test func endsASessionThatThePeerDoesNotRefresh() {
    var timer = SessionTimer(interval: 90, isLocalRefresher: false, now: .zero)
    #expect(timer.nextDeadline == ms(60_000), "90 - min(32, 90/3)")
    #expect(timer.advance(to: ms(60_000)) == .expired)
    #expect(SessionTimer(interval: 1800, isLocalRefresher: false, now: .zero).nextDeadline == ms(1_768_000))
  }

  @Test func knowsWhoRefreshes() {
    func ok(_ value: String?) -> SIPResponse {
      var response = SIPResponse(to: newRequest(.invite), status: 200, toTag: "x")
      response.headers[.sessionExpires] = value
      return response
    }
    #expect(SessionTimer(received: ok("1800;refresher=uac"), now: .zero)?.isLocalRefresher == true)
    #expect(SessionTimer(received: ok("1800;refresher=uas"), now: .zero)?.isLocalRefresher == false)
    #expect(SessionTimer(received: ok(nil), now: .zero) == nil)
    #expect(SessionTimer(received: ok("0"), now: .zero) == nil)
    #expect(SessionTimer(sent: ok("1800;refresher=uas"), now: .zero)?.isLocalRefresher == true)
    #expect(SessionTimer(sent: ok("1800;refresher=uac"), now: .zero)?.isLocalRefresher == false)
    var update = newRequest(.update)
    SessionTimer(interval: 90, isLocalRefresher: true, now: .zero).offer(in: &update)
    #expect(update.headers[.sessionExpires] == "90;refresher=uac")
  }
}
