import Core
import Testing

@testable import SFU

private func codec(_ codec: MediaCodec, _ type: UInt8, rtx: UInt8? = nil, _ format: String = "") -> CodecParameters {
  CodecParameters(
    codec: codec, payloadType: PayloadType(type), retransmission: rtx.map { PayloadType($0) }, formatParameters: format)
}

@Suite struct PayloadTypeMapTests {
  @Test func namesCodecsAsTheSubscriberDoes() {
    let map = PayloadTypeMap(
      publisher: [codec(.vp8, 96, rtx: 97), codec(.h264, 125)], subscriber: [codec(.vp8, 120, rtx: 121)])
    #expect(map.payloadType(PayloadType(96)) == 120 && map.retransmission(PayloadType(96)) == 121)
    #expect(map.payloadType(PayloadType(125)) == nil && map.payloadType(PayloadType(97)) == nil)
    #expect(!map.isEmpty)
    #expect(PayloadTypeMap(publisher: [codec(.av1, 35)], subscriber: [codec(.vp8, 96)]).isEmpty)
  }

  @Test func findsTheNearestProfile() {
    let map = PayloadTypeMap(
      publisher: [codec(.h264, 108, "profile-level-id=42e01f;packetization-mode=0"), codec(.vp9, 98, "profile-id=0")],
      subscriber: [
        codec(.h264, 123, "profile-level-id=640c1f;packetization-mode=1"),
        codec(.h264, 125, "packetization-mode=1;profile-level-id=42e01f"),
        codec(.h264, 110, rtx: 111, "level-asymmetry-allowed=1; packetization-mode=0; profile-level-id=42E028"),
        codec(.vp9, 100, "profile-id=2"),
      ])
    #expect(map.payloadType(PayloadType(108)) == 110 && map.retransmission(PayloadType(108)) == 111)
    #expect(map.payloadType(PayloadType(98)) == nil)
  }

  @Test func stripsRedundancyOnlyForThoseWithout() {
    let publisher = [codec(.red, 63, "111/111"), codec(.opus, 111)]
    let plain = PayloadTypeMap(publisher: publisher, subscriber: [codec(.opus, 96)])
    #expect(plain.payloadType(PayloadType(63)) == 96 && plain.stripsRedundancy(PayloadType(63)))
    #expect(!plain.stripsRedundancy(PayloadType(111)))
    let red = PayloadTypeMap(publisher: publisher, subscriber: [codec(.opus, 96), codec(.red, 97)])
    #expect(red.payloadType(PayloadType(63)) == 97 && !red.stripsRedundancy(PayloadType(63)))
    #expect(red.publisherOpus == 111 && red.subscriberOpus == 96)
  }
}
