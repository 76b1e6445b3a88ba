import Core
import RTP
import Testing

@testable import SFU

@Suite struct FrameRecognitionTests {
  private func h264(_ sequence: Int, _ timestamp: Int, _ payload: [UInt8], marker: Bool = false) -> [UInt8] {
    Client.packet(Client.h264, sequence, timestamp, ssrc: SSRC(20), marker: marker, payload: payload)
  }

  private func parameters(_ codec: MediaCodec, _ payloadType: PayloadType) -> ProducerParameters {
    var parameters = Client.video(ssrc: SSRC(20))
    parameters.codecs = [CodecParameters(codec: codec, payloadType: payloadType)]
    return parameters
  }

  @Test func tellsFramesOfH264ByTimestampAndMarker() {
    let bench = Bench()
    let sink = bench.publish(parameters(.h264, Client.h264))
    bench.send(h264(1, 0, [0x67, 0x42]))
    bench.send(h264(2, 0, [0x7C, 0x85, 1]))
    bench.send(h264(3, 0, [0x7C, 0x45, 1], marker: true))
    bench.send(h264(4, 3_000, [0x41, 1], marker: true))
    // The start of the next is missing: nothing says that this is one.
    bench.send(h264(6, 6_000, [0x7C, 0x01, 1]))
    bench.send(h264(7, 9_000, [0x41, 1]))
    #expect(sink.packets.map(\.startsFrame) == [true, false, false, true, false, true])
    #expect(sink.packets.map(\.endsFrame) == [false, false, true, true, false, false])
    #expect(sink.packets.map(\.isKeyFrame) == [true, true, true, false, false, false])
  }

  @Test func marksEveryPacketOfAVP8KeyFrameAndSwitchPointsOfLayers() {
    let bench = Bench()
    let sink = bench.publish(Client.video(ssrc: SSRC(20)))
    func send(_ sequence: Int, _ timestamp: Int, _ payload: [UInt8]) {
      bench.send(Client.packet(Client.vp8, sequence, timestamp, ssrc: SSRC(20), payload: payload))
    }
    send(1, 0, Client.vp8(picture: 1, isKey: true))
    send(2, 0, Client.vp8(picture: 1, startsFrame: false))
    send(3, 3_000, Client.vp8(picture: 2, temporal: 2, isSync: true))
    send(4, 6_000, Client.vp8(picture: 3, temporal: 1))
    #expect(sink.packets.map(\.isKeyFrame) == [true, true, false, false])
    #expect(sink.packets.map(\.temporalLayer) == [0, 0, 2, 1])
    #expect(sink.packets.map(\.isSwitchPoint) == [true, true, true, false])
    #expect(bench.producer?.streams.first?.highestTemporalLayer == 2)
  }

  @Test func readsSpatialLayersOffVP9() {
    let bench = Bench()
    let sink = bench.publish(parameters(.vp9, PayloadType(98)))
    func send(_ sequence: Int, _ payload: [UInt8]) {
      bench.send(Client.packet(PayloadType(98), sequence, 0, ssrc: SSRC(20), payload: payload))
    }
    send(1, [0xAC, 0x01, 0x00, 0x00, 1])
    send(2, [0xAC, 0x01, 0x03, 0x00, 1])
    send(3, [0xEC, 0x02, 0x22, 0x01, 1])
    #expect(sink.packets.map(\.spatialLayer) == [0, 1, 1])
    #expect(sink.packets.map(\.temporalLayer) == [0, 0, 1])
    #expect(sink.packets.map(\.isKeyFrame) == [true, true, false])
    #expect(sink.packets.allSatisfy { $0.startsFrame && $0.endsFrame })
    #expect(bench.takeEvents().contains(.layersSeen(ProducerID(rawValue: 1), spatialLayers: 0b11)))
  }

  @Test func asksForTheStructureThatAV1PacketsAreReadBy() {
    let bench = Bench()
    let sink = bench.publish(parameters(.av1, PayloadType(35)))
    func send(_ sequence: Int, _ dependency: [UInt8]) {
      bench.send(
        Client.packet(
          PayloadType(35), sequence, sequence * 3_000, ssrc: SSRC(20),
          elements: [(.dependencyDescriptor, dependency)], payload: [0x10, 1, 2]))
    }
    send(1, [0xC1, 0, 1])
    bench.wait(.milliseconds(5))
    #expect(bench.transport.reports.contains { if case .pictureLossIndication = $0 { true } else { false } })
    #expect(sink.packets.count == 1 && sink.packets[0].descriptor == .none && !sink.packets[0].isKeyFrame)
    // A structure whose only template is 1: flags 10000, offset 1, one target, layers 3, indication 2, no difference, no
    // chain, no resolution.
    send(2, [0xC1, 0, 2, 0x80, 0x20, 0xE0])
    #expect(sink.packets[1].isKeyFrame && sink.packets[1].startsFrame)
    send(3, [0xC1, 0, 3])
    guard case .dependency(let descriptor) = sink.packets[2].descriptor else {
      Issue.record("no descriptor")
      return
    }
    #expect(
      descriptor.frameNumber == 3 && !sink.packets[2].isKeyFrame
        && bench.producer?.streams[0].dependencyStructure != nil)
  }

  @Test func takesAV1WithoutTheExtensionByItsAggregationHeader() {
    let bench = Bench()
    let sink = bench.publish(parameters(.av1, PayloadType(35)))
    for (sequence, timestamp, payload) in [(1, 0, 0x18), (2, 0, 0x80), (3, 9, 0x10)] {
      bench.send(
        Client.packet(PayloadType(35), sequence, timestamp, ssrc: SSRC(20), payload: [UInt8(payload), 1]))
    }
    #expect(sink.packets.map(\.isKeyFrame) == [true, true, false])
    #expect(sink.packets.map(\.startsFrame) == [true, false, true])
  }
}
