import Core
import NetworkSupport
import SIP
import SIPTransport
import Testing

@Suite struct DatagramTests {
  @Test(arguments: [false, true]) func answersARequestWhereItCameFrom(ipv6: Bool) async throws {
    try await Server.run { server, listeners in
      let client = try UDPClient(ipv6: ipv6)
      client.send(options("UDP"), to: listeners.address(.udp, ipv6: ipv6))
      let answer = try #require(await client.receive())
      #expect(answer.hasPrefix("SIP/2.0 200 OK\r\n"))
      let (_, flow) = try #require(server.notes.messages.first)
      #expect(flow.transport == .udp && flow.remote == client.local)
      #expect(flow.local == listeners.address(.udp, ipv6: ipv6))
    }
  }

  @Test func theSamePeerIsTheSameFlow() async throws {
    try await Server.run { server, listeners in
      let client = try UDPClient()
      for index in 0..<3 { client.send(options("UDP", callID: "c\(index)"), to: listeners.address(.udp)) }
      try await server.wait(for: "3 messages") { $0.messages.count == 3 }
      #expect(Set(server.notes.messages.map(\.1)).count == 1)
    }
  }

  @Test func sendsToAnAddressFromTheListenerOfItsFamily() async throws {
    try await Server.run { server, listeners in
      for ipv6 in [false, true] {
        let client = try UDPClient(ipv6: ipv6)
        let request = try SIPParser.parse(datagram: Array(options("UDP").utf8))
        try await server.send(request, to: .address(.udp, client.local))
        #expect(await client.receive()?.hasPrefix("OPTIONS ") == true)
        let local = try await server.onLoop { [peer = client.local] in $0.local(for: .address(.udp, peer)) }
        #expect(local == listeners.address(.udp, ipv6: ipv6))
      }
      #expect(server.notes.failures.isEmpty)
    }
  }

  @Test func aWildcardListenerNamesTheAddressOfTheRoute() async throws {
    var configuration = SIPTransportConfiguration()
    configuration.udp = [SocketAddress("0.0.0.0:0")!, SocketAddress("[::]:0")!]
    try await Server.run(configuration) { server, listeners in
      let port = listeners.address(.udp).port
      let local = try await server.onLoop { $0.local(for: .address(.udp, SocketAddress("127.0.0.1:5060")!)) }
      #expect(local == SocketAddress("127.0.0.1:\(port)"))
    }
  }

  @Test func bothWildcardsShareAPort() async throws {
    var first = SIPTransportConfiguration()
    first.udp = [SocketAddress("0.0.0.0:0")!]
    try await Server.run(first) { _, listeners in
      var second = SIPTransportConfiguration()
      second.udp = [SocketAddress("[::]:\(listeners.address(.udp).port)")!]
      try await Server.run(second) { _, listeners in #expect(listeners.count == 1) }
    }
  }

  @Test func keepAlivesAndEmptyDatagramsAreIgnored() async throws {
    try await Server.run { server, listeners in
      let client = try UDPClient()
      for junk in [[], [13, 10], [13, 10, 13, 10], [0, 0, 0, 0]] as [[UInt8]] {
        client.send(junk, to: listeners.address(.udp))
      }
      client.send(options("UDP"), to: listeners.address(.udp))
      // The first and only answer belongs to the request.
      #expect(await client.receive()?.hasPrefix("SIP/2.0 200") == true)
      #expect(await client.receive(patience: .milliseconds(50)) == nil)
      #expect(await server.stack.statistics().refused == [:])
    }
  }

  @Test func aMalformedRequestIsAnsweredWithTheRule() async throws {
    try await Server.run { server, listeners in
      let client = try UDPClient()
      let broken = options("UDP").replacing("CSeq: 1 OPTIONS", with: "CSeq: 1 INVITE")
      client.send(broken, to: listeners.address(.udp))
      let answer = try #require(await client.receive())
      #expect(answer.hasPrefix("SIP/2.0 400 Bad Request (methodMismatch)\r\n"))
      #expect(answer.contains("Warning: 399 parley \""))
      #expect(answer.contains("received=127.0.0.1") && answer.contains("rport=\(client.local.port)"))
      #expect(server.notes.messages.isEmpty)
      #expect(await server.stack.statistics().refused == [.malformed: 1])
    }
  }

  @Test func junkIsCountedAndDroppedWithOneLogLine() async throws {
    try await Server.run { server, listeners in
      let client = try UDPClient()
      for _ in 0..<20 { client.send("\u{1}\u{2}not SIP at all\r\n\r\n", to: listeners.address(.udp)) }
      client.send(options("UDP"), to: listeners.address(.udp))
      #expect(await client.receive()?.hasPrefix("SIP/2.0 200") == true)
      #expect(await server.stack.statistics().refused == [.malformed: 20])
      #expect(server.log.warnings.count == 1)
      #expect(server.log.warnings.first?.contains("malformed SIP message") == true)
    }
  }

  @Test func aSourceAboveItsRateIsDropped() async throws {
    let configuration = try Server.configuration {
      $0.messagesPerSecondPerSource = 0.001
      $0.messageBurstPerSource = 5
    }
    try await Server.run(configuration) { server, listeners in
      let client = try UDPClient()
      for index in 0..<12 { client.send(options("UDP", callID: "c\(index)"), to: listeners.address(.udp)) }
      for _ in 0..<5 { #expect(await client.receive() != nil) }
      #expect(await client.receive(patience: .milliseconds(50)) == nil)
      #expect(await server.stack.statistics().refused == [.messageRate: 7])
      #expect(server.log.warnings.count == 1)
    }
  }

  @Test func aTrunkIsNotLimited() async throws {
    let configuration = try Server.configuration {
      $0.messagesPerSecondPerSource = 0.001
      $0.messageBurstPerSource = 1
      $0.unlimitedNetworks = [IPNetwork("127.0.0.0/8")!]
    }
    try await Server.run(configuration) { server, listeners in
      let client = try UDPClient()
      for index in 0..<50 { client.send(options("UDP", callID: "c\(index)"), to: listeners.address(.udp)) }
      try await server.wait(for: "50 messages") { $0.messages.count == 50 }
    }
  }

  @Test func theLargestDatagramPassesWhole() async throws {
    try await Server.run { server, listeners in
      let client = try UDPClient()
      let body = String(repeating: "x", count: 60_000)
      client.send(options("UDP", body: body), to: listeners.address(.udp))
      try await server.wait(for: "the message") { $0.messages.count == 1 }
      #expect(server.notes.messages.first?.0.body.count == 60_000)
    }
  }

  @Test func anUnreachableDestinationIsReported() async throws {
    try await Server.run { server, _ in
      let message = try SIPParser.parse(
        datagram: Array(options("UDP", body: String(repeating: "x", count: 66_000)).utf8),
        limits: {
          var limits = SIPLimits()
          limits.bodyBytes = 100_000
          return limits
        }())
      let destination = Destination.address(.udp, SocketAddress("127.0.0.1:9")!)
      try await server.send(message, to: destination)
      try await server.wait(for: "the failure") { $0.failures == [destination] }
    }
  }

  @Test func aPortThatIsTakenIsNamed() async throws {
    try await Server.run { _, listeners in
      var second = SIPTransportConfiguration()
      second.udp = [listeners.address(.udp)]
      let error = await #expect(throws: SIPTransportError.self) { try await Server.run(second) { _, _ in } }
      #expect(error?.kind == .bind)
      #expect(error?.description.contains("\(listeners.address(.udp))") == true)
      #expect(error?.description.contains("in use") == true)
    }
  }
}
