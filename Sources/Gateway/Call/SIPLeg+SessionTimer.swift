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
    core.setTimer(.session(id), of: call, after: max(.milliseconds(1), sessionTimer.nextDeadline - core.now))
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
    case nil: break
    }
    scheduleSessionTimer()
  }

  /// A refresh by UPDATE without a body where the peer allows it, else by a re-INVITE that repeats our last SDP.
  private func refresh(_ timer: SessionTimer) {
    guard reinvite == nil, dialog != nil else { return }
    let method: Method = peerAllowsUpdate ? .update : .invite
    guard var request = dialog?.makeRequest(method) else { return }
    timer.offer(in: &request, minimum: core.sessionPolicy.minimum)
    request.headers.set(.contact, core.contactHeader(for: destination))
    request.headers.set(.allow, B2BUA.allow)
    if method == .invite {
      guard let offer = try? session?.makeOffer() else { return }
      request.setBody(Array(offer.description.utf8), contentType: "application/sdp")
    }
    refreshRequest = request
    reinvite = send(request)
  }
}
