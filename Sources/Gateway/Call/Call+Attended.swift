import Core
import Logging
import SIP

/// Attended transfer (RFC 5589 §7): the transferor has a call with each of two parties and asks that these two be joined.
/// Both calls are ours, so no INVITE is sent: a leg changes hands between two calls.
///
/// The two calls agree by events in each other's mailbox: the first asks the second to surrender a leg, the second lets
/// go of it and ends, the first adopts it.
extension Call {
  /// Joins `transferee` with whoever the transferor talks to, or is calling, in the dialog that `replaces` names.
  func join(_ transferee: SIPLeg, to replaces: Replaces, request: TransferRequest) async {
    guard let consulting = core.leg(replacedBy: replaces), let other = consulting.call, other !== self,
      let transferor = request.transferor, consulting.party.name == transferor.party.name,
      consulting.isUser == transferor.isUser
    else {
      request.report(481, StatusPhrase.standard(481))
      return
    }
    guard canTransfer(transferee), record.transfers.count < Self.maximumTransfers else {
      request.report(491, StatusPhrase.standard(491))
      return
    }
    // A built-in or a room has no leg to hand over, and a leg cannot change its media worker: the target is called anew.
    if let conference = other.conference, consulting === other.caller {
      // The transferor hands over its place in the room.
      let room = RoutedCall(target: .room(conference.room), number: other.record.to)
      await transfer(transferee, to: room, request: request)
      if self.conference != nil { core.enqueue(.hangUp(status: 487, reason: "transferred"), to: other) }
      return
    }
    guard other.hasPeer(of: consulting), other.host === host else {
      await transfer(transferee, to: other.routed, request: request)
      if self.transfer != nil { core.enqueue(.hangUp(status: 487, reason: "transferred"), to: other) }
      return
    }
    _ = beginTransfer(of: transferee, to: other.routed, request: request)
    await updateSources()
    core.setTimer(.transferNoAnswer, of: self, after: core.configuration.noAnswerTimeout)
    core.enqueue(.surrender(consulting, to: self), to: other)
  }

  /// Whether somebody is on the other side of `leg`, or rings there.
  func hasPeer(of leg: SIPLeg) -> Bool { peer(of: leg) != nil || leg === caller && !ringing.isEmpty }

  /// Another call wants whoever `leg` talks to; this one ends with it.
  func surrender(_ leg: SIPLeg, to other: Call) async {
    let isRinging = (phase == .setup || phase == .ringing) && leg === caller && !ringing.isEmpty
    let far = phase == .answered && transfer == nil && leg.phase == .answered ? peer(of: leg) : nil
    guard isRinging || far != nil else {
      core.enqueue(.surrendered([], from: self), to: other)
      return
    }
    let moved = far.map { [$0] } ?? ringing
    ringing = []
    if far != nil {
      caller = leg
      callee = nil
      builtIn = nil
    }
    for one in moved { detach(one) }
    core.enqueue(.surrendered(moved, from: self), to: other)
    let reason = "joined with call \(other.id)"
    if isRinging {
      await refuse(487, reason: reason, by: .caller, cause: 487)
    } else {
      await end(by: leg.isCaller ? .caller : .callee, status: 200, reason: reason)
    }
  }

  /// The other call has let go of its leg, or of those that ring; none: it could not.
  func adopt(_ moved: [SIPLeg], from other: Call) async {
    guard let transfer, !moved.isEmpty else {
      for leg in moved { await turnAway(leg) }
      await transferFailed(481, reason: "the other call is over")
      return
    }
    for leg in moved {
      leg.record.index = nextIndex
      add(leg)
      if leg.sessionTimer != nil { leg.scheduleSessionTimer() }
    }
    if let first = moved.first, first.phase == .answered {
      await completeTransfer(with: first, builtIn: nil)
      return
    }
    transfer.ringing = moved
    transfer.request.report(180, StatusPhrase.standard(180))
  }

  /// A leg that arrives when nobody waits for it any more.
  private func turnAway(_ leg: SIPLeg) async {
    leg.record.index = nextIndex
    add(leg)
    leg.hangUp(reason: "the transfer was given up")
    await closeLegs([leg], reason: "the transfer was given up")
  }
}

extension B2BUA {
  /// The leg whose dialog a Replaces names, from the view of whoever is called with it (RFC 3891 §3): its to-tag is ours.
  func leg(replacedBy replaces: Replaces) -> SIPLeg? {
    guard let leg = leg(callID: replaces.callID, localTag: replaces.toTag),
      leg.dialog == nil || leg.dialog?.id.remoteTag == replaces.fromTag
    else { return nil }
    return leg
  }
}
