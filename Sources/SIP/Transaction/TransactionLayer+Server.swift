package import Core

extension TransactionLayer {
  /// Answers a request. A To tag is added where the response must have one and does not. A second final response, and
  /// any response to a transaction that is gone, is ignored and counted.
  package mutating func respond(
    _ response: SIPResponse, to id: ServerTransactionID, now: Instant
  ) -> [TransactionAction] {
    var actions: [TransactionAction] = []
    respond(response, to: id.rawValue, now, &actions)
    dropStaleTimers()
    return actions
  }

  /// The To tag that the layer uses for its own responses to this request, such as the 200 of a CANCEL.
  package mutating func localTag(of id: ServerTransactionID) -> String? {
    guard let transaction = servers[id.rawValue] else { return nil }
    if let tag = transaction.localTag { return tag }
    let tag = transaction.request.headers.toTag ?? newTag()
    servers[id.rawValue]?.localTag = tag
    return tag
  }

  // MARK: Requests

  mutating func receive(
    _ request: SIPRequest, from flow: Flow, now: Instant, _ actions: inout [TransactionAction]
  ) {
    guard var via = request.headers.topVia else { return }
    var request = request
    let key = ServerTransaction.key(of: request, via: via)
    if request.method == .ack { return receiveACK(request, key, now, &actions) }
    if let id = serverIDs[key] { return absorb(id, &actions) }
    if ServerTransaction.noteSource(&via, flow) { request.headers.replaceTopVia(via) }
    let destination = ServerTransaction.responseDestination(via: via, flow: flow)
    guard servers.count < maximumTransactions else {
      statistics.refusedByLimit += 1
      let response = SIPResponse(to: request, status: 503, toTag: newTag())
      actions.append(.transmit(.response(response), to: destination))
      return
    }
    if request.method == .cancel { return receiveCancel(request, key, destination, now, &actions) }
    let mergeKey = Self.mergeKey(of: request)
    if let mergeKey, mergeIDs[mergeKey] != nil {
      // The same request over another way (RFC 3261 §8.2.2.2); it gets a transaction so that its ACK is absorbed.
      statistics.mergedRequests += 1
      let id = startServer(request, key, nil, destination)
      respond(SIPResponse(to: request, status: 482, toTag: newTag()), to: id, now, &actions)
      return
    }
    let id = startServer(request, key, mergeKey, destination)
    if request.method == .invite {
      startServer(id, .provisional, now, after: timers.trying)
    } else {
      // By then the client has timed out: an answer would reach nobody (RFC 4320 §4).
      startServer(id, .timeout, now, after: timers.timeout)
    }
    actions.append(.request(ServerTransactionID(rawValue: id), request, flow))
  }

  private static func mergeKey(of request: SIPRequest) -> ServerTransaction.MergeKey? {
    let headers = request.headers
    guard headers.toTag == nil, let fromTag = headers.fromTag, let callID = headers.callID, let cSeq = headers.cSeq
    else { return nil }
    return ServerTransaction.MergeKey(callID: callID, fromTag: fromTag, cSeq: cSeq)
  }

  private mutating func startServer(
    _ request: SIPRequest, _ key: ServerTransaction.Key, _ mergeKey: ServerTransaction.MergeKey?,
    _ destination: Destination
  ) -> UInt64 {
    let id = newID()
    servers[id] = ServerTransaction(
      id: ServerTransactionID(rawValue: id), key: key, request: request, mergeKey: mergeKey, destination: destination,
      state: key.method == .invite ? .proceeding : .trying)
    serverIDs[key] = id
    if let mergeKey { mergeIDs[mergeKey] = id }
    return id
  }

  /// A retransmitted request: the last response is repeated, except the 2xx of an INVITE, which has its own timer
  /// (RFC 6026 §7.1).
  private mutating func absorb(_ id: UInt64, _ actions: inout [TransactionAction]) {
    statistics.retransmissionsAbsorbed += 1
    guard let transaction = servers[id], let response = transaction.lastResponse else { return }
    switch transaction.state {
    case .proceeding, .completed:
      statistics.retransmissionsSent += 1
      actions.append(.transmit(.response(response), to: transaction.destination))
    case .trying, .confirmed, .accepted: break
    }
  }

  private mutating func receiveACK(
    _ ack: SIPRequest, _ key: ServerTransaction.Key, _ now: Instant, _ actions: inout [TransactionAction]
  ) {
    if let id = serverIDs[key], let transaction = servers[id] {
      switch transaction.state {
      case .completed:
        servers[id]?.state = .confirmed
        servers[id]?.deadlines.clearAll()
        if transaction.isReliable {
          removeServer(id)
        } else {
          startServer(id, .linger, now, after: timers.t4)
        }
        return
      case .confirmed:
        statistics.retransmissionsAbsorbed += 1
        return
      case .accepted: break  // an ACK of a 2xx with the INVITE's branch: wrong, seen, and told by its tags
      case .trying, .proceeding:
        statistics.strayAcknowledgements += 1
        return
      }
    }
    guard let callID = ack.headers.callID, let localTag = ack.headers.toTag, let cSeq = ack.headers.cSeq,
      let id = dialogIDs[
        ServerTransaction.DialogKey(
          callID: callID, remoteTag: ack.headers.fromTag ?? "", localTag: localTag, sequence: cSeq.number)]
    else {
      statistics.strayAcknowledgements += 1
      return
    }
    guard servers[id]?.isAcknowledged == false else {
      statistics.retransmissionsAbsorbed += 1
      return
    }
    servers[id]?.isAcknowledged = true
    servers[id]?.deadlines.clear(.retransmit)
    actions.append(.acknowledged(ServerTransactionID(rawValue: id), ack))
  }

  /// RFC 3261 §9.2.
  private mutating func receiveCancel(
    _ cancel: SIPRequest, _ key: ServerTransaction.Key, _ destination: Destination, _ now: Instant,
    _ actions: inout [TransactionAction]
  ) {
    // A legacy key holds nothing of the method, so INVITE and CANCEL differ in `method` alone either way.
    let inviteKey = ServerTransaction.Key(branch: key.branch, sentBy: key.sentBy, method: .invite)
    let cancelID = startServer(cancel, key, nil, destination)
    guard let inviteID = serverIDs[inviteKey] else {
      statistics.unmatchedCancels += 1
      respond(SIPResponse(to: cancel, status: 481, toTag: newTag()), to: cancelID, now, &actions)
      return
    }
    let tag = localTag(of: ServerTransactionID(rawValue: inviteID))
    respond(SIPResponse(to: cancel, status: 200, toTag: tag), to: cancelID, now, &actions)
    guard servers[inviteID]?.state == .proceeding else { return }
    actions.append(.cancelled(ServerTransactionID(rawValue: inviteID), CANCEL: cancel))
  }

  // MARK: Responses

  private mutating func respond(
    _ response: SIPResponse, to id: UInt64, _ now: Instant, _ actions: inout [TransactionAction]
  ) {
    guard let transaction = servers[id], transaction.state == .trying || transaction.state == .proceeding else {
      statistics.ignoredResponses += 1
      return
    }
    var response = response
    if response.status > 100 {
      if let tag = response.headers.toTag {
        if transaction.localTag == nil { servers[id]?.localTag = tag }
      } else if let to = response.headers[.to], let tag = localTag(of: transaction.id) {
        response.headers[.to] = to + ";tag=" + tag
      }
    }
    actions.append(.transmit(.response(response), to: transaction.destination))
    servers[id]?.lastResponse = response
    servers[id]?.deadlines.clear(.provisional)
    if response.isProvisional {
      servers[id]?.state = .proceeding
      if transaction.isInvite, response.status > 100 {
        startServer(id, .provisional, now, after: timers.provisionalRefresh)
      }
    } else if transaction.isInvite {
      answerInvite(response, transaction, now)
    } else if transaction.isReliable {
      removeServer(id)
    } else {
      servers[id]?.state = .completed
      servers[id]?.deadlines.clear(.timeout)
      startServer(id, .linger, now, after: timers.timeout)
    }
  }

  private mutating func answerInvite(_ response: SIPResponse, _ transaction: ServerTransaction, _ now: Instant) {
    let id = transaction.id.rawValue
    let t1 = timers.t1
    servers[id]?.interval = t1
    // Timer H, and for a 2xx both Timer L and the wait for its ACK.
    startServer(id, .timeout, now, after: timers.timeout)
    if response.isSuccess {
      servers[id]?.state = .accepted
      // Repeated over every transport: the way to the other end need not be reliable (RFC 3261 §13.3.1.4).
      startServer(id, .retransmit, now, after: timers.t1)
      if let callID = response.headers.callID, let localTag = response.headers.toTag, let cSeq = response.headers.cSeq {
        let key = ServerTransaction.DialogKey(
          callID: callID, remoteTag: response.headers.fromTag ?? "", localTag: localTag, sequence: cSeq.number)
        servers[id]?.dialogKey = key
        dialogIDs[key] = id
      }
    } else {
      servers[id]?.state = .completed
      if !transaction.isReliable { startServer(id, .retransmit, now, after: timers.t1) }
    }
  }

  mutating func fireServer(_ entry: TimerQueue.Entry, _ now: Instant, _ actions: inout [TransactionAction]) {
    let id = entry.transaction
    guard let transaction = servers[id] else { return }
    switch entry.kind {
    case .provisional:
      if let response = transaction.lastResponse {
        statistics.retransmissionsSent += 1
        actions.append(.transmit(.response(response), to: transaction.destination))
        startServer(id, .provisional, now, after: timers.provisionalRefresh)
      } else {
        respond(SIPResponse(to: transaction.request, status: 100, toTag: nil), to: id, now, &actions)
      }
    case .retransmit:
      guard let response = transaction.lastResponse else { return }
      statistics.retransmissionsSent += 1
      actions.append(.transmit(.response(response), to: transaction.destination))
      let interval = min(transaction.interval * 2, timers.t2)
      servers[id]?.interval = interval
      startServer(id, .retransmit, now, after: interval)
    case .timeout:
      removeServer(id)
      if transaction.state == .accepted, !transaction.isAcknowledged {
        statistics.timeouts += 1
        actions.append(.acknowledgementMissing(transaction.id))
      }
    case .linger:
      removeServer(id)
    }
  }
}
