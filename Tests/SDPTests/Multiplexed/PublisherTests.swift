import Core
import SDP
import Testing

/// The far end publishes; we answer.
@Suite struct PublisherTests {
  @Test func readsWhatChromiumPublishes() throws {
    var session = room()
    let offer = try session.receiveOffer(description("chromium-156-publish-offer"))
    #expect(offer.sections.map(\.mid) == ["0", "1", "2"])
    #expect(offer.sections.map(\.kind) == [.audio, .video, .application])
    #expect(offer.transport.ufrag == "8LOx" && offer.trickles && !offer.iceRestarted)
    #expect(offer.transport.candidates.count == 4)
    let audio = offer.sections[0]
    #expect(audio.direction == .sendonly && !audio.isUnusable && !audio.isSimulcast)
    #expect(audio.trackID == "55465a53-3b87-40be-9725-5f8a42bfb551" && audio.streamID?.hasPrefix("1886") == true)
    #expect(audio.codecs.map(\.encodingName) == ["opus", "red"])
    #expect(audio.codecs.map(\.payloadType) == [PayloadType(111), PayloadType(63)])
    #expect(audio.encodings == [RemoteEncoding(ssrc: SSRC(4_284_301_065))])
    #expect(
      audio.extensions == [
        ExtensionURI.audioLevel: 1, ExtensionURI.absoluteSendTime: 2, ExtensionURI.transportWideCC: 3,
        ExtensionURI.mid: 4,
      ])
    let video = offer.sections[1]
    #expect(video.isSimulcast && video.encodings.map(\.rid) == ["q", "h", "f"])
    #expect(video.encodings.allSatisfy { $0.ssrc == nil && !$0.isPaused })
    #expect(video.extensions[ExtensionURI.rid] == 10 && video.extensions[ExtensionURI.repairedRID] == 11)
    #expect(video.extensions[ExtensionURI.dependencyDescriptor] == 12)
    let numbers = video.codecs.map { "\($0.encodingName) \($0.payloadType) \($0.retransmission?.description ?? "-")" }
    // Chromium's order; its Main profiles (116, 39) are not ours.
    #expect(
      numbers == [
        "VP8 96 97", "H264 102 103", "H264 104 107", "H264 108 109", "H264 114 115", "AV1 45 46", "VP9 98 99",
        "VP9 100 101",
      ])
    #expect(video.codecs[0].feedback == ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"])
    #expect(offer.sections[2].dataChannels == DataChannelParameters(port: 5000, maximumMessageSize: 262_144))
  }

  @Test func answersSimulcastAndKeepsTheOffersNumbers() throws {
    var session = room()
    _ = try session.receiveOffer(description("chromium-156-publish-offer"))
    let answer = try session.makeAnswer(receiving: [
      "0": ReceiverPlan(
        codecs: [SenderCodec("red"), SenderCodec("opus")], opusStereo: true,
        opusMaximumAverageBitrate: 64_000),
      "1": ReceiverPlan(maximumBitrate: 1_700_000),
    ])
    #expect(answer.groups("BUNDLE") == [["0", "1", "2"]])
    #expect(answer.iceLite && answer.hasAttribute("extmap-allow-mixed"))
    #expect(answer.attribute("ice-options") == nil)
    let audio = answer.media[0]
    #expect(audio.formats == ["63", "111"])
    #expect(
      audio.values("fmtp") == [
        "63 111/111", "111 minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=64000;usedtx=1",
      ])
    #expect(audio.values("rtcp-fb") == ["111 transport-cc"])
    #expect(answer.direction(of: audio) == .recvonly && audio.setup == .passive && audio.rtcpMux)
    #expect(audio.candidates.count == 1 && audio.endOfCandidates && audio.port == 20_000)
    let video = answer.media[1]
    #expect(video.values("rid") == ["q recv", "h recv", "f recv"])
    #expect(video.values("simulcast") == ["recv q;h;f"])
    #expect(video.values("extmap").contains("10 \(ExtensionURI.rid)"))
    #expect(video.bandwidth == ["AS:1700", "TIAS:1700000"])
    #expect(video.candidates.isEmpty && video.iceUfrag == "ours" && video.fingerprints == [ourFingerprint])
    #expect(video.values("fmtp").contains("108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"))
    #expect(!video.formats.contains("116") && !video.formats.contains("118"))
    #expect(video.ssrcs.isEmpty && video.attribute("msid") == nil)
    let application = answer.media[2]
    #expect(application.attribute("sctp-port") == "5000" && application.attribute("max-message-size") == "65536")
    #expect(application.formats == ["webrtc-datachannel"] && application.port != 0)
    #expect(session.dtlsRole == .passive && session.state == .stable)

    let settled = try #require(session.settled(mid: "1"))
    #expect(settled.direction == .recvonly && settled.encodings.map(\.rid) == ["q", "h", "f"])
    #expect(settled.codecs.first?.payloadType == PayloadType(96) && settled.sender == nil)
    #expect(session.settled(mid: "0")?.codecs.map(\.encodingName) == ["red", "opus"])
    #expect(try SessionDescription(parsing: answer.description) == answer)
  }

  @Test func leavesWhatIsNotTakenInactiveWithItsRids() throws {
    var session = room()
    _ = try session.receiveOffer(description("chromium-156-publish-offer"))
    let answer = try session.makeAnswer(receiving: ["0": ReceiverPlan(opusDTX: false)])
    #expect(answer.media[0].values("fmtp").contains("111 minptime=10;useinbandfec=1"))
    #expect(answer.direction(of: answer.media[1]) == .inactive && answer.media[1].port != 0)
    #expect(answer.media[1].values("rid").count == 3)
    #expect(session.settled(mid: "1")?.encodings.isEmpty == true)
  }

  @Test func takesASubsetOfTheCodecsForATrack() throws {
    var session = room()
    _ = try session.receiveOffer(description("chromium-156-publish-offer"))
    let wish = SenderCodec("H264", formatParameters: "packetization-mode=1;profile-level-id=42e01f")
    let answer = try session.makeAnswer(receiving: ["1": ReceiverPlan(codecs: [wish, SenderCodec("VP8")])])
    #expect(answer.media[1].formats == ["108", "109", "96", "97"])
    _ = try session.receiveOffer(description("chromium-156-publish-offer"))
    let none = try session.makeAnswer(receiving: ["1": ReceiverPlan(codecs: [SenderCodec("H265")])])
    #expect(none.direction(of: none.media[1]) == .inactive && none.media[1].port != 0)
  }

  @Test func readsFirefoxWithBundleOnlySectionsAndItsOwnNumbers() throws {
    var session = room()
    let offer = try session.receiveOffer(description("firefox-128-publish-offer"))
    #expect(offer.sections.allSatisfy { !$0.isUnusable })
    #expect(offer.transport.fingerprint.value.hasPrefix("6D:4E") && offer.trickles)
    let video = offer.sections[2]
    #expect(video.codecs.map(\.payloadType.rawValue) == [120, 121, 126, 97])
    #expect(video.codecs.map(\.retransmission?.rawValue) == [124, 125, 127, 98])
    // One source for each rid is listed, but in which order is nowhere promised.
    #expect(video.encodings.map(\.rid) == ["q", "h", "f"] && video.encodings.allSatisfy { $0.ssrc == nil })
    #expect(video.extensions[ExtensionURI.rid] == 8 && video.extensions[ExtensionURI.playoutDelay] == 6)
    #expect(video.trackID == "{7a6b5c4d-3e2f-4a1b-9c8d-7e6f5a4b3c2d}")
    let answer = try session.makeAnswer(receiving: ["1": ReceiverPlan(), "2": ReceiverPlan()])
    #expect(answer.media.allSatisfy { $0.port != 0 })
    #expect(answer.media[1].formats == ["109"])
    #expect(answer.media[2].values("simulcast") == ["recv q;h;f"])
    // The tagged section is the data channels'.
    #expect(answer.media.map { $0.candidates.count } == [1, 0, 0])
  }

  @Test func readsAiortcAndPion() throws {
    var session = room()
    var offer = try session.receiveOffer(description("aiortc-1.16-whip-offer"))
    #expect(offer.sections.map(\.direction) == [.sendrecv, .sendrecv] && !offer.trickles)
    #expect(offer.transport.fingerprint.algorithm == "sha-256" && offer.transport.candidates.count == 2)
    #expect(
      offer.sections[1].encodings == [
        RemoteEncoding(ssrc: SSRC(1_597_720_158), retransmissionSSRC: SSRC(531_558_494))
      ])
    #expect(offer.sections[1].codecs.map(\.payloadType.rawValue) == [97, 99, 101])
    let answer = try session.makeAnswer(receiving: ["0": ReceiverPlan(), "1": ReceiverPlan()])
    #expect(!answer.hasAttribute("extmap-allow-mixed"))
    #expect(answer.media.map { answer.direction(of: $0) } == [.recvonly, .recvonly])

    session = room()
    offer = try session.receiveOffer(description("pion-3.1-whip-offer"))
    #expect(offer.sections.map(\.trackID) == ["audio", "video"])
    #expect(offer.sections[1].codecs[0].feedback == ["goog-remb", "ccm fir", "nack", "nack pli"])
    _ = try session.makeAnswer(receiving: ["0": ReceiverPlan(), "1": ReceiverPlan()])
    #expect(session.settled(mid: "1")?.codecs.map(\.encodingName) == ["VP8"])
  }

  @Test func answersTheNativeClientsPlaceholdersWithAllExtensions() throws {
    var session = room()
    let offer = try session.receiveOffer(description("livekit-native-1.2-offer"))
    #expect(offer.sections.map(\.kind) == [.audio, .audio, .audio, .video, .video, .video, .application])
    let answer = try session.makeAnswer()
    #expect(answer.media.prefix(6).allSatisfy { answer.direction(of: $0) == .inactive && $0.port != 0 })
    for video in answer.media[3...5] {
      for uri in [ExtensionURI.mid, ExtensionURI.rid, ExtensionURI.repairedRID] {
        #expect(video.values("extmap").contains { $0.hasSuffix(uri) })
      }
    }
    #expect(!answer.description.contains("goog-sped") && !answer.description.contains("sctp-init"))
    #expect(answer.groups("BUNDLE") == [["0", "1", "2", "3", "4", "5", "6"]])
  }

  @Test func continuesAnOfferOfTheGatewaysTime() throws {
    var session = room()
    let offer = try session.receiveOffer(description("chromium-130-video-offer"))
    // RED without parameters is around the section's Opus.
    #expect(offer.sections[0].codecs.map(\.encodingName) == ["opus", "red"])
    #expect(offer.sections[1].codecs.map(\.feedback) == [[]])
  }

  @Test func treatsUnpublishingAsAChangeOfDirection() throws {
    var session = room()
    let first = try description("chromium-156-publish-offer")
    _ = try session.receiveOffer(first)
    let before = try session.makeAnswer(receiving: ["0": ReceiverPlan(), "1": ReceiverPlan()])
    // The native client keeps msid, rids and simulcast.
    var second = first
    second.media[1].attributes = second.media[1].attributes.map {
      $0.name == "sendonly" ? Attribute("recvonly") : $0
    }
    let offer = try session.receiveOffer(second)
    #expect(offer.sections[1].direction == .recvonly && offer.sections[1].trackID != nil && !offer.iceRestarted)
    try session.addSender(track(.video, "TR_1"))
    let answer = try session.makeAnswer(receiving: ["0": ReceiverPlan(), "1": ReceiverPlan()])
    #expect(answer.direction(of: answer.media[1]) == .inactive)
    #expect(answer.media[1].values("rid").count == 3)
    #expect(session.missingSections == (0, 1))
    #expect(UInt64(answer.origin.sessionVersion)! == UInt64(before.origin.sessionVersion)! + 1)
    #expect(answer.origin.sessionID == before.origin.sessionID)
  }

  @Test func recognisesAnICERestartAndAnswersWithNewCredentials() throws {
    var session = room()
    let first = try description("pion-3.1-whip-offer")
    #expect(try !session.receiveOffer(first).iceRestarted)
    _ = try session.makeAnswer()
    #expect(try !session.receiveOffer(first).iceRestarted)
    _ = try session.makeAnswer()
    #expect(try session.receiveOffer(first.replacing("JPhjRDVNwWpiXZLr", "AnotherFragment1")).iceRestarted)
    session.updateTransport(parameters(ufrag: "ours2", lite: true))
    let answer = try session.makeAnswer()
    #expect(answer.media.allSatisfy { $0.iceUfrag == "ours2" })
    #expect(session.dtlsRole == .passive && answer.media[0].setup == .passive)
  }

  @Test(arguments: [
    (DTLSSetup.passive, "actpass", DTLSSetup.passive), (.active, "actpass", .active), (.passive, "passive", .active),
    (.active, "active", .passive),
  ])
  func choosesTheDTLSRole(own: DTLSSetup, offered: String, ours: DTLSSetup) throws {
    var session = room(.answerer, setup: own)
    _ = try session.receiveOffer(description("pion-3.1-whip-offer").replacing("setup:actpass", "setup:\(offered)"))
    #expect(try session.makeAnswer().media[0].setup == ours)
  }

  @Test func answersTheOldFormOfDataChannelsInTheOldForm() throws {
    let old = try description("chromium-156-publish-offer").replacing(
      "UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"
    ).replacing("a=sctp-port:5000", "a=sctpmap:5000 webrtc-datachannel 1024")
    var session = room()
    #expect(try session.receiveOffer(old).sections[2].dataChannels?.port == 5000)
    let m = try session.makeAnswer().media[2]
    #expect(m.protocol == "DTLS/SCTP" && m.formats == ["5000"] && m.values("sctpmap").first?.hasPrefix("5000 ") == true)
  }
}
