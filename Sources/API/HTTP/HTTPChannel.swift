import Core
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOSSL
import SIPTransport
import Synchronization

/// Sets up each accepted connection: TLS when the listener has a certificate, the HTTP decoder and the gate.
struct HTTPChannel: HTTPChannelHandler {
  struct Configuration: Sendable {
    let limits: HTTPServerConfiguration.Limits
    let tls: TLSContextSource?
    let webSockets: [String: WebSocketRoute]
  }

  struct Value: ServerChildChannelValue {
    let outcome: EventLoopFuture<HTTPOutcome>
    let channel: any Channel
  }

  let responder: HTTPChannelHandler.Responder
  let configuration: Configuration
  let admissions: HTTPAdmissions

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    guard let remote = Core.SocketAddress(channel.remoteAddress), admissions.admit(remote.ip) else {
      channel.close(promise: nil)
      return channel.eventLoop.makeFailedFuture(ChannelError.eof)
    }
    return channel.eventLoop.makeCompletedFuture {
      let outcome = channel.eventLoop.makePromise(of: HTTPOutcome.self)
      let gate = HTTPGate(
        configuration: configuration, outcome: outcome, release: { [admissions] in admissions.release(remote.ip) },
        logger: logger)
      var limits = NIOHTTPDecoderLimitConfiguration()
      limits.maxHeaderFieldSize = configuration.limits.maximumHeaderSize
      limits.maxHeaderListSize = configuration.limits.maximumHeaderSize
      limits.maxHeaderFieldCount = 100
      let pipeline = channel.pipeline.syncOperations
      if let tls = configuration.tls {
        // With half-closure NIOSSL does not take the peer's close_notify for the answer to ours and waits for its
        // timeout.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
        try pipeline.addHandler(NIOSSLServerHandler(context: tls.current))
      }
      try pipeline.addHandler(HTTPResponseEncoder(configuration: .init()))
      try pipeline.addHandler(ByteArrival(gate: gate))
      try pipeline.addHandler(
        ByteToMessageHandler(
          HTTPRequestDecoder(
            leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop, limitConfiguration: limits)))
      try pipeline.addHandler(gate)
      return Value(outcome: outcome.futureResult, channel: channel)
    }
  }

  func handle(value: Value, logger: Logger) async {
    guard case .http(let channel)? = try? await value.outcome.get() else { return }
    await handleHTTP(asyncChannel: channel, logger: logger)
  }
}

/// How many HTTP connections are open, in all and of each source.
final class HTTPAdmissions: Sendable {
  private struct State {
    var open = 0
    var limiter: SourceLimiter
  }

  private let maximum: Int
  private let logger: Logger
  private let state: Mutex<State>

  init(limits: HTTPServerConfiguration.Limits, logger: Logger) {
    maximum = limits.maximumConnections
    self.logger = logger
    state = Mutex(State(limiter: SourceLimiter(limits: .init(connections: limits.maximumConnectionsPerSource))))
  }

  func admit(_ ip: IPAddress) -> Bool {
    let now = Instant.now()
    let (admitted, report) = state.withLock { state -> (Bool, SourceLimiter.Report?) in
      guard state.open < maximum, state.limiter.admitConnection(from: ip, now: now) else {
        return (false, state.limiter.noteRefusal(of: ip, now: now))
      }
      state.open += 1
      return (true, nil)
    }
    if let report {
      logger.warning(
        "refused: too many HTTP connections; further lines about this source are held back for a minute",
        metadata: ["source": "\(ip)", "refusals": "\(report.refusals)"])
    }
    return admitted
  }

  func release(_ ip: IPAddress) {
    state.withLock { state in
      state.open -= 1
      state.limiter.releaseConnection(from: ip)
    }
  }
}
