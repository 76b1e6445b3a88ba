import Core
import SDP
import Testing

@Suite struct SessionDescriptionTests {
  @Test(arguments: vectorNames) func printsEveryVectorSoThatItReadsTheSame(name: String) throws {
    let parsed = try description(name)
    #expect(!parsed.media.isEmpty)
    #expect(try SessionDescription(parsing: parsed.description) == parsed)
  }

  @Test func printsAChromiumOfferByteForByte() throws {
    let bytes = try vector("chromium-130-offer")
    #expect(Array(try SessionDescription(parsing: bytes).description.utf8) == bytes)
  }

  @Test(arguments: vectorNames) func takesLineFeedsAlone(name: String) throws {
    let bytes = try vector(name)
    #expect(try SessionDescription(parsing: bytes.filter { $0 != 13 }) == description(name))
  }

  @Test func readsAChromiumOffer() throws {
    let sdp = try description("chromium-130-offer")
    #expect(sdp.origin.sessionID == "4611731400430051336")
    #expect(sdp.origin.sessionVersion == "2")
    #expect(sdp.connection == nil)
    #expect(sdp.groups("BUNDLE") == [["0"]])
    let m = try #require(sdp.media.first)
    #expect(m.kind == "audio" && m.port == 54_400 && m.protocol == "UDP/TLS/RTP/SAVPF" && m.isRTP)
    #expect(m.formats == ["111", "63", "9", "0", "8", "13", "110", "126"])
    #expect(
      m.rtpMaps.first == RTPMap(payloadType: PayloadType(111), encodingName: "opus", clockRate: 48_000, channels: 2))
    #expect(m.rtpMaps.count == 8)
    #expect(m.formatParameters("111") == "minptime=10;useinbandfec=1")
    #expect(m.formatParameters("0") == nil)
    #expect(m.mid == "0" && m.rtcpMux && m.setup == .actpass)
    #expect(m.iceUfrag == "kVHl" && m.icePwd == "7Uu0C4Xx2wYQzC6Kc9fX4Ylq" && m.iceOptions == ["trickle"])
    #expect(m.candidates.count == 4)
    #expect(m.candidates[0].hasPrefix("candidate:3215790451 1 udp"))
    #expect(!m.endOfCandidates)
    #expect(m.fingerprints.first?.algorithm == "sha-256")
    #expect(m.ssrcs == [SSRC(2_934_781_020)])
    #expect(m.rtcp?.port == 9)
    #expect(sdp.direction(of: m) == .sendrecv)
    #expect(sdp.connection(of: m)?.ip == IPAddress("192.168.1.23"))
  }

  @Test func readsSessionLevelValuesOfFirefox() throws {
    let sdp = try description("firefox-128-offer")
    #expect(sdp.fingerprints.count == 1)
    #expect(sdp.media[0].fingerprints.isEmpty)
    #expect(sdp.explicitDirection == .sendrecv)
    #expect(sdp.media[0].endOfCandidates)
    #expect(sdp.media[0].rtcp?.address == IPAddress("192.168.1.24"))
  }

  @Test func readsSeveralSectionsInOrder() throws {
    let sdp = try description("fax-gateway-offer")
    #expect(sdp.media.map(\.kind) == ["image", "audio", "audio", "video"])
    #expect(sdp.media.map(\.port) == [30_010, 30_020, 30_022, 0])
    #expect(!sdp.media[0].isRTP)
    #expect(sdp.origin.username == "Sonus UAC" && sdp.origin.sessionID == "21349")
    #expect(sdp.media[1].maxPacketTime == 20)
  }

  @Test func inheritsTheDirectionOfTheSession() throws {
    let sdp = try SessionDescription(
      parsing:
        "v=0\no=- 1 1 IN IP4 1.2.3.4\ns=-\nt=0 0\na=inactive\nm=audio 5 RTP/AVP 0\nm=audio 6 RTP/AVP 0\na=recvonly\n")
    #expect(sdp.direction(of: sdp.media[0]) == .inactive)
    #expect(sdp.direction(of: sdp.media[1]) == .recvonly)
  }

  @Test func readsPortCountsIPv6AndMulticastSuffixes() throws {
    let sdp = try SessionDescription(
      parsing:
        "v=0\r\no=a 1 1 IN IP6 2001:db8::1\r\ns=x\r\nc=IN IP6 FF15::101/3\r\nt=0 0\r\nm=audio 49170/2 RTP/AVP 0\r\n")
    #expect(sdp.origin.isIPv6)
    #expect(sdp.connection == .init(address: "FF15::101", isIPv6: true))
    #expect(sdp.media[0].port == 49_170 && sdp.media[0].portCount == 2)
    #expect(sdp.description.contains("m=audio 49170/2 RTP/AVP 0\r\n"))
  }

  @Test func acceptsAMissingLastLineEndAndMissingNameAndTime() throws {
    let sdp = try SessionDescription(parsing: "v=0\no=- 1 1 IN IP4 h.example\nm=audio 5 RTP/AVP 0")
    #expect(sdp.media.count == 1)
    #expect(sdp.name == "-" && sdp.timing == "0 0")
    #expect(try SessionDescription(parsing: sdp.description) == sdp)
  }

  @Test(arguments: [
    ("", SDPParseError.Kind.unsupportedVersion, 1),
    ("v=1\r\n", .unsupportedVersion, 1),
    ("o=- 1 1 IN IP4 1.2.3.4\r\nv=0\r\n", .unsupportedVersion, 1),
    ("v=0\r\ns=-\r\n", .missingOrigin, 2),
    ("v=0\r\no=- 1 1 IN IP4\r\n", .malformedOrigin, 2),
    ("v=0\r\no=- one 1 IN IP4 1.2.3.4\r\n", .malformedOrigin, 2),
    ("v=0\r\no=- 1 1 IN IP5 1.2.3.4\r\n", .malformedOrigin, 2),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nhello\r\n", .malformedLine, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=a\rm=audio 1 RTP/AVP 0\r\n", .malformedLine, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=a\u{0}b\r\n", .malformedLine, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4\r\n", .malformedConnection, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4 /127\r\n", .malformedConnection, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 65536 RTP/AVP 0\r\n", .malformedMedia, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio -1 RTP/AVP 0\r\n", .malformedMedia, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 5/0 RTP/AVP 0\r\n", .malformedMedia, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio +5 RTP/AVP 0\r\n", .malformedMedia, 3),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 5 RTP/AVP\r\n", .malformedMedia, 3),
  ])
  func saysWhatIsWrongAndWhere(text: String, kind: SDPParseError.Kind, line: Int) {
    let error = #expect(throws: SDPParseError.self) { try SessionDescription(parsing: text) }
    #expect(error?.kind == kind)
    #expect(error?.line == line)
  }

  @Test func boundsSizeSectionsAndLines() {
    let head = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n"
    let section = "m=audio 5 RTP/AVP 0\r\n"
    for text in [
      head + String(repeating: "a", count: 70_000), head + String(repeating: section, count: 65),
      head + String(repeating: "a=x\r\n", count: 4_100),
    ] {
      #expect(throws: SDPParseError.self) { try SessionDescription(parsing: text) }
    }
    #expect(throws: Never.self) { try SessionDescription(parsing: head + String(repeating: section, count: 64)) }
  }

  @Test func neverPrintsALineBreakInsideAValue() throws {
    var sdp = try description("baresip-1.0-offer")
    sdp.name = "x\r\na=evil"
    sdp.media[0].attributes.append(Attribute("y\n", "1\r\nm=audio 9 RTP/AVP 0"))
    let again = try SessionDescription(parsing: sdp.description)
    #expect(again.media.count == 1)
    #expect(again.name == "xa=evil")
  }

  @Test func readsOnlyPlausibleAttributes() throws {
    let m = try audio(
      "audio 4000 RTP/AVP 0 96",
      [
        "rtpmap:128 opus/48000", "rtpmap:x opus/48000", "rtpmap:96 opus", "rtpmap:96 /8000", "rtpmap:96 opus/0",
        "rtpmap:96 opus/99999999999", "ptime:0", "maxptime:abc", "rtcp:99999", "ssrc:4294967296 cname:a", "setup:both",
        "fingerprint:sha-256 AA:BB", "fingerprint:sha-1 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD",
      ]
    ).media[0]
    #expect(m.rtpMaps.isEmpty)
    #expect(m.packetTime == nil && m.maxPacketTime == nil && m.rtcp == nil)
    #expect(m.ssrcs.isEmpty && m.setup == nil)
    #expect(m.fingerprints.map(\.digestLength) == [nil])
  }

  @Test func directionsFormTheAlgebraOfRFC3264() {
    for a in Direction.allCases {
      #expect(a.reversed.reversed == a)
      #expect(a.intersected(with: .sendrecv) == a)
      #expect(a.intersected(with: .inactive) == .inactive)
      for b in Direction.allCases { #expect(a.intersected(with: b) == b.intersected(with: a)) }
    }
    #expect(Direction.sendonly.reversed == .recvonly)
    #expect(Direction.sendonly.intersected(with: .recvonly) == .inactive)
  }
}

@Suite struct SDPJunkTests {
  /// Flips, cuts, inserts and repeats pieces of real descriptions.
  static func mutate(_ input: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var bytes = input
    for _ in 0..<Int.random(in: 1...12, using: &random) {
      guard !bytes.isEmpty else { break }
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.remove(at: at)
      case 2: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 0...80, using: &random)))
      case 3: bytes.insert(contentsOf: [UInt8]("99999999999999999999".utf8), at: at)
      case 4:
        let end = min(bytes.count, at + Int.random(in: 0...200, using: &random))
        bytes.insert(contentsOf: bytes[at..<end], at: Int.random(in: 0...bytes.count, using: &random))
      default: bytes.insert([0x20, 0x3A, 0x2F, 0x0D, 0x0A, 0x3D, 0x3B].randomElement(using: &random) ?? 0, at: at)
      }
    }
    return bytes
  }

  @Test(arguments: vectorNames) func neitherParserNorMachineTrapsOnMutations(name: String) throws {
    let original = try vector(name)
    var random = SeededRandom(seed: UInt64(name.count) &* 7919)
    var parsed = 0
    var answered = 0
    for _ in 0..<400 {
      let bytes = Self.mutate(original, &random)
      guard let sdp = try? SessionDescription(parsing: bytes) else { continue }
      parsed += 1
      #expect(try SessionDescription(parsing: sdp.description) == sdp)
      for var leg in [browserLeg(), trunkLeg()] {
        if (try? leg.receiveOffer(sdp)) != nil, let answer = try? leg.makeAnswer() {
          answered += 1
          #expect(answer.media.count == sdp.media.count)
          #expect(try SessionDescription(parsing: answer.description) == answer)
          _ = try leg.makeOffer()
          try? leg.receiveAnswer(sdp)
        }
        var caller = trunkLeg()
        _ = try caller.makeOffer()
        try? caller.receiveAnswer(sdp)
      }
    }
    #expect(parsed > 20)
    if name.contains("offer"), !name.contains("g729") { #expect(answered > 10) }
  }
}
