import Core
import NIOCore
import NIOHTTP1
import NetworkSupport
import SIP
import SIPTransport
import Testing

@testable import API

@Suite struct HTTPUpgradeTests {
  @Test(arguments: [(false, false), (true, false), (false, true)]) func sipTravelsOverWebSocket(tls: Bool, ipv6: Bool)
    async throws
  {
    try await HTTPTestServer.run(ipv6: ipv6) { server in
      let client = try await server.webSocket(tls: tls)
      try await client.sendText(options())
      let answer = try await client.receiveFrame()
      #expect(answer.opcode == 1 && answer.text.hasPrefix("SIP/2.0 200 OK\r\n"))
      #expect(await server.stack.statistics()[tls ? .wss : .ws].connections == 1)
    }
  }

  @Test func theHandshakeIsThatOfRFC6455() async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.upgrade())
      let answer = try await HTTPTestServer.response(from: client, hasBody: false)
      #expect(answer.status == 101)
      // RFC 6455 §1.3 gives this value for this key.
      #expect(answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
      #expect(answer.headers["sec-websocket-protocol"] == "sip")
    }
  }

  @Test func aFrameBehindTheHandshakeIsNotLost() async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(Array(HTTPTestServer.upgrade().utf8) + RawClient.frame(Array(options().utf8)))
      _ = try await HTTPTestServer.response(from: client, hasBody: false)
      #expect(try await client.receiveFrame().text.hasPrefix("SIP/2.0 200"))
    }
  }

  @Test func theSubprotocolIsFoundAmongOthers() async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.upgrade("/sip?x=1", ["Sec-WebSocket-Protocol": "chat, sip"]))
      let answer = try await HTTPTestServer.response(from: client, hasBody: false)
      #expect(answer.status == 101 && answer.headers["sec-websocket-protocol"] == "sip")
    }
  }

  @Test(arguments: [
    ("no subprotocol", HTTPTestServer.upgrade("/sip", ["Sec-WebSocket-Protocol": nil]), 400, "\"sip\" is required"),
    ("another", HTTPTestServer.upgrade("/sip", ["Sec-WebSocket-Protocol": "chat"]), 400, "the request offers chat"),
    ("another path", HTTPTestServer.upgrade("/sup"), 404, "No WebSocket is served at /sup"),
    ("old version", HTTPTestServer.upgrade("/sip", ["Sec-WebSocket-Version": "8"]), 426, "version 13"),
    ("no version", HTTPTestServer.upgrade("/sip", ["Sec-WebSocket-Version": nil]), 426, "version 13"),
    ("no key", HTTPTestServer.upgrade("/sip", ["Sec-WebSocket-Key": nil]), 400, "Sec-WebSocket-Key"),
    ("bad key", HTTPTestServer.upgrade("/sip", ["Sec-WebSocket-Key": "c2hvcnQ="]), 400, "Sec-WebSocket-Key"),
  ]) func aRefusalSaysWhyAndCloses(name: String, request: String, status: Int, text: String) async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(request)
      let answer = try await HTTPTestServer.response(from: client)
      #expect(answer.status == status, "\(name)")
      #expect(answer.text.contains(text), "\(name): \(answer.text)")
      try await client.closed()
    }
  }

  @Test func anUpgradeToSomethingElseIsPlainHTTP() async throws {
    try await HTTPTestServer.run { server in
      // What `curl --http2` sends.
      let answer = try await server.get(
        "/hello", ["Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQCAAAA"])
      #expect(answer.status == 200 && answer.text == "http 127.0.0.1")
      // WebSocket headers without GET are plain HTTP as well.
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.upgrade().replacing("GET /sip", with: "POST /sip"))
      #expect(try await HTTPTestServer.response(from: client).status == 404)
      try await client.closed()
    }
  }

  @Test func anUpgradeOnALaterRequestIsPlainHTTP() async throws {
    try await HTTPTestServer.run { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.request("GET", "/hello"))
      #expect(try await HTTPTestServer.response(from: client).status == 200)
      try await client.send(HTTPTestServer.upgrade())
      #expect(try await HTTPTestServer.response(from: client).status == 404)
      try await client.closed()
    }
  }

  @Test func aSourceWithTooManyConnectionsGets503() async throws {
    var limits = SIPTransportLimits()
    limits.maximumConnectionsPerSource = 1
    try await HTTPTestServer.run(sip: limits) { server in
      let first = try await server.webSocket()
      let second = try await RawClient.connect(to: server.plain)
      try await second.send(HTTPTestServer.upgrade())
      #expect(try await HTTPTestServer.response(from: second).status == 503)
      #expect(await server.stack.statistics().refused == [.sourceConnectionLimit: 1])
      #expect(!first.isClosed)
    }
  }

  @Test func shutdownSays1001OnBothListeners() async throws {
    try await HTTPTestServer.run { server in
      let clients = [try await server.webSocket(), try await server.webSocket(tls: true)]
      for client in clients {
        try await client.sendText(options())
        _ = try await client.receiveFrame()
      }
      await server.shutDown()
      for client in clients { #expect(try await client.receiveFrame().closeCode == 1001) }
      for client in clients {
        try await client.send(RawClient.frame(opcode: 8, [0x03, 0xE9]))
        try await client.closed()
      }
    }
  }

  @Test func anotherPathHasAnotherProtocol() async throws {
    let echo = WebSocketRoute(
      authorize: { request in
        let allowed = request.head.uri.contains("token=good")
        return request.channel.eventLoop.makeFutureWithTask {
          guard allowed else { throw WebSocketRoute.Refusal(.unauthorized, "The token is not valid.") }
        }
      },
      adopt: { request in
        request.channel.eventLoop.makeCompletedFuture {
          try request.channel.pipeline.syncOperations.addHandler(Echo())
        }
      })
    try await HTTPTestServer.run(webSockets: ["/rtc": echo]) { server in
      let client = try await RawClient.connect(to: server.plain)
      try await client.send(HTTPTestServer.upgrade("/rtc?token=good", ["Sec-WebSocket-Protocol": nil]))
      let answer = try await HTTPTestServer.response(from: client, hasBody: false)
      #expect(answer.status == 101 && answer.headers["sec-websocket-protocol"] == nil)
      try await client.send("bytes")
      try await client.expect("bytes")

      let refused = try await RawClient.connect(to: server.plain)
      try await refused.send(HTTPTestServer.upgrade("/rtc?token=bad", ["Sec-WebSocket-Protocol": nil]))
      let refusal = try await HTTPTestServer.response(from: refused)
      #expect(refusal.status == 401 && refusal.text == "The token is not valid.\n")
    }
  }

  private final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
  }
}
