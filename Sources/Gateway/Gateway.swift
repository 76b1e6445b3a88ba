package import Core
package import Logging
package import SIP

/// Keeps call records. Returns when the record is durable; the implementation retries, so nothing is lost while it runs.
package protocol CallRecordSink: Sendable {
  func save(_ record: CallRecord) async
}

/// What the gateway needs of its surroundings. Every closure is called on the signalling loop.
package struct GatewayDependencies: Sendable {
  /// Sends a message; failures come back through `Gateway.sendFailed`.
  package var send: @Sendable (SIPMessage, Destination) -> Void
  /// Asks for a call of `Gateway.advance` at the given time, at the latest.
  package var requestWake: @Sendable (Instant) -> Void
  /// The local address and port that peers behind this destination can reach.
  package var contact: @Sendable (Destination) -> (host: String, port: UInt16?)
  package var records: any CallRecordSink
  package var media: MediaPlane
  /// The monotonic clock.
  package var now: @Sendable () -> Instant

  package init(
    send: @escaping @Sendable (SIPMessage, Destination) -> Void, requestWake: @escaping @Sendable (Instant) -> Void,
    contact: @escaping @Sendable (Destination) -> (host: String, port: UInt16?), records: any CallRecordSink,
    media: MediaPlane, now: @escaping @Sendable () -> Instant = { .now() }
  ) {
    self.send = send
    self.requestWake = requestWake
    self.contact = contact
    self.records = records
    self.media = media
    self.now = now
  }
}

/// The signalling side of Parley: registrar, trunks and calls, all on one executor (the signalling event loop).
///
/// Messages enter by the synchronous methods on that loop, without a hop. A call's events go through its mailbox and
/// are handled by one task at a time, which may await the media workers.
package actor Gateway {
  private nonisolated let executor: any SerialExecutor
  package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  let core: B2BUA
  /// Calls whose events are being handled.
  package private(set) var busyMailboxes = 0

  package init(
    executor: any SerialExecutor, configuration: GatewayConfiguration, directory: Directory,
    dependencies: GatewayDependencies, metrics: GatewayMetrics, logger: Logger
  ) {
    self.executor = executor
    core = B2BUA(
      configuration: configuration, directory: directory, dependencies: dependencies, metrics: metrics, logger: logger)
  }

  // MARK: From the sockets

  /// A message arrived.
  package func receive(_ message: SIPMessage, from flow: Flow) {
    core.receive(message, from: flow)
    pump()
  }

  /// A connection closed: its bindings go and its transactions fail.
  package func flowClosed(_ flow: Flow) {
    core.flowClosed(flow)
    pump()
  }

  /// A message could not be sent.
  package func sendFailed(_ destination: Destination) {
    core.sendFailed(destination)
    pump()
  }

  /// Fires what is due.
  package func advance() {
    core.advance()
    pump()
  }

  // MARK: From the media workers

  /// A leg's media changed.
  package func media(_ leg: LegID, _ event: HostedLegEvent) {
    core.media(leg, event)
    pump()
  }

  // MARK: From the operator

  /// Replaces the directory; trunks register anew where they changed.
  package func update(_ directory: Directory, trunkAddresses: [String: [IPAddress]]) {
    core.update(directory, trunkAddresses: trunkAddresses)
    pump()
  }

  /// Whether new calls are taken.
  package var isReady: Bool { !core.isDraining }

  package var transactionStatistics: TransactionStatistics { core.transactions.statistics }

  /// Running calls, oldest first.
  package var liveCalls: [CallRecord] { core.liveCalls }

  /// Everybody who is registered now.
  package var registrations: [Registration] { core.registrations }

  package var trunkStates: [TrunkState] { core.trunkStates }

  package var holdings: GatewayHoldings { core.holdings }

  /// Ends a call; false if it is not running.
  package func hangUp(_ callID: String, reason: String) -> Bool {
    let found = core.hangUp(callID, reason: reason)
    pump()
    return found
  }

  /// Takes no new call, lets the running ones finish for the configured time, then ends what is left.
  package func drain() async {
    core.beginDrain()
    pump()
    let deadline = core.now + core.configuration.drainTimeout
    while !core.hasNoCalls, core.now < deadline { try? await Task.sleep(for: .milliseconds(50)) }
    core.hangUpAll(reason: "the server is shutting down")
    core.unregisterTrunks()
    pump()
    let last = core.now + .seconds(3)
    while !core.hasNoCalls || core.isLeavingTrunks, core.now < last { try? await Task.sleep(for: .milliseconds(20)) }
  }

  // MARK: Mailboxes and timers

  func pump() {
    for call in core.takeReady() {
      busyMailboxes += 1
      Task { [self] in
        await call.drainMailbox()
        mailboxDrained()
      }
    }
    core.requestWake()
  }

  private func mailboxDrained() {
    busyMailboxes -= 1
    pump()
  }
}
