import Core
import SDP
import Testing

/// We offer.
@Suite struct SubscriberTests {
  @Test func offersDataChannelsAloneFirst() throws {
    var session = room(.offerer)
    try session.enableDataChannels()
    #expect(session.needsOffer)
    let offer = try session.makeOffer()
    #expect(offer.media.map(\.kind) == ["application"] && offer.groups("BUNDLE") == [["0"]])
    #expect(offer.media[0].setup == .actpass && offer.media[0].candidates.count == 1)
    #expect(!session.needsOffer)
    let answer = try session.receiveAnswer(accept(offer))
    #expect(answer.dataChannels?.maximumMessageSize == 65_536 && answer.senders.isEmpty)
    #expect(answer.transport.ufrag == "peer" && session.dtlsRole == .passive)
  }

  @Test func offersTracksWithChromesNumbers() throws {
    var session = room(.offerer)
    try session.enableDataChannels()
    let mid = try session.addSender(track(.video, "TR_V", ssrc: 10, codecs: ["VP8"]))
    try session.addSender(track(.audio, "TR_A", ssrc: 20, codecs: ["red", "opus"]))
    let offer = try session.makeOffer()
    #expect(mid == "1" && offer.media.map(\.mid) == ["0", "1", "2"])
    #expect(offer.media[1].formats == ["96", "97"] && offer.media[2].formats == ["63", "111"])
    #expect(offer.media[2].values("fmtp").first == "63 111/111")
    #expect(offer.media[1].attribute("msid") == "PA_x|camera TR_V")
    #expect(offer.direction(of: offer.media[1]) == .sendonly)
    #expect(!offer.media[1].values("extmap").contains { $0.hasSuffix(ExtensionURI.rid) })
    #expect(offer.media[1].values("extmap").contains("4 \(ExtensionURI.mid)"))
    #expect(try SessionDescription(parsing: offer.description) == offer)

    let answer = try session.receiveAnswer(accept(offer))
    #expect(answer.senders.map(\.trackID) == ["TR_V", "TR_A"] && answer.senders.allSatisfy { !$0.isRefused })
    let video = answer.senders[0].section
    #expect(video.direction == .sendonly && video.codecs[0].retransmission == PayloadType(97))
    #expect(video.codecs[0].feedback.contains("transport-cc") && video.extensions[ExtensionURI.mid] == 4)
    #expect(session.tracksByMid == ["1": "TR_V", "2": "TR_A"])
  }

  @Test func sendsNothingWhereTheAnswerDeclines() throws {
    var session = room(.offerer)
    try session.addSender(track(.audio, "TR_1"))
    try session.addSender(track(.audio, "TR_2", ssrc: 2))
    try session.addSender(track(.audio, "TR_3", ssrc: 3))
    let offer = try session.makeOffer()
    var answer = accept(offer)
    answer.media[0].attributes = answer.media[0].attributes.map { $0.name == "recvonly" ? Attribute("inactive") : $0 }
    answer.media[1].port = 0
    let result = try session.receiveAnswer(answer)
    #expect(result.senders.map(\.section.direction) == [.inactive, .inactive, .sendonly])
    #expect(result.senders.map(\.isRefused) == [false, true, false])
    #expect(session.tracksByMid == ["2": "TR_3"])
    // The refused place is taken over by a section of another name.
    let mid = try session.addSender(track(.video, "TR_4", ssrc: 4))
    let second = try session.makeOffer()
    #expect(mid == "3" && second.media.map(\.mid) == ["0", "3", "2"] && second.media[1].kind == "video")
    #expect(second.media[1].port != 0)
  }

  @Test func keepsARefusedSectionAtPortZero() throws {
    var session = room(.offerer)
    try session.addSender(track(.audio, "TR_1"))
    try session.addSender(track(.audio, "TR_2", ssrc: 2))
    var answer = accept(try session.makeOffer())
    answer.media[1].port = 0
    _ = try session.receiveAnswer(answer)
    #expect(!session.needsOffer)
    let offer = try session.makeOffer()
    #expect(offer.media[1].port == 0 && offer.groups("BUNDLE") == [["0"]])
    #expect(try session.receiveAnswer(accept(offer)).senders.map(\.trackID) == ["TR_1"])
  }

  @Test func takesUpASectionAgainOnlyAfterAWholeInactiveRound() throws {
    var session = room(.offerer)
    try session.addSender(track(.audio, "TR_1"))
    _ = try session.receiveAnswer(accept(session.makeOffer()))
    session.removeSender(trackID: "TR_1")
    #expect(session.needsOffer)
    #expect(try session.addSender(track(.audio, "TR_2", ssrc: 2)) == "1")
    let offer = try session.makeOffer()
    #expect(offer.media.map { offer.direction(of: $0) } == [.inactive, .sendonly])
    #expect(offer.media[0].attribute("msid") == nil && offer.media[0].ssrcs.isEmpty && !offer.media[0].formats.isEmpty)
    _ = try session.receiveAnswer(accept(offer))
    #expect(try session.addSender(track(.audio, "TR_3", ssrc: 3, stream: "PA_y|camera")) == "0")
    #expect(try session.addSender(track(.video, "TR_4", ssrc: 4)) == "2")
  }

  /// LiveKit's native SDK announces a stream once a section: one that comes back to its section is not announced.
  @Test func givesAStreamNoSectionThatItHadBefore() throws {
    var session = room(.offerer)
    var mids: [String] = []
    for round in 0..<80 {
      mids.append(try session.addSender(track(.audio, "TR_1", ssrc: UInt32(round + 1))) ?? "")
      _ = try session.receiveAnswer(accept(session.makeOffer()))
      session.removeSender(trackID: "TR_1")
      _ = try session.receiveAnswer(accept(session.makeOffer()))
    }
    #expect(mids.prefix(64) == (0..<64).map(String.init)[...])
    // Not without end.
    #expect(session.settledSections.count == 64)
    #expect(try session.addSender(track(.audio, "TR_2", ssrc: 9, stream: "PA_y|camera")) == "0")
  }

  @Test func changesDuringAnExchangeWaitForTheNext() throws {
    var session = room(.offerer)
    try session.addSender(track(.audio, "TR_1"))
    let first = try session.makeOffer()
    #expect(!session.needsOffer)
    try session.addSender(track(.audio, "TR_2", ssrc: 2))
    session.removeSender(trackID: "TR_1")
    #expect(session.needsOffer)
    #expect(throws: NegotiationError.offerOutstanding) { try session.makeOffer() }
    let answer = try session.receiveAnswer(accept(first))
    #expect(answer.senders.map(\.trackID) == ["TR_1"])
    #expect(session.needsOffer)
    let second = try session.makeOffer()
    #expect(second.media.map { second.direction(of: $0) } == [.inactive, .sendonly])
  }

  @Test func offersAgainAfterARollback() throws {
    var session = room(.offerer)
    try session.addSender(track(.audio, "TR_1"))
    let first = try session.makeOffer()
    session.rollback()
    #expect(session.state == .stable && session.needsOffer)
    #expect(throws: NegotiationError.noOfferOutstanding) { try session.receiveAnswer(accept(first)) }
    let second = try session.makeOffer()
    #expect(second.media == first.media)
    _ = try session.receiveAnswer(accept(second))
    #expect(session.tracksByMid == ["0": "TR_1"])
  }

  @Test func restartsICEWithNewCredentials() throws {
    var session = room(.offerer)
    try session.addSender(track(.audio, "TR_1"))
    _ = try session.receiveAnswer(accept(session.makeOffer()))
    session.updateTransport(parameters(ufrag: "fresh", lite: true))
    #expect(session.needsOffer)
    let offer = try session.makeOffer()
    #expect(offer.media[0].iceUfrag == "fresh" && offer.media[0].setup == .actpass)
    let answer = try session.receiveAnswer(accept(offer, ufrag: "peer2"))
    #expect(answer.iceRestarted && session.dtlsRole == .passive)
  }

  @Test func refusesStepsOfTheOtherRole() throws {
    let foreign = try description("pion-3.1-whip-offer")
    var offerer = room(.offerer)
    #expect(throws: NegotiationError.wrongRole) { try offerer.receiveOffer(foreign) }
    try offerer.addSender(track(.audio, "TR_1"))
    let offer = try offerer.makeOffer()
    #expect(throws: NegotiationError.glare) { try offerer.receiveOffer(foreign) }
    _ = try offerer.receiveAnswer(accept(offer))
    var answerer = room()
    #expect(throws: NegotiationError.wrongRole) { try answerer.makeOffer() }
    #expect(throws: NegotiationError.wrongRole) { try answerer.receiveAnswer(foreign) }
    #expect(throws: NegotiationError.wrongRole) { try answerer.enableDataChannels() }
    _ = try answerer.receiveOffer(foreign)
    #expect(throws: NegotiationError.offerOutstanding) { try answerer.receiveOffer(foreign) }
  }

  @Test func refusesAnswersToSomethingElse() throws {
    var session = room(.offerer)
    try session.addSender(track(.audio, "TR_1"))
    try session.addSender(track(.video, "TR_2", ssrc: 2))
    let good = accept(try session.makeOffer())
    var short = good
    short.media.removeLast()
    var swapped = good
    swapped.media.swapAt(0, 1)
    var renamed = good
    renamed.media[0].attributes = renamed.media[0].attributes.map {
      $0.name == "mid" ? Attribute("mid", "9") : $0
    }
    for bad in [short, swapped, renamed] {
      #expect(throws: NegotiationError.mismatchedAnswer) { try session.receiveAnswer(bad) }
    }
    #expect(session.state == .haveLocalOffer)
    _ = try session.receiveAnswer(good)
  }

  @Test func limitsTheNumberOfSections() throws {
    var policy = MediaPolicy.room
    policy.maximumSections = 3
    var session = MultiplexedSession(role: .offerer, transport: parameters(), policy: policy, sessionID: 1)
    for i in 0..<3 { try session.addSender(track(.audio, "TR_\(i)", ssrc: UInt32(i))) }
    #expect(throws: NegotiationError.tooManySections(3)) { try session.addSender(track(.audio, "TR_9")) }
    #expect(throws: NegotiationError.duplicateTrack("TR_1")) { try session.addSender(track(.audio, "TR_1")) }
    #expect(throws: NegotiationError.noCodec) { try session.addSender(track(.audio, "TR_8", codecs: ["G722"])) }
    #expect(session.senders.count == 3)
  }

  /// Both roles against each other, with tracks that come and go.
  @Test(arguments: 0..<6) func agreesWithAnAnswererOverRandomChanges(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var offerer = room(.offerer)
    var policy = MediaPolicy.room
    policy.maximumSections = 512
    var answerer = MultiplexedSession(role: .answerer, transport: parameters(), policy: policy, sessionID: 2)
    try offerer.enableDataChannels()
    var alive: [String] = []
    for round in 0..<20 {
      for step in 0..<Int.random(in: 0...3, using: &random) {
        if Bool.random(using: &random), let id = alive.randomElement(using: &random) {
          let removed = offerer.removeSender(trackID: id)
          #expect(removed)
          alive.removeAll { $0 == id }
        } else {
          let id = "TR_\(round)_\(step)"
          try offerer.addSender(
            track(Bool.random(using: &random) ? .audio : .video, id, ssrc: UInt32(round * 8 + step)))
          alive.append(id)
        }
      }
      guard offerer.needsOffer else { continue }
      let offer = try offerer.makeOffer()
      let seen = try answerer.receiveOffer(SessionDescription(parsing: offer.description))
      var plans: [String: ReceiverPlan] = [:]
      for section in seen.sections where section.direction.sends { plans[section.mid] = ReceiverPlan() }
      let answer = try answerer.makeAnswer(receiving: plans)
      let result = try offerer.receiveAnswer(SessionDescription(parsing: answer.description))
      #expect(result.senders.map(\.trackID).sorted() == alive.sorted())
      #expect(Set(offerer.tracksByMid.values) == Set(alive))
      let received = seen.sections.filter { $0.direction.sends && $0.kind != .application }.compactMap(\.trackID)
      #expect(Set(received) == Set(alive))
      #expect(!offerer.needsOffer)
    }
  }
}
