import Core
import SDP
import Testing

/// The far end offers sections for receiving; our tracks go into them.
@Suite struct PlacingTests {
  @Test func putsTracksIntoSectionsOfTheirKind() throws {
    var session = room()
    try session.addSender(track(.video, "TR_V", ssrc: 5000, codecs: ["VP8"]))
    try session.addSender(track(.audio, "TR_A", ssrc: 6000, codecs: ["opus"]))
    #expect(session.needsRemoteOffer && session.missingSections == (1, 1))
    _ = try session.receiveOffer(recvonlyOffer(audio: 2, video: 2))
    #expect(session.missingSections == (0, 0))
    let answer = try session.makeAnswer()
    #expect(session.tracksByMid == ["1": "TR_A", "3": "TR_V"])
    #expect(answer.media.map { answer.direction(of: $0) }.dropFirst() == [.sendonly, .inactive, .sendonly, .inactive])
    let video = answer.media[3]
    #expect(video.formats == ["96", "97"])
    #expect(video.attribute("msid") == "PA_x|camera TR_V")
    #expect(video.values("ssrc-group") == ["FID 5000 5001"])
    #expect(
      video.values("ssrc") == [
        "5000 cname:PA_x", "5000 msid:PA_x|camera TR_V", "5001 cname:PA_x", "5001 msid:PA_x|camera TR_V",
      ])
    #expect(answer.media[1].ssrcs == [SSRC(6000)])
    #expect(!session.needsRemoteOffer)
    let settled = try #require(session.settled(trackID: "TR_V"))
    #expect(settled.direction == .sendonly && settled.codecs.map(\.payloadType.rawValue) == [96])
    #expect(settled.extensions[ExtensionURI.transportWideCC] == 3)
  }

  @Test func asksForMoreSectionsAndFillsThemLater() throws {
    var session = room()
    for i in 0..<3 { try session.addSender(track(.audio, "TR_\(i)", ssrc: UInt32(i))) }
    _ = try session.receiveOffer(recvonlyOffer(audio: 1, video: 1))
    _ = try session.makeAnswer()
    #expect(session.tracksByMid == ["1": "TR_0"])
    #expect(session.missingSections == (2, 0) && session.needsRemoteOffer)
    var more = try recvonlyOffer(audio: 1, video: 1)
    for i in 3...4 {
      var m = more.media[1]
      m.attributes.removeAll { $0.name == "mid" }
      m.attributes.append(Attribute("mid", "\(i)"))
      more.media.append(m)
    }
    more.attributes = more.attributes.filter { $0.name != "group" } + [Attribute("group", "BUNDLE 0 1 2 3 4")]
    _ = try session.receiveOffer(more)
    _ = try session.makeAnswer()
    #expect(session.tracksByMid == ["1": "TR_0", "3": "TR_1", "4": "TR_2"])
    #expect(session.missingSections == (0, 0) && !session.needsRemoteOffer)
  }

  @Test func reusesASectionOnlyAfterItRestedAWholeExchange() throws {
    var session = room()
    let offer = try recvonlyOffer(audio: 1, video: 0)
    try session.addSender(track(.audio, "TR_1"))
    _ = try session.receiveOffer(offer)
    _ = try session.makeAnswer()
    let removed = session.removeSender(trackID: "TR_1")
    #expect(removed && session.needsRemoteOffer)
    try session.addSender(track(.audio, "TR_2"))
    _ = try session.receiveOffer(offer)
    let resting = try session.makeAnswer()
    #expect(resting.direction(of: resting.media[1]) == .inactive && resting.media[1].attribute("msid") == nil)
    #expect(session.tracksByMid.isEmpty)
    // The section is free from now on: nothing more is missing, an offer is enough.
    #expect(session.missingSections == (0, 0) && session.needsRemoteOffer)
    _ = try session.receiveOffer(offer)
    _ = try session.makeAnswer()
    #expect(session.tracksByMid == ["1": "TR_2"] && !session.needsRemoteOffer)
  }

  @Test func prefersASectionThatCarriedNothingYet() throws {
    var session = room()
    let offer = try recvonlyOffer(audio: 2, video: 0)
    try session.addSender(track(.audio, "TR_1"))
    for step in 0..<3 {
      if step == 1 { session.removeSender(trackID: "TR_1") }
      if step == 2 { try session.addSender(track(.audio, "TR_2")) }
      _ = try session.receiveOffer(offer)
      _ = try session.makeAnswer()
    }
    #expect(session.tracksByMid == ["2": "TR_2"])
  }

  @Test func keepsATrackWhereItIsOverFurtherExchanges() throws {
    var session = room()
    let offer = try recvonlyOffer(audio: 2, video: 2)
    try session.addSender(track(.video, "TR_V", ssrc: 77))
    _ = try session.receiveOffer(offer)
    let first = try session.makeAnswer()
    _ = try session.receiveOffer(offer)
    let second = try session.makeAnswer()
    #expect(first == second)
  }

  @Test func movesATrackOutOfASectionThatTheFarEndSwitchesOff() throws {
    var session = room()
    var offer = try recvonlyOffer(audio: 2, video: 0)
    try session.addSender(track(.audio, "TR_1"))
    _ = try session.receiveOffer(offer)
    _ = try session.makeAnswer()
    offer.media[1].attributes = offer.media[1].attributes.map { $0.name == "recvonly" ? Attribute("inactive") : $0 }
    _ = try session.receiveOffer(offer)
    _ = try session.makeAnswer()
    #expect(session.tracksByMid == ["2": "TR_1"])
  }

  @Test func namesTracksWithoutACommonCodec() throws {
    var session = room()
    try session.addSender(track(.video, "TR_1", codecs: ["VP9"]))
    _ = try session.receiveOffer(
      recvonlyOffer(audio: 0, video: 1).replacing("VP9/90000", "VP9X/90000"))
    let answer = try session.makeAnswer()
    #expect(answer.direction(of: answer.media[1]) == .inactive)
    #expect(session.unsupportedTracks == ["TR_1"])
    #expect(!session.needsRemoteOffer && session.missingSections == (0, 0))
  }

  @Test func leavesPublishersSectionsAloneUnlessThePolicySaysOtherwise() throws {
    let offer = try description("aiortc-1.16-whip-offer")
    var session = room()
    try session.addSender(track(.audio, "TR_1"))
    _ = try session.receiveOffer(offer)
    _ = try session.makeAnswer()
    #expect(session.tracksByMid.isEmpty)
    var policy = MediaPolicy.room
    policy.sendsOnBidirectionalSections = true
    var both = MultiplexedSession(role: .answerer, transport: parameters(), policy: policy, sessionID: 1)
    try both.addSender(track(.audio, "TR_1"))
    _ = try both.receiveOffer(offer)
    let answer = try both.makeAnswer(receiving: ["0": ReceiverPlan()])
    #expect(answer.direction(of: answer.media[0]) == .sendrecv && both.tracksByMid == ["0": "TR_1"])
  }

  @Test func servesRecvonlySectionsThatNameATrack() throws {
    // aiortc writes a=msid whatever the direction.
    var policy = MediaPolicy.room
    policy.sendsOnBidirectionalSections = true
    var session = MultiplexedSession(role: .answerer, transport: parameters(), policy: policy, sessionID: 1)
    try session.addSender(track(.audio, "TR_A", ssrc: 1))
    try session.addSender(track(.video, "TR_V", ssrc: 3, codecs: ["H264"]))
    _ = try session.receiveOffer(description("aiortc-1.16-whep-offer"))
    let answer = try session.makeAnswer()
    #expect(session.tracksByMid.values.sorted() == ["TR_A", "TR_V"])
    #expect(answer.media[1].formats.first == "99")
  }

  @Test func repeatsCandidatesWhereThePolicySaysSo() throws {
    let offer = try recvonlyOffer(audio: 2, video: 1)
    var policy = MediaPolicy.room
    for (repeats, expected) in [(false, [1, 0, 0, 0]), (true, [1, 1, 1, 1])] {
      policy.repeatsCandidates = repeats
      var session = MultiplexedSession(role: .answerer, transport: parameters(), policy: policy, sessionID: 1)
      _ = try session.receiveOffer(offer)
      let answer = try session.makeAnswer()
      #expect(answer.media.map(\.candidates.count) == expected)
      #expect(answer.media.map(\.endOfCandidates) == expected.map { $0 > 0 })
    }
  }

  @Test func marksStereo() throws {
    var session = room()
    var sender = track(.audio, "TR_1", codecs: ["opus"])
    sender.isStereo = true
    try session.addSender(sender)
    _ = try session.receiveOffer(recvonlyOffer(audio: 1, video: 0))
    #expect(try session.makeAnswer().media[1].values("fmtp").first?.contains("sprop-stereo=1") == true)
  }

  @Test func rollsBackAnOfferAndKeepsWhatWasAddedSince() throws {
    var session = room()
    _ = try session.receiveOffer(recvonlyOffer(audio: 1, video: 1))
    _ = try session.makeAnswer()
    let transport = session.remoteTransport
    var longer = try recvonlyOffer(audio: 1, video: 2).replacing(transport?.ufrag ?? "-", "rolledback")
    longer.origin.sessionVersion = "2"
    _ = try session.receiveOffer(longer)
    #expect(session.remoteTransport?.ufrag == "rolledback")
    try session.addSender(track(.audio, "TR_1"))
    session.rollback()
    #expect(session.state == .stable && session.remoteTransport == transport && session.settledSections.count == 3)
    #expect(throws: NegotiationError.noOfferOutstanding) { try session.makeAnswer() }
    _ = try session.receiveOffer(recvonlyOffer(audio: 1, video: 1))
    _ = try session.makeAnswer()
    #expect(session.tracksByMid == ["1": "TR_1"])
  }
}
