import Core
import Logging
import SIP

/// Moving one side of an answered call to somebody else. The transferee's leg stays as it is, its dialog and its media;
/// what it hears changes, and who stands on the other side.
extension Call {
  /// More in one call are a loop, or somebody's toy.
  static let maximumTransfers = 20

  /// Who is on the other side of `leg`; nil where it talks to a built-in or a room.
  func peer(of leg: SIPLeg) -> SIPLeg? {
    if leg === caller { return callee }
    return leg === callee ? caller : nil
  }

  /// Moves `leg` of this call to another target: whom it talks to is released once the target has answered, and keeps
  /// the call if that fails. `leg` hears music meanwhile, or what the target's side plays before the answer.
  ///
  /// Must run as part of the call's mailbox. The end is told by `request.report`.
  func transfer(_ leg: SIPLeg, to wanted: RoutedCall, request: TransferRequest) async {
    guard canTransfer(leg) else {
      request.report(491, "the call cannot be transferred now")
      return
    }
    guard record.transfers.count < Self.maximumTransfers else {
      request.report(482, "this call has been transferred too often")
      return
    }
    let target: RoutedCall
    do {
      diversions = []
      target = try handled(wanted)
    } catch {
      request.report(error.status, error.reason)
      return
    }
    let transfer = beginTransfer(of: leg, to: target, request: request)
    if case .trunk = target.target, let name = payer(request) {
      guard core.callsCharged(to: name, except: self) < core.configuration.maximumCallsPerUser else {
        return await transferFailed(486, reason: "\(name) has too many calls")
      }
      responsible = name
    }
    await updateSources()
    // Joining the media may have ended the call.
    guard self.transfer === transfer else { return }
    switch target.target {
    case .echo: await completeTransfer(with: nil, builtIn: .echo)
    case .milliwatt: await completeTransfer(with: nil, builtIn: .milliwatt)
    case .room(let name): await completeTransfer(intoRoom: name)
    default:
      do {
        transfer.ringing = try makeLegs(for: target)
      } catch {
        return await transferFailed(error.status, reason: error.reason)
      }
      await ring(transfer)
    }
  }

  /// Whether `leg` may be moved now.
  func canTransfer(_ leg: SIPLeg) -> Bool {
    phase == .answered && transfer == nil && leg.phase == .answered && (leg === caller || leg === callee)
  }

  func beginTransfer(of leg: SIPLeg, to target: RoutedCall, request: TransferRequest) -> Transfer {
    record.transfers.append(
      TransferRecord(
        at: .now(), kind: request.kind.rawValue, by: request.transferor?.record.index, moved: leg.record.index,
        to: request.dialled))
    let transfer = Transfer(request: request, transferee: leg, target: target, entry: record.transfers.count - 1)
    self.transfer = transfer
    logger.info(
      "transfer",
      metadata: [
        "kind": "\(request.kind.rawValue)", "by": "\(request.transferor?.record.party ?? "operator")",
        "moved": "\(leg.record.party)", "to": "\(request.dialled)", "target": "\(target.target)",
      ])
    request.report(100, StatusPhrase.standard(100))
    return transfer
  }

  private func payer(_ request: TransferRequest) -> String? {
    if case .user(let name) = request.transferor?.party { return name }
    return nil
  }

  private func ring(_ transfer: Transfer) async {
    core.setTimer(.transferNoAnswer, of: self, after: core.configuration.noAnswerTimeout)
    for leg in transfer.ringing {
      if let by = payer(transfer.request) {
        leg.inviteRequest.headers.set(.referredBy, "<sip:\(by)@\(core.configuration.domain)>")
      }
      noteDiversions(on: leg)
      do {
        try await leg.invite()
      } catch {
        logger.error("a leg could not be set up", metadata: ["leg": "\(leg.record.party)", "error": "\(error)"])
        await failed(leg, status: 503, reason: "media: \(error)")
      }
    }
  }

  // MARK: What the target's legs report

  func transferProgressed(by leg: SIPLeg, status: Int, hasEarlyMedia: Bool) async {
    guard let transfer else { return }
    transfer.request.report(status == 180 ? 180 : 183, StatusPhrase.standard(status))
    if hasEarlyMedia, transfer.ringing.count == 1 {
      transfer.early = leg
    } else if status == 180, !transfer.isRinging {
      transfer.isRinging = true
    } else {
      return
    }
    await updateSources()
  }

  func transferAnswered(by leg: SIPLeg) async {
    guard let transfer else { return }
    let others = transfer.ringing.filter { $0 !== leg }
    transfer.ringing = []
    for other in others { other.cancel(reason: Reason.completedElsewhere.description) }
    await completeTransfer(with: leg, builtIn: nil)
    await closeLegs(others, reason: "answered elsewhere")
  }

  func transferLegFailed(_ leg: SIPLeg, status: Int, reason: String) async {
    guard let transfer else { return }
    transfer.ringing.removeAll { $0 === leg }
    if transfer.early === leg { transfer.early = nil }
    if transfer.bestFailure.map({ StatusMap.rank(status) < StatusMap.rank($0.status) }) ?? true {
      transfer.bestFailure = (status, reason)
    }
    await closeLegs([leg], reason: reason)
    if status >= 600 {
      let others = transfer.ringing
      transfer.ringing = []
      for other in others { other.cancel(reason: nil) }
      await closeLegs(others, reason: "declined on another device")
    }
    guard self.transfer === transfer, transfer.ringing.isEmpty, let best = transfer.bestFailure else { return }
    await transferFailed(StatusMap.toCaller(best.status), reason: best.reason)
  }

  func transferNotAnswered() async {
    guard let transfer else { return }
    let ringing = transfer.ringing
    transfer.ringing = []
    for leg in ringing { leg.cancel(reason: "Q.850;cause=19;text=\"No answer\"") }
    await closeLegs(ringing, reason: "no answer")
    guard self.transfer === transfer else { return }
    await transferFailed(480, reason: "nobody answered")
  }

  // MARK: How it ends

  /// The target takes the transferor's place, in one turn of the media worker.
  func completeTransfer(with leg: SIPLeg?, builtIn: HostedSource?) async {
    guard let transfer else { return }
    core.cancelTimer(.transferNoAnswer, of: self)
    let leaving = peer(of: transfer.transferee)
    self.transfer = nil
    if case .conference = builtIn {} else { leaveConference() }
    self.builtIn = builtIn
    if let leg {
      put(leg, besides: transfer.transferee)
    } else {
      caller = transfer.transferee
      callee = nil
    }
    note(transfer, status: 200, leg: leg)
    settleForwards(status: 200, leg: leg)
    await updateSources(silencing: leaving)
    logger.info("transferred", metadata: ["to": "\(leg?.record.party ?? "\(transfer.target.target)")"])
    core.save(self)
    transfer.request.report(200, StatusPhrase.standard(200))
    if let leaving { await depart(leaving, byItself: transfer.request.leavesByItself) }
  }

  /// The transferor gets the call back, if it is still there.
  func transferFailed(_ status: Int, reason: String) async {
    guard let transfer else { return }
    core.cancelTimer(.transferNoAnswer, of: self)
    self.transfer = nil
    note(transfer, status: status, leg: nil)
    settleForwards(status: status, leg: nil)
    logger.info("transfer failed", metadata: ["status": "\(status)", "reason": "\(reason)"])
    transfer.request.report(status, StatusPhrase.standard(status))
    if transfer.hasTransferorLeft {
      await end(by: .system, status: 200, reason: "the transfer to \(transfer.request.dialled) failed: \(reason)")
    } else {
      await updateSources()
    }
  }

  /// The call ends with a transfer under way.
  func abandonTransfer(reason: String) {
    guard let transfer else { return }
    self.transfer = nil
    note(transfer, status: 487, leg: nil)
    transfer.request.report(487, reason)
  }

  private func note(_ transfer: Transfer, status: Int, leg: SIPLeg?) {
    guard record.transfers.indices.contains(transfer.entry) else { return }
    record.transfers[transfer.entry].status = status
    record.transfers[transfer.entry].leg = leg?.record.index
  }

  /// Puts `leg` on the side across from `other`.
  func put(_ leg: SIPLeg, besides other: SIPLeg) {
    if other === caller { callee = leg } else { caller = leg }
  }

  // MARK: Legs that leave

  /// Lets a leg go that has handed its side over. One that was told of it says BYE itself; it has two seconds.
  func depart(_ leg: SIPLeg, byItself: Bool) async {
    if leg.record.reason.isEmpty { leg.record.reason = "transferred" }
    guard byItself, leg.phase == .answered else {
      leg.hangUp(reason: "transferred")
      await closeLegs([leg], reason: "transferred")
      return
    }
    departing.append(leg)
    core.setTimer(.farewell(leg.id), of: self, after: .seconds(2))
  }

  func farewell(_ id: LegID) async {
    guard let leg = departing.first(where: { $0.id == id }) else { return }
    departing.removeAll { $0 === leg }
    leg.hangUp(reason: "transferred")
    await closeLegs([leg], reason: "transferred")
  }

  /// Sees to a leg's end that does not end the call; false where it does.
  func left(_ leg: SIPLeg, reason: String) async -> Bool {
    if departing.contains(where: { $0 === leg }) {
      departing.removeAll { $0 === leg }
      core.cancelTimer(.farewell(leg.id), of: self)
      await closeLegs([leg], reason: "transferred")
      return true
    }
    guard let transfer, leg !== transfer.transferee, leg === caller || leg === callee else { return false }
    // Some phones leave as soon as the REFER is accepted.
    transfer.hasTransferorLeft = true
    leg.record.reason = "transferred"
    await closeLegs([leg], reason: "transferred")
    return true
  }
}
