import Core
import SDP
import Testing

/// Offers that no honest client makes.
@Suite struct HostileOfferTests {
  @Test(arguments: [
    ("a=mid:1\r\n", "a=mid:0\r\n", NegotiationError.duplicateMid("0")),
    ("a=mid:1\r\n", "a=mid:a b\r\n", .invalidMid),
    ("a=mid:1\r\n", "a=mid:\(String(repeating: "x", count: 33))\r\n", .invalidMid),
    ("a=ice-ufrag:JPhjRDVNwWpiXZLr", "a=ice-ufrag:x", .invalidICECredentials),
    ("a=ice-pwd:", "a=x:", .invalidICECredentials),
    ("fingerprint:sha-256", "fingerprint:sha-1", .missingFingerprint),
    ("UDP/TLS/RTP/SAVPF", "RTP/AVP", .noTransport),
  ])
  func failsWithATypedErrorAndStaysAsItWas(find: String, replacement: String, error: NegotiationError) throws {
    let good = try description("pion-3.1-whip-offer")
    var session = room()
    #expect(throws: error) { try session.receiveOffer(good.replacing(find, replacement)) }
    #expect(session.state == .stable)
    _ = try session.receiveOffer(good)
    _ = try session.makeAnswer()
  }

  @Test func doesNotLetSectionsVanishMoveOrChange() throws {
    let good = try description("chromium-156-publish-offer")
    var session = room()
    _ = try session.receiveOffer(good)
    _ = try session.makeAnswer()
    var fewer = good
    fewer.media.removeLast()
    var moved = good
    moved.media.swapAt(0, 1)
    var other = good
    other.media[0].kind = "video"
    for bad in [fewer, moved, other, try good.replacing("a=mid:1\r\n", "a=mid:7\r\n")] {
      #expect(throws: NegotiationError.sectionsChanged) { try session.receiveOffer(bad) }
    }
    // A refused section's place may be taken over (RFC 9429 §5.2.2).
    var refused = good
    refused.media[1].port = 0
    _ = try session.receiveOffer(refused)
    #expect(try session.makeAnswer().media[1].port == 0)
    let recycled = try good.replacing("a=mid:1\r\n", "a=mid:7\r\n").replacing("BUNDLE 0 1 2", "BUNDLE 0 7 2")
    #expect(try session.receiveOffer(recycled).sections[1].mid == "7")
    #expect(try session.makeAnswer(receiving: ["7": ReceiverPlan()]).media[1].port != 0)
  }

  @Test func keepsTheTransportWhileEverySectionIsOff() throws {
    let good = try description("pion-3.1-whip-offer")
    var session = room()
    _ = try session.receiveOffer(good)
    _ = try session.makeAnswer()
    var off = good
    for i in off.media.indices { off.media[i].port = 0 }
    #expect(try !session.receiveOffer(off).iceRestarted)
    let answer = try session.makeAnswer()
    #expect(answer.media.allSatisfy { $0.port == 0 } && answer.groups("BUNDLE").first?.isEmpty != false)
    var first = room()
    #expect(throws: NegotiationError.noTransport) { try first.receiveOffer(off) }
  }

  @Test func limitsSectionsAndLines() throws {
    var many = try recvonlyOffer(audio: 200, video: 54)
    var session = room()
    _ = try session.receiveOffer(many)
    #expect(try session.makeAnswer().media.count == 255)
    many = try recvonlyOffer(audio: 200, video: 57)
    var other = room()
    #expect(throws: NegotiationError.tooManySections(256)) { try other.receiveOffer(many) }
    var long = try description("pion-3.1-whip-offer")
    for i in 0..<2000 { long.media[0].attributes.append(Attribute("ssrc", "\(i) cname:c")) }
    #expect(throws: NegotiationError.tooManyLines) { try other.receiveOffer(long) }
  }

  @Test func parsesAsManySectionsAsARoomNeeds() throws {
    let text = try recvonlyOffer(audio: 100, video: 100).description
    #expect(throws: SDPParseError.self) { try SessionDescription(parsing: text) }
    #expect(try SessionDescription(parsing: text, limits: .rooms).media.count == 201)
  }

  @Test func writesNothingOfTheOfferIntoALineOfItsOwn() throws {
    let offer = try description("pion-3.1-whip-offer").replacing(
      "a=fmtp:111 minptime=10;useinbandfec=1", "a=fmtp:111 evil=1;stereo=1"
    ).replacing("a=mid:1", "a=rid:x send evil\r\na=simulcast:send x\r\na=mid:1")
    var session = room()
    _ = try session.receiveOffer(offer)
    let answer = try session.makeAnswer(receiving: ["0": ReceiverPlan(), "1": ReceiverPlan()])
    #expect(answer.media[0].values("fmtp") == ["111 minptime=10;useinbandfec=1;usedtx=1"])
    #expect(answer.media[1].values("rid") == ["x recv evil"])
  }
}
