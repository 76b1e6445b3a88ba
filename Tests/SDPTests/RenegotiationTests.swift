import Core
import SDP
import Testing

/// Everything after the first exchange: hold, codec change, ICE restart, glare, versions, numbers.
@Suite struct RenegotiationTests {
  /// A trunk leg that has answered Asterisk's first offer.
  private func established() throws -> AudioSession {
    var leg = trunkLeg([.pcmu, .pcma])
    try leg.receiveOffer(description("asterisk-20-offer"))
    _ = try leg.makeAnswer()
    return leg
  }

  @Test func holdAndUnholdByThePeerThreeTimes() throws {
    var leg = try established()
    let offer = try description("asterisk-20-offer")
    for _ in 0..<3 {
      try leg.receiveOffer(description("asterisk-20-hold"))
      #expect(leg.isHeldByRemote)
      let held = try leg.makeAnswer()
      #expect(held.media[0].explicitDirection == .recvonly)
      #expect(leg.negotiated?.sends == false && leg.negotiated?.receives == true)
      #expect(leg.negotiated?.codec == .pcmu)
      try leg.receiveOffer(offer)
      #expect(!leg.isHeldByRemote)
      #expect(try leg.makeAnswer().media[0].explicitDirection == .sendrecv)
      #expect(leg.negotiated?.sends == true && leg.negotiated?.receives == true)
    }
  }

  @Test(arguments: [
    // offered, what we would like, answered
    (Direction.sendrecv, Direction.sendrecv, Direction.sendrecv), (.sendrecv, .sendonly, .sendonly),
    (.sendonly, .sendrecv, .recvonly), (.sendonly, .sendonly, .inactive), (.recvonly, .sendrecv, .sendonly),
    (.recvonly, .recvonly, .inactive), (.inactive, .sendrecv, .inactive), (.sendrecv, .inactive, .inactive),
  ])
  func answersADirection(offered: Direction, wanted: Direction, answered: Direction) throws {
    var leg = trunkLeg()
    try leg.receiveOffer(audio("audio 4000 RTP/AVP 0", [offered.rawValue]))
    #expect(try leg.makeAnswer(direction: wanted).media[0].explicitDirection == answered)
    #expect(leg.negotiated?.sends == answered.sends && leg.negotiated?.receives == answered.receives)
    #expect(leg.isHeldByRemote == !offered.receives)
  }

  @Test(arguments: [
    (Direction.sendrecv, "sendrecv", true, true), (.sendonly, "recvonly", true, false),
    (.sendonly, "sendrecv", true, false), (.inactive, "inactive", false, false), (.sendrecv, "recvonly", true, false),
    (.sendrecv, "inactive", false, false), (.sendrecv, "sendonly", false, true),
  ])
  func appliesTheDirectionOfAnAnswer(offered: Direction, answer: String, sends: Bool, receives: Bool) throws {
    var leg = trunkLeg()
    _ = try leg.makeOffer(direction: offered)
    try leg.receiveAnswer(audio("audio 4000 RTP/AVP 0", [answer]))
    #expect(leg.negotiated?.sends == sends && leg.negotiated?.receives == receives)
  }

  @Test func theUnspecifiedAddressIsHoldOnATrunk() throws {
    var leg = try established()
    try leg.receiveOffer(description("cisco-hold-rfc2543"))
    #expect(leg.isHeldByRemote)
    #expect(leg.remote?.rtp == nil)
    #expect(try leg.makeAnswer().media[0].explicitDirection == .recvonly)
    #expect(leg.negotiated?.sends == false)
    try leg.receiveOffer(description("asterisk-20-offer"))
    _ = try leg.makeAnswer()
    #expect(leg.negotiated?.sends == true && leg.remote?.rtp == SocketAddress("198.51.100.10:17234"))
  }

  @Test func theUnspecifiedAddressIsTrickleInABrowser() throws {
    var leg = browserLeg()
    try leg.receiveOffer(description("chromium-130-video-offer"))
    #expect(!leg.isHeldByRemote)
    _ = try leg.makeAnswer()
    #expect(leg.negotiated?.sends == true)
  }

  @Test func portZeroInALaterOfferIsHold() throws {
    var leg = try established()
    try leg.receiveOffer(audio("audio 0 RTP/AVP 0"))
    #expect(leg.isHeldByRemote)
    let answer = try leg.makeAnswer()
    #expect(answer.media[0].port == 0)
    #expect(leg.negotiated?.sends == false && leg.negotiated?.receives == false)
    try leg.receiveOffer(description("asterisk-20-offer"))
    #expect(try leg.makeAnswer().media[0].port == 30_000)
    #expect(leg.negotiated?.sends == true && !leg.isHeldByRemote)
  }

  @Test func portZeroInALaterAnswerIsHold() throws {
    var leg = try established()
    _ = try leg.makeOffer()
    try leg.receiveAnswer(audio("audio 0 RTP/AVP 0"))
    #expect(leg.negotiated?.sends == false && leg.isHeldByRemote && leg.state == .stable)
  }

  @Test func weHoldAndResume() throws {
    var leg = try established()
    let hold = try leg.makeOffer(direction: .sendonly)
    #expect(hold.media[0].explicitDirection == .sendonly)
    try leg.receiveAnswer(audio("audio 17234 RTP/AVP 0 101", ["recvonly", "rtpmap:101 telephone-event/8000"]))
    #expect(leg.negotiated?.sends == true && leg.negotiated?.receives == false)
    #expect(!leg.isHeldByRemote)
    _ = try leg.makeOffer()
    try leg.receiveAnswer(audio("audio 17234 RTP/AVP 0 101", ["sendrecv", "rtpmap:101 telephone-event/8000"]))
    #expect(leg.negotiated?.receives == true)
  }

  @Test func theVersionRisesWithEveryChangeAndOnlyThen() throws {
    var leg = try established()
    #expect(leg.localDescription?.origin.sessionVersion == "1")
    try leg.receiveOffer(description("asterisk-20-offer"))
    #expect(try leg.makeAnswer().origin.sessionVersion == "1")
    try leg.receiveOffer(description("asterisk-20-hold"))
    #expect(try leg.makeAnswer().origin.sessionVersion == "2")
    #expect(try leg.makeOffer(direction: .inactive).origin.sessionVersion == "3")
    leg.rollback()
    #expect(try leg.makeOffer(direction: .inactive).origin.sessionVersion == "3")
    leg.rollback()
    #expect(try leg.makeOffer(direction: .sendonly).origin.sessionVersion == "4")
    #expect(leg.localDescription?.origin.sessionID == "7")
  }

  @Test func rollbackReturnsToWhatWasAgreed() throws {
    var leg = try established()
    let before = (leg.negotiated, leg.remote)
    try leg.receiveOffer(description("cisco-hold-rfc2543"))
    leg.rollback()
    #expect(leg.state == .stable && leg.negotiated == before.0 && leg.remote == before.1 && !leg.isHeldByRemote)
    // Glare (491): ours goes, theirs comes.
    _ = try leg.makeOffer(direction: .sendonly)
    leg.rollback()
    #expect(leg.negotiated == before.0)
    try leg.receiveOffer(description("asterisk-20-hold"))
    _ = try leg.makeAnswer()
    #expect(leg.negotiated?.sends == false)
    leg.rollback()
    #expect(leg.negotiated?.sends == false)
  }

  @Test func rollbackOfTheFirstOfferLeavesNothing() throws {
    var leg = trunkLeg()
    _ = try leg.makeOffer()
    leg.rollback()
    #expect(leg.negotiated == nil && leg.remote == nil)
    #expect(throws: OfferAnswerError.wrongState(.stable)) { try leg.receiveAnswer(audio()) }
    try leg.receiveOffer(description("fax-gateway-offer"))
    #expect(try leg.makeAnswer().media.count == 4)
  }

  @Test func aRunningStreamKeepsItsCodecUntilAskedToChange() throws {
    var leg = trunkLeg([.pcmu, .pcma])
    try leg.receiveOffer(audio("audio 4000 RTP/AVP 8"))
    _ = try leg.makeAnswer()
    try leg.receiveOffer(audio("audio 4000 RTP/AVP 0 8", version: 2))
    _ = try leg.makeAnswer()
    #expect(leg.negotiated?.codec == .pcma)
    #expect(try leg.makeOffer().media[0].formats == ["8", "0", "101"])
    leg.rollback()
    leg.codecs = [.pcmu]
    #expect(try leg.makeOffer().media[0].formats == ["0", "101"])
    try leg.receiveAnswer(audio("audio 4000 RTP/AVP 0", version: 3))
    #expect(leg.negotiated?.codec == .pcmu)
  }

  @Test func thePeerChangesTheCodec() throws {
    var leg = try established()
    try leg.receiveOffer(audio("audio 4000 RTP/AVP 8 101", ["rtpmap:101 telephone-event/8000"], version: 2))
    let answer = try leg.makeAnswer()
    #expect(answer.media[0].formats == ["8", "101"])
    #expect(leg.negotiated?.codec == .pcma)
    #expect(throws: OfferAnswerError.noCommonCodec) { try leg.receiveOffer(audio("audio 4000 RTP/AVP 18", version: 3)) }
    #expect(leg.negotiated?.codec == .pcma && leg.state == .stable)
  }

  @Test func aNumberKeepsItsMeaningInOurOffers() throws {
    // The far end uses our favourite numbers for other things.
    var leg = trunkLeg([.pcmu, .opus])
    try leg.receiveOffer(
      audio(
        "audio 4000 RTP/AVP 0 111 101 110",
        ["rtpmap:111 iLBC/8000", "rtpmap:101 speex/16000", "rtpmap:110 AMR/8000"]))
    _ = try leg.makeAnswer()
    let m = try leg.makeOffer().media[0]
    #expect(Set(m.formats).count == m.formats.count)
    for number in ["111", "101", "110"] { #expect(!m.formats.contains(number)) }
    #expect(m.rtpMaps.first { $0.encodingName == "opus" }?.payloadType == PayloadType(96))
  }

  @Test func followsThePeersNumbersInLaterOffers() throws {
    var leg = trunkLeg([.opus, .pcmu])
    try leg.receiveOffer(
      audio("audio 4000 RTP/AVP 98 0 99", ["rtpmap:98 opus/48000/2", "rtpmap:99 telephone-event/48000"]))
    _ = try leg.makeAnswer()
    #expect(try leg.makeOffer().media[0].formats == ["98", "0", "101", "99"])
  }

  @Test func aRemappedNumberTakesItsNewMeaning() throws {
    // Against RFC 3264 §8.3.2, but done by transferring PBXs: 96 was Opus and is now an event.
    var leg = trunkLeg([.opus, .pcmu])
    try leg.receiveOffer(audio("audio 4000 RTP/AVP 96", ["rtpmap:96 opus/48000/2"]))
    _ = try leg.makeAnswer()
    try leg.receiveOffer(
      audio("audio 4000 RTP/AVP 97 96", ["rtpmap:97 opus/48000/2", "rtpmap:96 telephone-event/48000"], version: 2))
    _ = try leg.makeAnswer()
    #expect(leg.negotiated?.payloadType == PayloadType(97))
    #expect(leg.negotiated?.receivePayloadTypes == [PayloadType(97): .opus])
    #expect(leg.negotiated?.receiveTelephoneEvents[PayloadType(96)]?.clockRate == 48_000)
    let formats = try leg.makeOffer().media[0].formats
    #expect(Set(formats).count == formats.count && formats.contains("97") && formats.contains("96"))
  }

  @Test func detectsAnICERestartOnce() throws {
    var leg = browserLeg()
    let first = try description("chromium-130-offer")
    try leg.receiveOffer(first)
    _ = try leg.makeAnswer()
    try leg.receiveOffer(first)
    #expect(leg.remote?.iceRestarted == false)
    let unchanged = try leg.makeAnswer()
    #expect(unchanged.media[0].iceUfrag == "ours")

    let restart = try first.replacing("a=ice-ufrag:kVHl", "a=ice-ufrag:NEW1")
      .replacing("7Uu0C4Xx2wYQzC6Kc9fX4Ylq", "AAAABBBBCCCCDDDDEEEEFFFF")
    try leg.receiveOffer(restart)
    #expect(leg.remote?.iceRestarted == true)
    leg.updateTransport(
      .webRTC(parameters(ufrag: "fresh"), address: SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 20_002)))
    let answer = try leg.makeAnswer()
    #expect(answer.media[0].iceUfrag == "fresh" && answer.media[0].port == 20_002)
    #expect(answer.media[0].setup == .passive)
    #expect(answer.origin.sessionVersion == "2")
    try leg.receiveOffer(restart)
    #expect(leg.remote?.iceRestarted == false)
  }

  @Test func weRestartICEAndTheAnswerFollows() throws {
    var leg = browserLeg()
    _ = try leg.makeOffer()
    try leg.receiveAnswer(description("chromium-130-answer"))
    leg.updateTransport(
      .webRTC(parameters(ufrag: "fresh"), address: SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 20_000)))
    #expect(try leg.makeOffer().media[0].iceUfrag == "fresh")
    try leg.receiveAnswer(description("chromium-130-answer").replacing("Zx9c", "Zx9d"))
    #expect(leg.remote?.iceRestarted == true)
    #expect(leg.dtlsRole == .passive)
  }

  @Test func theDTLSRoleStaysOverReINVITEsFromEitherSide() throws {
    var leg = browserLeg()
    _ = try leg.makeOffer()
    try leg.receiveAnswer(description("chromium-130-answer").replacing("a=setup:active", "a=setup:passive"))
    #expect(leg.dtlsRole == .active)
    // The browser offers actpass again, as RFC 8829 §5.2.2 says; we stay the client.
    try leg.receiveOffer(description("chromium-130-offer"))
    #expect(try leg.makeAnswer().media[0].setup == .active)
    let again = try leg.makeOffer()
    #expect(again.media[0].setup == .actpass)
    #expect(again.media[0].ssrcs == [SSRC(0x1234_5678)])
  }

  @Test func theBrowserAddsVideoAndTakesItBack() throws {
    var leg = browserLeg()
    try leg.receiveOffer(description("chromium-130-offer"))
    _ = try leg.makeAnswer()
    try leg.receiveOffer(description("chromium-130-video-offer"))
    #expect(leg.remote?.iceRestarted == true)
    #expect(try leg.makeAnswer().media.map(\.port) == [20_000, 0, 0])
    #expect(try leg.makeOffer().media.count == 3)
  }

  @Test func theStreamStaysInItsSectionWhenAnotherAudioAppears() throws {
    var leg = trunkLeg([.pcma, .pcmu])
    let head = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"
    try leg.receiveOffer(
      SessionDescription(parsing: head + "m=audio 0 RTP/AVP 0\r\nm=audio 5000 RTP/AVP 0\r\n"))
    #expect(try leg.makeAnswer().media.map(\.port) == [0, 30_000])
    try leg.receiveOffer(
      SessionDescription(parsing: head + "m=audio 4000 RTP/AVP 0\r\nm=audio 5000 RTP/AVP 0\r\n"))
    #expect(try leg.makeAnswer().media.map(\.port) == [0, 30_000])
    // It moves when its own section goes.
    try leg.receiveOffer(
      SessionDescription(parsing: head + "m=audio 4000 RTP/AVP 0\r\nm=audio 0 RTP/AVP 0\r\n"))
    #expect(try leg.makeAnswer().media.map(\.port) == [30_000, 0])
  }
}
