import Core
import Logging
import SIP

/// INVITE with Replaces (RFC 3891): a new dialog of the same user takes the place of one of ours. A page that was loaded
/// anew gets its call back so, and a user takes his call to another device.
extension Call {
  /// `new` has sent the INVITE and is not answered yet.
  func replace(_ old: SIPLeg, by new: SIPLeg) async {
    add(new)
    if let failure = new.offerFailure {
      new.reject(failure.status, cause: failure.status, reason: failure.reason)
      return
    }
    guard phase == .answered, old === caller || old === callee else {
      let status = phase == .ended || departing.contains { $0 === old } ? 603 : 481
      new.reject(status, cause: status, reason: "the call that was to be replaced is over")
      return
    }
    do {
      try await new.answer()
    } catch {
      let status = Self.status(of: error)
      new.reject(status, cause: status, reason: "media: \(error)")
      await closeLegs([new], reason: "media: \(error)")
      return
    }
    guard phase == .answered, old === caller || old === callee else {
      new.hangUp(reason: "the call that was to be replaced is over")
      await closeLegs([new], reason: "the call that was to be replaced is over")
      return
    }
    old.record.reason = "replaced"
    old.outage = nil
    let timers: [CallTimer] = [
      .survival(old.id), .pulse(old.id), .revive(old.id), .goodbye(old.id), .mediaRecovery(old.id), .session(old.id),
    ]
    for timer in timers { core.cancelTimer(timer, of: self) }
    if old === caller { caller = new } else { callee = new }
    if transfer?.transferee === old { transfer?.transferee = new }
    if transfer?.request.transferor === old { transfer?.request.transferor = new }
    logger.info("leg replaced", metadata: ["party": "\(new.record.party)", "was": "\(old.callID)"])
    await updateSources(silencing: old)
    old.hangUp(reason: "replaced")
    await closeLegs([old], reason: "replaced")
    core.save(self)
  }
}

extension B2BUA {
  /// An INVITE with Replaces of a user who has authenticated.
  func replace(_ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow, by user: User) {
    func refuse(_ status: Int, _ why: String) {
      metrics.refused(why)
      respond(refusal(status, to: request), to: transaction)
    }
    guard request.headers.lines.count(where: { $0.name == .replaces }) == 1, let replaces = request.headers.replaces
    else { return refuse(400, "bad-replaces") }
    guard let old = leg(replacedBy: replaces), let call = old.call else { return refuse(481, "replaces-nothing") }
    // RFC 3891 §3 wants the replacer to be authorised: here whoever the replaced one is, and nobody else.
    guard old.isUser, old.party.name == user.name else { return refuse(403, "replaces-forbidden") }
    switch call.phase {
    case .setup, .ringing: return refuse(481, "replaces-early")
    case .ended: return refuse(603, "replaces-nothing")
    case .answered: break
    }
    guard !replaces.earlyOnly else { return refuse(486, "replaces-early") }
    let new = makeCallerLeg(request, transaction, flow, party: old.party, host: call.host)
    new.record.index = call.nextIndex
    new.call = call
    enqueue(.replace(old, by: new), to: call)
  }

  /// The worker of a new call: that of another call of the same user, so that the two can be joined, else the next one.
  func host(for party: SIPLeg.Party, routed: RoutedCall?) -> MediaHost {
    guard dependencies.media.hosts.count > 1 else { return nextHost() }
    var names: Set<String> = []
    if case .user(let name) = party { names.insert(name) }
    if case .user(let name) = routed?.target { names.insert(name) }
    guard !names.isEmpty else { return nextHost() }
    for call in calls.values {
      for leg in call.legs where leg.isUser && names.contains(leg.party.name) { return call.host }
    }
    return nextHost()
  }
}
