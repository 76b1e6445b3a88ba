import Core
import NIOCore
import NetworkSupport
import Testing

@testable import SIPTransport

/// The sans-IO half of WebSocket.
@Suite struct WebSocketFrameTests {
  @Test func unmasksTheExampleOfRFC6455() throws {
    // RFC 6455 §5.7: a single-frame masked text message, "Hello".
    var parser = WebSocketFrameParser(maximumPayload: 100)
    parser.append(ByteBuffer(bytes: [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]))
    #expect(try parser.next() == .init(isFinal: true, opcode: .text, payload: Array("Hello".utf8)))
    #expect(try parser.next() == nil)
    #expect(!parser.isPartial)
  }

  @Test(arguments: [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 70_001])
  func readsEveryLengthWhereverItIsCut(size: Int) throws {
    let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let bytes = RawClient.frame(opcode: 2, payload)
    for cut in Set([0, 1, 2, 3, 5, 9, bytes.count / 2, bytes.count - 1]) where cut < bytes.count {
      var parser = WebSocketFrameParser(maximumPayload: 100_000)
      parser.append(ByteBuffer(bytes: bytes[..<cut]))
      #expect(try parser.next() == nil)
      #expect(parser.isPartial == (cut > 0))
      parser.append(ByteBuffer(bytes: bytes[cut...]))
      #expect(try parser.next()?.payload == payload)
    }
  }

  @Test(arguments: [0, 125, 126, 65_535, 65_536]) func writesTheShortestHeader(size: Int) {
    let frame = WebSocketFrameWriter.frame(.text, [UInt8](repeating: 0x41, count: size), allocator: .init())
    #expect(frame.readableBytes == size + (size < 126 ? 2 : size < 65_536 ? 4 : 10))
    #expect(frame.getInteger(at: 0, as: UInt8.self) == 0x81)
  }

  @Test func aLongReasonIsCutToAControlFrame() {
    let frame = WebSocketFrameWriter.close(1002, reason: String(repeating: "é", count: 100), allocator: .init())
    #expect(frame.readableBytes <= 127)
    #expect([UInt8](frame.readableBytesView.dropFirst(4)).isUTF8)
  }

  @Test func refusesALengthBeforeThePayload() {
    var parser = WebSocketFrameParser(maximumPayload: 1_000)
    parser.append(ByteBuffer(bytes: [0x81, 0xFE, 0x04, 0x00]))
    #expect(throws: WebSocketFrameParser.Violation.self) { try parser.next() }
  }

  @Test func aHugeLengthDoesNotTrap() {
    for length in [UInt64.max, UInt64(Int64.max), 1 << 62] {
      var parser = WebSocketFrameParser(maximumPayload: 1_000)
      var bytes = ByteBuffer(bytes: [0x82, 0xFF])
      bytes.writeInteger(length)
      bytes.writeInteger(UInt32(0))
      parser.append(bytes)
      #expect(throws: WebSocketFrameParser.Violation.self) { try parser.next() }
    }
  }

  @Test func randomBytesNeverTrapAndAlwaysEnd() {
    var random = SeededRandom(seed: 7)
    for _ in 0..<3_000 {
      var messages = WebSocketMessages(maximumMessageSize: 500)
      var events = 0
      for _ in 0..<8 {
        let count = Int.random(in: 0...40, using: &random)
        // Set FIN and MASK often, so that it gets past the header.
        var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        if count > 1 { bytes[0] &= 0x8A; bytes[1] = 0x80 | bytes[1] & 0x0F }
        messages.append(ByteBuffer(bytes: bytes))
        while messages.next() != nil { events += 1 }
      }
      #expect(events <= 400)
    }
  }

  @Test(arguments: [
    (UInt16(999), false), (1000, true), (1003, true), (1004, false), (1005, false), (1006, false), (1007, true),
    (1014, true), (1015, false), (2999, false), (3000, true), (4999, true), (5000, false),
  ]) func knowsTheCodesThatMayTravel(code: UInt16, valid: Bool) {
    #expect(WebSocketCloseCode.isValidOnTheWire(code) == valid)
  }
}
