import Core
import Logging
import NIOCore
import NIOPosix
import NetworkSupport
import SIP
import SIPTransport
import Synchronization

/// A stack on a loop of its own that answers every request with 200 and notes what happens.
final class Server: Sendable {
  struct Notes {
    var messages: [(SIPMessage, Flow)] = []
    var closed: [Flow] = []
    var failures: [Destination] = []
  }

  /// What the stack's callbacks reach; also breaks the circle between the stack and its own callback.
  private final class Shared: Sendable {
    let notes = Mutex(Notes())
    let stack = Mutex<SIPTransportStack?>(nil)
  }

  let loop: any EventLoop
  let stack: SIPTransportStack
  let log = LogLines()
  private let group: MultiThreadedEventLoopGroup
  private let shared: Shared

  /// Plain loopback listeners of both families, and TLS on IPv4.
  static func configuration(_ change: (inout SIPTransportLimits) -> Void = { _ in }) throws -> SIPTransportConfiguration
  {
    let any4 = Core.SocketAddress("127.0.0.1:0")!
    let any6 = Core.SocketAddress("[::1]:0")!
    let files = TestCertificate.files
    var configuration = SIPTransportConfiguration(
      udp: [any4, any6], tcp: [any4, any6], tls: [any4],
      serverTLS: try .server(certificateChain: files.certificate, privateKey: files.key),
      clientTLS: try .client(trustRoots: files.certificate))
    change(&configuration.limits)
    return configuration
  }

  init(_ configuration: SIPTransportConfiguration, answers: Bool) {
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    loop = group.next()
    let shared = Shared()
    self.shared = shared
    stack = SIPTransportStack(
      loop: loop, configuration: configuration, logger: log.logger,
      onSendFailure: { failure in shared.notes.withLock { $0.failures.append(failure) } },
      onEvent: { event in
        switch event {
        case .message(let message, let flow):
          shared.notes.withLock { $0.messages.append((message, flow)) }
          guard answers, case .request(let request) = message, request.method != .ack else { return }
          let stack = shared.stack.withLock { $0 }
          stack?.send(.response(SIPResponse(to: request, status: 200, toTag: "t")), to: .flow(flow))
        case .flowClosed(let flow): shared.notes.withLock { $0.closed.append(flow) }
        }
      })
    shared.stack.withLock { $0 = stack }
  }

  /// Starts a server, runs `body` with its listeners in the order of the configuration, and shuts it down.
  static func run(
    _ configuration: SIPTransportConfiguration? = nil, answers: Bool = true,
    _ body: (Server, [BoundListener]) async throws -> Void
  ) async throws {
    let server = Server(try configuration ?? Self.configuration(), answers: answers)
    let listeners = try await server.stack.start()
    do {
      try await body(server, listeners)
    } catch {
      await server.end()
      throw error
    }
    await server.end()
  }

  private func end() async {
    await stack.shutdown()
    shared.stack.withLock { $0 = nil }
    try? await group.shutdownGracefully()
  }

  var notes: Notes { shared.notes.withLock { $0 } }

  func onLoop<R: Sendable>(_ body: @escaping @Sendable (SIPTransportStack) -> R) async throws -> R {
    try await loop.submit { [stack] in body(stack) }.get()
  }

  func send(_ message: SIPMessage, to destination: Destination) async throws {
    try await onLoop { $0.send(message, to: destination) }
  }

  /// Waits until `condition` holds of what happened.
  func wait(for what: String, _ condition: (Notes) -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while !condition(notes) {
      if ContinuousClock.now > deadline { throw RawClient.Failure(description: "no \(what)") }
      try await Task.sleep(for: .milliseconds(3))
    }
  }

  /// A listener whose connections are WebSockets from the first byte, without the HTTP handshake.
  func bareWebSocketListener() async throws -> Core.SocketAddress {
    let channel = try await ServerBootstrap(group: loop)
      .childChannelInitializer { [stack] channel in stack.configureWebSocket(channel, secure: false) }
      .bind(host: "127.0.0.1", port: 0).get()
    return Core.SocketAddress("127.0.0.1:\(channel.localAddress!.port!)")!
  }
}

extension [BoundListener] {
  func address(_ transport: TransportProtocol, ipv6: Bool = false) -> Core.SocketAddress {
    first { $0.transport == transport && $0.address.ip.isIPv6 == ipv6 }!.address
  }
}

/// The lines that a logger wrote.
final class LogLines: Sendable {
  private let lines = Mutex<[String]>([])

  var warnings: [String] { lines.withLock { $0 } }
  var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

  private struct Handler: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning

    func log(event: LogEvent) {
      lines.lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
  }
}

/// A SIP OPTIONS request as text.
func options(_ transport: String, callID: String = "c1", body: String = "", extra: String = "") -> String {
  "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/\(transport) client.invalid;branch=z9hG4bK\(callID);rport\r\n"
    + "Max-Forwards: 70\r\nFrom: <sip:b@example.com>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: \(callID)\r\n"
    + "CSeq: 1 OPTIONS\r\n\(extra)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}
