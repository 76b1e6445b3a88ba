import Core
import SIP

/// REFER inside the dialog, and the NOTIFYs that tell how it went (RFC 3515).
extension SIPLeg {
  func receiveRefer(_ request: SIPRequest, _ transaction: ServerTransactionID) async {
    func refuse(_ status: Int, _ why: String) {
      var response = makeResponse(status, to: request)
      response.headers.append(.warning, "399 \(core.configuration.domain) \"\(quoted(why))\"")
      core.respond(response, to: transaction)
    }
    guard core.mayTransfer(party) else {
      core.metrics.refused("transfer-forbidden")
      return refuse(403, "transfers are not allowed here")
    }
    let refer: Refer
    do {
      refer = try Refer(request)
    } catch {
      return refuse(error.status, error.reason)
    }
    // One at a time, and only of an answered call.
    guard let call, call.canTransfer(self), subscription?.isOver ?? true else {
      return refuse(491, "the call cannot be transferred now")
    }
    guard call.peer(of: self) != nil || call.conference?.stage == .seated else {
      return refuse(403, "there is nobody to transfer")
    }
    var response = makeResponse(202, to: request)
    response.headers.set(.contact, core.contactHeader(for: destination))
    if !refer.wantsSubscription { response.headers.set(.referSub, "false") }
    core.respond(response, to: transaction)
    if refer.wantsSubscription {
      subscription = ReferSubscription(id: hasBeenReferred ? refer.sequence : nil)
      hasBeenReferred = true
    }
    await call.refer(by: self, refer)
  }

  /// Tells the referrer a status of the referred call.
  func notify(_ status: Int, _ reason: String) {
    if let notice = subscription?.report(status, reason: reason) { send(notice) }
  }

  private func send(_ notice: ReferSubscription.Notice) {
    guard phase == .answered, var request = dialog?.makeRequest(.notify) else { return }
    notice.apply(to: &request)
    request.headers.set(.contact, core.contactHeader(for: destination))
    credentials?.authorize(&request)
    notification = send(request)
  }

  /// A NOTIFY was answered (status) or failed (nil); the next one may go.
  func notificationAnswered(_ status: Int?) {
    notification = nil
    if let notice = subscription?.answered(status ?? 408) { send(notice) }
  }
}

extension B2BUA {
  /// Users who have authenticated may transfer; carriers only where the configuration says so: whoever can make us call
  /// a number makes us pay for it.
  func mayTransfer(_ party: SIPLeg.Party) -> Bool {
    switch party {
    case .user: true
    case .trunk(let trunk): configuration.transferringTrunks.contains(trunk.name)
    case .room: false
    }
  }

  /// Where a number leads that this party names: the same way as if it had dialled it.
  func route(_ dialled: String, by party: SIPLeg.Party) -> RoutedCall? {
    switch party {
    case .user: directory.route(dialledByUser: dialled)
    case .trunk: directory.route(calledFromTrunk: dialled)
    case .room: nil
    }
  }
}
