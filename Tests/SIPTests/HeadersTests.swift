import Core
import SIP
import Testing

@Suite struct HeadersTests {
  @Test func comparesNamesInAnyCaseAndForm() {
    #expect(HeaderName("VIA") == .via)
    #expect(HeaderName("v") == .via)
    #expect(HeaderName("x-unknown") == HeaderName("X-Unknown"))
    #expect(HeaderName("x-unknown") != HeaderName("X-Unknowm"))
    #expect(HeaderName("X-Unknown").description == "X-Unknown")
    #expect(HeaderName("call-id").description == "Call-ID")
    #expect(HeaderName("") != .via)
    #expect(Set([HeaderName("X-A"), HeaderName("x-a"), "X-B"]).count == 2)
  }

  @Test func editsInOrder() {
    var headers = Headers()
    headers.append(.via, "SIP/2.0/UDP a")
    headers.append(.from, "<sip:a@b>")
    headers.append("X-A", "1")
    headers.append("x-a", "2")
    headers.prepend(.via, "SIP/2.0/UDP b")
    #expect(headers.lines.map { $0.name.description } == ["Via", "Via", "From", "X-A", "x-a"])
    #expect(headers.topVia?.host == "b")
    headers["X-a"] = "3"
    #expect(headers.all("X-A") == ["3"])
    #expect(headers.lines.map { $0.name.description } == ["Via", "Via", "From", "X-a"])
    headers.remove(.via)
    #expect(headers.count == 2)
    headers["X-A"] = nil
    #expect(!headers.contains("X-A"))
  }

  @Test func splitsOnlyListHeaders() throws {
    var headers = Headers()
    headers.append(.supported, " a , b,,c ")
    headers.append(.subject, "one, two")
    headers.append(.contact, "\"x, y\" <sip:a,b@c>, <sip:d@e>")
    headers.append(.wwwAuthenticate, "Digest realm=\"r\", nonce=\"n\"")
    #expect(headers.all(.supported) == ["a", "b", "c"])
    #expect(headers.all(.subject) == ["one, two"])
    #expect(headers.all(.contact) == ["\"x, y\" <sip:a,b@c>", "<sip:d@e>"])
    #expect(headers.all(.wwwAuthenticate).count == 1)
  }

  @Test func cannotBeMadeToSmuggleALine() throws {
    var invite = newRequest(.invite)
    invite.headers.append(.subject, "x\r\nEvil: 1\r\n\r\nbody\0")
    invite.headers.set("X-Other", "a\nb")
    invite.uri.parameters.setRaw("x", "1\r\nEvil: 2")
    invite.headers.prepend(.via, "SIP/2.0/UDP h;branch=z9hG4bK1")
    let text = String(decoding: invite.serialized(), as: UTF8.self)
    #expect(!text.contains("\nEvil"))
    #expect(text.contains("Subject: x  Evil: 1    body \r\n"))
    var refusal = SIPResponse(to: invite, status: 400, reason: "No\r\nEvil: 3", toTag: "t")
    refusal.headers.append("X", "y")
    #expect(!String(decoding: refusal.serialized(), as: UTF8.self).contains("\nEvil"))
  }

  @Test func writesAnExactContentLengthOnce() throws {
    var invite = newRequest(.invite)
    invite.headers.prepend(.via, "SIP/2.0/UDP h;branch=z9hG4bK1")
    invite.headers.append(.contentLength, "999")
    invite.setBody(Array("v=0\r\n".utf8), contentType: "application/sdp")
    let text = String(decoding: invite.serialized(), as: UTF8.self)
    #expect(text.hasPrefix("INVITE sip:bob@192.0.2.2 SIP/2.0\r\nVia: "))
    #expect(text.hasSuffix("Content-Length: 5\r\n\r\nv=0\r\n"))
    #expect(!text.contains("999"))
  }

  @Test func replacesTheFirstViaOfALineAlone() throws {
    let message = try request(
      """
      OPTIONS sip:a SIP/2.0
      Via: SIP/2.0/UDP a;branch=z9hG4bK1;rport , SIP/2.0/UDP b
      Via: SIP/2.0/UDP c
      From: <sip:a@b>;tag=1
      To: <sip:b@c>
      Call-ID: x
      CSeq: 1 OPTIONS


      """)
    var headers = message.headers
    var via = try #require(headers.topVia)
    via.received = IPAddress("2001:db8::7")
    via.rport = 4000
    headers.replaceTopVia(via)
    #expect(headers.vias.map(\.host) == ["a", "b", "c"])
    #expect(headers.topVia?.received == IPAddress("2001:db8::7"))
    #expect(headers.topVia?.rport == 4000)
  }

  @Test func readsNumbersWithWhatMayFollowThem() {
    var headers = Headers()
    headers[.retryAfter] = "120 (in a meeting);duration=3600"
    headers[.expires] = "99999999999"
    headers[.sessionExpires] = "1800 ; refresher=UAS"
    headers[.minSE] = "x90"
    headers[.maxForwards] = "-1"
    #expect(headers.retryAfter == 120)
    #expect(headers.expires == .max)
    #expect(headers.sessionExpires == SessionExpires(seconds: 1800, refresher: .uas))
    #expect(headers.minSE == nil)
    #expect(headers.maxForwards == nil)
  }

  @Test func readsReasonsAndReplaces() throws {
    var headers = Headers()
    headers.append(.reason, "SIP;cause=200;text=\"Call completed elsewhere\", Q.850 ;cause=16")
    #expect(headers.reasons == [.completedElsewhere, Reason(protocol: "Q.850", cause: 16)])
    #expect(Reason.completedElsewhere.description == "SIP;cause=200;text=\"Call completed elsewhere\"")
    headers[.replaces] = "12@h ;from-tag=a;to-tag=b;early-only"
    let replaces = try #require(headers.replaces)
    #expect(replaces == Replaces(callID: "12@h", toTag: "b", fromTag: "a", earlyOnly: true))
    #expect(Replaces(parsing: replaces.description) == replaces)
    #expect(Replaces(parsing: "x;to-tag=a") == nil)
  }

  @Test func buildsResponsesThatBelongToTheirRequest() throws {
    let message = try request(
      """
      INVITE sip:a SIP/2.0
      Via: SIP/2.0/UDP a;branch=z9hG4bK1
      Via: SIP/2.0/UDP b
      Record-Route: <sip:p;lr>
      From: <sip:a@b>;tag=1
      To: "B" <sip:b@c>
      Timestamp: 54
      Call-ID: x
      CSeq: 1 INVITE
      Subject: no


      """)
    let trying = SIPResponse(to: message, status: 100, toTag: nil)
    #expect(trying.headers[.timestamp] == "54")
    #expect(trying.headers.toTag == nil && trying.headers.vias.count == 2 && trying.headers.recordRoutes.isEmpty)
    let ok = SIPResponse(to: message, status: 200, toTag: "new")
    #expect(ok.reason == "OK")
    #expect(ok.headers[.to] == "\"B\" <sip:b@c>;tag=new")
    #expect(ok.headers.recordRoutes.count == 1 && ok.headers[.subject] == nil && ok.headers[.timestamp] == nil)
    #expect(SIPResponse(to: message, status: 486, toTag: "x").headers.recordRoutes.isEmpty)
    #expect(SIPResponse(status: 299).reason == "OK")
  }
}
