import Core
import NetworkSupport
import SIPTransport
import Testing

@testable import API

@Suite struct HTTPServerTests {
  private func limits(_ change: (inout HTTPServerConfiguration.Limits) -> Void) -> HTTPServerConfiguration.Limits {
    var limits = HTTPServerConfiguration.Limits()
    change(&limits)
    return limits
  }

  @Test func aConnectionServesSeveralRequestsAlsoPipelined() async throws {
    try await HTTPTestServer.run { server in
      for tls in [false, true] {
        let client = try await RawClient.connect(to: tls ? server.secure : server.plain, tls: tls)
        let one = HTTPTestServer.request("GET", "/hello")
        try await client.send(one + one + one)
        try await client.send(one)
        for _ in 0..<4 {
          #expect(try await HTTPTestServer.response(from: client).text == "\(tls ? "https" : "http") 127.0.0.1")
        }
        #expect(!client.isClosed)
      }
    }
  }

  @Test func securityHeadersAreOnEveryAnswer() async throws {
    try await HTTPTestServer.run { server in
      for path in ["/hello", "/nothing"] {
        let answer = try await server.get(path)
        #expect(answer.headers["x-content-type-options"] == "nosniff")
        #expect(answer.headers["content-security-policy"]?.hasPrefix("default-src 'self'") == true)
      }
      #expect(try await server.get("/nothing").status == 404)
    }
  }

  @Test func aBodyUpToTheLimitPasses() async throws {
    try await HTTPTestServer.run(limits: limits { $0.maximumBodySize = 1_000 }) { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(
        HTTPTestServer.request("POST", "/size", ["Content-Length": "1000"]) + String(repeating: "x", count: 1_000))
      #expect(try await HTTPTestServer.response(from: client).text == "1000")
    }
  }

  @Test(arguments: [false, true]) func aLargerBodyGets413(chunked: Bool) async throws {
    try await HTTPTestServer.run(limits: limits { $0.maximumBodySize = 1_000 }) { server in
      let client = try await RawClient.connect(to: server.plain)
      if chunked {
        try await client.send(HTTPTestServer.request("POST", "/size", ["Transfer-Encoding": "chunked"]))
        for _ in 0..<3 { try? await client.send("190\r\n" + String(repeating: "x", count: 400) + "\r\n") }
      } else {
        try await client.send(HTTPTestServer.request("POST", "/size", ["Content-Length": "1001"]))
      }
      #expect(try await HTTPTestServer.response(from: client).status == 413)
      try await client.closed()
    }
  }

  @Test func whatIsNotHTTPGets400() async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send("\u{16}\u{3}\u{1}junk\r\n\r\n")
      #expect(try await HTTPTestServer.response(from: client).status == 400)
      try await client.closed()
    }
  }

  @Test func hugeHeadersAreRefused() async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try? await client.send(HTTPTestServer.request("GET", "/hello", ["X": String(repeating: "x", count: 40_000)]))
      #expect(try await HTTPTestServer.response(from: client).status == 400)
      try await client.closed()
    }
  }

  @Test(arguments: [false, true]) func aHeadThatTricklesIsCutOff(secondRequest: Bool) async throws {
    try await HTTPTestServer.run(limits: limits { $0.headTimeout = .milliseconds(200) }) { server in
      var started = ContinuousClock.now
      let client = try await RawClient.connect(to: server.plain)
      if secondRequest {
        try await client.send(HTTPTestServer.request("GET", "/hello"))
        _ = try await HTTPTestServer.response(from: client)
        // Between requests it may rest longer than a head may take.
        try await Task.sleep(for: .milliseconds(300))
        #expect(!client.isClosed)
        started = .now
      }
      for byte in Array(HTTPTestServer.request("GET", "/hello").utf8) where !client.isClosed {
        try? await client.send([byte])
        try await Task.sleep(for: .milliseconds(20))
      }
      try await client.closed()
      #expect(ContinuousClock.now - started >= .milliseconds(200))
    }
  }

  @Test func aTLSHandshakeThatNeverEndsIsCutOff() async throws {
    try await HTTPTestServer.run(limits: limits { $0.headTimeout = .milliseconds(150) }) { server in
      let client = try await RawClient.connect(to: server.secure)
      // On a busy machine the limit may be over before this.
      try? await client.send([0x16, 0x03, 0x01])
      try await client.closed()
    }
  }

  @Test func aBodyThatTricklesGets408() async throws {
    try await HTTPTestServer.run(limits: limits { $0.bodyTimeout = .milliseconds(150) }) { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.request("POST", "/size", ["Content-Length": "100"]))
      #expect(try await HTTPTestServer.response(from: client).status == 408)
      try await client.closed()
    }
  }

  @Test func anIdleConnectionIsClosed() async throws {
    try await HTTPTestServer.run(limits: limits { $0.idleTimeout = .milliseconds(150) }) { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.request("GET", "/hello"))
      _ = try await HTTPTestServer.response(from: client)
      try await client.closed()
    }
  }

  @Test func oneSourceGetsSoManyConnectionsAndWebSocketsDoNotCount() async throws {
    try await HTTPTestServer.run(limits: limits { $0.maximumConnectionsPerSource = 2 }) { server in
      // Upgraded connections give their place back.
      var sockets: [RawClient] = []
      for _ in 0..<5 { sockets.append(try await server.webSocket()) }
      let first = try await RawClient.connect(to: server.plain)
      try await first.send(HTTPTestServer.request("GET", "/hello"))
      _ = try await HTTPTestServer.response(from: first)
      let second = try await RawClient.connect(to: server.plain)
      try await second.send(HTTPTestServer.request("GET", "/hello"))
      _ = try await HTTPTestServer.response(from: second)
      try await RawClient.connect(to: server.plain).closed()
      #expect(sockets.allSatisfy { !$0.isClosed })
      // So does a closed one.
      await first.close()
      try await Task.sleep(for: .milliseconds(50))
      #expect(try await server.get("/hello").status == 200)
    }
  }

  @Test func shutdownLetsARunningRequestFinish() async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.request("POST", "/size", ["Content-Length": "3"]) + "ab")
      try await Task.sleep(for: .milliseconds(50))
      await server.shutDown()
      try await Task.sleep(for: .milliseconds(50))
      try await client.send("c")
      #expect(try await HTTPTestServer.response(from: client).text == "3")
      try await client.closed()
    }
  }
}
