import Core
import Logging
import SIP

/// What a leg's REFER means for the call: the other side is moved.
extension Call {
  func refer(by leg: SIPLeg, _ refer: Refer) async {
    let dialled = refer.target.user ?? refer.target.host
    let request = TransferRequest(
      transferor: leg, dialled: dialled, kind: refer.replaces == nil ? .blind : .attended,
      leavesByItself: refer.wantsSubscription
    ) { [weak leg] status, reason in leg?.notify(status, reason) }
    if conference?.stage == .seated, leg === caller, refer.replaces == nil {
      return inviteIntoRoom(dialled, by: leg, request: request)
    }
    guard let transferee = peer(of: leg) else {
      request.report(480, "nobody is left to be transferred")
      return
    }
    if let replaces = refer.replaces {
      await join(transferee, to: replaces, request: request)
      return
    }
    guard let target = core.route(dialled, by: leg.party) else {
      logger.notice("transfer to nowhere", metadata: ["by": "\(leg.record.party)", "to": "\(dialled)"])
      request.report(404, StatusPhrase.standard(404))
      return
    }
    await transfer(transferee, to: target, request: request)
  }
}
