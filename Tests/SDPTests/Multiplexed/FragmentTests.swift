import Core
import SDP
import Testing

/// RFC 8840 §9.
@Suite struct FragmentTests {
  private let trickle =
    "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
    + "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\n"
    + "a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host\r\na=end-of-candidates\r\n"

  @Test func readsTheExampleOfTheRFCAndWritesItBack() throws {
    let fragment = try SDPFragment(parsing: Array(trickle.utf8))
    #expect(fragment.ufrag == "EsAw" && fragment.pwd == "P2uYro0UCOQ4zxjKXaWCBui1" && fragment.mid == "0")
    #expect(fragment.candidates.count == 2 && fragment.endOfCandidates)
    #expect(fragment.candidates[0].hasPrefix("candidate:1387637174 1 udp"))
    #expect(fragment.description == trickle)
    #expect(try SDPFragment(parsing: Array(trickle.replacing("\r\n", with: "\n").utf8)) == fragment)
  }

  @Test func putsTheCandidatesOfAllSectionsTogether() throws {
    let text = "m=audio 9 RTP/AVP 0\na=mid:0\na=candidate:1 x\nm=video 9 RTP/AVP 0\na=mid:1\na=candidate:2 y\n"
    let fragment = try SDPFragment(parsing: Array(text.utf8))
    #expect(fragment.candidates == ["candidate:1 x", "candidate:2 y"] && fragment.mid == "0" && fragment.ufrag == nil)
  }

  @Test(arguments: ["v", "a", "x\r=1", "a=candidate", "a=candidate:", "m=audio", "\0\0=", "a=\0"])
  func refusesWhatIsNoFragment(text: String) {
    #expect(throws: SDPParseError.self) { try SDPFragment(parsing: Array(text.utf8)) }
  }

  @Test func limitsCandidatesAndBytes() {
    let many = String(repeating: "a=candidate:1\n", count: 257)
    #expect(throws: SDPParseError.self) { try SDPFragment(parsing: Array(many.utf8)) }
    #expect(throws: SDPParseError.self) { try SDPFragment(parsing: [UInt8](repeating: 0x0A, count: 70_000)) }
  }

  @Test func restartsADescriptionAndReadsTheAnswer() throws {
    let offer = try description("aiortc-1.16-whip-offer")
    let fragment = try SDPFragment(parsing: Array(trickle.utf8))
    var session = room()
    _ = try session.receiveOffer(offer)
    _ = try session.makeAnswer()
    let again = try session.receiveOffer(fragment.restart(offer))
    #expect(again.iceRestarted && again.transport.ufrag == "EsAw" && again.transport.candidates == fragment.candidates)
    session.updateTransport(parameters(ufrag: "fresh"))
    let answer = try #require(SDPFragment(try session.makeAnswer()))
    #expect(answer.ufrag == "fresh" && answer.candidates.count == 1 && answer.endOfCandidates && answer.mid == "0")
    #expect(answer.description.hasPrefix("a=ice-ufrag:fresh\r\na=ice-pwd:"))
  }
}
