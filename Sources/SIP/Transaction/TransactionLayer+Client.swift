package import Core

extension TransactionLayer {
  /// Starts a client transaction: puts our Via on top and transmits. Use `acknowledge` for the ACK of a 2xx and `cancel`
  /// for CANCEL; neither is sent with this.
  package mutating func send(
    _ request: SIPRequest, to destination: Destination, now: Instant
  ) -> (ClientTransactionID, [TransactionAction]) {
    var request = request
    let branch = pushVia(&request, destination)
    let id = startClient(
      request, key: ClientTransaction.Key(branch: branch, method: request.method), to: destination, isInternal: false,
      now: now)
    dropStaleTimers()
    return (id, [.transmit(.request(request), to: destination)])
  }

  /// Cancels an INVITE (RFC 3261 §9.1): at once when a provisional response has come, else as soon as one comes; not at
  /// all when the final response is first. The INVITE still ends with a response or a timeout.
  /// - Parameter reason: value of a Reason header (RFC 3326).
  package mutating func cancel(
    _ id: ClientTransactionID, reason: String? = nil, now: Instant
  ) -> [TransactionAction] {
    guard let transaction = clients[id.rawValue], transaction.isInvite, case .none = transaction.cancellation else {
      return []
    }
    var actions: [TransactionAction] = []
    switch transaction.state {
    case .calling: clients[id.rawValue]?.cancellation = .waiting(reason: reason)
    case .proceeding: sendCancel(id.rawValue, reason: reason, now, &actions)
    case .trying, .completed, .accepted: break
    }
    dropStaleTimers()
    return actions
  }

  /// Sends the ACK of a 2xx, and again for every retransmission of that 2xx (RFC 3261 §13.2.2.4).
  package mutating func acknowledge(
    _ ack: SIPRequest, for id: ClientTransactionID, to destination: Destination, now: Instant
  ) -> [TransactionAction] {
    var ack = ack
    _ = pushVia(&ack, destination)
    if let tag = ack.headers.toTag, clients[id.rawValue]?.state == .accepted {
      clients[id.rawValue]?.acknowledgements.removeAll { $0.toTag == tag }
      clients[id.rawValue]?.acknowledgements.append(
        ClientTransaction.Acknowledgement(toTag: tag, request: ack, destination: destination))
    }
    return [.transmit(.request(ack), to: destination)]
  }

  // MARK: Inside

  /// Puts our Via on top; gives its branch.
  private mutating func pushVia(_ request: inout SIPRequest, _ destination: Destination) -> String {
    let (host, port) = sentBy(destination)
    let branch = newBranch()
    var via = Via(transport: destination.transport, host: host, port: port, branch: branch)
    if destination.transport == .udp { via.parameters.setFlag("rport") }
    request.headers.prepend(.via, via.description)
    return branch
  }

  private mutating func startClient(
    _ request: SIPRequest, key: ClientTransaction.Key, to destination: Destination, isInternal: Bool, now: Instant
  ) -> ClientTransactionID {
    let id = newID()
    let transaction = ClientTransaction(
      id: ClientTransactionID(rawValue: id), key: key, request: request, destination: destination,
      isInternal: isInternal, state: key.method == .invite ? .calling : .trying, interval: timers.t1)
    clients[id] = transaction
    clientIDs[key] = id
    if !transaction.isReliable { startClient(id, .retransmit, now, after: timers.t1) }
    startClient(id, .timeout, now, after: timers.timeout)
    return transaction.id
  }

  private mutating func sendCancel(
    _ id: UInt64, reason: String?, _ now: Instant, _ actions: inout [TransactionAction]
  ) {
    guard let transaction = clients[id] else { return }
    clients[id]?.cancellation = .sent
    // RFC 3261 §9.1: 64·T1 after the CANCEL the INVITE is given up.
    startClient(id, .timeout, now, after: timers.timeout)
    let cancel = transaction.cancelRequest(reason: reason)
    let key = ClientTransaction.Key(branch: transaction.key.branch, method: .cancel)
    _ = startClient(cancel, key: key, to: transaction.destination, isInternal: true, now: now)
    actions.append(.transmit(.request(cancel), to: transaction.destination))
  }

  mutating func receive(
    _ response: SIPResponse, from flow: Flow, now: Instant, _ actions: inout [TransactionAction]
  ) {
    // A response to us has one Via (RFC 3261 §8.1.3.3): ours.
    guard response.headers.hasSingleVia, let branch = response.headers.topVia?.branch,
      let method = response.headers.cSeq?.method,
      let id = clientIDs[ClientTransaction.Key(branch: branch, method: method)], let transaction = clients[id]
    else {
      statistics.strayResponses += 1
      return
    }
    if transaction.isInvite {
      receiveInvite(response, transaction, flow, now, &actions)
    } else {
      receiveOther(response, transaction, flow, now, &actions)
    }
  }

  /// RFC 3261 figure 5 with RFC 6026 §7.2.
  private mutating func receiveInvite(
    _ response: SIPResponse, _ transaction: ClientTransaction, _ flow: Flow, _ now: Instant,
    _ actions: inout [TransactionAction]
  ) {
    let id = transaction.id.rawValue
    switch (transaction.state, response.status) {
    case (.calling, ..<200), (.proceeding, ..<200):
      clients[id]?.state = .proceeding
      clients[id]?.deadlines.clear(.retransmit)
      if case .sent = transaction.cancellation {} else { clients[id]?.deadlines.clear(.timeout) }
      actions.append(.response(transaction.id, response, flow))
      if case .waiting(let reason) = transaction.cancellation { sendCancel(id, reason: reason, now, &actions) }
    case (.calling, 200..<300), (.proceeding, 200..<300):
      clients[id]?.state = .accepted
      clients[id]?.acceptedTags = [response.headers.toTag ?? ""]
      clients[id]?.deadlines.clearAll()
      startClient(id, .linger, now, after: timers.timeout)
      actions.append(.response(transaction.id, response, flow))
    case (.calling, _), (.proceeding, _):
      let ack = transaction.negativeAcknowledgement(of: response)
      actions.append(.transmit(.request(ack), to: transaction.destination))
      actions.append(.response(transaction.id, response, flow))
      if transaction.isReliable {
        removeClient(id)
      } else {
        clients[id]?.state = .completed
        clients[id]?.negativeACK = ack
        clients[id]?.deadlines.clearAll()
        startClient(id, .linger, now, after: timers.timerD)
      }
    case (.completed, 300...):
      statistics.retransmissionsAbsorbed += 1
      if let ack = transaction.negativeACK {
        statistics.retransmissionsSent += 1
        actions.append(.transmit(.request(ack), to: transaction.destination))
      }
    case (.accepted, 200..<300):
      let tag = response.headers.toTag ?? ""
      if !transaction.acceptedTags.contains(tag) {
        clients[id]?.acceptedTags.append(tag)
        actions.append(.response(transaction.id, response, flow))
        return
      }
      statistics.retransmissionsAbsorbed += 1
      if let ack = transaction.acknowledgements.first(where: { $0.toTag == tag }) {
        statistics.retransmissionsSent += 1
        actions.append(.transmit(.request(ack.request), to: ack.destination))
      }
    case (.completed, _), (.accepted, _), (.trying, _):
      statistics.strayResponses += 1
    }
  }

  /// RFC 3261 figure 6.
  private mutating func receiveOther(
    _ response: SIPResponse, _ transaction: ClientTransaction, _ flow: Flow, _ now: Instant,
    _ actions: inout [TransactionAction]
  ) {
    let id = transaction.id.rawValue
    guard transaction.isPending else {
      statistics.retransmissionsAbsorbed += 1
      return
    }
    if !transaction.isInternal { actions.append(.response(transaction.id, response, flow)) }
    if response.isProvisional {
      clients[id]?.state = .proceeding
      return
    }
    guard !transaction.isReliable else { return removeClient(id) }
    clients[id]?.state = .completed
    clients[id]?.deadlines.clearAll()
    startClient(id, .linger, now, after: timers.t4)
  }

  mutating func fireClient(_ entry: TimerQueue.Entry, _ now: Instant, _ actions: inout [TransactionAction]) {
    let id = entry.transaction
    guard let transaction = clients[id] else { return }
    switch entry.kind {
    case .retransmit:
      statistics.retransmissionsSent += 1
      actions.append(.transmit(.request(transaction.request), to: transaction.destination))
      // Timer A doubles without bound; Timer E up to T2, and is T2 in Proceeding (RFC 3261 §17.1.1.2, §17.1.2.2).
      var interval = transaction.interval * 2
      if !transaction.isInvite { interval = transaction.state == .proceeding ? timers.t2 : min(interval, timers.t2) }
      clients[id]?.interval = interval
      startClient(id, .retransmit, now, after: interval)
    case .timeout:
      removeClient(id)
      guard !transaction.isInternal else { return }
      statistics.timeouts += 1
      actions.append(.timeout(transaction.id))
    case .linger, .provisional:
      removeClient(id)
    }
  }
}

extension Headers {
  /// Whether there is exactly one Via value.
  var hasSingleVia: Bool {
    var lines = 0
    for field in fields where field.name == .via {
      lines += 1
      if lines > 1 || withBytes(of: field, { Grammar.elementEnd($0, $1, $2) < $2 }) { return false }
    }
    return lines == 1
  }
}
