import Core
import SDP
import Testing

/// What single lines of an offer mean.
@Suite struct ReadingTests {
  /// One section with those attributes in place of the usual ones.
  private func read(
    _ lines: [String], kind: String = "video", formats: String = "96 97 98", bandwidth: [String] = [],
    session: [String] = ["group:BUNDLE v d"]
  ) throws -> RemoteSection {
    let text =
      ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"] + session.map { "a=" + $0 }
      + ["m=\(kind) 9 UDP/TLS/RTP/SAVPF \(formats)", "c=IN IP4 0.0.0.0"] + bandwidth.map { "b=" + $0 }
      + ([
        "mid:v", "rtcp-mux", "sendonly", "ice-ufrag:abcd", "ice-pwd:0123456789012345678901", "setup:actpass",
        "fingerprint:\(ourFingerprint)",
      ] + lines).map { "a=" + $0 }
    // So that there is a transport when the section itself is of no use.
    let application = [
      "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:d", "a=ice-ufrag:abcd",
      "a=ice-pwd:0123456789012345678901", "a=setup:actpass", "a=fingerprint:\(ourFingerprint)", "a=sctp-port:5000",
    ]
    let lines = (text + application).joined(separator: "\r\n") + "\r\n"
    var session = room()
    return try session.receiveOffer(SessionDescription(parsing: lines)).sections[0]
  }
  private let vp8 = ["rtpmap:96 VP8/90000", "rtpmap:97 rtx/90000", "fmtp:97 apt=96"]

  @Test(arguments: [
    ("q;h;f", ["q", "h", "f"]), ("f;h;q", ["f", "h", "q"]), ("q,h;f", ["q", "f"]), ("x,h;f", ["h", "f"]),
    ("q;q", ["q"]), ("q;h;f;g", ["q", "h", "f"]), ("", ["q", "h", "f"]), ("~q;h", ["q", "h"]),
  ])
  func ordersEncodingsBySimulcastNotByRid(list: String, expected: [String]) throws {
    let rids = ["rid:q send", "rid:h send", "rid:f send", "rid:g send", "rid:r recv"]
    let simulcast = list.isEmpty ? [] : ["simulcast:recv r send \(list)"]
    let section = try read(vp8 + rids + simulcast)
    #expect(section.encodings.map(\.rid) == expected)
    #expect(section.encodings.map(\.isPaused) == expected.map { list.contains("~" + $0) })
  }

  @Test func restrictsARidToPayloadTypes() throws {
    let rids = ["rid:a send pt=96,98;max-width=1280;max-fps=30", "rid:b send pt=98", "rid:c send max-br=500000"]
    let section = try read(vp8 + ["rtpmap:98 X/90000"] + rids + ["simulcast:send a;b;c"])
    // 98 is nothing that we know, so b could never arrive.
    #expect(section.encodings.map(\.rid) == ["a", "c"])
    #expect(section.encodings[0].payloadTypes == [PayloadType(96)])
    #expect(section.encodings[0].restrictions == "max-width=1280;max-fps=30")
  }

  @Test func readsTheGroupsOfSources() throws {
    let layers = try read(
      vp8 + [
        "ssrc-group:SIM 1 2 3", "ssrc-group:FID 1 11", "ssrc-group:FID 2 12", "ssrc-group:FID 3 13", "ssrc:1 cname:c",
        "ssrc:1 msid:s t", "ssrc:2 cname:c", "ssrc:3 cname:c", "ssrc:11 cname:c",
      ])
    #expect(layers.isSimulcast && layers.cname == "c" && layers.streamID == "s" && layers.trackID == "t")
    #expect(layers.encodings.map(\.ssrc?.rawValue) == [1, 2, 3])
    #expect(layers.encodings.map(\.retransmissionSSRC?.rawValue) == [11, 12, 13])
    // The retransmissions may be listed first.
    let single = try read(vp8 + ["ssrc:9 cname:c", "ssrc:8 cname:c", "ssrc-group:FID 8 9"])
    #expect(single.encodings == [RemoteEncoding(ssrc: SSRC(8), retransmissionSSRC: SSRC(9))])
    let fec = try read(vp8 + ["ssrc-group:FEC-FR 5 6", "ssrc:6 cname:c", "ssrc:5 cname:c"])
    #expect(fec.encodings == [RemoteEncoding(ssrc: SSRC(5))])
    let broken = try read(vp8 + ["ssrc-group:FID 8 9 x", "ssrc-group:FID 7 7", "ssrc-group:SIM 4 4", "ssrc:8 cname:c"])
    #expect(broken.encodings == [RemoteEncoding(ssrc: SSRC(8))])
  }

  @Test func zipsRidsWithAGroupOfLayers() throws {
    let section = try read(
      vp8 + ["rid:q send", "rid:f send", "simulcast:send q;f", "ssrc-group:SIM 1 2", "ssrc-group:FID 1 11"])
    #expect(section.encodings.map(\.ssrc?.rawValue) == [1, 2])
    #expect(section.encodings[0].retransmissionSSRC == SSRC(11))
  }

  @Test(arguments: [
    ("packetization-mode=1;profile-level-id=42e01f", true), ("profile-level-id=42E034;packetization-mode=1", true),
    ("packetization-mode=1", true), ("packetization-mode=0;profile-level-id=42001f", true),
    ("packetization-mode=1;profile-level-id=64001f", true), ("packetization-mode=1;profile-level-id=640c1f", false),
    ("packetization-mode=1;profile-level-id=4d001f", false), ("packetization-mode=2;profile-level-id=42e01f", false),
    ("packetization-mode=1;profile-level-id=42e0", false), ("packetization-mode=x;profile-level-id=42e01f", false),
    ("packetization-mode=1;profile-level-id=+2e01f", false), ("profile-level-id=4d801f;packetization-mode=1", true),
  ])
  func matchesH264ByProfileNotByLevel(parameters: String, isOurs: Bool) throws {
    let section = try read(["rtpmap:98 H264/90000", "fmtp:98 \(parameters)"])
    #expect(section.isUnusable == !isOurs)
    #expect(section.codecs.map(\.encodingName) == (isOurs ? ["H264"] : []))
  }

  @Test(arguments: [
    ("VP9", "profile-id=0", true), ("VP9", "", true), ("VP9", "profile-id=2", true), ("VP9", "profile-id=1", false),
    ("AV1", "profile=0;level-idx=8", true), ("AV1", "", true), ("AV1", "profile=1", false), ("vp8", "max-fr=30", true),
    ("H265", "", false),
  ])
  func matchesOtherCodecsByProfile(name: String, parameters: String, isOurs: Bool) throws {
    let fmtp = parameters.isEmpty ? [] : ["fmtp:98 \(parameters)"]
    #expect(try read(["rtpmap:98 \(name)/90000"] + fmtp).codecs.isEmpty == !isOurs)
  }

  @Test func takesOpusWithTwoChannelsOnly() throws {
    #expect(try read(["rtpmap:96 opus/48000/2"], kind: "audio", formats: "96").codecs.count == 1)
    #expect(try read(["rtpmap:96 opus/48000"], kind: "audio", formats: "96").isUnusable)
    #expect(try read(["rtpmap:96 opus/16000/2"], kind: "audio", formats: "96").isUnusable)
  }

  @Test(arguments: [("111/111", 2), ("111", 2), ("111/9", 1), ("9/9", 1), ("/", 1), ("x", 1)])
  func takesREDAroundOpusOnly(blocks: String, codecs: Int) throws {
    let section = try read(
      ["rtpmap:111 opus/48000/2", "rtpmap:63 red/48000/2", "fmtp:63 \(blocks)", "rtpmap:9 G722/8000"], kind: "audio",
      formats: "63 111 9")
    #expect(section.codecs.count == codecs)
  }

  @Test func countsDuplicateNumbersOnce() throws {
    let section = try read(vp8 + ["rtpmap:98 VP8/90000"], formats: "96 96 98 97 97 300 -1 x")
    #expect(section.codecs.map(\.payloadType.rawValue) == [96] && section.codecs[0].retransmission == PayloadType(97))
  }

  @Test func readsFeedbackForAllPayloadTypes() throws {
    let section = try read(
      vp8 + ["rtcp-fb:* nack", "rtcp-fb:* ccm  fir", "rtcp-fb:96 nack pli ", "rtcp-fb:96 ack rpsi"])
    #expect(section.codecs[0].feedback == ["ccm fir", "nack", "nack pli"])
  }

  @Test func readsBandwidthInBitsOrKilobits() throws {
    #expect(try read(vp8, bandwidth: ["AS:500"]).maximumBitrate == 500_000)
    #expect(try read(vp8, bandwidth: ["AS:500", "TIAS:499000"]).maximumBitrate == 499_000)
    #expect(try read(vp8, bandwidth: ["AS:-1", "X-YZ:7"]).maximumBitrate == nil)
  }

  @Test func readsExtensionsOnceAndWithinTheHeadersRange() throws {
    let lines = [
      "extmap:1/sendonly \(ExtensionURI.mid)", "extmap:1 \(ExtensionURI.rid)", "extmap:2 \(ExtensionURI.mid)",
      "extmap:3 urn:unknown", "extmap:0 \(ExtensionURI.playoutDelay)", "extmap:20 \(ExtensionURI.absoluteSendTime)",
      "extmap:4096 \(ExtensionURI.videoOrientation)", "extmap:15 \(ExtensionURI.absoluteCaptureTime)",
    ]
    #expect(try read(vp8 + lines).extensions == [ExtensionURI.mid: 1])
    #expect(
      try read(vp8 + lines + ["extmap-allow-mixed"]).extensions == [
        ExtensionURI.mid: 1, ExtensionURI.absoluteSendTime: 20,
      ])
  }

  @Test func takesOneSectionAloneWithoutABundle() throws {
    let text = try description("chromium-156-publish-offer").replacing("a=group:BUNDLE 0 1 2\r\n", "")
    var session = room()
    #expect(try session.receiveOffer(text).sections.map(\.isUnusable) == [false, true, true])
    let answer = try session.makeAnswer(receiving: ["0": ReceiverPlan()])
    #expect(answer.groups("BUNDLE").isEmpty && answer.media.map { $0.port != 0 } == [true, false, false])
    #expect(answer.media[0].candidates.count == 1)
  }

  @Test func refusesSectionsOutsideTheBundleAndThoseWithoutMultiplexedRTCP() throws {
    let outside = try description("chromium-156-publish-offer").replacing("BUNDLE 0 1 2", "BUNDLE 1 2")
    var session = room()
    _ = try session.receiveOffer(outside)
    let answer = try session.makeAnswer(receiving: ["0": ReceiverPlan(), "1": ReceiverPlan()])
    #expect(answer.media.map { $0.port != 0 } == [false, true, true] && answer.groups("BUNDLE") == [["1", "2"]])
    #expect(answer.media[0].formats == outside.media[0].formats && answer.media[1].candidates.count == 1)
    #expect(try read(["rtpmap:96 VP8/90000"], session: []).isUnusable == false)
    var unmuxed = room()
    let offer = try description("pion-3.1-whip-offer").replacing("a=rtcp-mux\r\n", "")
    #expect(throws: NegotiationError.noTransport) { try unmuxed.receiveOffer(offer) }
  }

  @Test func readsSectionsWithoutMid() throws {
    let text = try description("pion-3.1-whip-offer").replacing("a=group:BUNDLE 0 1\r\n", "").replacing(
      "a=mid:0\r\n", "")
    var session = room()
    #expect(try session.receiveOffer(text).sections[0].mid == "0")
    let answer = try session.makeAnswer(receiving: ["0": ReceiverPlan()])
    #expect(answer.media[0].mid == nil && answer.direction(of: answer.media[0]) == .recvonly)
  }
}
