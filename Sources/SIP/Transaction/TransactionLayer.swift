package import Core

/// All transactions of one element (RFC 3261 §17 with RFC 6026), as a value without clock, socket or randomness.
///
/// Drive rule: one mutation, then do its actions in order, then look at `nextDeadline`. Time is an argument and must not
/// run backwards; `advance(to:)` fires what is due.
package struct TransactionLayer: Sendable {
  package let timers: TransactionTimers
  /// More transactions than this are refused with 503 and no state.
  package var maximumTransactions = 200_000
  package internal(set) var statistics = TransactionStatistics()

  let sentBy: @Sendable (Destination) -> (host: String, port: UInt16?)
  var random: any RandomNumberGenerator & Sendable
  var nextID: UInt64 = 1
  var queue = TimerQueue()
  var clients: [UInt64: ClientTransaction] = [:]
  var clientIDs: [ClientTransaction.Key: UInt64] = [:]
  var servers: [UInt64: ServerTransaction] = [:]
  var serverIDs: [ServerTransaction.Key: UInt64] = [:]
  var mergeIDs: [ServerTransaction.MergeKey: UInt64] = [:]
  var dialogIDs: [ServerTransaction.DialogKey: UInt64] = [:]

  /// - Parameters:
  ///   - sentBy: host and port for our Via towards a destination.
  ///   - random: for branches and tags; must be unpredictable outside tests.
  package init(
    timers: TransactionTimers = .rfc3261,
    sentBy: @escaping @Sendable (Destination) -> (host: String, port: UInt16?),
    random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
  ) {
    self.timers = timers
    self.sentBy = sentBy
    self.random = random
  }

  /// Transactions that are alive, lingering ones included.
  package var count: Int { clients.count + servers.count }

  /// The earliest moment at which `advance(to:)` has something to do.
  package var nextDeadline: Instant? { queue.first.map { Instant(nanoseconds: $0.deadline) } }

  /// A message from the network.
  package mutating func receive(_ message: SIPMessage, from flow: Flow, now: Instant) -> [TransactionAction] {
    var actions: [TransactionAction] = []
    switch message {
    case .request(let request):
      statistics.requestsReceived += 1
      receive(request, from: flow, now: now, &actions)
    case .response(let response):
      statistics.responsesReceived += 1
      receive(response, from: flow, now: now, &actions)
    }
    dropStaleTimers()
    return actions
  }

  /// Fires the timers that are due.
  package mutating func advance(to now: Instant) -> [TransactionAction] {
    var actions: [TransactionAction] = []
    while let entry = queue.first, entry.deadline <= now.nanoseconds {
      queue.removeFirst()
      guard isLive(entry) else { continue }
      if clients[entry.transaction] != nil {
        clients[entry.transaction]?.deadlines.clear(entry.kind)
        fireClient(entry, now, &actions)
      } else {
        servers[entry.transaction]?.deadlines.clear(entry.kind)
        fireServer(entry, now, &actions)
      }
    }
    dropStaleTimers()
    return actions
  }

  /// A destination is lost: a connection closed or refused, or the network said unreachable. Client transactions
  /// without a final response end with `.transportFailure`.
  package mutating func transportFailed(_ destination: Destination, now: Instant) -> [TransactionAction] {
    var actions: [TransactionAction] = []
    let lost = clients.values.filter { $0.isPending && $0.destination == destination }.map(\.id.rawValue).sorted()
    for id in lost {
      guard let transaction = clients[id] else { continue }
      removeClient(id)
      statistics.transportFailures += 1
      if !transaction.isInternal { actions.append(.transportFailure(transaction.id)) }
    }
    // Nobody is left to repeat a final response to; an unacknowledged 2xx still runs into its timeout.
    let answered = servers.values.filter {
      ($0.state == .completed || $0.state == .confirmed) && $0.destination == destination
    }
    for transaction in answered { removeServer(transaction.id.rawValue) }
    dropStaleTimers()
    return actions
  }

  /// Answers a message that did not parse but can be answered; statelessly.
  package mutating func reject(_ error: SIPParseError, from flow: Flow) -> [TransactionAction] {
    guard var request = error.partial else { return [] }
    var destination = Destination.flow(flow)
    if var via = request.headers.topVia {
      destination = ServerTransaction.responseDestination(via: via, flow: flow)
      if ServerTransaction.noteSource(&via, flow) { request.headers.replaceTopVia(via) }
    }
    var answerable = error
    answerable.partial = request
    guard let response = answerable.response(toTag: newTag()) else { return [] }
    return [.transmit(.response(response), to: destination)]
  }

  // MARK: Inside

  mutating func newTag() -> String { hexadecimal(random.next()) }
  mutating func newBranch() -> String {
    Via.magicCookie + hexadecimal(random.next()) + hexadecimal(random.next())
  }

  private func hexadecimal(_ value: UInt64) -> String {
    String(unsafeUninitializedCapacity: 16) { buffer in
      for i in 0..<16 {
        let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * i)) & 15
        buffer[i] = digit < 10 ? 0x30 + digit : 0x61 + digit - 10
      }
      return 16
    }
  }

  mutating func newID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  /// Sets a timer of the client transaction `id`.
  mutating func startClient(_ id: UInt64, _ kind: Deadlines.Kind, _ now: Instant, after delay: Duration) {
    let deadline = (now + delay).nanoseconds
    clients[id]?.deadlines[kind] = deadline
    queue.insert(TimerQueue.Entry(deadline: deadline, transaction: id, kind: kind))
  }

  /// Sets a timer of the server transaction `id`.
  mutating func startServer(_ id: UInt64, _ kind: Deadlines.Kind, _ now: Instant, after delay: Duration) {
    let deadline = (now + delay).nanoseconds
    servers[id]?.deadlines[kind] = deadline
    queue.insert(TimerQueue.Entry(deadline: deadline, transaction: id, kind: kind))
  }

  private func isLive(_ entry: TimerQueue.Entry) -> Bool {
    let deadlines = clients[entry.transaction]?.deadlines ?? servers[entry.transaction]?.deadlines
    return deadlines?[entry.kind] == entry.deadline
  }

  /// Keeps `nextDeadline` honest.
  mutating func dropStaleTimers() {
    while let entry = queue.first, !isLive(entry) { queue.removeFirst() }
  }

  mutating func removeClient(_ id: UInt64) {
    guard let transaction = clients.removeValue(forKey: id) else { return }
    clientIDs.removeValue(forKey: transaction.key)
  }

  mutating func removeServer(_ id: UInt64) {
    guard let transaction = servers.removeValue(forKey: id) else { return }
    serverIDs.removeValue(forKey: transaction.key)
    if let key = transaction.mergeKey, mergeIDs[key] == id { mergeIDs.removeValue(forKey: key) }
    if let key = transaction.dialogKey, dialogIDs[key] == id { dialogIDs.removeValue(forKey: key) }
  }
}
