import Audio
import Core
import HeapModule
import Logging
import SIP

/// The back-to-back user agent: transactions, registrar, digest, trunks and the table of calls.
///
/// A router on the gateway's executor. It owns who gets which message; what a message means is the leg's or call's matter.
final class B2BUA {
  static let allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER, REFER, MESSAGE"
  static let supported = "timer, outbound, path, replaces, norefersub"
  static let supportedExtensions: Set<String> = ["timer", "outbound", "path", "replaces", "norefersub"]

  /// Who waits for the response to a request of ours.
  enum Owner {
    case leg(SIPLeg)
    case trunk(TrunkRegistration)
    /// An INVITE that its call left behind.
    case abandoned(AbandonedInvite)
    /// Text between users.
    case message(MessageRelay)
    /// A BYE; its leg is gone.
    case farewell(Farewell)
  }

  let configuration: GatewayConfiguration
  let dependencies: GatewayDependencies
  let metrics: GatewayMetrics
  let logger: Logger
  var directory: Directory
  /// Where phones are led to; nil where no rooms are served.
  var rooms: (any ConferenceRooms)?
  var prompts: (any Prompts)?
  var recorder: (any CallRecorder)?
  /// Brings what befalls a call's recording to its mailbox, from any thread.
  var deliverRecording: @Sendable (_ call: String, RecordingEvent) -> Void = { _, _ in }
  var pinGuard = PINGuard()
  /// Read anew at each use: a call's events await the media workers, and time passes meanwhile.
  var now: Instant { dependencies.now() }

  var transactions: TransactionLayer
  var registrar: Registrar
  let sessionPolicy: SessionTimerPolicy
  var digest: DigestServer
  private(set) var isDraining = false

  private(set) var calls: [String: Call] = [:]
  private var callCount: UInt64 = 0
  private var legCount: UInt64 = 0
  private var ready: [Call] = []
  /// Legs by Call-ID and our tag: the two parts of a dialog's identity that we chose or saw first.
  private var legsByDialog: [DialogKey: SIPLeg] = [:]
  private var legsByID: [LegID: SIPLeg] = [:]
  var owners: [ClientTransactionID: Owner] = [:]
  var invites: [ServerTransactionID: SIPLeg] = [:]
  /// When an abandoned INVITE's transaction is dead for certain, oldest first.
  var abandonments: [(id: ClientTransactionID, end: Instant)] = []
  var deferredByes: [ServerTransactionID: Farewell] = [:]
  private var timers = Heap<TimerEntry>()
  private var timerGenerations: [String: [CallTimer: UInt64]] = [:]
  private var timerCount: UInt64 = 0

  var trunkRegistrations: [String: TrunkRegistration] = [:]
  var trunkAddresses: [String: [IPAddress]] = [:]

  struct DialogKey: Hashable {
    let callID: String
    let localTag: String
  }

  private struct TimerEntry: Comparable {
    let deadline: Instant
    let generation: UInt64
    let call: String
    let timer: CallTimer
    static func < (a: TimerEntry, b: TimerEntry) -> Bool { a.deadline < b.deadline }
    static func == (a: TimerEntry, b: TimerEntry) -> Bool { a.generation == b.generation }
  }

  init(
    configuration: GatewayConfiguration, directory: Directory, dependencies: GatewayDependencies,
    metrics: GatewayMetrics, logger: Logger
  ) {
    self.configuration = configuration
    self.directory = directory
    self.dependencies = dependencies
    self.metrics = metrics
    self.logger = logger
    transactions = TransactionLayer(sentBy: dependencies.contact)
    digest = DigestServer(
      realm: configuration.realm, algorithms: configuration.digestAlgorithms, qops: configuration.digestQOPs)
    registrar = Registrar(policy: configuration.registrar)
    sessionPolicy = SessionTimerPolicy(
      interval: configuration.sessionExpires, minimum: configuration.minimumSessionExpires)
  }

  // MARK: Entries

  func receive(_ message: SIPMessage, from flow: Flow) { perform(transactions.receive(message, from: flow, now: now)) }

  func flowClosed(_ flow: Flow) {
    registrar.flowClosed(flow, now: now)
    perform(transactions.transportFailed(.flow(flow), now: now))
    for leg in legsByID.values where leg.destination == .flow(flow) { lost(flow, of: leg) }
  }

  /// A trunk is reached over a new connection. A browser's unanswered INVITE can never be answered: nothing leads back
  /// (RFC 7118 §5); its running call is held.
  private func lost(_ flow: Flow, of leg: SIPLeg) {
    if case .trunk(let trunk) = leg.party {
      if let destination = destination(of: trunk) { leg.destination = destination }
    } else if flow.transport.isWebSocket, let call = leg.call {
      if leg.isCaller { enqueue(.callerLost(leg), to: call) }
      enqueue(.cutOff(leg), to: call)
    }
  }

  func sendFailed(_ destination: Destination) { perform(transactions.transportFailed(destination, now: now)) }

  func advance() {
    perform(transactions.advance(to: now))
    if !registrar.advance(to: now).isEmpty { metrics.registrations.set(registrar.count) }
    for registration in trunkRegistrations.values { registration.advance() }
    forgetAbandoned()
    while let entry = timers.min, entry.deadline <= now {
      timers.removeMin()
      guard timerGenerations[entry.call]?[entry.timer] == entry.generation, let call = calls[entry.call] else {
        continue
      }
      timerGenerations[entry.call]?[entry.timer] = nil
      enqueue(.timer(entry.timer), to: call)
    }
  }

  var nextDeadline: Instant? {
    var earliest = transactions.nextDeadline
    func consider(_ instant: Instant?) {
      if let instant, earliest.map({ instant < $0 }) ?? true { earliest = instant }
    }
    consider(registrar.nextDeadline)
    consider(timers.min?.deadline)
    consider(abandonments.first?.end)
    for registration in trunkRegistrations.values { consider(registration.nextDeadline) }
    return earliest
  }

  func media(_ id: LegID, _ event: HostedLegEvent) {
    guard let leg = legsByID[id], let call = leg.call else { return }
    enqueue(.media(leg, event), to: call)
  }

  func takeReady() -> [Call] {
    defer { ready.removeAll() }
    return ready
  }

  func enqueue(_ event: CallEvent, to call: Call) {
    if call.enqueue(event) { ready.append(call) }
  }

  // MARK: Transactions

  func perform(_ actions: [TransactionAction]) {
    for action in actions {
      switch action {
      case .transmit(let message, let destination): dependencies.send(message, destination)
      case .request(let transaction, let request, let flow): route(request, transaction, flow)
      case .acknowledged(let transaction, let ack):
        acknowledged(transaction)
        if let leg = invites[transaction] ?? leg(for: ack), let call = leg.call {
          forgetInvite(transaction, of: leg)
          enqueue(.acknowledged(leg, ack), to: call)
        }
      case .cancelled(let transaction, let cancel):
        if let leg = invites[transaction], let call = leg.call { enqueue(.cancelled(leg, cancel), to: call) }
      case .acknowledgementMissing(let transaction):
        acknowledged(transaction)
        if let leg = invites[transaction], let call = leg.call {
          forgetInvite(transaction, of: leg)
          enqueue(.acknowledgementMissing(leg), to: call)
        }
      case .response(let transaction, let response, _): deliver(response, transaction)
      case .timeout(let transaction): fail(transaction, .timeout)
      case .transportFailure(let transaction): fail(transaction, .transport)
      }
    }
  }

  private func deliver(_ response: SIPResponse, _ transaction: ClientTransactionID) {
    switch owners[transaction] {
    case .leg(let leg):
      if let call = leg.call { enqueue(.response(leg, transaction, response), to: call) }
    case .trunk(let registration): registration.receive(response, transaction)
    case .abandoned(let invite): receive(response, transaction, of: invite)
    case .farewell(let farewell): receive(response, of: farewell)
    case .message(let relay): receive(response.status, of: relay)
    case nil: return
    }
    // An INVITE's owner stays: forks and retransmitted 2xx still find it until the leg is forgotten.
    if response.status >= 200, response.headers.cSeq?.method != .invite { disown(transaction) }
  }

  private func fail(_ transaction: ClientTransactionID, _ failure: RequestFailure) {
    let owner = owners[transaction]
    disown(transaction)
    switch owner {
    case .leg(let leg): if let call = leg.call { enqueue(.requestFailed(leg, transaction, failure), to: call) }
    case .trunk(let registration): registration.failed(failure, transaction)
    case .message(let relay): receive(nil, of: relay)
    case .abandoned, .farewell, nil: break
    }
  }

  func disown(_ transaction: ClientTransactionID) {
    if case .leg(let leg) = owners.removeValue(forKey: transaction) { leg.clientTransactions.remove(transaction) }
  }

  @discardableResult
  func send(_ request: SIPRequest, to destination: Destination, owner: Owner) -> ClientTransactionID {
    let (id, actions) = transactions.send(request, to: destination, now: now)
    owners[id] = owner
    if case .leg(let leg) = owner { leg.clientTransactions.insert(id) }
    perform(actions)
    requestWake()
    return id
  }

  func respond(_ response: SIPResponse, to transaction: ServerTransactionID) {
    perform(transactions.respond(response, to: transaction, now: now))
    requestWake()
  }

  func cancel(_ transaction: ClientTransactionID, reason: String?) {
    perform(transactions.cancel(transaction, reason: reason, now: now))
  }

  func acknowledge(_ ack: SIPRequest, for transaction: ClientTransactionID, dialog: Dialog, leg: SIPLeg) {
    acknowledge(ack, for: transaction, to: inDialogDestination(of: leg.party, from: leg.destination, dialog: dialog))
  }

  func acknowledge(_ ack: SIPRequest, for transaction: ClientTransactionID, to destination: Destination) {
    perform(transactions.acknowledge(ack, for: transaction, to: destination, now: now))
  }

  // MARK: Calls

  func makeCall(caller: SIPLeg, routed: RoutedCall, record: CallRecord) -> Call {
    callCount += 1
    let call = Call(id: record.id, number: callCount, core: self, caller: caller, routed: routed, record: record)
    calls[call.id] = call
    call.add(caller)
    metrics.callsActive.set(calls.count)
    return call
  }

  func nextLegID() -> LegID {
    legCount += 1
    return LegID(rawValue: legCount)
  }

  /// The worker of the next call.
  func nextHost() -> MediaHost { dependencies.media.host(forCall: callCount) }

  /// Makes the leg findable by its dialog and by its media events.
  func register(_ leg: SIPLeg) {
    legsByDialog[DialogKey(callID: leg.callID, localTag: leg.localTag)] = leg
    legsByID[leg.id] = leg
  }

  /// Makes the leg findable by an INVITE's CANCEL and ACK.
  func registerInvite(_ transaction: ServerTransactionID, _ leg: SIPLeg) {
    invites[transaction] = leg
    leg.serverInvites.insert(transaction)
  }

  private func forgetInvite(_ transaction: ServerTransactionID, of leg: SIPLeg) {
    invites[transaction] = nil
    leg.serverInvites.remove(transaction)
  }

  func leg(for request: SIPRequest) -> SIPLeg? {
    guard let tag = request.headers.to?.tag, let callID = request.headers.callID else { return nil }
    return leg(callID: callID, localTag: tag)
  }

  func leg(callID: String, localTag: String) -> SIPLeg? {
    legsByDialog[DialogKey(callID: callID, localTag: localTag)]
  }

  /// Drops a call that is over and recorded.
  func forget(_ call: Call) {
    calls[call.id] = nil
    timerGenerations[call.id] = nil
    for leg in call.members { release(leg) }
    dropStaleTimers()
    metrics.callsActive.set(calls.count)
  }

  /// Takes a leg out of every table and lets its call go. Its INVITE may still be answered; that is seen to without it.
  private func release(_ leg: SIPLeg) {
    abandonInvite(of: leg)
    legsByDialog[DialogKey(callID: leg.callID, localTag: leg.localTag)] = nil
    legsByID[leg.id] = nil
    for invite in leg.serverInvites { invites[invite] = nil }
    leg.serverInvites = []
    for transaction in leg.clientTransactions { owners[transaction] = nil }
    leg.clientTransactions = []
    leg.call = nil
  }

  // MARK: Timers

  /// Does nothing for a call that is over.
  func setTimer(_ timer: CallTimer, of call: Call, after delay: Duration) {
    guard calls[call.id] === call, call.phase != .ended else { return }
    timerCount += 1
    timerGenerations[call.id, default: [:]][timer] = timerCount
    timers.insert(TimerEntry(deadline: now + delay, generation: timerCount, call: call.id, timer: timer))
    requestWake()
  }

  func cancelTimer(_ timer: CallTimer, of call: Call) { timerGenerations[call.id]?[timer] = nil }

  func cancelTimers(of call: Call) { timerGenerations[call.id] = nil }

  /// Asks to be called when the next thing is due; also in the middle of a call's work, which may await for long.
  func requestWake() {
    if let deadline = nextDeadline { dependencies.requestWake(deadline) }
  }

  /// Timers that were cancelled leave the heap with their time; sooner where they are most of it.
  private func dropStaleTimers() {
    guard timers.count > 256, timers.count > 4 * timerGenerations.values.reduce(0, { $0 + $1.count }) else { return }
    timers = Heap(timers.unordered.filter { timerGenerations[$0.call]?[$0.timer] == $0.generation })
  }

  // MARK: Records

  /// Saves a running call's record without waiting; a call's saves keep their order.
  func save(_ call: Call) {
    for leg in call.legs { call.store(leg) }
    let record = call.record
    let sink = dependencies.records
    let before = call.lastSave
    call.lastSave = Task {
      await before?.value
      await sink.save(record)
    }
  }

  /// Saves an ended call's record and returns when it is durable.
  func saveDurably(_ call: Call) async {
    await call.lastSave?.value
    call.lastSave = nil
    await dependencies.records.save(call.record)
  }

  // MARK: Operators

  var liveCalls: [CallRecord] { calls.values.sorted { $0.number < $1.number }.map(\.record) }
  var hasNoCalls: Bool { calls.isEmpty }

  func hangUp(_ callID: String, reason: String) -> Bool {
    guard let call = calls[callID] else { return false }
    enqueue(.hangUp(status: 480, reason: reason), to: call)
    return true
  }

  func hangUpAll(reason: String) {
    for call in calls.values { enqueue(.hangUp(status: 503, reason: reason), to: call) }
  }

  func beginDrain() { isDraining = true }

  var holdings: GatewayHoldings {
    var holdings = GatewayHoldings()
    holdings.calls = calls.count
    holdings.legs = max(legsByID.count, legsByDialog.count)
    holdings.serverInvites = invites.count
    holdings.clientRequests = owners.values.count { if case .trunk = $0 { false } else { true } }
    holdings.timers = timerGenerations.values.reduce(0) { $0 + $1.count }
    holdings.deferredByes = deferredByes.count
    return holdings
  }
}
