import Core
import RTP
import Testing

@testable import SFU

@Suite struct RedundancyTests {
  /// One redundant block of two bytes, 960 older, then the primary.
  private let payload: [UInt8] = [0x80 | 111, 0x0F, 0x00, 2, 111, 0xA1, 0xA2, 0xB1, 0xB2, 0xB3]

  private func feed() -> Feed {
    Feed(
      .audio, publisher: [CodecParameters(.red, 63), CodecParameters(.opus, 111)],
      subscriber: [CodecParameters(.red, 120), CodecParameters(.opus, 121)])
  }

  @Test func isThinnedToPlainOpusAndBackWithinOneStream() throws {
    let feed = feed()
    let whole = try #require(Parsed(feed.send(1, timestamp: 960, type: 63, payload: payload).first))
    feed.consumer.setRedundancy(false)
    let thin = try #require(Parsed(feed.send(2, timestamp: 1_920, type: 63, payload: payload).first))
    feed.consumer.setRedundancy(true)
    let again = try #require(Parsed(feed.send(3, timestamp: 2_880, type: 63, payload: payload).first))
    #expect(whole.header.payloadType.rawValue == 120 && whole.payload.count == payload.count)
    #expect(thin.header.payloadType.rawValue == 121 && thin.payload == [0xB1, 0xB2, 0xB3])
    #expect(again.header.payloadType.rawValue == 120 && again.payload.count == payload.count)
    #expect(thin.header.sequence == whole.header.sequence &+ 1 && again.header.sequence == whole.header.sequence &+ 2)
    #expect(thin.header.timestamp == whole.header.timestamp &+ 960)
  }

  @Test func newCodecsBringItBack() throws {
    let feed = feed()
    feed.consumer.setRedundancy(false)
    #expect(
      feed.consumer.update(
        codecs: [CodecParameters(.red, 110), CodecParameters(.opus, 112)], extensions: HeaderExtensionMap(), mid: "0"))
    let whole = try #require(Parsed(feed.send(1, type: 63, payload: payload).first))
    #expect(whole.header.payloadType.rawValue == 110)
    feed.consumer.setRedundancy(false)
    let thin = try #require(Parsed(feed.send(2, timestamp: 960, type: 63, payload: payload).first))
    #expect(thin.header.payloadType.rawValue == 112)
  }

  @Test func staysWhereThereIsNothingElse() throws {
    let feed = Feed(
      .audio, publisher: [CodecParameters(.red, 63)], subscriber: [CodecParameters(.red, 120)])
    feed.consumer.setRedundancy(false)
    let packet = try #require(Parsed(feed.send(1, type: 63, payload: payload).first))
    #expect(packet.header.payloadType.rawValue == 120)
  }
}
