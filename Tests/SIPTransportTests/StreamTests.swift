import Core
import NetworkSupport
import SIP
import SIPTransport
import Testing

@Suite struct StreamTests {
  enum Kind: CaseIterable {
    case tcp, tcp6, tls

    var transport: TransportProtocol { self == .tls ? .tls : .tcp }

    func connect(_ listeners: [BoundListener]) async throws -> RawClient {
      try await RawClient.connect(to: listeners.address(transport, ipv6: self == .tcp6), tls: self == .tls)
    }
  }

  @Test(arguments: Kind.allCases) func answersOnTheSameConnection(kind: Kind) async throws {
    try await Server.run { server, listeners in
      let client = try await kind.connect(listeners)
      try await client.send(options(kind.transport.rawValue))
      #expect(try await client.receive(through: "\r\n\r\n").hasPrefix("SIP/2.0 200 OK\r\n"))
      let flow = try #require(server.notes.messages.first?.1)
      #expect(flow.transport == kind.transport && flow.remote == client.local)
      #expect(await server.stack.statistics()[kind.transport].connections == 1)
      await client.close()
      try await server.wait(for: "the end of the flow") { $0.closed == [flow] }
      #expect(await server.stack.statistics().connections == 0)
    }
  }

  @Test func cutsMessagesWhereverTheBytesAreCut() async throws {
    try await Server.run { server, listeners in
      let client = try await Kind.tcp.connect(listeners)
      let bytes = Array((options("TCP", callID: "a", body: "hello") + "\r\n" + options("TCP", callID: "b")).utf8)
      for start in stride(from: 0, to: bytes.count, by: 97) {
        try await client.send(Array(bytes[start..<min(start + 97, bytes.count)]))
      }
      try await server.wait(for: "2 messages") { $0.messages.count == 2 }
      #expect(server.notes.messages.map(\.0.headers.callID) == ["a", "b"])
      #expect(server.notes.messages[0].0.body == Array("hello".utf8))
    }
  }

  @Test(arguments: [Kind.tcp, .tls]) func aKeepAliveIsAnsweredWithCRLF(kind: Kind) async throws {
    try await Server.run { _, listeners in
      let client = try await kind.connect(listeners)
      try await client.send("\r\n\r\n")
      try await client.expect("\r\n")
      try await client.send(options(kind.transport.rawValue))
      #expect(try await client.receive(through: "\r\n\r\n").hasPrefix("SIP/2.0 200"))
    }
  }

  @Test func aStreamWithoutLengthIsAnsweredAndClosed() async throws {
    try await Server.run { server, listeners in
      let client = try await Kind.tcp.connect(listeners)
      try await client.send(options("TCP").replacing("Content-Length: 0\r\n", with: ""))
      #expect(try await client.receive(through: "\r\n\r\n").hasPrefix("SIP/2.0 400 "))
      try await client.closed()
      #expect(await server.stack.statistics().refused == [.malformed: 1])
    }
  }

  @Test func aMalformedRequestDoesNotEndTheConnection() async throws {
    try await Server.run { _, listeners in
      let client = try await Kind.tcp.connect(listeners)
      try await client.send(options("TCP").replacing("CSeq: 1 OPTIONS", with: "CSeq: 1 INVITE"))
      #expect(try await client.receive(through: "\r\n\r\n").hasPrefix("SIP/2.0 400 "))
      try await client.send(options("TCP"))
      #expect(try await client.receive(through: "\r\n\r\n").hasPrefix("SIP/2.0 200 "))
    }
  }

  @Test func anOversizedBodyIsRefusedBeforeItArrives() async throws {
    try await Server.run(try Server.configuration { $0.maximumMessageSize = 4_096 }) { server, listeners in
      let client = try await Kind.tcp.connect(listeners)
      try await client.send(options("TCP").replacing("Content-Length: 0", with: "Content-Length: 5000"))
      #expect(try await client.receive(through: "\r\n\r\n").hasPrefix("SIP/2.0 513 "))
      try await client.closed()
      #expect(await server.stack.statistics().refused == [.oversized: 1])
    }
  }

  @Test func headersWithoutEndAreRefused() async throws {
    try await Server.run(try Server.configuration { $0.maximumMessageSize = 4_096 }) { server, listeners in
      let client = try await Kind.tcp.connect(listeners)
      try await client.send("OPTIONS sip:a SIP/2.0\r\nX: " + String(repeating: "x", count: 5_000))
      try await client.closed()
      #expect(await server.stack.statistics().refused == [.oversized: 1])
    }
  }

  @Test func aMessageThatTricklesIsCutOff() async throws {
    let configuration = try Server.configuration { $0.partialMessageTimeout = .milliseconds(200) }
    try await Server.run(configuration) { server, listeners in
      let client = try await Kind.tcp.connect(listeners)
      let bytes = Array(options("TCP").utf8)
      // A byte each 30 ms keeps the connection busy; the deadline counts from the first.
      for byte in bytes where !client.isClosed {
        try? await client.send([byte])
        try await Task.sleep(for: .milliseconds(30))
      }
      try await client.closed()
      #expect(server.notes.messages.isEmpty)
      #expect(await server.stack.statistics().refused == [.partialTimeout: 1])
      #expect(server.log.warnings.count == 1)
    }
  }

  @Test(arguments: [Kind.tcp, .tls]) func aConnectionThatSaysNothingIsClosed(kind: Kind) async throws {
    let configuration = try Server.configuration { $0.firstMessageTimeout = .milliseconds(150) }
    try await Server.run(configuration) { server, listeners in
      // Without TLS towards the TLS listener: its handshake never ends.
      let client = try await RawClient.connect(to: listeners.address(kind.transport))
      try await client.closed()
      #expect(await server.stack.statistics().refused == [.silent: 1])
    }
  }

  @Test func plainTextOnTheTLSPortIsClosedAndCounted() async throws {
    try await Server.run { server, listeners in
      let client = try await RawClient.connect(to: listeners.address(.tls))
      try await client.send(options("TLS"))
      try await client.closed()
      #expect(await server.stack.statistics().refused == [.tls: 1])
    }
  }

  @Test func oneSourceGetsSoManyConnections() async throws {
    try await Server.run(try Server.configuration { $0.maximumConnectionsPerSource = 2 }) { server, listeners in
      let first = try await Kind.tcp.connect(listeners)
      let second = try await Kind.tcp.connect(listeners)
      for client in [first, second] {
        try await client.send(options("TCP"))
        _ = try await client.receive(through: "\r\n\r\n")
      }
      for _ in 0..<3 { try await Kind.tcp.connect(listeners).closed() }
      #expect(await server.stack.statistics().refused == [.sourceConnectionLimit: 3])
      #expect(server.log.warnings.count == 1)
      #expect(server.log.warnings.first?.contains("too many connections from this source") == true)
      // A place becomes free when a connection ends.
      await first.close()
      try await server.wait(for: "the end of the flow") { $0.closed.count == 1 }
      let third = try await Kind.tcp.connect(listeners)
      try await third.send(options("TCP"))
      _ = try await third.receive(through: "\r\n\r\n")
    }
  }

  @Test func aStreamAboveItsRateIsReadMoreSlowlyAndLosesNothing() async throws {
    let configuration = try Server.configuration {
      $0.messagesPerSecondPerSource = 1_000
      $0.messageBurstPerSource = 10
      // Makes the sweep that resumes reading frequent.
      $0.closeTimeout = .milliseconds(40)
    }
    try await Server.run(configuration, answers: false) { server, listeners in
      let client = try await Kind.tcp.connect(listeners)
      let started = ContinuousClock.now
      for index in 0..<1_500 { try await client.send(options("TCP", callID: "c\(index)")) }
      try await server.wait(for: "1,500 messages") { $0.messages.count == 1_500 }
      #expect(ContinuousClock.now - started > .milliseconds(600))
      #expect(server.notes.messages.map(\.0.headers.callID) == (0..<1_500).map { "c\($0)" })
      #expect(await server.stack.statistics().refused[.messageRate, default: 0] >= 1)
      #expect(server.log.warnings.count == 1)
    }
  }

  @Test func aPeerThatDoesNotReadIsClosed() async throws {
    let configuration = try Server.configuration { $0.maximumUnsentBytes = 200_000 }
    try await Server.run(configuration) { server, listeners in
      let slow = try SlowReader(to: listeners.address(.tcp))
      slow.send(options("TCP"))
      try await server.wait(for: "the message") { $0.messages.count == 1 }
      let flow = server.notes.messages[0].1
      let big = try SIPParser.parse(datagram: Array(options("TCP", body: String(repeating: "x", count: 60_000)).utf8))
      for _ in 0..<400 where server.notes.closed.isEmpty { try await server.send(big, to: .flow(flow)) }
      try await server.wait(for: "the end of the flow") { $0.closed == [flow] }
      #expect(await server.stack.statistics().refused == [.slowReader: 1])
    }
  }

  @Test func sendingDownAClosedFlowIsReported() async throws {
    try await Server.run { server, listeners in
      let client = try await Kind.tcp.connect(listeners)
      try await client.send(options("TCP"))
      try await server.wait(for: "the message") { $0.messages.count == 1 }
      let (message, flow) = server.notes.messages[0]
      await client.close()
      try await server.wait(for: "the end of the flow") { $0.closed == [flow] }
      try await server.send(message, to: .flow(flow))
      try await server.wait(for: "the failure") { $0.failures == [.flow(flow)] }
    }
  }
}
