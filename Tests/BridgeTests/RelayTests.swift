import Audio
import Core
import RTP
import TestSupport
import Testing

@testable import Bridge

@Suite struct RelayTests {
  @Test(arguments: [AudioCodec.pcmu, .opus, .g722])
  func sameCodecPassesByteForByteUnderOurOwnNumbers(codec: AudioCodec) throws {
    let a = try Peer(codec, id: 1, firstSequence: 65_500)
    let b = try Peer(codec, id: 2, legSequence: 65_530)
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b)
    #expect(call.bridge.isRelaying)
    call.run(.seconds(4))
    #expect(b.heard.count > 190)
    #expect(b.heard.map(\.payload) == Array(a.said[..<b.heard.count]))
    for (index, arrival) in b.heard.enumerated() {
      #expect(arrival.header.ssrc == SSRC(2))
      #expect(arrival.header.sequence == 65_530 &+ UInt16(index))
      #expect(arrival.header.timestamp == 4_294_000_000 &+ UInt32(index * codec.clockRate / 50))
      #expect(arrival.header.marker == (index == 0))
    }
  }

  @Test func aPacketIsForwardedInsideItsReceive() throws {
    let a = try Peer(.pcmu, id: 1, delay: .milliseconds(0))
    let b = try Peer(.pcmu, id: 2, delay: .milliseconds(0))
    _ = try Call(a, b)
    let packet = RTPHeader(payloadType: PayloadType(0), sequence: 7, timestamp: 160, ssrc: a.ssrc)
      .serialized(payload: [UInt8](repeating: 0x55, count: 160))
    packet.withUnsafeBytes { a.leg.receive(rtp: $0, now: .zero) }
    b.advance(to: .zero)
    #expect(b.heard.count == 1)
  }

  @Test func lossAndOrderOfTheSourceStayVisible() throws {
    let a = try Peer(.pcmu, id: 1, loss: 0.1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b)
    call.run(.seconds(20))
    let first = try #require(b.heard.first), last = try #require(b.heard.last)
    let missing = Int(last.sequence - first.sequence) + 1 - b.heard.count
    #expect(missing > 60 && missing < 140)
    for (x, y) in zip(b.heard, b.heard.dropFirst()) {
      #expect(y.timestamp - x.timestamp == 160 * (y.sequence - x.sequence))
    }
  }

  @Test func headerExtensionsCSRCsAndPaddingStayBehind() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    _ = try Call(a, b)
    var packet: [UInt8] = [
      0xB1, 0x00, 0, 9, 0, 0, 0, 160, 0xAA, 0, 0, 1, 1, 2, 3, 4, 0xBE, 0xDE, 0, 1, 0x10, 0x7F, 0, 0,
    ]
    packet += [UInt8](repeating: 0x31, count: 160) + [0, 0, 0, 4]
    packet.withUnsafeBytes { a.leg.receive(rtp: $0, now: .zero) }
    b.advance(to: .zero)
    b.advance(to: .zero + .milliseconds(20))
    #expect(b.heard.map(\.payload) == [[UInt8](repeating: 0x31, count: 160)])
    #expect(b.heard[0].header.csrcs.isEmpty && b.heard[0].header.extensionProfile == nil)
  }

  @Test func aChangeOfTheFarEndsSourceGoesOnInOurNumbers() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b)
    call.run(.seconds(1))
    a.sequence = 40_000
    a.timestamp = 5
    call.run(.seconds(1))
    #expect(b.heard.count > 90)
    for (x, y) in zip(b.heard, b.heard.dropFirst()) {
      #expect(y.sequence == x.sequence + 1)
      #expect((100...500).contains(y.timestamp - x.timestamp), "\(y.timestamp - x.timestamp)")
    }
  }

  @Test func echoReturnsWhatCameUntouched() throws {
    let a = try Peer(.opus, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.voice = Sound.vowel(rate: a.rate)
    let call = try Call(a, b, connected: false)
    try a.leg.setSource(.echo, now: .zero)
    call.run(.seconds(2))
    #expect(a.heard.count > 90)
    #expect(a.heard.map(\.payload) == Array(a.said[..<a.heard.count]))
    #expect(b.heard.isEmpty)
  }
}
