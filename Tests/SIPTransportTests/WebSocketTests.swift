import Core
import NetworkSupport
import SIP
import SIPTransport
import Testing

@Suite struct WebSocketTests {
  private func run(
    _ change: (inout SIPTransportLimits) -> Void = { _ in }, answers: Bool = true,
    _ body: (Server, RawClient) async throws -> Void
  ) async throws {
    try await Server.run(try Server.configuration(change), answers: answers) { server, _ in
      try await body(server, try await RawClient.connect(to: try await server.bareWebSocketListener()))
    }
  }

  @Test func answersATextMessageInAText() async throws {
    try await run { server, client in
      try await client.sendText(options("WS"))
      let answer = try await client.receiveFrame()
      #expect(answer.opcode == 1 && answer.isFinal && answer.text.hasPrefix("SIP/2.0 200 OK\r\n"))
      #expect(server.notes.messages.first?.1.transport == .ws)
    }
  }

  @Test func aBinaryMessageIsTakenToo() async throws {
    try await run { _, client in
      try await client.send(RawClient.frame(opcode: 2, Array(options("WS").utf8)))
      #expect(try await client.receiveFrame().text.hasPrefix("SIP/2.0 200"))
    }
  }

  @Test func whatIsNotUTF8GoesOutInABinaryFrame() async throws {
    try await run(answers: false) { server, client in
      try await client.sendText(options("WS"))
      try await server.wait(for: "the message") { $0.messages.count == 1 }
      guard case (.request(let request), let flow) = server.notes.messages[0] else { return }
      let response = SIPResponse(status: 200, headers: request.headers, body: [0xFF, 0xFE])
      try await server.send(.response(response), to: .flow(flow))
      #expect(try await client.receiveFrame().opcode == 2)
    }
  }

  @Test func fragmentsWithAPingBetweenAreOneMessage() async throws {
    try await run { server, client in
      let bytes = Array(options("WS", body: String(repeating: "é", count: 300)).utf8)
      try await client.send(RawClient.frame(opcode: 1, Array(bytes[..<100]), isFinal: false))
      try await client.send(RawClient.frame(opcode: 9, Array("p".utf8)))
      // A cut in the middle of a UTF-8 sequence is allowed.
      try await client.send(RawClient.frame(opcode: 0, Array(bytes[100..<701]), isFinal: false))
      try await client.send(RawClient.frame(opcode: 0, Array(bytes[701...])))
      #expect(try await client.receiveFrame() == .init(isFinal: true, opcode: 10, payload: Array("p".utf8)))
      #expect(try await client.receiveFrame().text.hasPrefix("SIP/2.0 200"))
      #expect(server.notes.messages.first?.0.body.count == 600)
    }
  }

  @Test func framesAreFoundWhereverTheBytesAreCut() async throws {
    try await run { server, client in
      var bytes: [UInt8] = []
      for index in 0..<4 { bytes += RawClient.frame(Array(options("WS", callID: "c\(index)").utf8)) }
      for start in stride(from: 0, to: bytes.count, by: 53) {
        try await client.send(Array(bytes[start..<min(start + 53, bytes.count)]))
      }
      try await server.wait(for: "4 messages") { $0.messages.count == 4 }
      #expect(server.notes.messages.map(\.0.headers.callID) == ["c0", "c1", "c2", "c3"])
    }
  }

  @Test func keepAlivesAreAnsweredAndNothingIsSentUnasked() async throws {
    try await run { server, client in
      try await client.sendText("\r\n")
      try await client.sendText("")
      try await client.sendText("\r\n\r\n")
      #expect(try await client.receiveFrame() == .init(isFinal: true, opcode: 1, payload: [13, 10]))
      try await client.sendText(options("WS"))
      #expect(try await client.receiveFrame().text.hasPrefix("SIP/2.0 200"))
      #expect(await server.stack.statistics().refused == [:])
    }
  }

  @Test(
    arguments: [
      ("unmasked", RawClient.frame([0x41], masked: false), UInt16(1002)),
      ("reserved bit", RawClient.frame([0x41], reserved: 0x40), 1002),
      ("unknown opcode", RawClient.frame(opcode: 3, [0x41]), 1002),
      ("continuation of nothing", RawClient.frame(opcode: 0, [0x41]), 1002),
      ("text inside a fragmented text", RawClient.frame([0x41], isFinal: false) + RawClient.frame([0x41]), 1002),
      ("fragmented ping", RawClient.frame(opcode: 9, [], isFinal: false), 1002),
      ("long ping", RawClient.frame(opcode: 9, [UInt8](repeating: 0, count: 126)), 1002),
      ("close of one byte", RawClient.frame(opcode: 8, [3]), 1002),
      ("close with a reserved code", RawClient.frame(opcode: 8, [3, 0xEE]), 1002),
      ("length not minimal", [0x81, 0xFE, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5], 1002),
      ("bad UTF-8", RawClient.frame([0xFF, 0xFE]), 1007),
      ("bad UTF-8 in fragments", RawClient.frame([0xC3], isFinal: false) + RawClient.frame(opcode: 0, [0x41]), 1007),
      ("bad UTF-8 in a close", RawClient.frame(opcode: 8, [3, 0xE8, 0xFF]), 1007),
      ("too large", RawClient.frame([UInt8](repeating: 0x41, count: 5_000)), 1009),
      ("too large, seen in the header", [0x81, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0], 1009),
      (
        "too large in fragments",
        RawClient.frame([UInt8](repeating: 0x41, count: 3_000), isFinal: false)
          + RawClient.frame(opcode: 0, [UInt8](repeating: 0x41, count: 3_000)), 1009
      ),
    ] as [(String, [UInt8], UInt16)]) func isClosedWithACodeThatSaysWhy(name: String, bytes: [UInt8], code: UInt16)
    async throws
  {
    try await run({
      $0.maximumMessageSize = 4_096
      $0.closeTimeout = .milliseconds(100)
    }) { server, client in
      try await client.send(bytes)
      let frame = try await client.receiveFrame()
      #expect(frame.closeCode == code, "\(name): \(frame)")
      #expect(frame.payload.count > 2, "the reason is told")
      try await client.closed()
      #expect(server.notes.messages.isEmpty)
      #expect(await server.stack.statistics().refused.values.reduce(0, +) == 1)
    }
  }

  @Test func aCloseIsAnsweredWithItsCode() async throws {
    try await run { server, client in
      try await client.send(RawClient.frame(opcode: 8, [0x03, 0xE9] + Array("bye".utf8)))
      #expect(try await client.receiveFrame().closeCode == 1001)
      try await client.closed()
      try await server.wait(for: "the end of the flow") { $0.closed.count == 1 }
      #expect(await server.stack.statistics().refused == [:])
    }
  }

  @Test func nothingBehindAViolationIsRead() async throws {
    try await run({ $0.closeTimeout = .milliseconds(100) }) { server, client in
      try await client.send(RawClient.frame([0xFF]) + RawClient.frame(Array(options("WS").utf8)))
      #expect(try await client.receiveFrame().closeCode == 1007)
      try await client.closed()
      #expect(server.notes.messages.isEmpty)
    }
  }

  @Test func aSilentPeerIsPingedAndAPongKeepsIt() async throws {
    try await run({
      $0.webSocketPingInterval = .milliseconds(60)
      $0.pongTimeout = .milliseconds(1500)
    }) { server, client in
      for _ in 0..<6 {
        #expect(try await client.receiveFrame().opcode == 9)
        try await client.send(RawClient.frame(opcode: 10, []))
      }
      #expect(!client.isClosed)
      // From now on it does not answer.
      try await client.closed()
      #expect(await server.stack.statistics().refused == [.pongTimeout: 1])
    }
  }

  @Test func aFrameThatTricklesIsCutOff() async throws {
    try await run({
      $0.partialMessageTimeout = .milliseconds(150)
      $0.closeTimeout = .milliseconds(50)
    }) { server, client in
      try await client.send(Array(RawClient.frame(Array(options("WS").utf8)).prefix(20)))
      #expect(try await client.receiveFrame().closeCode == 1008)
      try await client.closed()
      #expect(await server.stack.statistics().refused == [.partialTimeout: 1])
    }
  }

  @Test func aMalformedRequestIsAnsweredAndTheConnectionGoesOn() async throws {
    try await run { _, client in
      try await client.sendText(options("WS").replacing("CSeq: 1 OPTIONS", with: "CSeq: 1 INVITE"))
      #expect(try await client.receiveFrame().text.hasPrefix("SIP/2.0 400 "))
      try await client.sendText(options("WS"))
      #expect(try await client.receiveFrame().text.hasPrefix("SIP/2.0 200 "))
    }
  }

  @Test func shutdownSays1001() async throws {
    try await run { server, client in
      try await client.sendText(options("WS"))
      _ = try await client.receiveFrame()
      async let ended: Void = server.stack.shutdown()
      #expect(try await client.receiveFrame().closeCode == 1001)
      try await client.send(RawClient.frame(opcode: 8, [0x03, 0xE9]))
      try await client.closed()
      await ended
      #expect(server.notes.closed.count == 1)
    }
  }

  @Test func aPeerThatIgnoresTheCloseIsCutOff() async throws {
    try await run({ $0.closeTimeout = .milliseconds(100) }) { server, client in
      try await client.sendText(options("WS"))
      _ = try await client.receiveFrame()
      let flow = server.notes.messages[0].1
      try await server.onLoop { $0.close(flow) }
      #expect(try await client.receiveFrame().closeCode == 1001)
      try await client.closed()
    }
  }
}
