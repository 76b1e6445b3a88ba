import Core
import RTP
import Testing

@testable import SFU

/// The router as the control plane drives it: one publisher with VP8 and Opus, subscribers that keep what they get.
@Suite struct RouterTests {
  private final class Scene {
    let bench = Bench()
    let subscriber = RecordingTransport()
    let receiver: any PacketReceiver
    static let video = ProducerID(rawValue: 1)
    static let watcher = PeerID(rawValue: 9)
    static let consumer = ConsumerID(rawValue: 5)
    private var sequence = 0
    private var picture = 0

    init() {
      receiver = bench.router.addPeer(Self.watcher, transport: subscriber, now: bench.now)
      bench.router.addProducer(
        Self.video, peer: PeerID(rawValue: 1), parameters: Client.video(ssrc: SSRC(20), retransmission: SSRC(21)))
    }

    func parameters(_ preferences: ConsumerPreferences = ConsumerPreferences()) -> ConsumerParameters {
      ConsumerParameters(
        mid: "7", ssrc: SSRC(500), retransmissionSSRC: SSRC(501), codecs: Client.videoCodecs,
        extensions: Client.extensions, cname: "ada", preferences: preferences)
    }

    func subscribe(_ preferences: ConsumerPreferences = ConsumerPreferences()) -> Bool {
      bench.router.addConsumer(Self.consumer, of: Self.video, peer: Self.watcher, parameters: parameters(preferences))
    }

    func film(_ frames: Int, keyAt: Int? = nil) {
      for frame in 0..<frames {
        sequence += 1
        picture += 1
        bench.send(
          Client.packet(
            Client.vp8, sequence, picture * 3_000, ssrc: SSRC(20), marker: true,
            payload: Client.vp8(picture: picture, tl0: picture, isKey: frame == keyAt)))
        bench.wait(.milliseconds(35))
      }
    }

    func report(_ packets: RTCPPacket...) {
      RTCPPacket.compound(packets).withUnsafeBytes { receiver.receive(rtcp: $0, now: bench.now) }
    }

    var received: [RTPHeader] { subscriber.rtp.compactMap { try? RTPHeader(parsing: $0) } }
  }

  private func requests(_ transport: RecordingTransport) -> Int {
    transport.reports.filter { if case .pictureLossIndication(_, SSRC(20)) = $0 { true } else { false } }.count
  }

  @Test func asksForAKeyFrameAndForwardsFromItOn() {
    let scene = Scene()
    scene.film(3, keyAt: 0)
    let before = requests(scene.bench.transport)
    #expect(scene.subscribe())
    scene.film(2)
    #expect(scene.subscriber.rtp.isEmpty && requests(scene.bench.transport) == before + 1)
    scene.film(5, keyAt: 0)
    #expect(scene.received.count == 5)
    #expect(scene.received.allSatisfy { $0.ssrc == SSRC(500) && $0.payloadType == Client.vp8 })
    let first = scene.received[0].sequence
    #expect(scene.received.map { $0.sequence &- first } == [0, 1, 2, 3, 4])
    let told = scene.bench.takeEvents().contains {
      if case .currentLayer(Scene.consumer, spatial: 0, temporal: _) = $0 { true } else { false }
    }
    #expect(told)
  }

  @Test func passesRequestsOfSubscribersOn() {
    let scene = Scene()
    #expect(scene.subscribe())
    scene.film(3, keyAt: 0)
    scene.bench.wait(.seconds(1))
    scene.bench.transport.rtcp = []
    scene.report(.pictureLossIndication(sender: SSRC(1), media: SSRC(500)))
    #expect(requests(scene.bench.transport) == 1)
    scene.film(1, keyAt: 0)
    scene.bench.wait(.seconds(1))
    scene.report(.fullIntraRequest(sender: SSRC(1), requests: [FullIntraRequest(media: SSRC(500), sequence: 3)]))
    #expect(requests(scene.bench.transport) == 2)
    scene.report(.pictureLossIndication(sender: SSRC(1), media: SSRC(777)))
    #expect(requests(scene.bench.transport) == 2, "nobody's stream")
  }

  @Test func answersNACKsOnTheRetransmissionStream() throws {
    let scene = Scene()
    #expect(scene.subscribe())
    scene.film(5, keyAt: 0)
    let lost = scene.received[2]
    let original = scene.subscriber.rtp[2]
    scene.subscriber.rtp = []
    scene.report(.nack(sender: SSRC(1), media: SSRC(500), lost: [lost.sequence]))
    scene.bench.wait(.milliseconds(10))
    let repair = try #require(scene.received.first)
    #expect(scene.received.count == 1 && repair.ssrc == SSRC(501) && repair.payloadType == Client.vp8RTX)
    let bytes = scene.subscriber.rtp[0]
    let payload = Array(bytes[repair.payload])
    #expect(payload.prefix(2) == [UInt8(lost.sequence >> 8), UInt8(lost.sequence & 0xFF)])
    #expect(Array(payload.dropFirst(2)) == Array(original[lost.payload]))
  }

  @Test func reportsToSubscribersWithTheirCNAMEAndMeasuresTheRoundTrip() throws {
    let scene = Scene()
    #expect(scene.subscribe())
    for _ in 0..<40 { scene.film(1, keyAt: 0) }
    var middle: UInt32?
    var names: [SSRC: String] = [:]
    for packet in scene.subscriber.takeReports() {
      if case .senderReport(let report) = packet {
        #expect(report.sender == SSRC(500) && report.packetCount > 0)
        middle = report.ntp.middle
      }
      if case .sourceDescription(let chunks) = packet { for chunk in chunks { names[chunk.source] = chunk.cname } }
    }
    let echoed = try #require(middle)
    #expect(names[SSRC(500)] == "ada" && names.count == 2)
    scene.report(
      .receiverReport(
        sender: SSRC(1),
        blocks: [
          ReportBlock(
            source: SSRC(500), fractionLost: 51, cumulativeLost: 4, extendedHighestSequence: 0, jitter: 90,
            lastSenderReport: echoed, delaySinceLastSenderReport: 0)
        ]))
    let statistics = try #require(scene.bench.router.statistics().consumers.first)
    #expect(statistics.statistics.fractionLost == 51 && statistics.statistics.packetsLost == 4)
    #expect(try #require(statistics.statistics.roundTrip) < .seconds(2))
    scene.bench.wait(.seconds(6))
    let scores = scene.bench.takeEvents().compactMap { event -> Float? in
      if case .quality(Scene.watcher, let score) = event { score } else { nil }
    }
    #expect(try #require(scores.last) < 3.5, "a fifth of all packets is lost")
  }

  @Test func refusesWhatCannotBe() {
    let scene = Scene()
    var other = scene.parameters()
    other.codecs = [CodecParameters(codec: .h264, payloadType: PayloadType(125))]
    #expect(!scene.bench.router.addConsumer(Scene.consumer, of: Scene.video, peer: Scene.watcher, parameters: other))
    #expect(
      !scene.bench.router.addConsumer(
        Scene.consumer, of: ProducerID(rawValue: 77), peer: Scene.watcher, parameters: scene.parameters()))
    #expect(
      !scene.bench.router.addConsumer(
        Scene.consumer, of: Scene.video, peer: PeerID(rawValue: 77), parameters: scene.parameters()))
    #expect(scene.bench.router.consumers.isEmpty)
    // Unknown names are nothing to fall over.
    scene.bench.router.removeConsumer(Scene.consumer)
    scene.bench.router.removeProducer(ProducerID(rawValue: 77))
    scene.bench.router.setProducer(ProducerID(rawValue: 77), muted: true)
    scene.bench.router.requestKeyFrame(ProducerID(rawValue: 77))
    scene.bench.router.updateConsumer(Scene.consumer, preferences: ConsumerPreferences())
  }

  @Test func wantsLayersAtOnceAndLetsGoOfThemAfterFiveSeconds() {
    let scene = Scene()
    func wanted() -> [Int?] {
      scene.bench.takeEvents().compactMap { event -> Int?? in
        if case .wantedLayers(Scene.video, let layer) = event { .some(layer) } else { nil }
      }
    }
    scene.bench.wait(.milliseconds(4_900))
    #expect(wanted().isEmpty)
    scene.bench.wait(.milliseconds(300))
    #expect(wanted() == [nil], "nobody watches")
    #expect(scene.subscribe(ConsumerPreferences(maximumSpatialLayer: 1)))
    #expect(wanted() == [1])
    scene.bench.router.updateConsumer(Scene.consumer, preferences: ConsumerPreferences(maximumSpatialLayer: 2))
    #expect(wanted() == [2])
    scene.bench.router.updateConsumer(Scene.consumer, preferences: ConsumerPreferences(isPaused: true))
    scene.bench.wait(.seconds(4))
    scene.bench.router.updateConsumer(Scene.consumer, preferences: ConsumerPreferences(maximumSpatialLayer: 2))
    scene.bench.wait(.seconds(10))
    #expect(wanted().isEmpty, "it was wanted again in time")
    scene.bench.router.removeConsumer(Scene.consumer)
    scene.bench.wait(.seconds(6))
    #expect(wanted() == [nil])
  }

  @Test func forwardsNothingOfAMutedTrack() {
    let scene = Scene()
    #expect(scene.subscribe())
    scene.film(3, keyAt: 0)
    scene.bench.router.setProducer(Scene.video, muted: true)
    scene.film(3)
    #expect(scene.received.count == 3)
    scene.bench.router.setProducer(Scene.video, muted: false)
    scene.film(2)
    #expect(scene.received.count == 3, "nobody could decode these")
    scene.film(2, keyAt: 0)
    #expect(scene.received.count == 5)
    let first = scene.received[0].sequence
    #expect(scene.received.map { $0.sequence &- first } == [0, 1, 2, 3, 4])
  }

  @Test func favoursThePicturesOfWhoSpeaks() throws {
    let scene = Scene()
    #expect(scene.subscribe())
    _ = scene.bench.publish(Client.audio(mid: "0", ssrc: SSRC(10)), id: 2)
    let consumer = try #require(scene.bench.router.consumers[Scene.consumer])
    func say(_ level: Int, from start: Int) {
      for step in 0..<60 {
        scene.bench.send(
          Client.packet(
            Client.opus, start + step, (start + step) * 960, ssrc: SSRC(10),
            elements: [(.audioLevel, Client.audioLevel(level))], payload: [1]))
        scene.bench.wait(.milliseconds(20))
      }
    }
    #expect(!consumer.isSpeaking)
    say(12, from: 0)
    #expect(consumer.isSpeaking)
    say(90, from: 60)
    #expect(!consumer.isSpeaking)
  }

  @Test func putsAPeerWithTheSameNameInThePlaceOfTheOld() {
    let scene = Scene()
    #expect(scene.subscribe())
    let again = RecordingTransport()
    _ = scene.bench.router.addPeer(Scene.watcher, transport: again, now: scene.bench.now)
    #expect(scene.bench.router.consumers.isEmpty && scene.bench.router.peerList.count == 2)
    scene.film(3, keyAt: 0)
    #expect(scene.subscriber.rtp.isEmpty && again.rtp.isEmpty)
  }
}

/// What a router leaves behind.
@Suite struct RouterLifetimeTests {
  @Test func nothingOutlivesTheRouter() throws {
    weak var producer: Producer?
    weak var consumer: Consumer?
    weak var peer: Peer?
    do {
      let bench = Bench()
      _ = bench.router.addPeer(PeerID(rawValue: 2), transport: RecordingTransport(), now: bench.now)
      _ = bench.publish(Client.video(ssrc: SSRC(20)))
      let parameters = ConsumerParameters(
        mid: "7", ssrc: SSRC(500), retransmissionSSRC: SSRC(501), codecs: Client.videoCodecs,
        extensions: Client.extensions, cname: "ada")
      #expect(
        bench.router.addConsumer(
          ConsumerID(rawValue: 5), of: ProducerID(rawValue: 1), peer: PeerID(rawValue: 2), parameters: parameters))
      bench.send(Client.packet(Client.vp8, 1, 0, ssrc: SSRC(20), payload: Client.vp8(picture: 1, isKey: true)))
      bench.wait(.milliseconds(50))
      producer = bench.producer
      consumer = bench.router.consumers[ConsumerID(rawValue: 5)]
      peer = bench.router.peers[PeerID(rawValue: 2)]
      #expect(producer != nil && consumer != nil && peer != nil)
    }
    #expect(producer == nil && consumer == nil && peer == nil)
  }
}
