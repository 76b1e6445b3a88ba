import Core
import SDP
import Testing

/// We answer.
@Suite struct AnswerTests {
  @Test func answersChromiumWithOpus() throws {
    var leg = browserLeg()
    try leg.receiveOffer(description("chromium-130-offer"))
    #expect(leg.state == .haveRemoteOffer)
    #expect(leg.offeredCodecs == [.opus, .g722, .pcmu, .pcma])
    #expect(leg.negotiated == nil)
    #expect(leg.remote?.transport?.ufrag == "kVHl")
    #expect(leg.remote?.trickles == true)
    #expect(leg.remote?.rtcpMux == true)
    #expect(leg.remote?.rtp == nil)
    let answer = try leg.makeAnswer()
    #expect(leg.state == .stable)
    let m = answer.media[0]
    #expect(m.protocol == "UDP/TLS/RTP/SAVPF")
    #expect(m.formats == ["111", "0", "8", "110", "126"])
    #expect(m.port == 20_000 && m.mid == "0" && m.rtcpMux && m.setup == .passive)
    #expect(answer.groups("BUNDLE") == [["0"]])
    #expect(m.iceUfrag == "ours" && m.icePwd == "ourpasswordourpassword22")
    #expect(m.fingerprints == [ourFingerprint])
    #expect(m.candidates == ["candidate:1 1 udp 2130706431 127.0.0.1 20000 typ host"])
    #expect(m.endOfCandidates)
    #expect(m.ssrcs == [SSRC(0x1234_5678)])
    #expect(m.attribute("msid") != nil)
    #expect(m.packetTime == 20 && m.maxPacketTime == 60)
    #expect(!m.hasAttribute("rtcp") && !m.hasAttribute("extmap") && !m.hasAttribute("rtcp-fb"))
    #expect(answer.connection == nil)
    #expect(answer.direction(of: m) == .sendrecv)
    #expect(leg.dtlsRole == .passive)

    let audio = try #require(leg.negotiated)
    #expect(audio.codec == .opus && audio.payloadType == PayloadType(111))
    #expect(audio.receivePayloadTypes == [PayloadType(111): .opus, PayloadType(0): .pcmu, PayloadType(8): .pcma])
    #expect(audio.telephoneEvent == TelephoneEventFormat(payloadType: PayloadType(110), clockRate: 48_000))
    #expect(
      audio.receiveTelephoneEvents == [
        PayloadType(110): TelephoneEventFormat(payloadType: PayloadType(110), clockRate: 48_000),
        PayloadType(126): TelephoneEventFormat(payloadType: PayloadType(126), clockRate: 8_000),
      ])
    #expect(audio.opus.useInbandFEC && !audio.opus.stereo)
    #expect(audio.sends && audio.receives && audio.comfortNoise == nil)
    #expect(audio.packetTime == .milliseconds(20))
  }

  @Test func answersFirefoxWithItsOwnNumbersAndEventsAt8000() throws {
    var leg = browserLeg()
    try leg.receiveOffer(description("firefox-128-offer"))
    #expect(leg.remote?.trickles == false)
    let answer = try leg.makeAnswer()
    #expect(answer.media[0].formats == ["109", "0", "8", "101"])
    let audio = try #require(leg.negotiated)
    #expect(audio.payloadType == PayloadType(109))
    #expect(audio.telephoneEvent == TelephoneEventFormat(payloadType: PayloadType(101), clockRate: 8_000))
    #expect(audio.opus.stereo && audio.opus.maxPlaybackRate == 48_000)
  }

  @Test func refusesEverySectionButTheAudio() throws {
    var leg = browserLeg()
    try leg.receiveOffer(description("chromium-130-video-offer"))
    let answer = try leg.makeAnswer()
    #expect(answer.media.map(\.kind) == ["audio", "video", "application"])
    #expect(answer.media.map(\.port) == [20_000, 0, 0])
    #expect(answer.media[2].protocol == "UDP/DTLS/SCTP" && answer.media[2].formats == ["webrtc-datachannel"])
    #expect(answer.media.map(\.mid) == ["0", "1", "2"])
    #expect(answer.groups("BUNDLE") == [["0"]])
    #expect(answer.media.allSatisfy { answer.connection(of: $0) != nil })
  }

  @Test func takesTheFirstUsableOfSeveralSectionsAndRefusesTheSecondAudio() throws {
    var leg = trunkLeg()
    try leg.receiveOffer(description("fax-gateway-offer"))
    let answer = try leg.makeAnswer()
    #expect(answer.media.map(\.port) == [0, 30_000, 0, 0])
    #expect(answer.media[1].formats == ["0", "100"])
    #expect(answer.media[0].protocol == "udptl" && answer.media[0].formats == ["t38"])
    #expect(leg.negotiated?.telephoneEvent?.payloadType == PayloadType(100))
    // The list keeps its length and order when we offer later (RFC 3264 §8).
    let offer = try leg.makeOffer()
    #expect(offer.media.map(\.kind) == ["image", "audio", "audio", "video"])
    #expect(offer.media.map(\.port) == [0, 30_000, 0, 0])
    #expect(offer.media[1].formats.contains("100"))
  }

  @Test func picksTheSecondAudioSectionWhenOnlyItHasACommonCodec() throws {
    var leg = trunkLeg([.pcma])
    try leg.receiveOffer(description("fax-gateway-offer"))
    let answer = try leg.makeAnswer()
    #expect(answer.media.map(\.port) == [0, 0, 30_000, 0])
    #expect(leg.remote?.port == 30_022)
  }

  @Test(arguments: [
    ([AudioCodec.pcmu, .pcma], "0", ["0", "8", "101"]),
    ([.pcma, .pcmu], "8", ["8", "0", "101"]),
    ([.g722], "9", ["9", "101"]),
    ([.opus, .g722], "96", ["96", "9", "101"]),
  ])
  func choosesByOurPreferenceAndListsTheChosenFirst(codecs: [AudioCodec], first: String, formats: [String]) throws {
    var leg = trunkLeg(codecs)
    try leg.receiveOffer(description("baresip-1.0-offer"))
    let answer = try leg.makeAnswer()
    #expect(answer.media[0].formats == formats)
    #expect(leg.negotiated?.payloadType.description == first)
    #expect(leg.negotiated?.codec == codecs[0])
  }

  @Test func preferenceMayChangeBetweenOfferAndAnswer() throws {
    var leg = trunkLeg([.pcmu, .pcma])
    try leg.receiveOffer(description("baresip-1.0-offer"))
    leg.codecs = [.pcma]
    #expect(try leg.makeAnswer().media[0].formats == ["8", "101"])
    var other = trunkLeg([.pcmu])
    try other.receiveOffer(description("baresip-1.0-offer"))
    other.codecs = []
    #expect(throws: OfferAnswerError.noCommonCodec) { try other.makeAnswer() }
    #expect(other.state == .haveRemoteOffer)
  }

  @Test func learnsWhereThePeerTakesRTPAndRTCP() throws {
    var leg = trunkLeg()
    try leg.receiveOffer(description("baresip-1.0-offer"))
    #expect(leg.remote?.rtp == SocketAddress("127.0.0.1:10024"))
    #expect(leg.remote?.rtcp == SocketAddress("127.0.0.1:10025"))
    #expect(leg.remote?.rtcpMux == false)
    let cases: [(String, [String], String?)] = [
      ("audio 4000 RTP/AVP 0", [], "192.0.2.9:4001"),
      ("audio 4000 RTP/AVP 0", ["rtcp:5005 IN IP4 192.0.2.77"], "192.0.2.77:5005"),
      ("audio 4000 RTP/AVP 0", ["rtcp:5005 IN IP4 0.0.0.0"], "192.0.2.9:5005"),
      ("audio 65535 RTP/AVP 0", [], nil),
      ("audio 4000 RTP/AVP 0", ["rtcp-mux"], "192.0.2.9:4001"),
    ]
    for (line, attributes, rtcp) in cases {
      var leg = trunkLeg()
      try leg.receiveOffer(audio(line, attributes))
      #expect(leg.remote?.rtcp?.description == rtcp)
      #expect(try !leg.makeAnswer().media[0].rtcpMux)
    }
  }

  @Test func multiplexesRTCPOnATrunkOnlyWhenBothSaySo() throws {
    var leg = trunkLeg(rtcpPort: 30_000)
    try leg.receiveOffer(audio("audio 4000 RTP/AVP 0", ["rtcp-mux"]))
    #expect(leg.remote?.rtcp == SocketAddress("192.0.2.9:4000"))
    #expect(try leg.makeAnswer().media[0].rtcpMux)
    var plain = trunkLeg(rtcpPort: 30_000)
    try plain.receiveOffer(audio())
    #expect(plain.remote?.rtcpMux == false)
    #expect(try !plain.makeAnswer().media[0].rtcpMux)
    var explicit = trunkLeg(rtcpPort: 30_009)
    try explicit.receiveOffer(audio())
    #expect(try explicit.makeAnswer().media[0].rtcp?.port == 30_009)
  }

  @Test func keepsAHostNameAsText() throws {
    var leg = trunkLeg()
    try leg.receiveOffer(audio(address: "media.example.com"))
    #expect(leg.remote?.rtp == nil && leg.remote?.host == "media.example.com" && leg.remote?.port == 4_000)
    #expect(!leg.isHeldByRemote)
  }

  @Test(arguments: [
    (["rtpmap:9 G722/16000"], "audio 4000 RTP/AVP 9", AudioCodec.g722),
    (["rtpmap:97 pcma/8000/1"], "audio 4000 RTP/AVP 97", .pcma),
    (["rtpmap:120 OPUS/48000/2"], "audio 4000 RTP/AVPF 120", .opus),
    ([], "audio 4000 RTP/AVP 18 8", .pcma),
    (["rtpmap:0 PCMU/16000"], "audio 4000 RTP/AVP 0 8", .pcma),
    // RFC 3551 §6 lets rtpmap override a static number.
    (["rtpmap:8 G729/8000", "rtpmap:0 PCMU/8000"], "audio 4000 RTP/AVP 8 0", .pcmu),
  ])
  func recognisesCodecsByNameAndClock(attributes: [String], line: String, codec: AudioCodec) throws {
    var leg = trunkLeg()
    try leg.receiveOffer(audio(line, attributes))
    let answer = try leg.makeAnswer()
    #expect(leg.negotiated?.codec == codec)
    #expect(answer.media[0].rtpMaps.first?.encodingName == codec.encodingName)
    #expect(answer.media[0].rtpMaps.first?.clockRate == codec.clockRate)
  }

  @Test func acceptsEventsOnlyWhereAskedTo() throws {
    var leg = trunkLeg(dtmf: false)
    try leg.receiveOffer(description("asterisk-20-offer"))
    #expect(try leg.makeAnswer().media[0].formats == ["0", "8", "107"])
    #expect(leg.negotiated?.telephoneEvent == nil)
    #expect(leg.negotiated?.receiveTelephoneEvents.isEmpty == true)
  }

  @Test func negotiatesComfortNoiseBesideG711Only() throws {
    for (codecs, expected) in [([AudioCodec.pcmu], PayloadType(13)), ([.opus], nil)] {
      var leg = browserLeg(codecs)
      leg.comfortNoise = true
      try leg.receiveOffer(description("chromium-130-offer"))
      _ = try leg.makeAnswer()
      #expect(leg.negotiated?.comfortNoise == expected)
    }
  }

  @Test(
    arguments: [
      (nil, nil, 20), ("20", nil, 20), ("30", nil, 20), ("40", nil, 40), ("60", nil, 60), ("240", nil, 60),
      ("10", nil, 20), ("10", "10", 10), ("60", "20", 20), (nil, "150", 20), ("2.5", nil, 20),
    ] as [(String?, String?, Int)])
  func sendsPacketsOfTheWishedLengthOnOurGrid(ptime: String?, maxptime: String?, expected: Int) throws {
    var leg = trunkLeg()
    let lines = [ptime.map { "ptime:\($0)" }, maxptime.map { "maxptime:\($0)" }].compactMap(\.self)
    try leg.receiveOffer(audio("audio 4000 RTP/AVP 0", lines))
    _ = try leg.makeAnswer()
    #expect(leg.negotiated?.packetTime == .milliseconds(expected))
  }

  @Test func readsOpusParametersWithinTheirBounds() throws {
    var leg = trunkLeg([.opus])
    try leg.receiveOffer(
      audio(
        "audio 4000 RTP/AVP 96",
        [
          "rtpmap:96 opus/48000/2",
          "fmtp:96 maxaveragebitrate=20;  MaxPlaybackRate=999999 ;usedtx=1;stereo=0;useinbandfec=1;cbr",
        ]))
    _ = try leg.makeAnswer()
    let opus = try #require(leg.negotiated?.opus)
    #expect(opus.useDTX && opus.useInbandFEC && !opus.stereo)
    #expect(opus.maxAverageBitrate == 6_000 && opus.maxPlaybackRate == 48_000)
  }

  @Test(arguments: [
    ("audio 0 RTP/AVP 0", OfferAnswerError.noAudioStream),
    ("video 4000 RTP/AVP 96", .noAudioStream),
    ("audio 4000 RTP/SAVP 0", .unsupportedProtocol("RTP/SAVP")),
    ("audio 4000 UDP/TLS/RTP/SAVPF 0", .unsupportedProtocol("UDP/TLS/RTP/SAVPF")),
    ("audio 4000 RTP/AVP 18", .noCommonCodec),
    ("audio 4000 RTP/AVP 101 foo 300 -1", .noCommonCodec),
  ])
  func refusesAndStaysAsItWas(line: String, error: OfferAnswerError) throws {
    var leg = trunkLeg()
    #expect(throws: error) { try leg.receiveOffer(audio(line)) }
    #expect(leg.state == .stable && leg.remote == nil)
    try leg.receiveOffer(audio())
  }

  @Test func refusesAnOfferWithoutOurCodecs() throws {
    var leg = trunkLeg()
    #expect(throws: OfferAnswerError.noCommonCodec) { try leg.receiveOffer(description("g729-only-offer")) }
  }

  @Test func refusesWhatIsMissingForAudio() throws {
    let text = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n"
    var leg = trunkLeg()
    #expect(throws: OfferAnswerError.noAudioStream) { try leg.receiveOffer(SessionDescription(parsing: text)) }
    #expect(throws: OfferAnswerError.missingConnectionAddress) {
      try leg.receiveOffer(SessionDescription(parsing: text + "m=audio 5 RTP/AVP 0\r\n"))
    }
  }

  @Test(arguments: [
    ("a=ice-ufrag:kVHl\r\n", "", OfferAnswerError.invalidICECredentials),
    ("a=ice-ufrag:kVHl", "a=ice-ufrag:abc", .invalidICECredentials),
    ("a=ice-ufrag:kVHl", "a=ice-ufrag:ab cd", .invalidICECredentials),
    ("a=ice-pwd:7Uu0C4Xx2wYQzC6Kc9fX4Ylq", "a=ice-pwd:short", .invalidICECredentials),
    ("a=fingerprint:sha-256", "a=fingerprint:sha-1", .missingFingerprint),
    ("9A:17:54", "9A:17", .missingFingerprint),
    ("9A:17:54", "9A:XX:54", .missingFingerprint),
    ("a=rtcp-mux\r\n", "", .rtcpMuxRequired),
    ("UDP/TLS/RTP/SAVPF", "RTP/AVP", .unsupportedProtocol("RTP/AVP")),
  ])
  func refusesBrowserOffersWithoutSecurityOrCredentials(from: String, to: String, error: OfferAnswerError) throws {
    var leg = browserLeg()
    let offer = try description("chromium-130-offer").replacing(from, to)
    #expect(throws: error) { try leg.receiveOffer(offer) }
    #expect(leg.state == .stable)
  }

  @Test func takesTheStrongFingerprintOfSeveral() throws {
    var leg = browserLeg()
    let offer = try description("chromium-130-offer")
      .replacing(
        "a=fingerprint:sha-256",
        "a=fingerprint:sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33\r\na=fingerprint:SHA-256")
    try leg.receiveOffer(offer)
    #expect(leg.remote?.transport?.fingerprint.algorithm == "sha-256")
  }

  @Test func doesNotTakeAnUnbundledAnswerGroupWhereNoneWasOffered() throws {
    var leg = browserLeg()
    try leg.receiveOffer(description("chromium-130-offer").replacing("a=group:BUNDLE 0\r\n", ""))
    let answer = try leg.makeAnswer()
    #expect(answer.groups("BUNDLE").isEmpty)
    #expect(answer.media[0].mid == "0")
  }

  @Test func saysIceLiteWhenItIs() throws {
    var leg = browserLeg(lite: true)
    try leg.receiveOffer(description("chromium-130-offer"))
    let answer = try leg.makeAnswer()
    #expect(answer.iceLite)
    #expect(!answer.media[0].iceLite)
    #expect(leg.remote?.transport?.iceLite == false)
  }

  @Test(arguments: [
    ("actpass", DTLSSetup.actpass, DTLSSetup.passive), ("actpass", .active, .active), ("active", .active, .passive),
    ("passive", .actpass, .active), ("nonsense", .actpass, .passive),
  ])
  func answersTheDTLSRole(offered: String, preferred: DTLSSetup, expected: DTLSSetup) throws {
    var leg = browserLeg(setup: preferred)
    try leg.receiveOffer(description("chromium-130-offer").replacing("a=setup:actpass", "a=setup:\(offered)"))
    #expect(leg.dtlsRole == expected)
    #expect(try leg.makeAnswer().media[0].setup == expected)
  }

  @Test func acceptsABundleOnlySectionWithPortZero() throws {
    var leg = browserLeg()
    let offer = try description("chromium-130-offer")
      .replacing("m=audio 54400", "m=audio 0").replacing("a=mid:0", "a=mid:0\r\na=bundle-only")
    try leg.receiveOffer(offer)
    #expect(leg.remote?.direction == .sendrecv)
    #expect(try leg.makeAnswer().media[0].port == 20_000)
  }

  @Test func stepsOutOfOrderAreRefused() throws {
    var leg = trunkLeg()
    #expect(throws: OfferAnswerError.wrongState(.stable)) { try leg.makeAnswer() }
    #expect(throws: OfferAnswerError.wrongState(.stable)) { try leg.receiveAnswer(audio()) }
    try leg.receiveOffer(audio())
    #expect(throws: OfferAnswerError.wrongState(.haveRemoteOffer)) { try leg.receiveOffer(audio()) }
    #expect(throws: OfferAnswerError.wrongState(.haveRemoteOffer)) { try leg.makeOffer() }
    #expect(throws: OfferAnswerError.wrongState(.haveRemoteOffer)) { try leg.receiveAnswer(audio()) }
    _ = try leg.makeAnswer()
    #expect(throws: OfferAnswerError.wrongState(.stable)) { try leg.receiveAnswer(audio()) }
    _ = try leg.makeOffer()
    #expect(throws: OfferAnswerError.wrongState(.haveLocalOffer)) { try leg.makeOffer() }
    #expect(throws: OfferAnswerError.wrongState(.haveLocalOffer)) { try leg.receiveOffer(audio()) }
    #expect(throws: OfferAnswerError.wrongState(.haveLocalOffer)) { try leg.makeAnswer() }
  }
}
