import Core
import RTP
import Testing

@testable import SFU

@Suite struct DemultiplexingTests {
  @Test func knowsStreamsThatTheDescriptionNames() {
    let bench = Bench()
    let audio = bench.publish(Client.audio(ssrc: SSRC(10)), id: 1)
    let video = bench.publish(Client.video(ssrc: SSRC(20), retransmission: SSRC(21)), id: 2)
    bench.send(Client.packet(Client.opus, 1, 0, ssrc: SSRC(10), payload: [1]))
    bench.send(Client.packet(Client.vp8, 1, 0, ssrc: SSRC(20), payload: Client.vp8(picture: 1, isKey: true)))
    #expect(audio.sequences == [1] && video.sequences == [1])
    #expect(video.packets[0].isKeyFrame && video.packets[0].startsFrame)
    #expect(
      bench.takeEvents() == [.producerStarted(ProducerID(rawValue: 1)), .producerStarted(ProducerID(rawValue: 2))])
  }

  @Test func learnsByMIDAndGoesOnWithoutIt() {
    let bench = Bench()
    let first = bench.publish(Client.audio(mid: "a0"), id: 1)
    let second = bench.publish(Client.audio(mid: "a1"), id: 2)
    bench.send(Client.packet(Client.opus, 1, 0, ssrc: SSRC(10), payload: [1]))
    #expect(bench.statistics?.packetsUnknown == 1, "two tracks have that payload type")
    bench.send(Client.packet(Client.opus, 2, 0, ssrc: SSRC(10), elements: [(.mid, Array("a1".utf8))], payload: [1]))
    bench.send(Client.packet(Client.opus, 3, 0, ssrc: SSRC(10), payload: [1]))
    bench.send(Client.packet(Client.opus, 3, 0, ssrc: SSRC(11), elements: [(.mid, Array("zz".utf8))], payload: [1]))
    #expect(first.packets.isEmpty && second.sequences == [2, 3])
    #expect(bench.statistics?.packetsUnknown == 2)
  }

  @Test func learnsByAPayloadTypeThatOneTrackHas() {
    let bench = Bench()
    let audio = bench.publish(Client.audio(), id: 1)
    let video = bench.publish(Client.video(), id: 2)
    bench.send(Client.packet(Client.opus, 1, 0, ssrc: SSRC(10), payload: [1]))
    bench.send(Client.packet(Client.vp8, 1, 0, ssrc: SSRC(20), payload: Client.vp8(picture: 1)))
    #expect(audio.sequences == [1] && video.sequences == [1])
  }

  @Test func tellsSimulcastLayersByRIDWhateverTheirOrder() throws {
    let bench = Bench()
    let sink = bench.publish(Client.simulcast())
    for (ssrc, rid) in [(30, "f"), (31, "q"), (32, "h")] {
      bench.send(
        Client.packet(
          Client.vp8, 1, 0, ssrc: SSRC(UInt32(ssrc)), elements: [(.mid, Array("1".utf8)), (.rid, Array(rid.utf8))],
          payload: Client.vp8(picture: 1, isKey: true)))
    }
    #expect(sink.packets.map(\.spatialLayer) == [2, 0, 1])
    #expect(sink.changes == 3)
    let producer = try #require(bench.producer)
    #expect(producer.stream(spatialLayer: 0)?.ssrc == SSRC(31) && producer.stream(spatialLayer: 2)?.ssrc == SSRC(30))
    #expect(bench.takeEvents().contains(.layersSeen(ProducerID(rawValue: 1), spatialLayers: 0b111)))
    // Neither a RID that nobody negotiated nor none at all can be placed.
    for elements in [[(.mid, Array("1".utf8)), (.rid, Array("x".utf8))], [(.mid, Array("1".utf8))]]
      as [[(HeaderExtension, [UInt8])]]
    {
      bench.send(
        Client.packet(Client.vp8, 1, 0, ssrc: SSRC(40), elements: elements, payload: Client.vp8(picture: 1)))
    }
    #expect(sink.packets.count == 3)
  }

  @Test func unwrapsRetransmissionsByRepairedRIDBySSRCAndByPayloadType() throws {
    let bench = Bench()
    let layers = bench.publish(Client.simulcast(mid: "1"), id: 1)
    let named = bench.publish(Client.video(mid: "2", ssrc: SSRC(50), retransmission: SSRC(51)), id: 2)
    let learnt = bench.publish(Client.video(mid: "3"), id: 3)
    func media(_ sequence: Int, _ ssrc: UInt32, _ elements: [(HeaderExtension, [UInt8])]) -> [UInt8] {
      Client.packet(
        Client.vp8, sequence, 9, ssrc: SSRC(ssrc), elements: elements,
        payload: Client.vp8(picture: sequence, isKey: true))
    }
    let mid1: [(HeaderExtension, [UInt8])] = [(.mid, Array("1".utf8))]
    for sequence in [1, 3] {
      bench.send(media(sequence, 30, mid1 + [(.rid, Array("h".utf8))]))
      bench.send(media(sequence, 50, []))
      bench.send(media(sequence, 60, [(.mid, Array("3".utf8))]))
    }
    func repair(_ ssrc: UInt32, _ elements: [(HeaderExtension, [UInt8])]) throws {
      bench.send(try Client.retransmission(of: media(2, 1, elements), Client.vp8RTX, 700, ssrc: SSRC(ssrc)))
    }
    try repair(31, mid1 + [(.repairedRID, Array("h".utf8))])
    try repair(51, [])
    try repair(61, [(.mid, Array("3".utf8))])
    for sink in [layers, named, learnt] {
      #expect(sink.sequences == [1, 3, 2])
      #expect(sink.packets.last?.isLate == true)
      #expect(sink.packets.last?.header.ssrc != SSRC(1))
      #expect(sink.payloads.last == Client.vp8(picture: 2, isKey: true))
    }
    #expect(layers.packets.last?.spatialLayer == 1)
    // Padding on the retransmission stream is no media; a layer that never came has nothing to repair.
    bench.send(Client.packet(Client.vp8RTX, 701, 9, ssrc: SSRC(51), payload: []))
    try repair(32, mid1 + [(.repairedRID, Array("f".utf8))])
    #expect(named.packets.count == 3 && layers.packets.count == 3)
  }

  @Test func boundsTheStreamsOfOnePeer() {
    let bench = Bench(configuration: RouterConfiguration(maximumStreams: 5))
    let sink = bench.publish(Client.audio())
    for ssrc in UInt32(1)...50 { bench.send(Client.packet(Client.opus, 1, 0, ssrc: SSRC(ssrc), payload: [1])) }
    #expect(sink.packets.count == 5)
    #expect(bench.statistics?.packetsUnknown == 45)
  }

  @Test func dropsWhatAFloodBringsAndCountsIt() {
    let bench = Bench(configuration: RouterConfiguration(maximumPacketRate: 1_000))
    let sink = bench.publish(Client.audio())
    for sequence in 0..<3_000 { bench.send(Client.packet(Client.opus, sequence, 0, ssrc: SSRC(1), payload: [1])) }
    #expect(sink.packets.count == 500)
    #expect(bench.statistics?.packetsFlooded == 2_500)
    bench.wait(.milliseconds(100))
    for sequence in 600..<1_000 { bench.send(Client.packet(Client.opus, sequence, 0, ssrc: SSRC(1), payload: [1])) }
    #expect(sink.packets.count == 600, "a hundredth of a thousand each 100 ms")
  }

  @Test func countsWhatIsMalformedOrWasNeverNegotiated() {
    let bench = Bench()
    let sink = bench.publish(Client.video(ssrc: SSRC(20)))
    for junk in [[], [0x80], [UInt8](repeating: 0x40, count: 40), [UInt8](repeating: 0x80, count: 3_000)] {
      bench.send(junk)
    }
    bench.send(Client.packet(PayloadType(13), 1, 0, ssrc: SSRC(20), payload: [1]))
    #expect(bench.statistics?.packetsMalformed == 4 && bench.statistics?.packetsUnknown == 1)
    bench.send(Client.packet(Client.vp8, 2, 0, ssrc: SSRC(20), payload: Client.vp8(picture: 1, isKey: true)))
    // A descriptor cut short, padding alone: their numbers are passed over, so that nobody waits for them.
    bench.send(Client.packet(Client.vp8, 3, 0, ssrc: SSRC(20), payload: [0x90]))
    bench.send(Client.packet(Client.vp8, 4, 0, ssrc: SSRC(20), payload: []))
    #expect(sink.sequences == [2] && sink.skipped.map { UInt16(truncatingIfNeeded: $0) } == [3, 4])
    [UInt8]([0x80, 200, 0, 50]).withUnsafeBytes { bench.peer.receive(rtcp: $0, now: bench.now) }
    #expect(bench.statistics?.packetsMalformed == 5)
  }

  @Test func forwardsNoPacketTwice() {
    let bench = Bench()
    let sink = bench.publish(Client.audio(ssrc: SSRC(1)))
    for sequence in [1, 2, 2, 1, 5, 3, 3, 4, 5] {
      bench.send(Client.packet(Client.opus, sequence, 0, ssrc: SSRC(1), payload: [1]))
    }
    #expect(sink.sequences == [1, 2, 5, 3, 4])
    #expect(sink.packets.map(\.isLate) == [false, false, false, true, true])
  }

  @Test func takesANumberingThatStartsAnewForANewStream() throws {
    let bench = Bench()
    let sink = bench.publish(Client.audio(ssrc: SSRC(1)))
    bench.send(Client.packet(Client.opus, 100, 0, ssrc: SSRC(1), payload: [1]))
    // One packet far off is noise; the next in order shows that the publisher started again.
    bench.send(Client.packet(Client.opus, 40_000, 0, ssrc: SSRC(1), payload: [1]))
    #expect(sink.sequences == [100])
    bench.send(Client.packet(Client.opus, 40_001, 960, ssrc: SSRC(1), payload: [1]))
    bench.send(Client.packet(Client.opus, 40_002, 1_920, ssrc: SSRC(1), payload: [1]))
    #expect(sink.sequences == [100, 40_001, 40_002])
    #expect(sink.packets.map(\.streamIndex) == [0, 1, 1])
    #expect(try #require(bench.producer).streams.map(\.isActive) == [false, true])
  }

  @Test func ignoresAPeerThatIsGone() {
    let bench = Bench()
    let sink = bench.publish(Client.audio(ssrc: SSRC(1)))
    bench.router.removePeer(PeerID(rawValue: 1))
    bench.send(Client.packet(Client.opus, 1, 0, ssrc: SSRC(1), payload: [1]))
    #expect(sink.packets.isEmpty && bench.router.producers.isEmpty && bench.statistics == nil)
  }
}
