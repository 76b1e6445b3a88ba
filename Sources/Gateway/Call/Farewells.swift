import Core
import SIP

/// An INVITE of ours whose leg is gone, or does not want it any more, while an answer may still come.
struct AbandonedInvite {
  let request: SIPRequest
  let party: SIPLeg.Party
  let destination: Destination

  init(_ leg: SIPLeg) {
    request = leg.inviteRequest
    party = leg.party
    destination = leg.destination
  }
}

/// A BYE of ours.
struct Farewell {
  let request: SIPRequest
  let destination: Destination
  /// To answer one challenge: a carrier that does not accept the BYE goes on charging.
  let credentials: DigestClient?
}

/// What is left to say when a leg has gone.
extension B2BUA {
  // MARK: INVITEs left behind

  /// Keeps a leg's unanswered or just answered INVITE in mind until its transaction is dead.
  func abandonInvite(of leg: SIPLeg) {
    guard let id = leg.clientInvite, leg.clientTransactions.contains(id) else { return }
    let mayFork = leg.acceptedAt.map { now - $0 < transactions.timers.timeout } ?? false
    guard mayFork || leg.phase == .cancelling else { return }
    leg.clientTransactions.remove(id)
    owners[id] = .abandoned(AbandonedInvite(leg))
    // Timer B, 64·T1 after the CANCEL, and the linger after a 2xx at the very end of that.
    abandonments.append((id, now + transactions.timers.timeout * 3))
  }

  func forgetAbandoned() {
    while let first = abandonments.first, first.end <= now {
      abandonments.removeFirst()
      disown(first.id)
    }
  }

  func receive(_ response: SIPResponse, _ transaction: ClientTransactionID, of invite: AbandonedInvite) {
    if response.isSuccess {
      decline(response, transaction, of: invite)
    } else if response.isFinal {
      disown(transaction)
    }
  }

  /// Acknowledges a 2xx that nobody wants and leaves at once (RFC 3261 §13.2.2.4, §9.1).
  func decline(_ response: SIPResponse, _ transaction: ClientTransactionID, of invite: AbandonedInvite) {
    guard var dialog = try? Dialog(uac: invite.request, response: response) else { return }
    let destination = inDialogDestination(of: invite.party, from: invite.destination, dialog: dialog)
    acknowledge(
      dialog.makeACK(sequence: invite.request.headers.cSeq?.number ?? 1), for: transaction, to: destination)
    var bye = dialog.makeRequest(.bye)
    bye.headers.append(.reason, Reason.completedElsewhere.description)
    send(Farewell(request: bye, destination: destination, credentials: nil))
  }

  // MARK: BYE

  func send(_ farewell: Farewell) {
    send(farewell.request, to: farewell.destination, owner: .farewell(farewell))
  }

  func receive(_ response: SIPResponse, of farewell: Farewell) {
    guard response.status == 401 || response.status == 407, var credentials = farewell.credentials,
      let answer = try? credentials.answer(response, to: farewell.request)
    else { return }
    send(Farewell(request: answer, destination: farewell.destination, credentials: nil))
  }

  /// The ACK of our 2xx came, or is given up: a BYE that waited for it goes out.
  func acknowledged(_ transaction: ServerTransactionID) {
    invites[transaction]?.isAcknowledged = true
    if let farewell = deferredByes.removeValue(forKey: transaction) { send(farewell) }
  }
}
