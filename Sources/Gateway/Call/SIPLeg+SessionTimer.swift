import Core
import SDP
import SIP

/// Session timers (RFC 4028): a call whose far end has silently gone ends by itself.
extension SIPLeg {
  /// Starts or restarts the timer after our 2xx to an INVITE or UPDATE.
  func startSessionTimer(asServer request: SIPRequest, response: inout SIPResponse) {
    core.sessionPolicy.answer(to: request).apply(to: &response)
    sessionTimer = SessionTimer(sent: response, now: core.now)
    scheduleSessionTimer()
  }

  /// Starts or restarts the timer after a 2xx to ours. A peer without session timers gets none from us: we cannot ask
  /// a peer that knows no UPDATE for more than re-INVITEs, and those it gets as the refreshed side.
  func startSessionTimer(asClient response: SIPResponse) {
    sessionTimer = SessionTimer(received: response, now: core.now)
    scheduleSessionTimer()
  }

  func scheduleSessionTimer() {
    guard let call, let sessionTimer else { return }
    let next = min(sessionTimer.nextDeadline, refreshAgain ?? sessionTimer.nextDeadline)
    core.setTimer(.session(id), of: call, after: max(.milliseconds(1), next - core.now))
  }

  func sessionTimerFired() async {
    guard phase == .answered, var timer = sessionTimer else { return }
    let event = timer.advance(to: core.now)
    sessionTimer = timer
    switch event {
    case .refresh: refresh(timer)
    case .expired:
      await call?.end(by: .system, status: 200, reason: "\(party.name) did not refresh the session")
      return
    case nil:
      if let due = refreshAgain, due <= core.now { refresh(timer) }
    }
    scheduleSessionTimer()
  }

  /// A refresh by UPDATE without a body where the peer allows it, else by a re-INVITE that repeats our last SDP.
  private func refresh(_ timer: SessionTimer) {
    refreshAgain = nil
    guard reinvite == nil else { return }
    guard !awaitsAnswerInACK else { return retryRefresh(after: .seconds(2)) }
    let method: Method = peerAllowsUpdate ? .update : .invite
    guard var request = dialog?.makeRequest(method) else { return }
    timer.offer(in: &request, minimum: core.sessionPolicy.minimum)
    request.headers.set(.contact, core.contactHeader(for: destination))
    request.headers.set(.allow, B2BUA.allow)
    if method == .invite {
      guard let offer = try? session?.makeOffer() else { return retryRefresh(after: .seconds(2)) }
      request.setBody(Array(offer.description.utf8), contentType: "application/sdp")
    }
    credentials?.authorize(&request)
    refreshRequest = request
    reinvite = send(request)
  }

  /// Tries the refresh again after a while, unless the session expires before.
  func retryRefresh(after delay: Duration) {
    refreshAgain = core.now + delay
    scheduleSessionTimer()
  }

  /// A refresh was refused: by a challenge, for its interval or its method, by glare, or for another reason.
  func refreshRefused(_ response: SIPResponse) {
    let request = refreshRequest
    refreshRequest = nil
    guard let timer = sessionTimer, let request else { return }
    refreshAttempts += 1
    switch response.status {
    case 401, 407:
      if refreshAttempts <= 2, let answer = try? credentials?.answer(response, to: request) {
        // The answer's CSeq is one higher; the dialog counts along.
        _ = dialog?.makeRequest(request.method)
        refreshRequest = answer
        reinvite = send(answer)
        return
      }
    case 405, 501:
      if request.method == .update {
        peerAllowsUpdate = false
        return refresh(timer)
      }
    case 491:
      // RFC 3261 §14.1: whoever made the Call-ID waits longer.
      let wait = isCaller ? Int64.random(in: 0...200) * 10 : Int64.random(in: 210...400) * 10
      return retryRefresh(after: .milliseconds(wait))
    default: break
    }
    // Half of what is left, so that a few more tries fit before the expiry.
    retryRefresh(after: max(.seconds(2), (timer.nextDeadline - core.now) / 2))
  }
}
