import SIP
import Testing

@Suite struct ReferTests {
  func refer(_ headers: [(HeaderName, String)], cSeq: UInt32 = 7) throws -> SIPRequest {
    var request = SIPRequest(method: .refer, uri: try SIPURI(parsing: "sip:a@b"))
    request.headers.cSeq = CSeq(number: cSeq, method: .refer)
    for (name, value) in headers { request.headers.append(name, value) }
    return request
  }

  @Test func readsTheTargetWithoutItsHeaders() throws {
    let found = try Refer(
      try refer([(.referTo, "\"Carol\" <sip:carol@c.example;user=phone;method=INVITE?Subject=x&Priority=urgent>")]))
    #expect(found.target.description == "sip:carol@c.example;user=phone")
    #expect(found.replaces == nil && found.wantsSubscription && found.sequence == 7)
  }

  @Test func readsTheEscapedReplaces() throws {
    let found = try Refer(
      try refer([
        (.referTo, "<sip:c@d?Replaces=090459243588173445%3Bto-tag%3D7553452%3Bfrom-tag%3D31431>"),
        (.referSub, "false"),
      ]))
    #expect(found.replaces == Replaces(callID: "090459243588173445", toTag: "7553452", fromTag: "31431"))
    #expect(!found.wantsSubscription && found.target.headers.isEmpty)
  }

  @Test(arguments: [
    ([String](), 400), (["<sip:a@b>", "<sip:c@d>"], 400), (["<http://a.example/>"], 416),
    (["<sip:a@b;method=SUBSCRIBE>"], 501), (["<sip:a@b?Replaces=x>"], 400),
    (["<sip:a@b?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>"], 400),
  ])
  func refuses(referTo: [String], status: Int) throws {
    let request = try refer(referTo.map { (.referTo, $0) })
    #expect { try Refer(request) } throws: { ($0 as? ReferError)?.status == status }
  }

  @Test func sendsOneNoticeAtATimeAndOnlyTheLatestOfWhatHappenedMeanwhile() {
    var subscription = ReferSubscription(id: nil)
    let first = subscription.report(100)
    #expect(first?.status == 100)
    for status in [180, 183, 200] {
      let meanwhile = subscription.report(status)
      #expect(meanwhile == nil)
    }
    let last = subscription.answered(200)
    #expect(last?.status == 200 && last?.isFinal == true && last?.state == "terminated;reason=noresource")
    #expect(last.map { String(decoding: $0.fragment, as: UTF8.self) } == "SIP/2.0 200 OK\r\n")
    let (after, late) = (subscription.answered(200), subscription.report(486))
    #expect(after == nil && late == nil && subscription.isOver)
  }

  @Test func tellsNothingTwiceAndNothingToWhoRefuses() {
    var subscription = ReferSubscription(id: 9)
    let ringing = subscription.report(180)
    let (next, twice) = (subscription.answered(200), subscription.report(180))
    let done = subscription.report(200, reason: "a\r\nb")
    #expect(ringing?.event == "refer;id=9" && next == nil && twice == nil)
    #expect(done?.fragment == Array("SIP/2.0 200 ab\r\n".utf8))
    var refused = ReferSubscription(id: nil)
    let told = refused.report(100)
    let (refusal, silence) = (refused.answered(481), refused.report(200))
    #expect(told != nil && refusal == nil && silence == nil)
  }

  @Test(arguments: [
    ("SIP/2.0 200 OK\r\n", 200), ("SIP/2.0 486 Busy Here", 486), ("sip/2.0 100 Trying\r\nFoo: x\r\n", 100),
    ("", nil), ("HTTP/1.1 200 OK", nil), ("SIP/2.0 20 X", nil), ("SIP/2.0 999 X", nil), ("SIP/2.0 +99 X", nil),
  ])
  func readsFragments(text: String, status: Int?) { #expect(SIPFragment.status(of: Array(text.utf8)) == status) }
}
