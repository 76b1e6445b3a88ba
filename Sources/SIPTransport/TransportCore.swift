import Core
import Logging
import NIOCore
import SIP

/// The state of all transports. Lives on one event loop and is reached from nowhere else.
///
/// Order within a turn: a read delivers its messages to `onEvent` at once; the user's answers are written before the
/// read returns. What would call the user back from inside its own `send` (a closed flow, a failed send) is put off
/// to the next turn of the loop.
final class TransportCore {
  let loop: any EventLoop
  let logger: Logger
  let limits: SIPTransportLimits
  let sipLimits: SIPLimits
  private let onEvent: @Sendable (SIPTransportEvent) -> Void
  private let onSendFailure: @Sendable (Destination) -> Void

  var connections: [UInt64: SIPConnection] = [:]
  var datagramListeners: [DatagramListener] = []
  var streamListeners: [(listener: BoundListener, channel: any Channel)] = []
  var outbound: OutboundConnections
  var routes = RouteProbe()
  var limiter: SourceLimiter
  private(set) var counters = TransportCounters()
  private var lastID: UInt64 = 0
  private var sweep: RepeatedTask?
  private var sweeps: UInt64 = 0
  private(set) var isShutDown = false
  private var generator = SystemRandomNumberGenerator()

  init(
    loop: any EventLoop, configuration: SIPTransportConfiguration, logger: Logger,
    onSendFailure: @escaping @Sendable (Destination) -> Void, onEvent: @escaping @Sendable (SIPTransportEvent) -> Void
  ) {
    self.loop = loop
    self.logger = logger
    self.onEvent = onEvent
    self.onSendFailure = onSendFailure
    limits = configuration.limits
    sipLimits = Framing.limits(maximumMessageSize: limits.maximumMessageSize)
    outbound = OutboundConnections(tls: configuration.clientTLS)
    limiter = SourceLimiter(
      limits: .init(
        connections: limits.maximumConnectionsPerSource, messagesPerSecond: limits.messagesPerSecondPerSource,
        burst: limits.messageBurstPerSource, maximumSources: limits.maximumTrackedSources,
        unlimited: limits.unlimitedNetworks))
  }

  func nextID() -> UInt64 {
    lastID += 1
    return lastID
  }

  // MARK: Events

  func received(_ message: SIPMessage, on flow: Flow) {
    counters[flow.transport].messagesIn += 1
    onEvent(.message(message, flow))
  }

  func count(bytesIn bytes: Int, on transport: TransportProtocol) { counters[transport].bytesIn += bytes }

  func count(sent bytes: Int, messages: Int = 1, on transport: TransportProtocol) {
    counters[transport].messagesOut += messages
    counters[transport].bytesOut += bytes
  }

  /// Tells the user on the next turn of the loop.
  func sendFailed(_ destination: Destination) {
    counters.sendFailures += 1
    loop.execute { [onSendFailure] in onSendFailure(destination) }
  }

  /// Answers a malformed request when it can be answered, and counts it.
  ///
  /// - Returns: the answer's bytes.
  func answer(malformed error: SIPParseError, on flow: Flow) -> [UInt8]? {
    refuse(
      error.kind == .tooLarge ? .oversized : .malformed, from: flow.remote.ip, on: flow.transport, detail: "\(error)")
    let toTag = Hex.encode((0..<6).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    guard var response = error.response(toTag: toTag) else { return nil }
    response.addReceived(from: flow)
    response.headers.set(.warning, response.warning(error.rule))
    return response.serialized()
  }

  /// Counts a refusal and logs it when it is the source's first within a minute.
  func refuse(
    _ reason: RefusalReason, from ip: IPAddress, on transport: TransportProtocol, detail: String? = nil
  ) {
    counters.refused[reason, default: 0] += 1
    guard let report = limiter.noteRefusal(of: ip, now: .now()) else { return }
    var metadata: Logger.Metadata = [
      "source": "\(ip)", "transport": "\(transport.rawValue)", "reason": "\(reason.rawValue)",
      "refusals": "\(report.refusals)",
    ]
    if let detail { metadata["detail"] = "\(detail.prefix(200))" }
    logger.warning(
      "refused: \(reason.text); further lines about this source are held back for a minute", metadata: metadata)
  }

  // MARK: Connections

  var connectionCount: Int { connections.count }

  /// Whether one more connection of this source may stay; counted when it may.
  func admitConnection(from ip: IPAddress, on transport: TransportProtocol) -> Bool {
    if isShutDown { return false }
    guard connections.count < limits.maximumConnections else {
      refuse(.connectionLimit, from: ip, on: transport)
      return false
    }
    guard limiter.admitConnection(from: ip, now: .now()) else {
      refuse(.sourceConnectionLimit, from: ip, on: transport)
      return false
    }
    return true
  }

  func opened(_ connection: SIPConnection) {
    connections[connection.flow.id] = connection
    counters[connection.flow.transport].connections += 1
  }

  /// Called once by each connection that was opened.
  func closed(_ connection: SIPConnection) {
    let flow = connection.flow
    guard connections.removeValue(forKey: flow.id) != nil else { return }
    counters[flow.transport].connections -= 1
    if connection.isInbound {
      limiter.releaseConnection(from: flow.remote.ip)
    } else {
      outbound.connections[.init(flow.transport, flow.remote)] = nil
      sendFailed(.address(flow.transport, flow.remote))
    }
    loop.execute { [onEvent] in onEvent(.flowClosed(flow)) }
  }

  // MARK: Time

  /// Connections look at their deadlines this often: a quarter of the shortest timeout, at most every second.
  private var sweepInterval: TimeAmount {
    let shortest = [
      limits.partialMessageTimeout, limits.firstMessageTimeout, limits.webSocketPingInterval, limits.pongTimeout,
      limits.closeTimeout, limits.streamIdleTimeout, limits.unwritableTimeout,
    ].min()!
    return .nanoseconds(max(5_000_000, min(1_000_000_000, shortest.nanoseconds / 4)))
  }

  func startSweeping() {
    let box = NIOLoopBound(self, eventLoop: loop)
    sweep = loop.scheduleRepeatedTask(initialDelay: sweepInterval, delay: sweepInterval) { _ in
      box.value.sweepConnections()
    }
  }

  private func sweepConnections() {
    let now = Instant.now()
    // Closing changes the table; the copy is shared until then.
    let current = connections
    for connection in current.values { connection.check(now) }
    sweeps &+= 1
    if sweeps % 64 == 0 { limiter.forgetIdle(now: now) }
  }

  // MARK: The end

  /// Stops accepting and tells every WebSocket that the server goes away (1001).
  func beginShutdown() {
    isShutDown = true
    for (_, channel) in streamListeners { channel.close(promise: nil) }
    streamListeners = []
    outbound.failAll { self.sendFailed($0) }
    for connection in connections.values { connection.goAway() }
  }

  /// Closes what is left.
  func finishShutdown() {
    sweep?.cancel()
    sweep = nil
    for connection in connections.values { connection.abort() }
    for listener in datagramListeners { listener.close() }
    datagramListeners = []
  }

  var statistics: SIPTransportStatistics { counters.statistics }
}

/// Counters that are indexed without hashing.
struct TransportCounters {
  private var transports = [SIPTransportStatistics.PerTransport](
    repeating: .init(), count: TransportProtocol.allCases.count)
  var refused: [RefusalReason: Int] = [:]
  var sendFailures = 0

  subscript(_ transport: TransportProtocol) -> SIPTransportStatistics.PerTransport {
    get { transports[Self.index(transport)] }
    _modify { yield &transports[Self.index(transport)] }
  }

  private static func index(_ transport: TransportProtocol) -> Int {
    switch transport {
    case .udp: 0
    case .tcp: 1
    case .tls: 2
    case .ws: 3
    case .wss: 4
    }
  }

  var statistics: SIPTransportStatistics {
    var all = SIPTransportStatistics()
    for transport in TransportProtocol.allCases { all.transports[transport] = self[transport] }
    all.refused = refused
    all.sendFailures = sendFailures
    return all
  }
}

extension SIPResponse {
  /// Notes where the request came from in the top Via, as the transaction layer does for requests that reach it
  /// (RFC 3261 §18.2.1, RFC 3581 §4).
  mutating func addReceived(from flow: Flow) {
    guard var via = headers.topVia else { return }
    if via.wantsRport || via.host != flow.remote.ip.description {
      via.received = flow.remote.ip
      if via.wantsRport { via.rport = flow.remote.port }
      headers.replaceTopVia(via)
    }
  }

  /// RFC 3261 §20.43, code 399: the rule that was broken, as a quoted string.
  func warning(_ rule: String) -> String {
    let text = rule.unicodeScalars.map { scalar in
      switch scalar {
      case "\"", "\\": "'"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F: " "
      default: String(scalar)
      }
    }.joined()
    return "399 parley \"\(text)\""
  }
}
