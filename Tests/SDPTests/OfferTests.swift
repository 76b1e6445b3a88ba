import Core
import SDP
import Testing

/// We offer.
@Suite struct OfferTests {
  @Test func offersATrunkItsCodecsInOrder() throws {
    var leg = trunkLeg([.pcma, .pcmu])
    let offer = try leg.makeOffer()
    #expect(
      offer.description == """
        v=0\r
        o=- 7 1 IN IP4 127.0.0.1\r
        s=-\r
        c=IN IP4 127.0.0.1\r
        t=0 0\r
        m=audio 30000 RTP/AVP 8 0 101\r
        a=rtpmap:8 PCMA/8000\r
        a=rtpmap:0 PCMU/8000\r
        a=rtpmap:101 telephone-event/8000\r
        a=fmtp:101 0-16\r
        a=ptime:20\r
        a=maxptime:60\r
        a=sendrecv\r

        """)
    #expect(leg.state == .haveLocalOffer)
    try leg.receiveAnswer(description("baresip-1.0-answer"))
    let audio = try #require(leg.negotiated)
    #expect(audio.codec == .pcmu && audio.payloadType == PayloadType(0))
    #expect(audio.receivePayloadTypes[PayloadType(8)] == .pcma)
    #expect(audio.telephoneEvent == TelephoneEventFormat(payloadType: PayloadType(101), clockRate: 8_000))
    #expect(leg.remote?.rtp == SocketAddress("127.0.0.1:10040"))
    #expect(leg.remote?.rtcp == SocketAddress("127.0.0.1:10041"))
  }

  @Test func offersABrowserEverythingItNeeds() throws {
    var leg = browserLeg([.opus, .pcmu, .pcma])
    let offer = try leg.makeOffer()
    let m = offer.media[0]
    #expect(m.formats == ["111", "0", "8", "101", "110"])
    #expect(m.protocol == "UDP/TLS/RTP/SAVPF" && m.mid == "0" && m.rtcpMux && m.setup == .actpass)
    #expect(offer.groups("BUNDLE") == [["0"]])
    #expect(m.formatParameters("111") == "minptime=10;useinbandfec=1")
    #expect(m.formatParameters("110") == "0-16")
    #expect(m.candidates.count == 1 && m.endOfCandidates && m.fingerprints == [ourFingerprint])
    #expect(leg.dtlsRole == nil)
    try leg.receiveAnswer(description("chromium-130-answer"))
    #expect(leg.dtlsRole == .passive)
    #expect(leg.negotiated?.codec == .opus)
    #expect(leg.negotiated?.telephoneEvent?.clockRate == 48_000)
    #expect(leg.remote?.transport?.setup == .active)
    #expect(leg.remote?.iceRestarted == false)
  }

  @Test func writesPort9WhileThereIsNoAddress() throws {
    var leg = AudioSession(
      codecs: [.opus],
      transport: .webRTC(parameters(), address: SocketAddress(ip: IPAddress(v4: 0), port: 0)), ssrc: SSRC(1),
      cname: "c", sessionID: 1)
    #expect(try leg.makeOffer().media[0].port == 9)
  }

  @Test func writesIPv6() throws {
    var leg = AudioSession(
      codecs: [.pcmu], transport: .rtp(address: IPAddress("2001:db8::5")!, port: 4_000, rtcpPort: nil), ssrc: SSRC(1),
      cname: "c", sessionID: 1)
    let text = try leg.makeOffer().description
    #expect(text.contains("o=- 1 1 IN IP6 2001:db8::5\r\n") && text.contains("c=IN IP6 2001:db8::5\r\n"))
  }

  @Test func sendsWithTheAnswersNumbersAndReceivesWithOurs() throws {
    var leg = trunkLeg([.opus])
    _ = try leg.makeOffer()
    try leg.receiveAnswer(
      audio(
        "audio 4000 RTP/AVP 96 97",
        ["rtpmap:96 opus/48000/2", "rtpmap:97 telephone-event/48000"]))
    let audio = try #require(leg.negotiated)
    #expect(audio.payloadType == PayloadType(96))
    #expect(audio.telephoneEvent?.payloadType == PayloadType(97))
    #expect(audio.receivePayloadTypes == [PayloadType(111): .opus, PayloadType(96): .opus])
    #expect(audio.receiveTelephoneEvents[PayloadType(110)]?.clockRate == 48_000)
    // And we go on offering our own.
    #expect(try leg.makeOffer().media[0].formats == ["111", "101", "110"])
  }

  @Test func ourNumbersWinWhereTheAnswersNumbersCollide() throws {
    var leg = trunkLeg([.opus])
    _ = try leg.makeOffer()
    // The far end calls Opus 101, which is our number for events.
    try leg.receiveAnswer(audio("audio 4000 RTP/AVP 101", ["rtpmap:101 opus/48000/2"]))
    #expect(leg.negotiated?.payloadType == PayloadType(101))
    #expect(leg.negotiated?.receivePayloadTypes == [PayloadType(111): .opus])
    #expect(leg.negotiated?.receiveTelephoneEvents[PayloadType(101)]?.clockRate == 8_000)
    #expect(leg.negotiated?.telephoneEvent == nil)
  }

  @Test func takesTheFirstCodecOfTheAnswer() throws {
    var leg = trunkLeg([.pcmu, .pcma])
    _ = try leg.makeOffer()
    try leg.receiveAnswer(audio("audio 4000 RTP/AVP 101 18 8 0"))
    #expect(leg.negotiated?.codec == .pcma)
  }

  @Test func answersAfterADelayedOffer() throws {
    // INVITE without a body: our 200 offers, the ACK answers.
    var leg = trunkLeg([.pcmu])
    _ = try leg.makeOffer()
    try leg.receiveAnswer(audio("audio 4000 RTP/AVP 0"))
    #expect(leg.state == .stable && leg.negotiated?.codec == .pcmu)
    // The next offer may come from either side.
    try leg.receiveOffer(audio("audio 4002 RTP/AVP 0", version: 2))
    _ = try leg.makeAnswer()
    #expect(leg.remote?.port == 4_002)
  }

  @Test func a200RepeatsOrChangesTheAnswerOfIts183() throws {
    var leg = trunkLeg([.pcmu, .pcma])
    _ = try leg.makeOffer()
    try leg.receiveAnswer(audio("audio 4000 RTP/AVP 0"))
    let early = leg.negotiated
    try leg.receiveAnswer(audio("audio 4000 RTP/AVP 0"))
    #expect(leg.negotiated == early)
    try leg.receiveAnswer(audio("audio 5000 RTP/AVP 8", version: 2))
    #expect(leg.negotiated?.codec == .pcma)
    #expect(leg.remote?.port == 5_000)
    #expect(leg.state == .stable)
  }

  @Test(arguments: [
    ("audio 0 RTP/AVP 0", OfferAnswerError.streamRefused),
    ("video 4000 RTP/AVP 0", .mismatchedAnswer),
    ("audio 4000 RTP/AVP 3", .noCommonCodec),
    ("audio 4000 RTP/AVP 101", .noCommonCodec),
    ("audio 4000 RTP/SAVP 0", .unsupportedProtocol("RTP/SAVP")),
  ])
  func refusesAnswersAndKeepsTheOfferOpen(line: String, error: OfferAnswerError) throws {
    var leg = trunkLeg()
    _ = try leg.makeOffer()
    #expect(throws: error) { try leg.receiveAnswer(audio(line)) }
    #expect(leg.state == .haveLocalOffer)
    try leg.receiveAnswer(audio())
    #expect(leg.negotiated?.codec == .pcmu)
  }

  @Test func refusesAnAnswerWithoutSections() throws {
    var leg = trunkLeg()
    _ = try leg.makeOffer()
    let empty = try SessionDescription(parsing: "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n")
    #expect(throws: OfferAnswerError.mismatchedAnswer) { try leg.receiveAnswer(empty) }
  }

  @Test func cannotOfferNothing() {
    var leg = trunkLeg([])
    #expect(throws: OfferAnswerError.noCommonCodec) { try leg.makeOffer() }
  }

  @Test func decidesARoleThatTheAnswerLeftOpen() throws {
    for (text, role) in [("actpass", DTLSSetup.active), ("active", .passive), ("passive", .active)] {
      var leg = browserLeg()
      _ = try leg.makeOffer()
      try leg.receiveAnswer(description("chromium-130-answer").replacing("a=setup:active", "a=setup:\(text)"))
      #expect(leg.dtlsRole == role)
    }
  }

  @Test func twoOfOursAgree() throws {
    var a = browserLeg([.opus, .pcmu])
    var b = AudioSession(
      codecs: [.pcmu, .opus],
      transport: .webRTC(
        parameters(ufrag: "other"), address: SocketAddress(ip: IPAddress(v4: 0x7F00_0002), port: 9_000)),
      ssrc: SSRC(99), cname: "b", sessionID: 2)
    try b.receiveOffer(SessionDescription(parsing: a.makeOffer().description))
    try a.receiveAnswer(SessionDescription(parsing: b.makeAnswer(direction: .recvonly).description))
    #expect(a.negotiated?.codec == .pcmu && b.negotiated?.codec == .pcmu)
    #expect(a.dtlsRole == .active && b.dtlsRole == .passive)
    #expect(a.negotiated?.sends == true && a.negotiated?.receives == false)
    #expect(b.negotiated?.sends == false && b.negotiated?.receives == true)
    #expect(a.remote?.ssrcs == [SSRC(99)])
    #expect(a.remote?.transport?.candidates.count == 1 && a.remote?.trickles == false)
  }
}
