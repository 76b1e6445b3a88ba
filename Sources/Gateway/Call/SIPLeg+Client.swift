import Core
import Logging
import SDP
import SIP

/// The called side: Parley is the user agent client of the INVITE.
extension SIPLeg {
  /// Opens media and sends the INVITE with our offer.
  func invite() async throws {
    try await openMedia()
    guard let offer = try session?.makeOffer() else { return }
    offered = session
    inviteRequest.setBody(Array(offer.description.utf8), contentType: "application/sdp")
    phase = .inviting
    clientInvite = core.send(inviteRequest, to: destination, owner: .leg(self))
  }

  /// Gives up the INVITE (RFC 3261 §9.1); the transaction layer waits for a provisional response first.
  func cancel(reason: String?) {
    guard phase == .inviting, let clientInvite else { return }
    phase = .cancelling
    record.reason = reason ?? "cancelled"
    core.cancel(clientInvite, reason: reason)
  }

  func receive(_ response: SIPResponse, transaction: ClientTransactionID) async {
    if transaction == reinvite { return await receiveReinviteAnswer(response, transaction) }
    if transaction == notification {
      if response.isFinal { notificationAnswered(response.status) }
      return
    }
    guard transaction == clientInvite else { return }
    switch response.status {
    // 199 tells that a fork gave up (RFC 6228); nothing rings by it.
    case 100, 199: break
    case 101..<200: await provisional(response)
    case 200..<300: await accepted(response, transaction)
    default: await refused(response)
    }
  }

  func requestFailed(_ transaction: ClientTransactionID, _ failure: RequestFailure) async {
    if transaction == reinvite {
      reinvite = nil
      session?.rollback()
      guard phase == .answered else { return }
      // A closed connection may come back before the session expires.
      if failure == .transport { return retryRefresh(after: .seconds(5)) }
      // RFC 3261 §12.2.1.2: no answer to a request inside a dialog ends the dialog.
      await call?.ended(by: self, reason: "the far end stopped answering")
      return
    }
    if transaction == notification { return notificationAnswered(nil) }
    guard transaction == clientInvite, phase == .inviting || phase == .cancelling else { return }
    phase = .ended
    // A user whose page closed is not available; a trunk that cannot be reached is our problem.
    let status = isUser ? 480 : failure == .timeout ? 408 : 503
    record.status = status
    await call?.failed(
      self, status: status,
      reason: failure == .timeout ? "\(party.name) did not respond" : "\(party.name) cannot be reached")
  }

  private func provisional(_ response: SIPResponse) async {
    guard phase == .inviting else { return }
    var hasMedia = false
    if !response.body.isEmpty, let description = try? SessionDescription(parsing: response.body) {
      do {
        // Each provisional answers the same offer; the last fork's media is what the caller hears.
        session = offered
        try session?.receiveAnswer(description)
        try await applyNegotiated()
        hasMedia = true
      } catch {
        session = offered
        call?.logger.notice("early media refused", metadata: ["error": "\(error)"])
      }
    }
    await call?.ringingReported(by: self, status: response.status, hasEarlyMedia: hasMedia)
  }

  private func accepted(_ response: SIPResponse, _ transaction: ClientTransactionID) async {
    guard var dialog = try? Dialog(uac: inviteRequest, response: response) else {
      record.reason = "the answer has no usable Contact or tag"
      await call?.failed(self, status: 502, reason: record.reason)
      return
    }
    dialog.receive(response, to: inviteRequest)
    if phase != .inviting {
      // Answered by another fork already, or crossing our CANCEL.
      core.decline(response, transaction, of: AbandonedInvite(self))
      if phase == .cancelling { phase = .ended }
      return
    }
    self.dialog = dialog
    acceptedAt = core.now
    core.acknowledge(
      dialog.makeACK(sequence: inviteRequest.headers.cSeq?.number ?? 1), for: transaction, dialog: dialog, leg: self)
    phase = .answered
    record.answeredAt = .now()
    record.status = 200
    do {
      if !response.body.isEmpty {
        session = offered
        try session?.receiveAnswer(SessionDescription(parsing: response.body))
        try await applyNegotiated()
      } else if session?.negotiated == nil {
        throw DelayedOfferError.noAnswer
      }
    } catch {
      hangUp(reason: "the answer cannot be used")
      await call?.failed(self, status: 488, reason: "the answer of \(party.name) cannot be used: \(error)")
      return
    }
    learn(from: response.headers)
    startSessionTimer(asClient: response)
    await call?.answered(by: self)
  }

  private func refused(_ response: SIPResponse) async {
    guard phase == .inviting || phase == .cancelling else { return }
    if phase == .inviting, inviteRetries < 3, retryInvite(after: response) { return }
    phase = .ended
    record.status = response.status
    record.reason = response.headers.reasons.first?.text ?? response.reason
    await call?.failed(self, status: response.status, reason: StatusMap.words(response.status))
  }

  /// Answers a challenge (401, 407) or a too short session interval (422) by a new INVITE; false if there is nothing to try.
  private func retryInvite(after response: SIPResponse) -> Bool {
    switch response.status {
    case 401, 407:
      guard let answer = try? credentials?.answer(response, to: inviteRequest) else { return false }
      inviteRequest = answer
    case 422:
      guard let policy = core.sessionPolicy.adapted(to: response), let sequence = inviteRequest.headers.cSeq?.number
      else {
        return false
      }
      policy.offer(in: &inviteRequest)
      inviteRequest.headers.cSeq = CSeq(number: sequence + 1, method: .invite)
      credentials?.authorize(&inviteRequest)
    default: return false
    }
    inviteRetries += 1
    clientInvite = core.send(inviteRequest, to: destination, owner: .leg(self))
    return true
  }
}
