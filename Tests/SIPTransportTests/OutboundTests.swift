import Core
import NetworkSupport
import SIP
import SIPTransport
import Testing

/// Two stacks, one of which calls the other.
@Suite struct OutboundTests {
  private func request(_ transport: String, callID: String = "c1") throws -> SIPMessage {
    try SIPParser.parse(datagram: Array(options(transport, callID: callID).utf8))
  }

  @Test(arguments: [TransportProtocol.tcp, .tls]) func opensOneConnectionAndUsesItAgain(transport: TransportProtocol)
    async throws
  {
    try await Server.run { far, listeners in
      try await Server.run { near, _ in
        let destination = Destination.address(transport, listeners.address(transport))
        for index in 0..<5 {
          try await near.send(request(transport.rawValue, callID: "c\(index)"), to: destination)
        }
        // Requests arrive in order, the answers come back on the same connection.
        try await far.wait(for: "5 requests") { $0.messages.count == 5 }
        #expect(far.notes.messages.map(\.0.headers.callID) == (0..<5).map { "c\($0)" })
        try await near.wait(for: "5 answers") { $0.messages.count == 5 }
        try await near.send(request(transport.rawValue, callID: "c5"), to: destination)
        try await far.wait(for: "6 requests") { $0.messages.count == 6 }
        #expect(Set(far.notes.messages.map(\.1)).count == 1)
        #expect(near.notes.failures.isEmpty)
        #expect(await near.stack.statistics()[transport].connections == 1)
      }
    }
  }

  @Test func aRefusedConnectionIsReportedOnce() async throws {
    // A port that was just free.
    var gone = SocketAddress("127.0.0.1:1")!
    try await Server.run { _, listeners in gone = listeners.address(.tcp) }
    try await Server.run { near, _ in
      let destination = Destination.address(.tcp, gone)
      try await near.send(request("TCP"), to: destination)
      try await near.wait(for: "the failure") { $0.failures == [destination] }
    }
  }

  @Test func anUntrustedCertificateIsReported() async throws {
    try await Server.run { far, listeners in
      var configuration = try Server.configuration()
      configuration.clientTLS = try .client()
      try await Server.run(configuration) { near, _ in
        let destination = Destination.address(.tls, listeners.address(.tls))
        try await near.send(request("TLS"), to: destination)
        try await near.wait(for: "the failure") { $0.failures == [destination] }
        #expect(far.notes.messages.isEmpty)
      }
    }
  }

  @Test func theEndOfAnOutboundConnectionIsReportedAndTheNextSendOpensANewOne() async throws {
    try await Server.run { far, listeners in
      try await Server.run { near, _ in
        let destination = Destination.address(.tcp, listeners.address(.tcp))
        try await near.send(request("TCP"), to: destination)
        try await far.wait(for: "the request") { $0.messages.count == 1 }
        let flow = far.notes.messages[0].1
        try await far.onLoop { $0.close(flow) }
        try await near.wait(for: "the failure") { $0.failures == [destination] }
        try await near.send(request("TCP", callID: "c2"), to: destination)
        try await far.wait(for: "the second request") { $0.messages.count == 2 }
        #expect(far.notes.messages[1].1 != flow)
      }
    }
  }

  @Test func theQueueOfAConnectionBeingOpenedIsBounded() async throws {
    try await Server.run { far, listeners in
      try await Server.run(try Server.configuration { $0.connectQueueLimit = 3 }) { near, _ in
        let destination = Destination.address(.tcp, listeners.address(.tcp))
        let requests = try (0..<8).map { try request("TCP", callID: "c\($0)") }
        // In one turn of the loop nothing can connect in between.
        try await near.onLoop { stack in
          for request in requests { stack.send(request, to: destination) }
        }
        try await near.wait(for: "5 failures") { $0.failures.count == 5 }
        try await far.wait(for: "3 requests") { $0.messages.count == 3 }
      }
    }
  }

  @Test func nobodyIsCalledByWebSocket() async throws {
    try await Server.run { near, _ in
      let destination = Destination.address(.ws, SocketAddress("127.0.0.1:80")!)
      try await near.send(request("WS"), to: destination)
      try await near.wait(for: "the failure") { $0.failures == [destination] }
    }
  }
}
