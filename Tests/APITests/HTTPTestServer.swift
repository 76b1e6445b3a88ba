import Core
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import NetworkSupport
import SIP
import SIPTransport
import ServiceLifecycle
import Synchronization

@testable import API

/// An HTTP server with a SIP stack behind `/sip`, as the program has them: one loop, a plain and a TLS listener.
final class HTTPTestServer: Sendable {
  let stack: SIPTransportStack
  let plain: Core.SocketAddress
  let secure: Core.SocketAddress
  private let services: ServiceGroup

  private init(stack: SIPTransportStack, bound: [BoundHTTPListener], services: ServiceGroup) {
    self.stack = stack
    self.services = services
    plain = bound[0].address
    secure = bound[1].address
  }

  /// Carries the stack to its own callback.
  private final class Holder: Sendable {
    let stack = Mutex<SIPTransportStack?>(nil)
  }

  static func run(
    limits: HTTPServerConfiguration.Limits = .init(), sip: SIPTransportLimits? = nil, folder: String? = nil,
    ipv6: Bool = false, webSockets: [String: WebSocketRoute] = [:],
    rooms makeRooms: (any EventLoop) -> RoomsServices? = { _ in nil }, _ body: (HTTPTestServer) async throws -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let holder = Holder()
    var sip = sip ?? SIPTransportLimits()
    // Most clients here do not answer a close frame.
    sip.closeTimeout = .milliseconds(100)
    var quiet = Logger(label: "test")
    quiet.logLevel = .critical
    let stack = SIPTransportStack(
      loop: group.next(), configuration: .init(limits: sip), logger: quiet,
      onEvent: { event in
        guard case .message(.request(let request), let flow) = event else { return }
        let stack = holder.stack.withLock { $0 }
        stack?.send(.response(SIPResponse(to: request, status: 200, toTag: "t")), to: .flow(flow))
      })
    holder.stack.withLock { $0 = stack }
    _ = try await stack.start()
    let files = TestCertificate.files
    let address = Core.SocketAddress(ipv6 ? "[::1]:0" : "127.0.0.1:0")!
    let router = router(folder)
    let rooms = makeRooms(group.next())
    if let rooms { addRooms(to: router, services: rooms) }
    let server = HTTPServer(
      configuration: .init(
        listeners: [
          .init(address: address),
          .init(address: address, tls: try .server(certificateChain: files.certificate, privateKey: files.key)),
        ], limits: limits),
      router: router,
      webSockets: ["/sip": .sip(stack)].merging(webSockets) { $1 }.merging(rooms?.webSockets ?? [:]) { $1 },
      group: group, logger: quiet)
    let services = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: quiet))
    async let running: Void = services.run()
    let test = HTTPTestServer(stack: stack, bound: try await server.bound(), services: services)
    do {
      try await body(test)
    } catch {
      await services.triggerGracefulShutdown()
      await stack.shutdown()
      throw error
    }
    await services.triggerGracefulShutdown()
    try await running
    await stack.shutdown()
    holder.stack.withLock { $0 = nil }
    try await group.shutdownGracefully()
  }

  private static func router(_ folder: String?) -> Router<HTTPRequestContext> {
    let router = Router(context: HTTPRequestContext.self)
    router.add(middleware: SecurityHeaders())
    if let folder { router.add(middleware: StaticFiles(folder: folder)) }
    router.get("/hello") { request, context in
      "\(request.head.scheme ?? "?") \(context.remoteAddress?.ip.description ?? "?")"
    }
    router.post("/size") { request, _ in
      let body = try await request.body.collect(upTo: 1 << 30)
      return "\(body.readableBytes)"
    }
    return router
  }

  /// Ends the server as SIGTERM would.
  func shutDown() async { await services.triggerGracefulShutdown() }

  // MARK: Requests

  struct Response {
    let status: Int
    let headers: [String: String]
    let body: [UInt8]
    var text: String { String(decoding: body, as: UTF8.self) }
  }

  func get(_ path: String, _ headers: [String: String] = [:], method: String = "GET") async throws -> Response {
    let client = try await RawClient.connect(to: plain)
    defer { Task { await client.close() } }
    try await client.send(Self.request(method, path, headers))
    return try await Self.response(from: client, hasBody: method != "HEAD")
  }

  static func request(_ method: String, _ path: String, _ headers: [String: String] = [:]) -> String {
    "\(method) \(path) HTTP/1.1\r\nHost: test\r\n" + headers.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
  }

  static func response(from client: RawClient, hasBody: Bool = true) async throws -> Response {
    let head = try await client.receive(through: "\r\n\r\n")
    let lines = head.split(separator: "\r\n")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers[parts[0].lowercased()] = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
    }
    let length = hasBody ? headers["content-length"].flatMap { Int($0) } ?? 0 : 0
    let body = try await client.receive("a body of \(length) bytes") { bytes in
      bytes.count >= length ? (Array(bytes[..<length]), length) : nil
    }
    return Response(status: Int(lines[0].split(separator: " ")[1]) ?? 0, headers: headers, body: body)
  }

  /// The opening handshake with one header replaced or, when nil, left out.
  static func upgrade(_ path: String = "/sip", _ changes: [String: String?] = [:]) -> String {
    var headers: [String: String?] = [
      "Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "sip",
    ]
    headers.merge(changes) { $1 }
    return request("GET", path, headers.compactMapValues { $0 })
  }

  func webSocket(tls: Bool = false) async throws -> RawClient {
    let client = try await RawClient.connect(to: tls ? secure : plain, tls: tls)
    try await client.send(Self.upgrade())
    let answer = try await Self.response(from: client, hasBody: false)
    guard answer.status == 101 else { throw RawClient.Failure(description: "status \(answer.status)") }
    return client
  }
}

/// A SIP OPTIONS request as text.
func options(callID: String = "c1") -> String {
  "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/WS client.invalid;branch=z9hG4bK\(callID)\r\n"
    + "Max-Forwards: 70\r\nFrom: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: \(callID)\r\n"
    + "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
}
